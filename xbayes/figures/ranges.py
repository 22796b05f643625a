"""The range of an axis that a few absurd values do not determine."""

import numpy as np

TAIL = 0.002  # share of the values at either end that may lie outside
REACH = 6.0  # the range reaches at most so many interquartile ranges beyond the quartiles


def robust_range(values: np.ndarray, tail: float = TAIL) -> tuple[float, float]:
    """Low and high end that hold all but the most extreme values, with low < high.

    The ends are quantiles, moved inwards if they lie far from the middle half of the values: one
    source in fifty with a stand-in number of -999 leaves the range as it is. Values that are not
    finite are ignored; without any the range is (0, 1).
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, first, third, high = np.quantile(finite, [tail, 0.25, 0.75, 1 - tail])
    width = third - first
    if width > 0:
        # Inwards to values that occur, so that no range is emptier than its data.
        inside = finite[(finite >= first - REACH * width) & (finite <= third + REACH * width)]
        low, high = max(low, inside.min()), min(high, inside.max())
    if low == high:
        half = max(0.5, 1e-6 * abs(float(low)))
        return float(low) - half, float(high) + half
    return float(low), float(high)


def with_margin(low: float, high: float, share: float) -> tuple[float, float]:
    """The range, wider by a share of its width at both ends."""
    margin = share * (high - low)
    return low - margin, high + margin
