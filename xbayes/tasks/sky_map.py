"""What a map of the sky shows of a selection: cells with their counts, or each source."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from xbayes.catalog.query import ROW, VIEW, ParquetCatalogue
from xbayes.catalog.selection import Selection, frame_columns, probability, where
from xbayes.errors import InputError
from xbayes.figures.projection import from_mollweide, mollweide
from xbayes.tasks.sky_index import ORDER

MOST_SOURCES = 3000  # drawn one by one
MOST_CELLS = 3200
AREA = 2 * np.pi  # of the whole map
MOST_LINES = 8  # of the graticule, in each direction
STEPS = (30.0, 15.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01)  # degrees
MARGIN = 0.1  # of the window, beyond which nothing is sent


_NO_CELLS = pa.table({name: [] for name in ("cell", "x", "y")})
_NO_SOURCES = pa.table({name: [] for name in ("id", "x", "y", "class", "p")})


class Window(NamedTuple):
    """A part of a Mollweide map; the whole map by default."""

    frame: str = "galactic"
    x: tuple[float, float] = (-2.0, 2.0)
    y: tuple[float, float] = (-1.0, 1.0)


class SkyLayers(NamedTuple):
    """The sources of a selection within a window.

    `sources` has the columns id, x, y, class and p; `cells` has cell, x and y (the mean position of
    its sources), and n_0, n_1, ...: the number of each class. One of the two is empty.
    """

    counts: dict[str, int]  # by predicted class, in the window
    order: int | None  # of the HEALPix cells; None if each source is listed
    sources: pa.Table
    cells: pa.Table
    is_sample: bool  # the sources are a random sample of those in the window

    @property
    def cell_degrees(self) -> float | None:
        """The side of a square with the area of a cell."""
        return None if self.order is None else float(np.degrees(np.sqrt(np.pi / 3)) / 2**self.order)


class Line(NamedTuple):
    """A line of the graticule."""

    x: list[float]
    y: list[float]
    label: str
    at: tuple[float, float]  # of the label


def sky_layers(
    selection: Selection, catalogue: ParquetCatalogue, window: Window, *, few: bool = False
) -> SkyLayers:
    """What the map shows of a selection.

    Parameters
    ----------
    selection, catalogue
        The sources.
    window
        The part of the map.
    few
        Whether the selection is known to hold at most MOST_SOURCES, which saves counting.

    Raises
    ------
    InputError
        For a frame that does not exist, or a selection that cannot be understood.
    """
    order = _order_for(window)
    if few or order > ORDER:
        # Cells smaller than those of the index cannot be counted: a sample stands for them.
        return _listed(selection, catalogue, window)
    counts, cells = _cells(selection, catalogue, window, order)
    if sum(counts.values()) <= MOST_SOURCES:
        return _listed(selection, catalogue, window)
    while cells.num_rows > MOST_CELLS and order > 0:
        order -= 1
        counts, cells = _cells(selection, catalogue, window, order)
    return SkyLayers(counts, order, _NO_SOURCES, cells, False)


def _listed(selection: Selection, catalogue: ParquetCatalogue, window: Window) -> SkyLayers:
    """Each source of the window and its margin, or a sample of them."""
    sources = _sources(selection, catalogue, window)
    if sources.num_rows == MOST_SOURCES:
        counts = _counts(selection, catalogue, window)
        return SkyLayers(counts, None, sources, _NO_CELLS, sum(counts.values()) > MOST_SOURCES)
    x, y = sources["x"].to_numpy(), sources["y"].to_numpy()
    (x0, x1), (y0, y1) = (sorted(ends) for ends in (window.x, window.y))
    inside = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    classes = np.array(sources["class"].to_pylist(), dtype=object)[inside]
    counts = {name: int(np.sum(classes == name)) for name in catalogue.classes}
    return SkyLayers(counts, None, sources, _NO_CELLS, False)


def _sources(selection: Selection, catalogue: ParquetCatalogue, window: Window) -> pa.Table:
    """The selected sources in the window; beyond MOST_SOURCES a random sample."""
    joined, parameters = _joined(selection, catalogue, window)
    return catalogue.query(
        f'SELECT id, x, y, class, p FROM ({joined}) ORDER BY hash("row") LIMIT {MOST_SOURCES}',
        parameters,
    )


def _counts(selection: Selection, catalogue: ParquetCatalogue, window: Window) -> dict[str, int]:
    joined, parameters = _joined(selection, catalogue, window, margin=0.0)
    found = catalogue.query(f"SELECT class, count(*) FROM ({joined}) GROUP BY class", parameters)
    counts = dict(zip(found[0].to_pylist(), found[1].to_pylist(), strict=True))
    return {name: counts.get(name, 0) for name in catalogue.classes}


def _cells(
    selection: Selection, catalogue: ParquetCatalogue, window: Window, order: int
) -> tuple[dict[str, int], pa.Table]:
    """The number of each class in the window, and the cells of the window and its margin."""
    joined, parameters = _joined(selection, catalogue, window)
    inside = "x BETWEEN ? AND ? AND y BETWEEN ? AND ?"
    numbers = ", ".join(
        f"count(*) FILTER (class = ?) AS n_{c}, count(*) FILTER (class = ? AND {inside}) AS w_{c}"
        for c in range(len(catalogue.classes))
    )
    ends = [*sorted(window.x), *sorted(window.y)]
    asked = [value for name in catalogue.classes for value in (name, name, *ends)]
    cells = catalogue.query(
        f"SELECT cell >> {2 * (ORDER - order)} AS cell, round(avg(x), 6) AS x, round(avg(y), 6) "
        f"AS y, {numbers} FROM ({joined}) GROUP BY 1 ORDER BY 1",
        [*asked, *parameters],
    )
    counts = {
        name: int(np.sum(cells[f"w_{c}"].to_numpy())) for c, name in enumerate(catalogue.classes)
    }
    return counts, cells.drop_columns([f"w_{c}" for c in range(len(catalogue.classes))])


def _joined(
    selection: Selection, catalogue: ParquetCatalogue, window: Window, margin: float = MARGIN
) -> tuple[str, list[object]]:
    """The selected sources within the window and a margin, with their place, as SQL."""
    x, y = frame_columns(window.frame)
    condition, parameters = where(selection, catalogue)
    inside = f"{x} BETWEEN ? AND ? AND {y} BETWEEN ? AND ?"
    known = (
        f"SELECT {ROW}, CAST({catalogue.quoted(catalogue.id)} AS VARCHAR) AS id, prediction AS "
        f"class, round({probability(catalogue)}, 4) AS p FROM {VIEW} WHERE {condition}"
    )
    placed = f"SELECT row, cell, round({x}, 7) AS x, round({y}, 7) AS y FROM sky WHERE {inside}"
    sql = f"SELECT * FROM ({known}) AS c JOIN ({placed}) AS s ON s.row = c.{ROW}"
    return sql, [*parameters, *_widened(window.x, margin), *_widened(window.y, margin)]


def _widened(ends: tuple[float, float], margin: float = MARGIN) -> tuple[float, float]:
    low, high = sorted(ends)
    more = margin * (high - low)
    return low - more, high + more


def _order_for(window: Window) -> int:
    """The order at which the window has at most MOST_CELLS; beyond ORDER for small windows."""
    (x0, x1), (y0, y1) = _widened(window.x), _widened(window.y)
    area = (min(x1, 2) - max(x0, -2)) * (min(y1, 1) - max(y0, -1))
    if not area > 0:
        return 0
    cells = MOST_CELLS * AREA / min(area, AREA)
    return max(0, int(np.floor(np.log2(cells / 12) / 2)))


def graticule(window: Window) -> list[Line]:
    """Meridians and parallels of a window with their labels, and the edge of the map first."""
    (x0, x1), (y0, y1) = (sorted(ends) for ends in (window.x, window.y))
    if not (x1 > x0 and y1 > y0):
        raise InputError("a window of the map needs x0 below x1 and y0 below y1")
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(x0, x1, 41), np.linspace(y0, y1, 41)))
    lon, lat = from_mollweide(x, y)
    edge = np.linspace(-90, 90, 181)
    lines = [_line(np.r_[-180 + 0 * edge, 180 + 0 * edge], np.r_[edge, edge[::-1]], "", window)]
    if np.isfinite(lon).any():
        lines += _meridians(lon, lat, window)
        lines += _parallels(lon, lat, window)
    return lines


def _meridians(lon: np.ndarray, lat: np.ndarray, window: Window) -> list[Line]:
    along = np.linspace(max(np.nanmin(lat) - 1, -90), min(np.nanmax(lat) + 1, 90), 61)
    return [
        _line(np.full(61, at), along, _degrees_text(at % 360), window)
        for at in _ticks(float(np.nanmin(lon)), float(np.nanmax(lon)), 180.0)
    ]


def _parallels(lon: np.ndarray, lat: np.ndarray, window: Window) -> list[Line]:
    along = np.linspace(max(np.nanmin(lon) - 2, -180), min(np.nanmax(lon) + 2, 180), 91)
    return [
        _line(along, np.full(91, at), f"{'+' if at > 0 else ''}{_degrees_text(at)}", window)
        for at in _ticks(float(np.nanmin(lat)), float(np.nanmax(lat)), 90.0)
    ]


def _ticks(low: float, high: float, end: float) -> list[float]:
    """Round numbers between the ends, without the ends of the map."""
    step = next((s for s in reversed(STEPS) if (high - low) / s <= MOST_LINES), STEPS[0])
    numbers = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return [float(round(n, 6)) for n in numbers if abs(n) < end]


def _line(lon: np.ndarray, lat: np.ndarray, label: str, window: Window) -> Line:
    x, y = mollweide(lon, lat)
    (x0, x1), (y0, y1) = (sorted(ends) for ends in (window.x, window.y))
    if len({*lon.tolist()}) == 1:
        near = int(np.argmin(np.abs(y - (y0 + y1) / 2)))  # of a meridian: at half height
    else:
        # Of a parallel: at the left, or in the middle where it does not reach the left.
        left = x0 + 0.06 * (x1 - x0)
        near = int(np.argmin(np.abs(x - left)))
        if abs(x[near] - left) > 0.1 * (x1 - x0):
            near = int(np.argmin(np.abs(x - (x0 + x1) / 2)))
    return Line(
        x=[round(float(v), 6) for v in x],
        y=[round(float(v), 6) for v in y],
        label=label,
        at=(round(float(x[near]), 6), round(float(y[near]), 6)),
    )


def _degrees_text(value: float) -> str:
    return f"{value:g}°"
