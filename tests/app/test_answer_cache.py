"""Answers that are kept."""

import threading

import pytest

from xbayes.app.answer_cache import AnswerCache


def test_a_question_is_answered_once_also_for_two_at_once():
    cache, asked, may_go = AnswerCache(), [], threading.Event()

    def slow():
        asked.append(1)
        may_go.wait(5)
        return "answer"

    found = []
    threads = [
        threading.Thread(target=lambda: found.append(cache.get("q", slow))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    may_go.set()
    for thread in threads:
        thread.join()
    assert found == ["answer"] * 4
    assert asked == [1]


def test_errors_are_not_kept_and_old_answers_go():
    cache = AnswerCache(kept=2)
    with pytest.raises(ZeroDivisionError):
        cache.get("q", lambda: 1 // 0)
    assert cache.get("q", lambda: 1) == 1
    assert [cache.get(n, lambda n=n: n) for n in range(3)] == [0, 1, 2]
    assert cache.get("q", lambda: 2) == 2
