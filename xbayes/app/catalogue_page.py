"""What the pages of the catalogue show: form, table, numbers, and the data of the plots."""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from starlette.datastructures import QueryParams
from starlette.requests import Request

from xbayes.app.address import Address
from xbayes.app.cell_text import cell_text
from xbayes.app.chips import Chip, Translate, chips
from xbayes.app.selected import Selected
from xbayes.app.selection_url import listed
from xbayes.catalog.query import ColumnInfo
from xbayes.catalog.selection import has_intervals
from xbayes.tasks.selection_file import MOST_ROWS

ENDINGS = {"fits": "FITS", "vot": "VOTable", "csv": "CSV", "parquet": "Parquet"}
# Parameters that do not select: they order the table or set the plots.
PLOT_KEYS = ("frame", "x", "y", "xlog", "ylog", "colour", "mark", "hide", "zoom", "szoom")
FILTER_KEYS = ("q", "ra", "dec", "radius", "class", "p_min", "p_max", "width_max", "set")
RANGES = ("outlier_p",)  # columns whose range has its own place in the form


class Header(NamedTuple):
    """A column of the table."""

    info: ColumnInfo
    number: bool
    order: str  # ascending, descending or none
    address: str  # that sorts by the column


class Row(NamedTuple):
    """A source in the table."""

    id: str
    address: str
    marked: bool
    cells: list[str]


class Table(NamedTuple):
    """One page of the selected sources."""

    headers: list[Header]
    rows: list[Row]
    first: int  # number of the first and last source, from 1
    last: int
    pages: Mapping[str, str]  # addresses of other pages
    downloads: Mapping[str, tuple[str, str]]  # name, address with these columns, with all
    most: int


class Form(NamedTuple):
    """The form that selects."""

    query: QueryParams
    classes: tuple[str, ...]
    ranges: Mapping[str, tuple[str, str]]
    intervals: bool
    columns: Mapping[str, ColumnInfo]
    hidden: list[tuple[str, str]]
    clear: str


def form_of(request: Request, found: Selected, address: Address) -> Form:
    """The form with what the address selects."""
    query = request.query_params
    own = {*FILTER_KEYS, *(f"f.{name}" for name in RANGES), "offset"}
    known = found.run.catalogue.columns
    return Form(
        query=query,
        classes=tuple(query.getlist("class")),
        ranges={name: _ends(query.get(f"f.{name}", "")) for name in RANGES if name in known},
        intervals=has_intervals(found.run.catalogue),
        columns=found.column_infos(),
        hidden=[(k, v) for k, v in address.items if k not in own],
        clear=Address(
            address.path, tuple((k, v) for k, v in address.items if k in ("run", *PLOT_KEYS[:6]))
        ).but(),
    )


def table_of(request: Request, found: Selected, address: Address) -> Table:
    """One page of the table."""
    query, infos = request.query_params, found.column_infos()
    names = found.columns(query.getlist("columns"))
    run, selection, total = found.run, found.selection, found.total()
    own_id = run.catalogue.id
    asked = names if own_id in names else (own_id, *names)
    rows = found.rows(asked)
    columns = [rows[name].to_pylist() for name in names]
    several = f"?run={quote(run.name)}" if query.get("run") else ""
    marked = set(listed(query, "mark"))
    shown = [
        Row(
            id=str(source),
            address=f"/source/{quote(str(source), safe='')}{several}",
            marked=str(source) in marked,
            cells=[cell_text(v, infos[n]) for v, n in zip(values, names, strict=True)],
        )
        for source, *values in zip(rows[own_id].to_pylist(), *columns, strict=True)
    ]
    begin = selection.offset
    size = selection.limit
    pages = {
        "first": address.but(offset=None) if begin > 0 else "",
        "previous": address.but(offset=str(max(begin - size, 0))) if begin > 0 else "",
        "next": address.but(offset=str(begin + size)) if begin + size < total else "",
    }
    return Table(
        headers=[_header(name, found, address) for name in names],
        rows=shown,
        first=begin + 1 if shown else 0,
        last=begin + len(shown),
        pages=pages,
        downloads=_downloads(address, names),
        most=MOST_ROWS,
    )


def chips_of(
    request: Request, found: Selected, address: Address, translate: Translate
) -> list[Chip]:
    """The conditions of the selection, each removable."""
    return chips(request.query_params, found.selection, address, translate)


def _header(name: str, found: Selected, address: Address) -> Header:
    info, selection = found.column_infos()[name], found.selection
    order = "none"
    if selection.sort == name:
        order = "descending" if selection.descending else "ascending"
    is_number = info.kind in ("number", "integer")
    # Large numbers are wanted first, texts from A on.
    again = {"none": f"-{name}" if is_number else name, "ascending": f"-{name}"}.get(order, name)
    return Header(info, is_number, order, address.but(sort=again, offset=None))


def _downloads(address: Address, names: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    skipped = (*PLOT_KEYS, "lang", "limit", "offset", "columns")
    kept = Address(address.path, tuple((k, v) for k, v in address.items if k not in skipped))
    chosen = kept._replace(items=(*kept.items, *(("columns", name) for name in names)))
    return {
        text: (chosen.at(f"/api/sources.{ending}"), kept.at(f"/api/sources.{ending}"))
        for ending, text in ENDINGS.items()
    }


def _ends(text: str) -> tuple[str, str]:
    low, dots, high = text.partition("..")
    return (low, high) if dots else ("", "")
