"""Computing with fitted runs in several threads: JAX's precision is a setting of the process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from xbayes.app.served_run import ServedRun
from xbayes.errors import InputError
from xbayes.tasks.precision import in_precision

WAIT = 30.0  # seconds, for another question that fits weights again


class _Shared:
    """Lets threads in together that need the same precision; others wait until they are out."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._inside, self._precision = 0, ""
        self._setting = nullcontext()

    @contextmanager
    def of(self, precision: str) -> Iterator[None]:
        with self._free:
            self._free.wait_for(lambda: not self._inside or self._precision == precision)
            if not self._inside:
                self._precision, self._setting = precision, in_precision(precision)
                self._setting.__enter__()
            self._inside += 1
        try:
            yield
        finally:
            with self._free:
                self._inside -= 1
                if not self._inside:
                    self._setting.__exit__(None, None, None)
                    self._free.notify_all()


_SHARED = _Shared()
_FITS = threading.BoundedSemaphore(1)


@contextmanager
def computing(run: ServedRun) -> Iterator[None]:
    """A block that computes with the run, in its precision."""
    with _SHARED.of(run.fitted.config.precision):
        yield


@contextmanager
def fitting() -> Iterator[None]:
    """A block that may fit weights again, which takes seconds: one at a time.

    Raises
    ------
    InputError
        If another one does not end.
    """
    if not _FITS.acquire(timeout=WAIT):
        raise InputError("another question is being computed, which takes long; ask again later")
    try:
        yield
    finally:
        _FITS.release()
