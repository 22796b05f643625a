"""What a scatter plot of two columns shows of a selection: each source, or counts in bins."""

import math
from collections.abc import Collection
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from xbayes.catalog.query import VIEW, ParquetCatalogue
from xbayes.catalog.selection import PROBABILITY, Selection, number_sql, probability, where

MOST_SOURCES = 3000  # drawn one by one
BINS = (120, 90)
MARGIN = 0.03  # of an axis
FAR = 3.0  # extremes this much farther than the quantiles are left out
DECADES = 2.0  # of positive values, from which an axis is logarithmic unless told otherwise
_QUANTILES = (0.001, 0.01, 0.99, 0.999)
_NO_SOURCES = pa.table({name: [] for name in ("id", "x", "y", "class", "p", "colour")})
_NO_BINS = pa.table({name: [] for name in ("class", "i", "j", "n", "colour")})
Range = tuple[float, float]


@runtime_checkable
class SpreadOf(Protocol):
    """Gives the spread of a column, as `spread_of` does."""

    def __call__(self, column: str, log: bool | None) -> "Spread | None":
        """The spread on the scale, or on the one that suits."""
        ...


class Axis(NamedTuple):
    """A column as an axis."""

    column: str
    log: bool | None = None  # None: where the values span decades
    window: Range | None = None  # in the unit of the column; None: where the values are


class ScatterLayers(NamedTuple):
    """The sources of a selection on two axes.

    `sources` has the columns id, x, y, class, p and colour; `bins` has class, i, j, n and colour
    (the mean of the third column), with bin i of BINS from the left and j from below. One of the
    two is empty.
    """

    x: Axis  # as drawn: neither log nor window is None
    y: Axis
    counts: dict[str, int]  # by predicted class, within the axes
    n_without: int  # selected sources without a value on one of the axes
    sources: pa.Table
    bins: pa.Table


class Spread(NamedTuple):
    """Where the values of a column are, in the whole catalogue."""

    log: bool  # an axis of them is logarithmic
    least: float  # of those that such an axis can show
    low: float  # between low and high are nearly all
    high: float
    most: float


def spread_of(column: str, catalogue: ParquetCatalogue, log: bool | None = None) -> Spread | None:
    """The spread of a column, on a logarithmic axis, a linear one, or (None) the one that suits.

    None if the column has no value that the axis can show. It reads the whole column, so it is
    worth keeping.

    Raises
    ------
    InputError
        For a column that does not exist or holds no numbers.
    """
    value = f"CAST({number_sql(column, catalogue)} AS DOUBLE)"
    quantiles = ", ".join(map(str, _QUANTILES))
    sql = (
        f"SELECT min(v), max(v), approx_quantile(v, [{quantiles}]) FROM (SELECT {value} AS v FROM "
        f"{VIEW}) WHERE isfinite(v)"
    )
    least, most, inner = (c[0].as_py() for c in catalogue.query(sql).columns)
    if least is None:
        return None
    if log is None:
        log = inner[1] > 0 and math.log10(max(inner[2], inner[1]) / inner[1]) >= DECADES
    if log and least <= 0:
        positive = catalogue.query(f"{sql} AND v > 0")
        least, most, inner = (c[0].as_py() for c in positive.columns)
        if least is None:
            return None
    return Spread(log=log, least=least, low=inner[0], high=inner[3], most=most)


