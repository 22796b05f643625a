"""Where the values of a column lie: stored with a run, and compared with a later catalogue."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

MIN_VALUES = 20  # values from which a range is compared with another one


class ValueRange(NamedTuple):
    """The range of measured values, in the unit of the run; stand-ins are left out."""

    n: int
    low: float
    q05: float
    median: float
    q95: float
    high: float

    @property
    def below(self) -> float:
        """The width of the lower half: median less 5 % quantile."""
        return self.median - self.q05

    @property
    def above(self) -> float:
        """The width of the upper half: 95 % quantile less median."""
        return self.q95 - self.median

    def times(self, factor: float) -> "ValueRange":
        """The same range in another unit."""
        return self._make([self.n, *(float(value * factor) for value in self[1:])])


class TrainedOn(NamedTuple):
    """Facts about the training catalogue of a run: units and ranges of columns and features."""

    units: dict[str, str]  # of the columns that have one
    columns: dict[str, ValueRange]  # of the columns of numbers
    features: dict[str, ValueRange]  # of the labelled sources, on the scale of the feature
    # Of each column, the blocks (`catalog.block`) that lack it entirely; None: rows without one.
    lacked_by: Mapping[str, tuple[str | None, ...]]


NOTHING_KNOWN = TrainedOn(units={}, columns={}, features={}, lacked_by={})


def range_of(values: Float[np.ndarray, "N"]) -> ValueRange | None:
    """The range of these values, none of them missing; None without any."""
    values = np.asarray(values, np.float64)
    if not len(values):
        return None
    with np.errstate(all="ignore"):
        low, q05, median, q95, high = np.quantile(values, [0, 0.05, 0.5, 0.95, 1]).tolist()
    return ValueRange(n=len(values), low=low, q05=q05, median=median, q95=q95, high=high)


def joined(ranges: Iterable[ValueRange | None]) -> ValueRange | None:
    """The first range, widened at both ends to hold the others."""
    known = [each for each in ranges if each is not None]
    if not known:
        return None
    low, high = min(each.low for each in known), max(each.high for each in known)
    return known[0]._replace(low=low, high=high)
