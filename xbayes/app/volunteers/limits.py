"""Limits on attempts to log in, kept in the memory of the process."""

import math
import threading
from collections import deque
from datetime import datetime, timedelta

from xbayes.app.volunteers.problems import TooOften

MOST_KEYS = 100_000  # beyond it, keys without recent attempts are forgotten
WINDOW = timedelta(minutes=15)
BY_NAME, BY_ADDRESS = 10, 50  # failed attempts in the window


class Attempts:
    """At most so many attempts of one key in a time."""

    def __init__(self, most: int, window: timedelta) -> None:
        self.most, self.window = most, window
        self._times: dict[str, deque[datetime]] = {}
        self._lock = threading.Lock()

    def take(self, key: str, now: datetime) -> None:
        """Count an attempt; raises TooOften if there were too many."""
        with self._lock:
            if len(self._times) > MOST_KEYS:
                kept = {k: t for k, t in self._times.items() if t and t[-1] > now - self.window}
                self._times = kept
            times = self._times.setdefault(key, deque())
            while times and times[0] <= now - self.window:
                times.popleft()
            if len(times) >= self.most:
                wait = math.ceil((times[0] + self.window - now).total_seconds())
                raise TooOften(
                    f"too many attempts; try again in {max(1, math.ceil(wait / 60))} minutes", wait
                )
            times.append(now)

    def forgive(self, key: str) -> None:
        """Take back the last attempt: it succeeded."""
        with self._lock:
            if self._times.get(key):
                self._times[key].pop()


class LogInLimits:
    """Limits on failed attempts, by the name of the account and by the address of the browser.

    An attempt counts before the password is checked, so that many at once do not slip through.
    """

    def __init__(
        self, by_name: int = BY_NAME, by_address: int = BY_ADDRESS, window: timedelta = WINDOW
    ) -> None:
        self.names, self.addresses = Attempts(by_name, window), Attempts(by_address, window)

    def take(self, name_key: str, address: str, now: datetime) -> None:
        """Count an attempt; raises TooOften if there were too many."""
        self.addresses.take(address, now)
        self.names.take(name_key, now)

    def succeeded(self, name_key: str, address: str) -> None:
        """Do not count the last attempt."""
        self.names.forgive(name_key)
        self.addresses.forgive(address)
