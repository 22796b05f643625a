"""Find numbers that probably stand for a missing value, such as -99, in the columns of a catalogue.

A number that catalogues use for a missing value is suspect if it lies far from the other values of
its column, and of the training catalogue; any other number must be repeated, too. -1 and 0 are
often measured: -1 is suspect as the only negative number of a column, 0 where every other value is
well above it, as in magnitudes, and as the error of anything. The check looks at a whole catalogue,
and only warns or refuses: it never alters a value.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Float

from xbayes.catalog.columns import masked_column
from xbayes.catalog.ranges import MIN_VALUES, ValueRange, joined, range_of
from xbayes.errors import InputError

MIN_ROWS = 3  # a measured value rarely is the extreme of its column this often
REFUSED_SHARE = 0.05  # of the values of a column
MANY_VALUES = 100
LEAST_SHARE = 0.01  # of a value that no catalogue is known to use
N_FIRST = 1000  # values of a column that are kept, for columns that are mostly empty
OUTNUMBERED = 10  # stand-ins for each other value, from which few values are enough to compare
_N_ENDS = 6  # distinct values counted at each end of a column
_ERROR = re.compile(r"(^|_)(e|err|error|sigma|unc|uncertainty)(_|$)|error", re.IGNORECASE)
_LIMITS = (32767, 32768, 65535, 2147483647, 2147483648, 4294967295, 2**63 - 1, 2**64 - 1)


def _known_stand_ins() -> Float[np.ndarray, "K"]:
    """The numbers that catalogues use for a missing value, sorted; 32-bit forms are among them."""
    texts = ["9" * n for n in range(2, 7)] + ["8" * n for n in range(2, 7)]
    texts += [f"{'9' * n}.{'9' * m}" for n in range(1, 5) for m in range(1, 5)]
    texts += [f"{'8' * n}.{'8' * m}" for n in range(2, 4) for m in range(1, 4)]
    sizes = [float(text) for text in texts]
    sizes += [*map(float, _LIMITS), *(float(f"1e{k}") for k in range(10, 39))]
    sizes += [3.4e38, 3.402823e38, float(np.finfo(np.float32).max), 1.6e38, 1e99, 1e300, 1e308]
    sizes += [1.6e308, float(np.finfo(np.float64).max)]
    # A single 9 is a stand-in only with a minus sign.
    exact = np.array([*sizes, *(-size for size in sizes), -9.0])
    with np.errstate(over="ignore"):
        single = exact.astype(np.float32).astype(np.float64)
    every = np.concatenate([exact, single[np.isfinite(single)]])
    return np.unique(every[every != 9.9])


KNOWN = _known_stand_ins()


class Suspect(NamedTuple):
    """A value that probably stands for no value."""

    column: str
    value: float
    count: int  # of its rows
    n: int  # values of the column, stand-ins included
    refusable: bool = True  # False: it may well be measured

    @property
    def is_refused(self) -> bool:
        """Whether it makes more than the allowed share of its column."""
        often = self.count >= MIN_ROWS and self.count > REFUSED_SHARE * self.n
        return self.refusable and often


class StandInCheck:
    """Takes every chunk of a catalogue in `add`; `suspects` then names the probable stand-ins."""

    def __init__(
        self,
        names: Iterable[str],
        measured: Mapping[str, Sequence[str | int | float]],
        errors: Collection[str] = (),
    ) -> None:
        self._counts = {name: _Counts() for name in names}
        self._measured = {
            name: {_as_number(name, value) for value in values} for name, values in measured.items()
        }
        self._errors = set(errors)

    def add(self, table: Table) -> None:
        """Add the next rows, in which known stand-ins are already masked."""
        for name, counts in self._counts.items():
            values = _numbers(table, name)
            if values is not None:
                counts.add(values)

    def suspects(
        self, sample: Table, trained: Mapping[str, ValueRange] | None = None
    ) -> list[Suspect]:
        """The probable stand-ins of all columns.

        Parameters
        ----------
        sample
            Rows spread over the catalogue, from which quantiles are taken.
        trained
            The ranges of the training catalogue, in the units of this one.
        """
        found = []
        for name, counts in self._counts.items():
            values = _numbers(sample, name)
            if values is None or not counts.n:
                continue
            if len(values) < len(counts.first):
                # The sampled rows hold few cells of a column that is mostly empty.
                values = counts.first
            column = _Column(
                counts=counts,
                ordinary=values[~_is_known(values)],
                trained=_worth_comparing((trained or {}).get(name)),
                is_error=name in self._errors or _ERROR.search(name) is not None,
            )
            allowed = self._measured.get(name, set())
            found += [
                Suspect(name, value, count, counts.n, refusable)
                for value, count, refusable in _suspects(column, values)
                if not _among(value, allowed)
            ]
        return found

    def ranges(self, sample: Table, suspects: Sequence[Suspect]) -> dict[str, ValueRange]:
        """The range of each column of numbers, without its probable stand-ins."""
        ranges = {}
        for name in self._counts:
            values = _numbers(sample, name)
            if values is not None:
                bad = [suspect.value for suspect in suspects if suspect.column == name]
                measured = range_of(values[~np.isin(values, bad)])
                ranges |= {} if measured is None else {name: measured}
        return ranges


class _Counts:
    """The number of values of a column, of each known stand-in, and of its extreme values."""

    def __init__(self) -> None:
        self.n = 0
        self.first = np.zeros(0)  # the first values, at most N_FIRST
        self.known: Counter[float] = Counter()
        self.lows: dict[float, int] = {}
        self.highs: dict[float, int] = {}

    def add(self, values: np.ndarray) -> None:
        known = _is_known(values)
        self.n += len(values)
        if len(self.first) < N_FIRST:
            self.first = np.concatenate([self.first, values[: N_FIRST - len(self.first)]])
        self.known.update(values[known].tolist())
        self.known.update({number: int((values == number).sum()) for number in (-1.0, 0.0)})
        ordinary = values[~known]
        self.lows = _merged(self.lows, _end(ordinary))
        self.highs = _merged(self.highs, _end(ordinary, largest=True), largest=True)


class _Column(NamedTuple):
    """What is known of a column when its suspects are named."""

    counts: _Counts
    ordinary: np.ndarray  # sampled values without known stand-ins
    trained: ValueRange | None
    is_error: bool

    def without(self, values: Collection[float]) -> ValueRange | None:
        """The range of the training catalogue, widened to hold this one without some values."""
        own = range_of(self.ordinary[~np.isin(self.ordinary, list(values))])
        if own is not None:
            lows = [value for value in self.counts.lows if value not in values]
            highs = [value for value in self.counts.highs if value not in values]
            own = own._replace(low=min([own.low, *lows]), high=max([own.high, *highs]))
        return joined([self.trained, own])


def _suspects(column: _Column, sampled: np.ndarray) -> list[tuple[float, int, bool]]:
    """Value, number of rows, and whether it may be refused, of each probable stand-in."""
    counts = column.counts
    found = [
        (value, count, True)
        for value, count in sorted(counts.known.items())
        if count and value not in (-1, 0) and _is_suspect(column, value, count, sampled)
    ]
    found += [(value, count, True) for value, count in _unknown(column)]
    for value in (-1.0, 0.0):
        count = counts.known[value]
        rest = column.without({value, *(each[0] for each in found)})
        if not count or rest is None or (count < MIN_ROWS and column.trained is None):
            continue
        if value == 0:
            suspect, refusable = _zero_is_suspect(column, rest, count)
        else:
            # A flag may be -1, 0 or 1, and few rows may happen to have no other negative number.
            enough = column.trained is not None or counts.n >= MANY_VALUES
            suspect, refusable = rest.low >= 0, enough and not _is_whole(column.ordinary)
        found += [(value, count, refusable)] if suspect else []
    return found


def _is_suspect(column: _Column, value: float, count: int, sampled: np.ndarray) -> bool:
    """Whether a known stand-in lies far from the other values, or is by far the most frequent."""
    rest = column.without(())
    if rest is None:
        return count >= MIN_ROWS  # the column holds nothing else
    least = MIN_ROWS if count >= MIN_ROWS else MIN_VALUES
    if column.trained is None and rest.n < least and count < OUTNUMBERED * rest.n:
        return False
    gap, width = _distance(rest, value)
    if gap > 0:
        only_negative = value < 0 <= rest.low
        sure = count >= MIN_ROWS or column.trained is not None
        return (sure and (gap > width or only_negative)) or gap > 3 * width
    values, times = np.unique(column.ordinary, return_counts=True)
    often = int((sampled == value).sum())
    is_continuous = 2 * len(values) > len(column.ordinary) and not _is_whole(column.ordinary)
    return is_continuous and often >= max(5, 5 * int(times.max()))


def _unknown(column: _Column) -> list[tuple[float, int]]:
    """Repeated values at an end of the column, far from all others."""
    found = []
    for end, largest in ((column.counts.lows, False), (column.counts.highs, True)):
        outermost = sorted(end.items(), reverse=largest)
        for n in range(len(outermost) - 1, 0, -1):
            atoms = outermost[:n]
            least = max(MIN_ROWS, LEAST_SHARE * column.counts.n)
            if all(count >= least and value not in (-1, 0) for value, count in atoms):
                rest = column.without({value for value, _ in atoms})
                if rest is not None and _is_far(column, rest, atoms):
                    found += atoms
                    break
    return found


def _is_far(column: _Column, rest: ValueRange, atoms: Sequence[tuple[float, int]]) -> bool:
    others = column.ordinary[~np.isin(column.ordinary, [value for value, _ in atoms])]
    gap, width = _distance(rest, atoms[-1][0])
    distinct = len(np.unique(others))
    # In a column of rounded numbers, any value is repeated.
    times = 1 if 2 * distinct > len(others) else 3
    only_negative = atoms[-1][0] < 0 <= rest.low
    is_far = only_negative or gap > times * max(rest.high - rest.low, 3 * width)
    return is_far and distinct >= MIN_VALUES


def _zero_is_suspect(column: _Column, rest: ValueRange, count: int) -> tuple[bool, bool]:
    """Whether 0 is suspect, and whether it may be refused; counts and probabilities may be 0."""
    if rest.low <= 0:
        return False, False
    if column.is_error:
        return True, True
    if _is_whole(column.ordinary):
        return False, False
    if rest.high > 1 and rest.low > 0.25 * rest.below:
        return True, True
    # A flux may be 0; but the training catalogue had none, and 0 is infinitely far in decades.
    known, is_probability = column.trained, 0.01 < rest.high <= 1
    spans_decades = known is not None and known.low > 0 and known.q95 > 100 * known.q05
    return spans_decades and not is_probability and count >= MIN_ROWS, False


def _distance(rest: ValueRange, value: float) -> tuple[float, float]:
    """The distance of a value from a range, and the width of the range on that side."""
    below = rest.low - value
    return (below, rest.below) if below > 0 else (value - rest.high, rest.above)


def _worth_comparing(trained: ValueRange | None) -> ValueRange | None:
    return trained if trained is not None and trained.n >= MIN_VALUES else None


def _is_whole(values: np.ndarray) -> bool:
    return bool(len(values)) and bool(np.all(values == np.round(values)))


def _is_known(values: np.ndarray) -> np.ndarray:
    at = np.minimum(np.searchsorted(KNOWN, values), len(KNOWN) - 1)
    return KNOWN[at] == values


def _among(value: float, allowed: Collection[float]) -> bool:
    """Whether the user listed the value; a 32-bit form equals the number that was rounded."""
    with np.errstate(over="ignore"):
        return any(value in (number, float(np.float32(number))) for number in allowed)


def _as_number(name: str, value: str | int | float) -> float:
    try:
        return float(value)
    except ValueError:
        raise InputError(
            f"measured_values: a measured value of column {name!r} must be a number; found "
            f"{value!r}"
        ) from None


def _numbers(table: Table, name: str) -> Float[np.ndarray, "n"] | None:
    """The values of a column of numbers, without missing ones."""
    if name not in table.colnames:
        return None
    column = np.ma.asarray(masked_column(table, name))
    if column.dtype.kind not in "iuf" or column.ndim > 1:
        return None
    values = np.asarray(column.compressed(), np.float64)
    return values[np.isfinite(values)]


def _end(values: np.ndarray, largest: bool = False) -> dict[float, int]:
    """The outermost distinct values at one end, with their counts."""
    counts: dict[float, int] = {}
    while len(values) and len(counts) < _N_ENDS:
        outermost = values.max() if largest else values.min()
        rest = values[values != outermost]
        counts[float(outermost)] = len(values) - len(rest)
        values = rest
    return counts


def _merged(
    counts: Mapping[float, int], more: Mapping[float, int], largest: bool = False
) -> dict[float, int]:
    """The counts of the outermost values of both; these are exact."""
    both = Counter(counts) + Counter(more)
    return dict(sorted(both.items(), reverse=largest)[:_N_ENDS])
