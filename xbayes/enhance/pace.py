"""Rows per second and the time left of a request in parts."""

import time


class Pace:
    """How quickly rows arrive, from the network and not from the cache."""

    def __init__(self, total: int) -> None:
        self.total = total  # rows to ask for; the circles around cells overlap
        self.asked = self.kept = self.arrived = 0
        self.seconds, self.last = 0.0, time.monotonic()

    @property
    def share(self) -> float:
        """The share of the rows that was asked for, from 0 to 1."""
        return min(self.asked / self.total, 1.0) if self.total else 0.0

    def add(self, n_asked: int, n_kept: int, *, from_network: bool) -> None:
        """Count an answer to `n_asked` rows, of which `n_kept` are kept."""
        now = time.monotonic()
        if from_network:
            self.arrived += n_asked
            self.seconds += now - self.last
        self.asked, self.kept, self.last = self.asked + n_asked, self.kept + n_kept, now

    def text(self) -> str:
        """Rows so far, their rate and the time left, as far as they are known."""
        text = f"{self.kept:,} rows"
        if not self.arrived or not self.seconds:
            return text
        rate = self.arrived / self.seconds
        text += f", {rate:,.0f} rows/s"
        left = max(self.total - self.asked, 0) / rate
        return f"{text}, {_duration(left)} left" if self.total else text


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
