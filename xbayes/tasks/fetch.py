"""`xbayes fetch`: a catalogue from an archive, or the answer of a TAP service to a query."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import MaskedColumn, Table

from xbayes.catalog.columns import masked_column, parse_unit
from xbayes.catalog.write import check_output, write_catalog
from xbayes.config.checks import did_you_mean
from xbayes.config.known_catalogs import KnownCatalog, MadeColumn, fetchable, known_catalog
from xbayes.enhance.cache import default_cache
from xbayes.enhance.fetch import Query, adql_query, fetch_rows, known_query
from xbayes.enhance.moc import read_moc
from xbayes.enhance.regions import Region, parse_cone
from xbayes.enhance.schema import as_served
from xbayes.enhance.services import ENDPOINTS, Progress, Services
from xbayes.errors import InputError
from xbayes.features.expression import errors_name, parse

ROW_ID = "detection_id"  # the column made of fetch.id_parts


def fetch(
    source: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    cone: str | None = None,
    moc: str | os.PathLike[str] | None = None,
    service: str | None = None,
    offline: bool = False,
    allow_partial: bool = False,
    refresh: bool = False,
    cache: str | os.PathLike[str] | None = None,
    endpoints: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Table:
    """A catalogue from an archive, in parts by sky region, each of which is kept in a cache.

    Parameters
    ----------
    source
        A catalogue that xbayes knows (csc21, 4xmm, 2sxps, erass1, tranin2022), or a file with a
        query in ADQL, in which REGION(ra, dec) stands for the condition of the region.
    out, overwrite
        The file to write, and whether to replace one; if not given, nothing is written.
    cone
        A circle: "M31 0.5deg", "10.68 41.27 0.5" (degrees) or "00:42:44 +41:16:09 30arcmin".
    moc
        A file with a MOC, instead of a cone.
    service
        Name or address of the TAP service; needed for a query.
    offline
        Use only answers in the cache.
    allow_partial
        Take what a service gives, with a warning, if rows are missing.
    refresh
        Ask again for what is in the cache.
    cache
        Folder of the answers; if not given, xbayes/answers in the user's cache folder.
    endpoints
        Addresses of services by name, instead of the usual ones.
    progress
        Shows the progress.

    Returns
    -------
    Table
        Masked columns with units and UCDs. Its meta names service, date, reference and region.

    Raises
    ------
    InputError
        If the arguments are wrong, the region has no row, or a service fails or gives fewer rows
        than it counts; the parts that were fetched are kept.

    Examples
    --------
    >>> table = xbayes.fetch("4xmm", cone="M31 0.5deg")  # doctest: +SKIP
    """
    if out is not None:
        check_output(out, overwrite)
    known = _known(source)
    services = Services(
        cache=default_cache() if cache is None else Path(cache), offline=offline,
        endpoints=endpoints, progress=progress, allow_partial=allow_partial, refresh=refresh,
    )  # fmt: skip
    region = _region(cone, moc, services)
    query = _query(source, service, services)
    table = fetch_rows(services, query, region)
    meta = table.meta or {}
    if known is not None:
        table = _with_made_columns(table, known)
    table.meta = {
        "CATALOG": query.name if known is None else known.title,
        **({} if known is None else {"REFERENC": known.reference}),
        "SERVICE": meta["service"],
        "QUERIED": meta["date"],
        "REGION": cone or (str(moc) if moc is not None else "whole sky"),
    }
    if out is not None:
        write_catalog(table, out, overwrite)
    return table


def _known(source: str | os.PathLike[str]) -> KnownCatalog | None:
    """The catalogue, if it is a known one and no query. Raises InputError if it is neither."""
    known = known_catalog(str(source))
    if known is not None and known.fetch is not None:
        return known
    path = Path(source).expanduser()
    if path.suffix.lower() not in (".adql", ".sql") or not path.is_file():
        why = "there is no such file" if path.suffix else "no catalogue of that name is known"
        near = did_you_mean(str(source), fetchable(), "known are")
        raise InputError(f"cannot fetch {str(source)!r}: {why}{near}; or give a file QUERY.adql")
    return None


def _query(source: str | os.PathLike[str], service: str | None, services: Services) -> Query:
    known = known_catalog(str(source))
    if known is not None and known.fetch is not None:
        at = service or known.fetch.service
        return known_query(str(source), as_served(services, at, known.fetch), at)
    path = Path(source).expanduser()
    if service is None:
        raise InputError(
            f"a query needs a service: --service {' | '.join(sorted(ENDPOINTS)[:3])} | ... or the "
            "address of a TAP service"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text file; give a query in ADQL") from None
    return adql_query(path.name, text, service)


def _region(cone: str | None, moc: str | os.PathLike[str] | None, services: Services) -> Region:
    if cone is not None and moc is not None:
        raise InputError("--cone and --moc both give a region; keep one")
    if moc is None:
        return Region() if cone is None else Region(cone=parse_cone(cone, services.position))
    path = Path(moc).expanduser()
    if not path.is_file():
        raise InputError(f"--moc {path}: there is no such file; give a MOC in FITS, JSON or text")
    return Region(moc=read_moc(path))


def _with_made_columns(table: Table, known: KnownCatalog) -> Table:
    """The table with the columns that are computed of others."""
    assert known.fetch is not None
    if known.fetch.id_parts:
        parts = [masked_column(table, name).astype(str) for name in known.fetch.id_parts]
        names = [":".join(cells) for cells in zip(*map(np.ma.getdata, parts), strict=True)]
        text = f"{', '.join(known.fetch.id_parts)}, joined"
        table.add_column(MaskedColumn(names, name=ROW_ID, description=text), index=0)
    for name, made in known.fetch.made.items():
        table[name] = _made(table, name, made)
    return table


def _made(table: Table, name: str, made: MadeColumn) -> MaskedColumn:
    with errors_name(name):
        result = parse(made.expression).evaluate(table)
    missing = result.missing | ~np.isfinite(result.value)
    column: Any = MaskedColumn(
        np.where(missing, np.nan, result.value), mask=missing, name=name,
        unit=parse_unit(made.unit), description=made.description or made.expression,
    )  # fmt: skip
    return column
