"""Fetch a table from a TAP service in parts by sky region, each of which is kept and counted."""

import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from astropy.table import Table, vstack

from xbayes.catalog.columns import masked_column, subset
from xbayes.config.known_catalogs import FetchConfig
from xbayes.enhance.pace import Pace
from xbayes.enhance.regions import DEEPEST, Cell, Region
from xbayes.enhance.retries import RefusedError
from xbayes.enhance.services import Services
from xbayes.errors import InputError, XbayesWarning

ROWS = 20_000  # of a part, if it can be split
COUNTING = 0.05  # share of the progress bar
_REGION = re.compile(r"\bREGION\s*\(\s*([^,()]+?)\s*,\s*([^,()]+?)\s*\)", re.IGNORECASE)


class Query(NamedTuple):
    """What is asked of a service; `{region}` in its texts stands for the condition of a part."""

    name: str  # of the catalogue or the file, for messages
    service: str
    rows: str  # ADQL that gives the rows
    number: str  # ADQL that counts them
    ra: str | None  # the position, in ADQL; None: the query takes no region
    dec: str | None
    joins: bool = True  # several tables, perhaps: counting may take minutes

    def within(self, text: str, region: Region, cell: Cell | None) -> str:
        """One of the two texts, for the region or for a circle around a cell of it."""
        shapes = [shape for shape in (region.cone, cell and cell.circle()) if shape is not None]
        if self.ra is None or self.dec is None:
            return text
        conditions = [shape.adql(self.ra, self.dec) for shape in shapes]
        return text.replace("{region}", " AND ".join(conditions) or "1 = 1")


class Part(NamedTuple):
    """A part of the answer, and how many rows the service counts in it."""

    adql: str
    cell: Cell | None = None
    n_rows: int | None = None


def known_query(name: str, given: FetchConfig, service: str) -> Query:
    """The query for a catalogue that xbayes knows."""
    tables = f'"{given.table}"' if given.table is not None else given.tables
    where = "{region}" if given.where is None else f"{given.where} AND {{region}}"
    return Query(
        name=name,
        service=service,
        rows=f"SELECT {', '.join(given.select)} FROM {tables} WHERE {where}",
        number=f"SELECT COUNT(*) AS n_rows FROM {tables} WHERE {where}",
        ra=given.ra,
        dec=given.dec,
        joins=given.table is None,
    )


def adql_query(name: str, text: str, service: str) -> Query:
    """The query of a user. REGION(ra, dec) in it stands for the condition of the region.

    Raises InputError if it is empty, or names two positions.
    """
    adql = re.sub(r"--[^\n]*", "", text).strip().rstrip(";").strip()
    if not re.match(r"SELECT\b", adql, re.IGNORECASE):
        raise InputError(f"{name}: a query begins with SELECT; found {adql[:40]!r}")
    positions = set(_REGION.findall(adql))
    if len(positions) > 1:
        raise InputError(f"{name}: REGION names several positions; use one: {sorted(positions)}")
    ra, dec = positions.pop() if positions else (None, None)
    rows = _REGION.sub("{region}", adql)
    number = f"SELECT COUNT(*) AS n_rows FROM ({rows}) AS answer"
    return Query(name=name, service=service, rows=rows, number=number, ra=ra, dec=dec)


def fetch_rows(services: Services, query: Query, region: Region) -> Table:
    """All rows of the query in the region.

    A region with many rows is split into cells of HEALPix. Each part is kept in the cache, and its
    number of rows is compared with the count of the service.

    Raises
    ------
    InputError
        If the region is empty, rows are missing (unless the services allow it), or a service
        fails; the parts that were fetched are kept.
    KeyboardInterrupt
        With a message that says what is left, if the user stops it.
    """
    if query.ra is None and not region.is_whole:
        raise InputError(
            f"{query.name} has no place for a region; write REGION(ra, dec), with its columns, as "
            "a condition in it: SELECT ... WHERE REGION(ra, dec)"
        )
    parts: Sequence[Part] = ()
    done: list[Table] = []
    try:
        total, parts = _plan(services, query, region)
        pace = Pace(sum(part.n_rows or 0 for part in parts))
        for number, part in enumerate(parts, start=1):
            _show(services, pace, f"part {number} of {len(parts)}")
            fetched = services.n_fetched
            # Services cut answers off at a limit of their own unless they are told another.
            limit = None if part.n_rows is None else part.n_rows + ROWS
            found = services.tap(query.service, part.adql, rows=part.n_rows, maxrec=limit)
            done.append(_inside(found, query, region, part.cell))
            pace.add(len(found), len(done[-1]), from_network=services.n_fetched > fetched)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_left(services, len(done), len(parts))) from None
    except InputError as error:
        hint = "; --refresh counts them again" if "--allow-partial" in str(error) else ""
        left = f" ({_left(services, len(done), len(parts))})" if done else ""
        raise InputError(f"{error}{hint}{left}") from error
    return _joined(services, query, done, total)


