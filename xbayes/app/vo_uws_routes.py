"""The asynchronous queries of TAP, as the standard UWS has them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import wraps

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from xbayes.app import vo_xml
from xbayes.app.request import site_of
from xbayes.app.vo_jobs import ACTIVE, LIFETIME, MOST_SECONDS, PHASES, Job, Result
from xbayes.app.vo_services import (
    VOTABLE,
    Missing,
    Parameters,
    base_url,
    fault,
    parameters_of,
    services,
)
from xbayes.app.vo_tap_routes import answer, check
from xbayes.catalog.adql_database import Stop
from xbayes.catalog.votable_stream import Info, message
from xbayes.errors import InputError

LONGEST_WAIT = 60  # seconds
LONGEST_PARAMETER = 60_000  # characters
_TICK = 0.1  # seconds between looks at a job that a request waits for
_KNOWN = ("REQUEST", "LANG", "QUERY", "MAXREC", "FORMAT", "RESPONSEFORMAT", "RUNID", "UPLOAD")
router = APIRouter(prefix="/tap/async", include_in_schema=False)
_XML = "text/xml"
Route = Callable[..., Awaitable[Response]]


def _told(route: Route) -> Route:
    """The route, with faults as documents."""

    @wraps(route)
    async def guarded(request: Request, *args: object, **kwargs: object) -> Response:
        try:
            await run_in_threadpool(services, request)
            return await route(request, *args, **kwargs)
        except InputError as error:
            return fault(error)

    return guarded


def _job(request: Request, id: str) -> Job:
    job = services(request).jobs.get(id)
    if job is None:
        raise Missing("no such job; it was deleted, or its time of destruction has come")
    return job


def _url(request: Request, job: Job) -> str:
    return f"{base_url(request)}tap/async/{job.id}"


def _see(request: Request, job: Job) -> Response:
    return RedirectResponse(_url(request, job), 303)


def _run(request: Request, job: Job) -> None:
    vo = services(request)

    def work(parameters: Mapping[str, str], seconds: int, stop: Stop) -> Result:
        return answer(vo, parameters, float(seconds), stop)

    vo.jobs.run(job, work)


def _change_phase(request: Request, job: Job, phase: str) -> None:
    if phase == "RUN":
        _run(request, job)
    elif phase == "ABORT":
        services(request).jobs.abort(job)
    else:
        raise InputError(f"PHASE must be RUN or ABORT; found {phase[:40]!r}")


def _kept(parameters: Parameters) -> dict[str, str]:
    """The parameters that a job keeps."""
    found = {key: value for key, value in parameters.values.items() if key in _KNOWN}
    for key, value in found.items():
        if len(value) > LONGEST_PARAMETER:
            raise InputError(f"{key} is too long; it may have {LONGEST_PARAMETER:,} characters")
    return found


@router.get("")
@_told
async def jobs(request: Request) -> Response:
    """The jobs; none where other machines reach the site: users see the jobs they have made."""
    parameters = await parameters_of(request)
    phase = parameters.get("PHASE")
    if phase and phase not in PHASES:
        raise InputError(f"PHASE must be one of {', '.join(PHASES)}; found {phase[:40]!r}")
    found = () if site_of(request).options.public else services(request).jobs.all()
    found = tuple(job for job in found if not phase or job.phase == phase)
    after = parameters.get("AFTER")
    if after:
        found = tuple(job for job in found if job.created > _time(after))
    found = found[: parameters.count("LAST", len(found), len(found))]
    return Response(vo_xml.job_list(found, f"{base_url(request)}tap/async"), media_type=_XML)


@router.post("")
@_told
async def create(request: Request) -> Response:
    """A new job."""
    parameters = await parameters_of(request)
    kept = _kept(parameters)
    if kept.get("UPLOAD"):
        check(Parameters({"LANG": "ADQL", "UPLOAD": kept["UPLOAD"]}))
    job = services(request).jobs.create(kept)
    if parameters.get("PHASE"):
        _change_phase(request, job, parameters.get("PHASE"))
    return _see(request, job)


@router.get("/{id}")
@_told
async def job(request: Request, id: str) -> Response:
    """A job; with WAIT, once its phase has changed or so many seconds have passed."""
    found = _job(request, id)
    parameters = await parameters_of(request)
    wait = parameters.get("WAIT")
    if wait:
        seconds = LONGEST_WAIT if wait == "-1" else parameters.count("WAIT", 0, LONGEST_WAIT)
        phase = parameters.get("PHASE") or found.phase
        end = asyncio.get_running_loop().time() + seconds
        while found.phase == phase and phase in ACTIVE:
            if asyncio.get_running_loop().time() >= end:
                break
            await asyncio.sleep(_TICK)
    return Response(vo_xml.job_document(found, _url(request, found)), media_type=_XML)


@router.post("/{id}")
@_told
async def change(request: Request, id: str) -> Response:
    """Delete a job (ACTION=DELETE), or give it parameters."""
    found = _job(request, id)
    parameters = await parameters_of(request)
    if parameters.get("ACTION") == "DELETE":
        return _delete(request, found)
    if parameters.get("PHASE"):
        _change_phase(request, found, parameters.get("PHASE"))
    else:
        _set_parameters(found, parameters)
    return _see(request, found)


@router.delete("/{id}")
@_told
async def delete(request: Request, id: str) -> Response:
    """Delete a job."""
    return _delete(request, _job(request, id))


def _delete(request: Request, job: Job) -> Response:
    services(request).jobs.delete(job)
    return RedirectResponse(f"{base_url(request)}tap/async", 303)


def _set_parameters(job: Job, parameters: Parameters) -> None:
    if job.phase != "PENDING":
        raise InputError(f"the job is {job.phase}; only a PENDING job takes parameters")
    job.parameters.update(_kept(parameters))


@router.get("/{id}/phase")
@_told
async def phase(request: Request, id: str) -> Response:
    """The phase of a job."""
    return PlainTextResponse(_job(request, id).phase)


@router.post("/{id}/phase")
@_told
async def set_phase(request: Request, id: str) -> Response:
    """Run or abort a job."""
    found = _job(request, id)
    _change_phase(request, found, (await parameters_of(request)).get("PHASE"))
    return _see(request, found)


@router.get("/{id}/executionduration")
@_told
async def duration(request: Request, id: str) -> Response:
    """The most seconds that a job may run."""
    return PlainTextResponse(str(_job(request, id).seconds))


@router.post("/{id}/executionduration")
@_told
async def set_duration(request: Request, id: str) -> Response:
    """Change the most seconds that a job may run; 0 asks for the most that is allowed."""
    found = _job(request, id)
    seconds = (await parameters_of(request)).count("EXECUTIONDURATION", 0, MOST_SECONDS)
    if found.phase == "PENDING":
        found.seconds = seconds or MOST_SECONDS
    return _see(request, found)


@router.get("/{id}/destruction")
@_told
async def destruction(request: Request, id: str) -> Response:
    """When a job will be deleted."""
    return PlainTextResponse(vo_xml.instant(_job(request, id).destruction))


@router.post("/{id}/destruction")
@_told
async def set_destruction(request: Request, id: str) -> Response:
    """Change when a job will be deleted: later than a day after it was made is not possible."""
    found = _job(request, id)
    wanted = _time((await parameters_of(request)).get("DESTRUCTION"))
    found.destruction = min(wanted, found.created + LIFETIME)
    return _see(request, found)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise InputError(
            f"a time must be such as 2026-01-31T12:00:00Z; found {text[:40]!r}"
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


@router.get("/{id}/quote")
@_told
async def quote(request: Request, id: str) -> Response:
    """When the job will have ended: unknown."""
    _job(request, id)
    return PlainTextResponse("")


@router.get("/{id}/owner")
@_told
async def owner(request: Request, id: str) -> Response:
    """The owner of the job: nobody logs in."""
    _job(request, id)
    return PlainTextResponse("")


@router.get("/{id}/parameters")
@_told
async def job_parameters(request: Request, id: str) -> Response:
    """The parameters of a job."""
    return Response(vo_xml.fragment(vo_xml.parameter_list(_job(request, id))), media_type=_XML)


@router.post("/{id}/parameters")
@_told
async def set_parameters(request: Request, id: str) -> Response:
    """Give parameters to a job that waits to be run."""
    found = _job(request, id)
    _set_parameters(found, await parameters_of(request))
    return _see(request, found)


@router.get("/{id}/results")
@_told
async def results(request: Request, id: str) -> Response:
    """The results of a job."""
    found = _job(request, id)
    listed = vo_xml.result_list(found, _url(request, found))
    return Response(vo_xml.fragment(listed), media_type=_XML)


@router.get("/{id}/results/result")
@_told
async def result(request: Request, id: str) -> Response:
    """The table that the query gave."""
    found = _job(request, id)
    if found.result is None:
        raise Missing(f"the job is {found.phase} and has no result")
    return Response(found.result.body, media_type=found.result.mime)


@router.get("/{id}/error")
@_told
async def error(request: Request, id: str) -> Response:
    """Why a job failed."""
    found = _job(request, id)
    if not found.error:
        return PlainTextResponse("")
    infos = [Info(name="QUERY_STATUS", value="ERROR", text=found.error)]
    return Response(message(infos), media_type=VOTABLE)