def scatter_layers(
    selection: Selection, catalogue: ParquetCatalogue, x: Axis, y: Axis, *, colour: str = ""
) -> ScatterLayers:
    """What the scatter plot shows of a selection.

    Parameters
    ----------
    selection, catalogue
        The sources.
    x, y
        The axes. Both are finished by `finished_axes` if they are not.
    colour
        A third column, by which sources are coloured; empty for none.

    Raises
    ------
    InputError
        For a column that does not exist or holds no numbers.
    """
    x, y = finished_axes(
        selection, catalogue, x, y, spread=lambda column, log: spread_of(column, catalogue, log)
    )
    joined, parameters = _rows(selection, catalogue, x, y, colour)
    u0, u1, v0, v1 = *_ends(x), *_ends(y)
    inside = "u BETWEEN ? AND ? AND v BETWEEN ? AND ?"
    nx, ny = BINS
    found = catalogue.query(
        f"SELECT class, CASE WHEN inside THEN least(CAST(floor((u - ?) / ? * {nx}) AS INTEGER), "
        f"{nx - 1}) END AS i, CASE WHEN inside THEN least(CAST(floor((v - ?) / ? * {ny}) AS "
        f"INTEGER), {ny - 1}) END AS j, count(*) AS n, avg(colour) AS colour, "
        "count(*) FILTER (u IS NULL OR v IS NULL) AS absent "
        f"FROM (SELECT *, {inside} AS inside FROM ({joined})) GROUP BY ALL",
        [u0, u1 - u0, v0, v1 - v0, u0, u1, v0, v1, *parameters],
    )
    bins = found.filter(found["i"].is_valid()).drop_columns(["absent"])
    counts = dict.fromkeys(catalogue.classes, 0)
    for name, n in zip(bins["class"].to_pylist(), bins["n"].to_pylist(), strict=True):
        counts[name] = counts.get(name, 0) + n
    absent = sum(found["absent"].to_pylist())
    if sum(counts.values()) > MOST_SOURCES:
        return ScatterLayers(x, y, counts, absent, _NO_SOURCES, bins)
    sources = catalogue.query(
        f"SELECT id, x, y, class, p, colour FROM ({joined}) WHERE {inside}",
        [*parameters, u0, u1, v0, v1],
    )
    return ScatterLayers(x, y, counts, absent, sources, _NO_BINS)


def few_on_axes(
    selection: Selection,
    catalogue: ParquetCatalogue,
    axes: tuple[Axis, Axis],
    *,
    colour: str = "",
    spread: SpreadOf | None = None,
) -> ScatterLayers:
    """As `scatter_layers`, in one query, for a selection of at most MOST_SOURCES."""
    of = spread or (lambda column, log: spread_of(column, catalogue, log))
    plain = [axis._replace(log=False) for axis in axes]
    joined, parameters = _rows(selection, catalogue, plain[0], plain[1], colour)
    found = catalogue.query(
        f"SELECT id, u AS x, v AS y, class, p, colour FROM ({joined}) LIMIT {MOST_SOURCES}",
        parameters,
    )
    finished, inside = [], np.ones(found.num_rows, bool)
    absent = np.zeros(found.num_rows, bool)
    for axis, name in zip(axes, ("x", "y"), strict=True):
        value = found[name].to_numpy().astype(float)
        known = of(axis.column, axis.log)
        shown = np.isfinite(value) & ((value > 0) if known is not None and known.log else True)
        ends = [float(value[shown].min()), float(value[shown].max())] if shown.any() else [None] * 2
        one = _finished(axis, known, *ends)
        assert one.window is not None
        inside &= shown & (value >= one.window[0]) & (value <= one.window[1])
        absent |= ~shown
        finished.append(one)
    sources = found.filter(pa.array(inside))
    classes = sources["class"].to_pylist()
    counts = {name: classes.count(name) for name in catalogue.classes}
    return ScatterLayers(finished[0], finished[1], counts, int(absent.sum()), sources, _NO_BINS)