def _plan(services: Services, query: Query, region: Region) -> tuple[int | None, list[Part]]:
    """The number of rows in all, if it is known, and the parts."""
    services.show(0.0, f"counting the rows of {query.name}")
    whole = Part(query.within(query.rows, region, None))
    total = None if region.moc is not None else _count(services, query, region, None)
    if total == 0:
        raise InputError(
            f"{query.name} has no row in this region; nothing was written; choose a larger region, "
            "or another catalogue"
        )
    if region.moc is None and total is None:
        text = f"{query.service} cannot count the rows of {query.name}: whether all come is unknown"
        warnings.warn(text, XbayesWarning, stacklevel=4)
    if region.moc is None and (total is None or total <= ROWS or query.ra is None):
        return total, [whole._replace(n_rows=total)]
    parts = []
    waiting = region.cells()
    n_cells = len(waiting)
    while waiting:
        if len(waiting) % 10 == 0:
            share = COUNTING * (1 - min(len(waiting) / n_cells, 1))
            services.show(share, f"counting the rows, {len(waiting)} cells left")
        cell = waiting.pop()
        n_rows = _count(services, query, region, cell)
        if n_rows is not None and n_rows > ROWS and cell.order < DEEPEST:
            waiting += [child for child in cell.split() if region.overlaps(child)]
        elif n_rows != 0:
            parts.append(Part(query.within(query.rows, region, cell), cell, n_rows))
    return total, [*parts, *_without_position(services, query, region)]


def _without_position(services: Services, query: Query, region: Region) -> list[Part]:
    """The part of the rows that have no position and so are in no cell."""
    if not region.is_whole:
        return []
    adql = [
        text.replace("{region}", f"({query.ra} IS NULL OR {query.dec} IS NULL)")
        for text in (query.rows, query.number)
    ]
    n_rows = services.count(query.service, adql[1], wait=query.joins)
    return [Part(adql[0], n_rows=n_rows)] if n_rows else []


def _count(services: Services, query: Query, region: Region, cell: Cell | None) -> int | None:
    """The number of rows; None if the service cannot count the rows of such a query."""
    try:
        text = query.within(query.number, region, cell)
        return services.count(query.service, text, wait=query.joins)
    except InputError as error:
        # A query within a query is beyond some services, and some queries, such as with TOP.
        if "FROM (" in query.number and isinstance(error.__cause__, RefusedError):
            return None
        raise


def _inside(table: Table, query: Query, region: Region, cell: Cell | None) -> Table:
    """The rows in the cell and the region: the circle around the cell holds more."""
    if cell is None or not len(table):
        return table
    spelled = {name.lower(): name for name in table.colnames}  # ADQL ignores case
    names = [spelled.get(_column(text).lower(), _column(text)) for text in (query.ra, query.dec)]
    for name in names:
        if name not in table.colnames:
            raise InputError(
                f"{query.name}: the position column {name!r} of REGION is not in the answer; "
                f"select it too (the answer has {', '.join(table.colnames[:20])})"
            )
    ra, dec = (np.ma.filled(masked_column(table, name).astype(float), np.nan) for name in names)
    known = np.isfinite(ra) & np.isfinite(dec)
    ra, dec = np.where(known, ra, 0.0), np.where(known, dec, 0.0)
    return subset(table, rows=known & cell.contains(ra, dec) & region.contains(ra, dec))


def _column(text: str | None) -> str:
    """The name of a column in an answer: m.ra is called ra."""
    return str(text).rpartition(".")[2].strip('" ')


def _joined(services: Services, query: Query, tables: Sequence[Table], total: int | None) -> Table:
    joined = vstack(list(tables), metadata_conflicts="silent") if tables else Table()
    if not len(joined):
        raise InputError(
            f"{query.name} has no row in this region; nothing was written; choose a larger region, "
            "or another catalogue"
        )
    if total is not None and len(joined) < total:
        text = f"{query.service} counts {total} rows of {query.name}, and gave {len(joined)}"
        if not services.allow_partial:
            raise InputError(
                f"{text}; nothing was written; ask again (--refresh), or take them: --allow-partial"
            )
        warnings.warn(f"{text} (--allow-partial)", XbayesWarning, stacklevel=3)
    dates = [str((table.meta or {})["date"]) for table in tables]
    joined.meta = {"service": query.service, "date": min(dates)}
    return joined


def _left(services: Services, n_done: int, n_parts: int) -> str:
    if not n_parts:
        return f"nothing was fetched; counts are kept in {services.cache.folder}"
    return (
        f"{n_done} of {n_parts} parts are kept in {services.cache.folder}; the same command goes "
        "on from there"
    )


def _show(services: Services, pace: Pace, step: str) -> None:
    services.show(COUNTING + (1 - COUNTING) * pace.share, f"{step}, {pace.text()}")
