"""A selection in the address of a page, so that it can be shared.

q=NAME or coordinates · ra=, dec=, radius= (degrees) · class=XRB (may be repeated) · p_min= · p_max=
width_max= · set=CLASS · f.COLUMN=low..high, or a|b, or null, or !null · ids=A|B · limit= · offset=
box=frame,x0,x1,y0,y1 (a rectangle on the map) · sort=COLUMN or -COLUMN
"""

import math
import re
from collections.abc import Callable, Iterable

from starlette.datastructures import QueryParams

from xbayes.catalog.query import ParquetCatalogue
from xbayes.catalog.selection import PAGE, PROBABILITY, WIDTH, ConeSearch, Filter, Selection, SkyBox
from xbayes.errors import InputError

MOST_ROWS = 1000  # on a page
RADIUS = 30.0  # arcsec, of a search around a position
MOST_IDS = 2000
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})?\s*\.\.\s*({_NUMBER})?\s*")
Locate = Callable[[str], tuple[float, float] | None]
# The fields of the form for a condition on any column.
CONDITION = ("column", "condition", "low", "high", "values")


def selection_of(
    query: QueryParams, catalogue: ParquetCatalogue, locate: Locate = lambda text: None
) -> Selection:
    """The selection in an address.

    Parameters
    ----------
    query
        The parameters of the address.
    catalogue
        The catalogue that the selection is made from.
    locate
        The position of a text that is no part of a name in the catalogue, in degrees; None if it is
        none.

    Raises
    ------
    InputError
        For a value that cannot be understood.
    """
    text = query.get("q", "").strip()
    cone, search = _cone(query), text
    if text and cone is None:
        position = locate(text)
        if position is not None:
            ra, dec = position
            cone, search = ConeSearch(ra=ra, dec=dec, radius=radius_of(query)), ""
    sort = query.get("sort", "")
    return Selection(
        search=search,
        cone=cone,
        sky_box=_box(query.get("box", "")),
        classes=tuple(c for c in query.getlist("class") if c),
        p_min=_number(query, "p_min"),
        p_max=_number(query, "p_max"),
        width_max=_number(query, "width_max"),
        in_set=query.get("set", ""),
        filters=tuple(_filters(query.multi_items(), catalogue)),
        ids=listed(query, "ids"),
        sort=sort.removeprefix("-"),
        descending=sort.startswith("-"),
        limit=_whole(query, "limit", PAGE, (1, MOST_ROWS)),
        offset=_whole(query, "offset", 0, (0, 2**53)),
    )


def listed(query: QueryParams, key: str) -> tuple[str, ...]:
    """The names in a parameter, which may be repeated: A|B.

    Raises InputError for more than an address should hold.
    """
    names = tuple(name for text in query.getlist(key) for name in text.split("|") if name)
    if len(names) > MOST_IDS:
        raise InputError(f"{key} names {len(names)} sources; at most {MOST_IDS}")
    return names


def canonical(query: QueryParams) -> list[tuple[str, str]]:
    """The parameters without empty ones, with the conditions of the form as f.COLUMN.

    The form states a range as lo.COLUMN and hi.COLUMN, and one more condition in CONDITION.
    """
    kept = [
        (k, v)
        for k, v in query.multi_items()
        if v.strip() and k not in CONDITION and not k.startswith(("lo.", "hi."))
    ]
    ends = dict.fromkeys(k[3:] for k in query if k.startswith(("lo.", "hi.")))
    added = {
        column: _range_text(query.get(f"lo.{column}", ""), query.get(f"hi.{column}", ""))
        for column in ends
    }
    if query.get("column") and (value := _condition(query)):
        added[query["column"]] = value
    kept = [(k, v) for k, v in kept if not (k.startswith("f.") and k[2:] in added)]
    return kept + [(f"f.{column}", value) for column, value in added.items() if value]


def _range_text(low: str, high: str) -> str:
    return f"{low.strip()}..{high.strip()}" if low.strip() or high.strip() else ""


def _condition(query: QueryParams) -> str:
    if query.get("condition") in ("null", "!null"):
        return query["condition"]
    ends = _range_text(query.get("low", ""), query.get("high", ""))
    return ends or query.get("values", "").strip()


