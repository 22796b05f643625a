"""Attempts at a request: what may be tried again, and how long to wait before."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import tenacity

Answer = TypeVar("Answer")
FIRST_WAIT_S = 1.0  # doubled after each attempt, plus a random part
LONGEST_WAIT_S = 60.0
LONGEST_ASKED_S = 600.0  # a service that asks for a longer pause is reported instead


class TemporaryError(Exception):
    """A failure that another attempt may mend: a broken connection, a damaged answer, HTTP 503."""

    def __init__(self, reason: str, *, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s  # pause that the service asks for


class RefusedError(Exception):
    """The service understood the request and refuses it: a wrong query, an unknown table."""


def attempted(
    action: Callable[[], Answer], *, attempts: int, tell: Callable[[str], None]
) -> Answer:
    """The answer of `action`, which is called again after each TemporaryError.

    The waits grow exponentially, with a random part, so that many clients do not come back at the
    same moment; a pause that the service asks for (Retry-After) is kept.

    Parameters
    ----------
    action
        Makes one request.
    attempts
        How often it is called at most.
    tell
        Called with a line of text before each wait.

    Raises
    ------
    TemporaryError
        The last failure, if no attempt succeeded.
    """
    import tenacity

    def before(state: tenacity.RetryCallState) -> None:
        wait = 0.0 if state.next_action is None else state.next_action.sleep
        failure = None if state.outcome is None else state.outcome.exception()
        tell(f"{failure}; attempt {state.attempt_number + 1} of {attempts} in {wait:.0f} s")

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=_wait,
        retry=tenacity.retry_if_exception(_worth_another),
        before_sleep=before,
        reraise=True,
    )
    return retrying(action)


def _worth_another(failure: BaseException) -> bool:
    return isinstance(failure, TemporaryError) and (failure.wait_s or 0.0) <= LONGEST_ASKED_S


def _wait(state: "tenacity.RetryCallState") -> float:
    """Seconds before the next attempt."""
    from tenacity import wait_exponential, wait_random

    grown = wait_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)
    grown = grown + wait_random(0, FIRST_WAIT_S)
    failure = None if state.outcome is None else state.outcome.exception()
    return max(getattr(failure, "wait_s", None) or 0.0, grown(state))
