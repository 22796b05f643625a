"""The TAP service: queries that are answered at once, and what the service says of itself."""

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from xbayes.app import vo_xml
from xbayes.app.vo_examples import examples_page
from xbayes.app.vo_formats import format_named
from xbayes.app.vo_jobs import Result
from xbayes.app.vo_services import (
    DEFAULT_ROWS,
    MOST_ROWS,
    SYNC_SECONDS,
    Missing,
    Parameters,
    VoServices,
    base_url,
    fault,
    parameters_of,
    services,
)
from xbayes.catalog.adql_database import QueryLimits, Stop
from xbayes.errors import InputError

LANGUAGES = ("ADQL", "ADQL-2.0", "ADQL-2.1")
router = APIRouter(prefix="/tap", include_in_schema=False)
_XML = "text/xml"


@router.api_route("/sync", methods=["GET", "POST"])
async def sync(request: Request) -> Response:
    """The answer to a query."""
    try:
        parameters = await parameters_of(request)
        if parameters.get("REQUEST") == "getCapabilities":
            return RedirectResponse(f"{base_url(request)}tap/capabilities", 303)
        vo = await run_in_threadpool(services, request)
        found = await run_in_threadpool(answer, vo, parameters.values, SYNC_SECONDS, Stop())
    except InputError as error:
        return fault(error)
    return Response(found.body, media_type=found.mime)


def answer(vo: VoServices, parameters: Mapping[str, str], seconds: float, stop: Stop) -> Result:
    """The answer to the query in the parameters of TAP."""
    given = Parameters(parameters)
    check(given)
    query = given.get("QUERY")
    if not query:
        raise InputError("QUERY is missing: QUERY=SELECT TOP 10 * FROM TAP_SCHEMA.tables")
    output = format_named(given.get("RESPONSEFORMAT") or given.get("FORMAT"))
    rows = given.count("MAXREC", DEFAULT_ROWS, MOST_ROWS)
    found = vo.query(query, QueryLimits(rows=rows, seconds=seconds), stop)
    return Result(body=output.write(found, query), mime=output.mime)


def check(given: Parameters) -> None:
    """Raise InputError for parameters that are wrong whatever the query is."""
    if given.get("REQUEST", "doQuery") not in ("", "doQuery"):
        raise InputError(f"REQUEST must be doQuery; found {given.get('REQUEST')[:40]!r}")
    if given.get("UPLOAD"):
        raise InputError("UPLOAD is not supported: this service takes no tables of users")
    language = given.get("LANG")
    if language not in LANGUAGES:
        raise InputError(f"LANG must be {' or '.join(LANGUAGES)}; found {language[:40]!r}")


@router.get("/capabilities")
def capabilities(request: Request) -> Response:
    """What the service can do."""
    body = vo_xml.capabilities(f"{base_url(request)}tap", MOST_ROWS, DEFAULT_ROWS)
    return Response(body, media_type=_XML)


@router.get("/availability")
def availability() -> Response:
    """That the service is there."""
    return Response(vo_xml.availability(), media_type=_XML)


@router.get("/tables")
def tables(request: Request) -> Response:
    """All tables and their columns."""
    database = services(request).database
    return Response(vo_xml.table_set(database.tables, database.schemas), media_type=_XML)


@router.get("/tables/{name}")
def one_table(request: Request, name: str) -> Response:
    """One table and its columns."""
    found = [t for t in services(request).database.tables if t.full_name.lower() == name.lower()]
    if not found:
        return fault(Missing(f"no table {name[:60]!r}; see {base_url(request)}tap/tables"))
    return Response(vo_xml.one_table(found[0]), media_type=_XML)


@router.get("/examples")
def examples(request: Request) -> Response:
    """Queries to begin with."""
    table = next(iter(services(request).database.runs.values()))
    return Response(examples_page(table), media_type="application/xhtml+xml")