def finished_axes(
    selection: Selection, catalogue: ParquetCatalogue, x: Axis, y: Axis, *, spread: SpreadOf
) -> tuple[Axis, Axis]:
    """The axes with scale and range: those of the catalogue, narrowed to the selection."""
    if all(_is_finished(axis) for axis in (x, y)):
        return x, y
    spreads = [spread(axis.column, axis.log) for axis in (x, y)]
    values = [f"CAST({number_sql(axis.column, catalogue)} AS DOUBLE)" for axis in (x, y)]
    known = [
        f"isfinite({value})" + (f" AND {value} > 0" if one is not None and one.log else "")
        for value, one in zip(values, spreads, strict=True)
    ]
    condition, parameters = where(selection, catalogue)
    ends = catalogue.query(
        "SELECT "
        + ", ".join(
            f"{end}({value}) FILTER ({sure})"
            for value, sure in zip(values, known, strict=True)
            for end in ("min", "max")
        )
        + f" FROM {VIEW} WHERE {condition}",
        parameters,
    )
    least_x, most_x, least_y, most_y = (column[0].as_py() for column in ends.columns)
    return (
        _finished(x, spreads[0], least_x, most_x),
        _finished(y, spreads[1], least_y, most_y),
    )


def default_axes(catalogue: ParquetCatalogue, read_by_features: Collection[str]) -> tuple[str, str]:
    """Two columns to begin with: of those that features read, else how doubtful a source is."""
    skipped = {catalogue.ra, catalogue.dec}
    known = [name for name in read_by_features if name in catalogue.columns]
    numbers = [n for n in known if catalogue.columns[n].kind == "number" and n not in skipped]
    if len(numbers) > 1:
        return numbers[0], numbers[1]
    second = "outlier_p" if "outlier_p" in catalogue.columns else "entropy"
    return PROBABILITY, second if second in catalogue.columns else PROBABILITY


def _is_finished(axis: Axis) -> bool:
    if axis.log is None or axis.window is None:
        return False
    low, high = axis.window
    return low < high and (low > 0 or not axis.log)


def _finished(axis: Axis, spread: Spread | None, least: float | None, most: float | None) -> Axis:
    if spread is None or least is None or most is None:
        return axis._replace(log=False, window=(0.0, 1.0))
    own = axis._replace(log=spread.log)
    if _is_finished(own):
        return own
    return own._replace(window=_range(spread, least, most))


def _range(spread: Spread, least: float, most: float) -> Range:
    """The range of an axis: of all values unless a few are far out, and a margin."""
    scale = math.log10 if spread.log else float
    low, high = scale(max(spread.low, spread.least)), scale(min(spread.high, spread.most))
    inner = max(high - low, 0.0)
    start, end = scale(least), scale(most)
    # Far-out values are left out, unless all selected values are far out.
    if low - start > FAR * inner > 0 and end > low:
        start = low
    if end - high > FAR * inner > 0 and start < high:
        end = high
    more = MARGIN * (end - start) or 0.5 * (abs(start) or 1.0)
    start, end = start - more, end + more
    return (10**start, 10**end) if spread.log else (start, end)


def _ends(axis: Axis) -> Range:
    """The ends in the drawn scale."""
    assert axis.window is not None
    low, high = axis.window
    return (math.log10(low), math.log10(high)) if axis.log else (low, high)


def _rows(
    selection: Selection, catalogue: ParquetCatalogue, x: Axis, y: Axis, colour: str
) -> tuple[str, list[object]]:
    """The selected sources on the axes as SQL: x and y as they are, u and v as drawn."""
    condition, parameters = where(selection, catalogue)
    third = number_sql(colour, catalogue) if colour else "NULL"
    columns = [
        f"CAST({catalogue.quoted(catalogue.id)} AS VARCHAR) AS id",
        "prediction AS class",
        f"{probability(catalogue)} AS p",
        f"CASE WHEN isfinite(CAST({third} AS DOUBLE)) THEN {third} END AS colour",
    ]
    for name, scaled, axis in (("x", "u", x), ("y", "v", y)):
        value = f"CAST({number_sql(axis.column, catalogue)} AS DOUBLE)"
        drawn = f"log10({value})" if axis.log else value
        known = f"isfinite({value})" + (f" AND {value} > 0" if axis.log else "")
        columns += [f"{value} AS {name}", f"CASE WHEN {known} THEN {drawn} END AS {scaled}"]
    return f"SELECT {', '.join(columns)} FROM {VIEW} WHERE {condition}", parameters
