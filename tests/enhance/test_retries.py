"""Waits between attempts."""

import pytest

from xbayes.enhance.retries import LONGEST_ASKED_S, TemporaryError, attempted


@pytest.fixture
def waits(monkeypatch):
    """The waits, which take no time."""
    seen = []
    monkeypatch.setattr("tenacity.nap.time.sleep", seen.append)
    return seen


def failing(n, **given):
    """An action that fails n times."""
    calls = []

    def action():
        calls.append(1)
        if len(calls) <= n:
            raise TemporaryError(f"failure {len(calls)}", **given)
        return "answer"

    return action, calls


def test_waits_double_and_differ(waits):
    told = []
    for _ in range(20):
        assert attempted(failing(4)[0], attempts=5, tell=told.append) == "answer"
    for n, low in enumerate((1, 2, 4, 8)):
        column = waits[n::4]
        assert all(low <= wait <= low + 1 for wait in column)
        assert len(set(column)) > 10  # jitter
    assert told[0].startswith("failure 1; attempt 2 of 5 in ")


def test_the_last_failure_is_given_back_after_the_attempts(waits):
    action, calls = failing(9)
    with pytest.raises(TemporaryError, match="failure 3"):
        attempted(action, attempts=3, tell=print)
    assert len(calls) == 3 and len(waits) == 2


def test_a_pause_that_the_service_asks_for_is_kept(waits):
    attempted(failing(1, wait_s=17.0)[0], attempts=2, tell=print)
    assert waits == [17.0]
    action, calls = failing(1, wait_s=LONGEST_ASKED_S + 1)
    with pytest.raises(TemporaryError):
        attempted(action, attempts=5, tell=print)
    assert len(calls) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, SystemExit])
def test_what_is_no_failure_of_the_service_is_not_repeated(waits, error):
    calls = []

    def action():
        calls.append(1)
        raise error

    with pytest.raises(error):
        attempted(action, attempts=5, tell=print)
    assert len(calls) == 1 and waits == []