def _cone(query: QueryParams) -> ConeSearch | None:
    ra, dec = _number(query, "ra"), _number(query, "dec")
    if ra is None and dec is None:
        return None
    if ra is None or dec is None:
        raise InputError("a search around a position needs both ra and dec, in degrees")
    if not -90 <= dec <= 90:
        raise InputError(f"dec must be from -90 to 90 degrees; found {dec:g}")
    if not -360 <= ra <= 360:
        raise InputError(f"ra must be from 0 to 360 degrees; found {ra:g}")
    return ConeSearch(ra % 360, dec, radius_of(query))


def radius_of(query: QueryParams) -> float:
    """The radius in degrees; a unit may follow the number: 30arcsec, 5', 0.1deg."""
    text = query.get("radius", "").strip().lower()
    if not text:
        return RADIUS / 3600
    found = re.fullmatch(rf"({_NUMBER})\s*([a-z'\"′″°]*)", text)
    per_degree = {"": 1.0, "deg": 1.0, "degree": 1.0, "degrees": 1.0, "°": 1.0} | {
        **{"arcmin": 60.0, "'": 60.0, "′": 60.0, "arcsec": 3600.0, '"': 3600.0, "″": 3600.0}
    }
    if found is None or found[2] not in per_degree:
        raise InputError(f"radius {text!r} is not understood; write 0.1, 5arcmin or 30arcsec")
    radius = float(found[1]) / per_degree[found[2]]
    if not 0 < radius <= 180:
        raise InputError(f"the radius must be above 0 and up to 180 degrees; found {text}")
    return radius


def _box(text: str) -> SkyBox | None:
    if not text:
        return None
    frame, *ends = text.split(",")
    try:
        x0, x1, y0, y1 = map(float, ends)
    except ValueError:
        raise InputError(f"box must be frame,x0,x1,y0,y1; found {text!r}") from None
    if not all(map(math.isfinite, (x0, x1, y0, y1))):
        raise InputError(f"the ends of box must be numbers; found {text!r}")
    return SkyBox(frame=frame, x=(x0, x1), y=(y0, y1))


def _filters(items: Iterable[tuple[str, str]], catalogue: ParquetCatalogue) -> Iterable[Filter]:
    for key, value in items:
        if key.startswith("f.") and value.strip():
            yield from _filter(key.removeprefix("f."), value.strip(), catalogue)


def _filter(column: str, value: str, catalogue: ParquetCatalogue) -> Iterable[Filter]:
    derived = column in (PROBABILITY, WIDTH) and column not in catalogue.columns
    if not derived:
        catalogue.quoted(column)
    is_number = derived or catalogue.columns[column].kind in ("number", "integer")
    if value in ("null", "!null") and not derived:
        yield Filter(column=column, is_null=value == "null")
        return
    ends = _RANGE.fullmatch(value)
    if ends is not None:
        low, high = (None if end is None else float(end) for end in ends.groups())
        if low is None and high is None:
            return
        if not is_number:
            raise InputError(f"column {column!r} holds no numbers, so it has no range {value!r}")
        yield Filter(column=column, low=low, high=high)
    elif is_number:
        yield _equal(column, value)
    else:
        yield Filter(column=column, values=tuple(value.split("|")))


def _equal(column: str, value: str) -> Filter:
    """One number, or several whole numbers."""
    values = value.split("|")
    if not all(re.fullmatch(_NUMBER, v.strip()) for v in values):
        raise InputError(f"column {column!r} holds numbers; write low..high instead of {value!r}")
    if len(values) > 1:
        return Filter(column=column, values=tuple(v.strip() for v in values))
    return Filter(column=column, low=float(value), high=float(value))


def _number(query: QueryParams, key: str) -> float | None:
    text = query.get(key, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{key} must be a number; found {text!r}")
    return value


def _whole(query: QueryParams, key: str, default: int, ends: tuple[int, int]) -> int:
    """A whole number, moved to the nearest allowed."""
    value = _number(query, key)
    return default if value is None else min(max(int(value), ends[0]), ends[1])
