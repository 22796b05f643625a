"""Simple Cone Search: the sources around a position, for programs that know nothing of SQL."""

import math

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from xbayes.app.vo_services import (
    DEFAULT_ROWS,
    MOST_ROWS,
    SYNC_SECONDS,
    Missing,
    Parameters,
    VoServices,
    parameters_of,
    services,
)
from xbayes.catalog.adql_database import Answer, QueryLimits
from xbayes.catalog.adql_names import adql_name
from xbayes.catalog.adql_tables import AdqlColumn, AdqlTable
from xbayes.catalog.votable_stream import Info, message, votable
from xbayes.errors import InputError

router = APIRouter(prefix="/scs", include_in_schema=False)
MIME = "text/xml;content=x-votable"
# Cone Search asks for UCDs of the first kind in the three main columns.
_FIRST_UCDS = {
    "meta.id;meta.main": "ID_MAIN",
    "pos.eq.ra;meta.main": "POS_EQ_RA_MAIN",
    "pos.eq.dec;meta.main": "POS_EQ_DEC_MAIN",
}


@router.api_route("", methods=["GET", "POST"])
async def first(request: Request) -> Response:
    """Sources of the first run around a position."""
    return await _respond(request, "")


@router.api_route("/{run}", methods=["GET", "POST"])
async def of_run(request: Request, run: str) -> Response:
    """Sources of a run around a position."""
    return await _respond(request, run)


async def _respond(request: Request, run: str) -> Response:
    try:
        parameters = await parameters_of(request)
        vo = await run_in_threadpool(services, request)
        body = await run_in_threadpool(cone, vo, run, parameters)
    except InputError as error:
        # The standard wants the status 200 for a fault.
        status = 404 if isinstance(error, Missing) else 200
        told = (
            Info(name="Error", value=str(error)),
            Info(name="QUERY_STATUS", value="ERROR", text=str(error)),
        )
        return Response(message(told), status, media_type=MIME)
    return Response(body, media_type=MIME)


def cone(vo: VoServices, run: str, parameters: Parameters) -> bytes:
    """The sources around a position as a VOTable."""
    runs = vo.database.runs
    if run and run not in runs:
        raise Missing(f"no run {run[:60]!r}; there are {', '.join(runs)}")
    table = runs[run] if run else next(iter(runs.values()))
    ra, dec = (_degrees(parameters, key) for key in ("RA", "DEC"))
    radius = _degrees(parameters, "SR")
    if not -90 <= dec <= 90 or not 0 <= radius <= 180:
        raise InputError("DEC must be from -90 to 90 degrees and SR from 0 to 180 degrees")
    verbosity = parameters.get("VERB") or "2"
    if verbosity not in ("1", "2", "3"):
        raise InputError(f"VERB must be 1, 2 or 3; found {verbosity[:20]!r}")
    rows = parameters.count("MAXREC", DEFAULT_ROWS, MOST_ROWS)
    if radius == 0:
        rows = 0  # asks what the columns are
    wanted = _wanted(table, verbosity)
    query = _query(table, wanted, (ra, dec, radius))
    return _document(wanted, vo.query(query, QueryLimits(rows=rows, seconds=SYNC_SECONDS)))


def _degrees(parameters: Parameters, name: str) -> float:
    text = parameters.get(name)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{name} must be a number of degrees; found {text[:40]!r}")
    return value


def _wanted(table: AdqlTable, verbosity: str) -> list[AdqlColumn]:
    """The columns of the answer."""
    main = [c for c in table.columns if c.ucd in _FIRST_UCDS]
    if len(main) < len(_FIRST_UCDS):
        raise InputError("a search around a position needs positions; the catalogue has none")
    if verbosity == "1":
        return [c for c in table.columns if c in main or c.name == "prediction"]
    return [c for c in table.columns if c.principal or verbosity == "3"]


def _query(table: AdqlTable, wanted: list[AdqlColumn], at: tuple[float, float, float]) -> str:
    id, ra, dec = (next(adql_name(c.name) for c in wanted if c.ucd == ucd) for ucd in _FIRST_UCDS)
    names = (adql_name(column.name) for column in wanted)
    # The standard wants a text as the name of a source.
    listed = ", ".join(f"CAST({n} AS VARCHAR) AS {n}" if n == id else n for n in names)
    centre = f"POINT({at[0]!r}, {at[1]!r})"
    return (
        f"SELECT {listed} FROM {table.full_name} WHERE 1 = CONTAINS(POINT({ra}, {dec}), "
        f"CIRCLE({centre}, {at[2]!r})) ORDER BY DISTANCE(POINT({ra}, {dec}), {centre})"
    )


def _document(wanted: list[AdqlColumn], answer: Answer) -> bytes:
    columns = [
        column._replace(datatype=found.datatype, ucd=_FIRST_UCDS.get(column.ucd, column.ucd))
        for column, found in zip(wanted, answer.columns, strict=True)
    ]
    after = [Info(name="QUERY_STATUS", value="OVERFLOW")] if answer.overflow else []
    infos = [Info(name="QUERY_STATUS", value="OK")]
    return votable(columns, answer.table, infos=infos, after=after, binary=False)
