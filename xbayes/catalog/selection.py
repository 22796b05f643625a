"""A selection of sources, and the SQL that finds them.

Names of columns are looked up before they enter SQL; values go in as parameters.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from xbayes.catalog.query import ROW, VIEW, ColumnInfo, ParquetCatalogue, quote
from xbayes.errors import InputError

PAGE = 50  # sources on a page
FEW = 256  # sources that are found by their rows once they are known
FRAMES = {"galactic": ("xg", "yg"), "equatorial": ("xe", "ye")}
PROBABILITY, WIDTH, SEPARATION = "p_predicted", "width_predicted", "separation"
_SEPARATION = (
    "degrees(2 * asin(least(1, sqrt(pow(sin(radians({dec} - ?) / 2), 2) + cos(radians({dec})) * "
    "cos(radians(?)) * pow(sin(radians({ra} - ?) / 2), 2)))))"
)


class ConeSearch(NamedTuple):
    """A circle on the sky, in degrees (ICRS)."""

    ra: float
    dec: float
    radius: float


class SkyBox(NamedTuple):
    """A rectangle on a Mollweide map of the frame: x in [-2, 2], y in [-1, 1]."""

    frame: str  # of FRAMES
    x: tuple[float, float]
    y: tuple[float, float]


class Filter(NamedTuple):
    """A condition on one column: a range of a number, or one of several texts."""

    column: str
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()
    is_null: bool | None = None  # only sources without (True) or with (False) a value


class Selection(NamedTuple):
    """A selection of sources, in an order, one page of it."""

    search: str = ""  # part of the id
    cone: ConeSearch | None = None
    sky_box: SkyBox | None = None
    classes: tuple[str, ...] = ()  # predicted
    p_min: float | None = None  # probability of the predicted class
    p_max: float | None = None
    width_max: float | None = None  # of the 90 % interval of the predicted class
    in_set: str = ""  # a class of the prediction set
    filters: tuple[Filter, ...] = ()
    ids: tuple[str, ...] = ()
    rows: tuple[int, ...] | None = None  # of the file, where it is known that all else selects them
    sort: str = ""
    descending: bool = False
    limit: int = PAGE
    offset: int = 0

    def unordered(self) -> "Selection":
        """The same sources, whatever their order and page."""
        return self._replace(sort="", descending=False, limit=PAGE, offset=0)


def where(selection: Selection, catalogue: ParquetCatalogue) -> tuple[str, list[object]]:
    """The condition of a selection as SQL ('TRUE' if all sources are in it), and its parameters.

    Raises
    ------
    InputError
        For a column or class that the catalogue does not have.
    """
    if selection.rows is not None:
        return (
            f"{ROW} IN ({', '.join(map(str, selection.rows))})" if selection.rows else "FALSE"
        ), []
    parts, parameters = [], []
    for sql, values in _conditions(selection, catalogue):
        parts.append(sql)
        parameters.extend(values)
    return " AND ".join(parts) or "TRUE", parameters


class FewSources(NamedTuple):
    """The rows of few selected sources in the file, and their predicted classes."""

    rows: tuple[int, ...]
    classes: tuple[str, ...]


def few_sources(selection: Selection, catalogue: ParquetCatalogue) -> FewSources | None:
    """The selected sources if they are at most FEW; None for more.

    Further questions about them need not look at the other rows again: set `Selection.rows`.
    """
    sql, parameters = where(selection, catalogue)
    found = catalogue.query(
        f"SELECT {ROW}, prediction FROM {VIEW} WHERE {sql} LIMIT {FEW + 1}", parameters
    )
    if found.num_rows > FEW:
        return None
    rows, classes = (tuple(column.to_pylist()) for column in found.columns)
    return FewSources(rows=rows, classes=classes)


def count(selection: Selection, catalogue: ParquetCatalogue) -> int:
    """The number of selected sources."""
    sql, parameters = where(selection, catalogue)
    return catalogue.query(f"SELECT count(*) FROM {VIEW} WHERE {sql}", parameters)[0][0].as_py()


def count_by_class(selection: Selection, catalogue: ParquetCatalogue) -> dict[str, int]:
    """The number of selected sources by predicted class, in the order of the classes."""
    sql, parameters = where(selection, catalogue)
    found = catalogue.query(
        f"SELECT prediction, count(*) FROM {VIEW} WHERE {sql} GROUP BY prediction", parameters
    )
    counts = dict(zip(found[0].to_pylist(), found[1].to_pylist(), strict=True))
    return {name: counts.pop(name, 0) for name in catalogue.classes} | {
        str(name): n for name, n in counts.items()
    }


def select(
    selection: Selection, catalogue: ParquetCatalogue, columns: tuple[str, ...] = ()
) -> pa.Table:
    """One page of the selected sources, in its order: all columns, or those named.

    A cone search without an order sorts by the distance from its centre.
    """
    return catalogue.query(*select_sql(selection, catalogue, columns))


def select_sql(
    selection: Selection, catalogue: ParquetCatalogue, columns: tuple[str, ...] = ()
) -> tuple[str, list[object]]:
    """The query of `select` and its parameters."""
    sql, parameters = where(selection, catalogue)
    listed, before = [], []
    for name in columns or tuple(catalogue.columns):
        expression, values = _expression(name, selection, catalogue)
        listed.append(f"{expression} AS {quote(name)}")
        before.extend(values)
    order, after = _order(selection, catalogue)
    return (
        f"SELECT {', '.join(listed)} FROM {VIEW} WHERE {sql} ORDER BY {order} LIMIT ? OFFSET ?",
        [*before, *parameters, *after, selection.limit, selection.offset],
    )


def shown_columns(
    catalogue: ParquetCatalogue, cone: ConeSearch | None = None
) -> dict[str, ColumnInfo]:
    """The columns that a table can show: those of the catalogue, and some derived from them.

    Derived are the probability of the predicted class, the width of its interval where there are
    intervals, and in a cone search the distance from the centre.
    """
    derived = [(PROBABILITY, "", "probability of the predicted class", "stat.probability")]
    if has_intervals(catalogue):
        text = "width of the 90 % interval of the probability of the predicted class"
        derived.append((WIDTH, "", text, ""))
    if cone is not None:
        text = "distance from the centre of the search"
        derived.append((SEPARATION, "arcsec", text, "pos.angDistance"))
    return {
        name: ColumnInfo(name=name, kind="number", unit=unit, description=text, ucd=ucd)
        for name, unit, text, ucd in derived
    } | catalogue.columns


def separation(catalogue: ParquetCatalogue, cone: ConeSearch) -> tuple[str, list[object]]:
    """The distance of each source from the centre of a cone in degrees, as SQL."""
    if catalogue.ra is None or catalogue.dec is None:
        raise InputError("a search around a position needs positions; the catalogue has none")
    ra, dec = catalogue.quoted(catalogue.ra), catalogue.quoted(catalogue.dec)
    return _SEPARATION.format(ra=ra, dec=dec), [cone.dec, cone.dec, cone.ra]


def has_intervals(catalogue: ParquetCatalogue) -> bool:
    """Whether the catalogue has intervals of the probabilities of its classes."""
    return all(
        f"p_{name}_{end}" in catalogue.columns for name in catalogue.classes for end in ("lo", "hi")
    )


def interval_width(catalogue: ParquetCatalogue) -> str:
    """The width of the 90 % interval of the predicted class, as SQL."""
    if not has_intervals(catalogue):
        raise InputError(
            "the catalogue has no intervals; a run with variant: bayes makes them "
            "(xbayes run CONFIG --set variant=bayes)"
        )
    return _of_predicted(
        lambda c: f"{catalogue.quoted(f'p_{c}_hi')} - {catalogue.quoted(f'p_{c}_lo')}", catalogue
    )


def probability(catalogue: ParquetCatalogue) -> str:
    """The probability of the predicted class, as SQL."""
    return _of_predicted(lambda c: catalogue.quoted(f"p_{c}"), catalogue)


def number_sql(name: str, catalogue: ParquetCatalogue) -> str:
    """A column of numbers of the catalogue, or one derived from it, as SQL.

    Raises InputError if it holds no numbers.
    """
    if name not in catalogue.columns:
        if name == PROBABILITY:
            return probability(catalogue)
        if name == WIDTH:
            return interval_width(catalogue)
    return catalogue.numeric(name)


def without_nan(sql: str) -> str:
    """The expression with NaN, which DuckDB puts above every number, as NULL."""
    return f"CASE WHEN isnan({sql}) THEN NULL ELSE {sql} END"


def _of_predicted(value, catalogue: ParquetCatalogue) -> str:
    cases = (f"WHEN {_text(c)} THEN {value(c)}" for c in catalogue.classes)
    return f"CASE prediction {' '.join(cases)} END"


def _expression(
    name: str, selection: Selection, catalogue: ParquetCatalogue
) -> tuple[str, list[object]]:
    """A column that a table can show, as SQL."""
    if name in catalogue.columns:
        return catalogue.quoted(name), []
    if name == SEPARATION:
        if selection.cone is None:
            raise InputError(
                f"{SEPARATION} needs a search around a position: give ra, dec and radius"
            )
        distance, parameters = separation(catalogue, selection.cone)
        return f"3600 * {distance}", parameters
    return number_sql(name, catalogue), []


def _conditions(
    selection: Selection, catalogue: ParquetCatalogue
) -> Iterator[tuple[str, list[object]]]:
    own_id = f"CAST({catalogue.quoted(catalogue.id)} AS VARCHAR)"
    if selection.search:
        yield f"contains(lower({own_id}), lower(?))", [selection.search]
    if selection.ids:
        yield f"{own_id} IN ({_marks(selection.ids)})", list(selection.ids)
    if selection.cone is not None:
        yield _in_cone(selection.cone, catalogue)
    if selection.sky_box is not None:
        yield _in_box(selection.sky_box)
    if selection.classes:
        _refuse_unknown(selection.classes, catalogue)
        yield f"prediction IN ({_marks(selection.classes)})", list(selection.classes)
    if selection.in_set:
        _refuse_unknown((selection.in_set,), catalogue)
        yield "list_contains(string_split(prediction_set, ' or '), ?)", [selection.in_set]
    if selection.p_min is not None:
        yield f"{probability(catalogue)} >= ?", [selection.p_min]
    if selection.p_max is not None:
        yield f"{probability(catalogue)} <= ?", [selection.p_max]
    if selection.width_max is not None:
        yield f"{interval_width(catalogue)} <= ?", [selection.width_max]
    for one in selection.filters:
        yield from _of_column(one, catalogue)


def _in_cone(cone: ConeSearch, catalogue: ParquetCatalogue) -> tuple[str, list[object]]:
    distance, parameters = separation(catalogue, cone)
    dec = catalogue.quoted(catalogue.dec or "")
    # The range of declinations skips most rows before the distance is computed.
    sql = f"{dec} BETWEEN ? AND ? AND {distance} <= ?"
    low, high = cone.dec - cone.radius - 1e-9, cone.dec + cone.radius + 1e-9
    return sql, [low, high, *parameters, cone.radius]


def _in_box(box: SkyBox) -> tuple[str, list[object]]:
    x, y = frame_columns(box.frame)
    return (
        f"{ROW} IN (SELECT row FROM sky WHERE {x} BETWEEN ? AND ? AND {y} BETWEEN ? AND ?)",
        [*sorted(box.x), *sorted(box.y)],
    )


def frame_columns(frame: str) -> tuple[str, str]:
    """The columns of the table `sky` that hold the map of a frame; InputError if there is none."""
    if frame not in FRAMES:
        raise InputError(f"no frame {frame!r}; the frames are {', '.join(FRAMES)}")
    return FRAMES[frame]


def _of_column(one: Filter, catalogue: ParquetCatalogue) -> Iterator[tuple[str, list[object]]]:
    if one.is_null is not None:
        name, kind = catalogue.quoted(one.column), catalogue.columns[one.column].kind
        # NaN and the empty text are missing values, too. isnan(NULL) is NULL, hence the first test.
        more = {"number": f" OR isnan({name})", "text": f" OR {name} = ''"}.get(kind, "")
        empty = f"({name} IS NULL{more})"
        yield f"{'' if one.is_null else 'NOT '}{empty}", []
    if one.low is not None or one.high is not None:
        name = number_sql(one.column, catalogue)
        if one.low is not None:
            yield f"{name} >= ?", [one.low]
        if one.high is not None:
            yield f"{name} <= ?", [one.high]
        elif one.column not in catalogue.columns or catalogue.columns[one.column].kind == "number":
            yield f"NOT isnan({name})", []
    if one.values:
        name = catalogue.quoted(one.column)
        yield f"CAST({name} AS VARCHAR) IN ({_marks(one.values)})", list(one.values)


def _order(selection: Selection, catalogue: ParquetCatalogue) -> tuple[str, list[object]]:
    if selection.sort:
        name, parameters = _expression(selection.sort, selection, catalogue)
        info = shown_columns(catalogue, selection.cone)[selection.sort]
        if info.kind == "number":
            name, parameters = without_nan(name), [*parameters, *parameters]
        way = "DESC" if selection.descending else "ASC"
        return f"{name} {way} NULLS LAST, {ROW}", parameters
    if selection.cone is not None:
        distance, parameters = separation(catalogue, selection.cone)
        return f"{distance}, {ROW}", parameters
    return ROW, []


def _refuse_unknown(classes: tuple[str, ...], catalogue: ParquetCatalogue) -> None:
    unknown = [c for c in classes if c not in catalogue.classes]
    if unknown:
        raise InputError(f"no class {unknown[0]!r}; the classes are {', '.join(catalogue.classes)}")


def _marks(values: tuple[str, ...]) -> str:
    return ", ".join("?" * len(values))


def _text(value: str) -> str:
    """A name of a class of the run as an SQL text."""
    return "'" + value.replace("'", "''") + "'"
