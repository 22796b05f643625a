"""Keeps the latest answers to slow questions: catalogues do not change while they are served."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
KEPT = 256


class AnswerCache:
    """The latest answers by question; a question asked twice at once is computed once.

    An error is no answer: it is raised, and the next one who asks tries again.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self.kept = kept
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, Future[Any]] = OrderedDict()

    def get(self, question: Hashable, answer: Callable[[], T]) -> T:
        """The answer to a question; `answer` computes it if it is not known."""
        with self._lock:
            known = self._answers.get(question)
            future: Future[Any] = Future() if known is None else known
            self._answers[question] = future
            self._answers.move_to_end(question)
            while len(self._answers) > self.kept:
                self._answers.popitem(last=False)
        if known is not None:
            return future.result()
        try:
            future.set_result(answer())
        except BaseException as error:
            with self._lock:
                self._answers.pop(question, None)
            future.set_exception(error)
        return future.result()
