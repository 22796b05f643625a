"""One request to a service, made by pyvo, astroquery or astropy; no attempt is repeated here.

A failure that another attempt may mend raises TemporaryError, and a refusal of the service
RefusedError, whichever library and protocol it comes from.
"""

import contextlib
import io
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from astropy.table import Table

from xbayes.enhance.cache import plain_table
from xbayes.enhance.retries import RefusedError, TemporaryError

if TYPE_CHECKING:
    import requests
    from astroquery.xmatch import XMatchClass
    from pyvo.dal import AsyncTAPJob

# Codes of HTTP after which the same request may succeed: time-outs, too many requests, server.
_PASSING = frozenset({408, 425, 429})
FIRST_POLL_S, LONGEST_POLL_S = 0.1, 15.0
_UNFINISHED = frozenset({"PENDING", "QUEUED", "EXECUTING", "RUN", "UNKNOWN"})
JOB_TIMEOUTS = 60  # a job may take so many times the time-out of a request


class Answer(NamedTuple):
    """The table of a service, and whether the service cut it off."""

    table: Table
    complete: bool


@contextlib.contextmanager
def _session(timeout: float) -> Iterator["requests.Session"]:
    """A session of requests; each request ends after `timeout` seconds without an answer."""
    import requests

    from xbayes import __version__

    class Session(requests.Session):
        def request(self, method: Any, url: Any, **options: Any) -> requests.Response:
            options["timeout"] = timeout  # pyvo sets none, or its own
            response = super().request(method, url, **options)
            answers.callback(response.close)  # pyvo leaves a broken one open
            if response.status_code in _PASSING or response.status_code >= 500:
                # Some services add an error in a VOTable to it, which pyvo takes for a refusal.
                raise requests.HTTPError(_error_text(response), response=response)
            return response

    with Session() as session, contextlib.ExitStack() as answers:
        session.headers["User-Agent"] = f"xbayes/{__version__} {session.headers['User-Agent']}"
        yield session


def query_tap(
    address: str,
    adql: str,
    *,
    uploads: Mapping[str, Table],
    limit: int | None,
    timeout: float,
    wait: bool,
) -> Answer:
    """The answer of a TAP service: at once (sync), or of a job that is polled (`wait`: async)."""
    import pyvo

    with _failures(), _session(timeout) as session:
        service = pyvo.dal.TAPService(address, session=session)
        options = {"maxrec": limit, "uploads": dict(uploads) or None}
        if not wait:
            result = service.run_sync(adql, **options)
        else:
            job = service.submit_job(adql, **options)
            try:
                _finish(job.run(), timeout)
                result = job.fetch_result()
            finally:  # after Ctrl-C too: the archive need not work for nobody
                with contextlib.suppress(pyvo.dal.DALServiceError):
                    job.delete()
        complete = str(result.status[0]).upper() != "OVERFLOW"
        return Answer(table=plain_table(result.resultstable), complete=complete)


def _finish(job: "AsyncTAPJob", timeout: float) -> None:
    """Wait for the end of a job that was started."""
    pause, start = FIRST_POLL_S, time.monotonic()
    while (phase := job.phase) not in {"COMPLETED", "ERROR", "ABORTED"}:
        # A job that stays PENDING has not heard that it should start.
        patience = timeout * (1 if phase == "PENDING" else JOB_TIMEOUTS)
        if phase not in _UNFINISHED or time.monotonic() > start + patience:
            raise TemporaryError(f"the job is {phase} and does not end")
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST_POLL_S)
    if phase == "COMPLETED":
        return
    summary: Any = getattr(job.job, "errorsummary", None)
    words = "" if summary is None or summary.message is None else summary.message.content
    text = f"the job ended in {phase}: {words or 'the service gives no reason'}"
    if phase == "ABORTED" or (summary is not None and summary.type_ == "transient"):
        raise TemporaryError(text)
    raise RefusedError(text)


def new_matcher(address: str, timeout: float) -> "XMatchClass":
    """astroquery's client of the CDS cross-match service, which asks for its tables only once."""
    import functools

    with contextlib.redirect_stdout(io.StringIO()):  # it prints that `regions` is not installed
        from astroquery.xmatch import XMatchClass

    matcher = XMatchClass()
    matcher.URL, matcher.TIMEOUT = address, timeout
    listed = functools.partial(matcher.get_available_tables, cache=False)
    matcher.get_available_tables = functools.cache(listed)
    return matcher


def crossmatch(
    matcher: "XMatchClass", table: Table, catalogue: str, radius_arcsec: float
) -> Answer:
    """All candidates of the CDS cross-match service for the columns `row`, `ra` and `dec`."""
    from astropy import units as u
    from astropy.io import votable

    sent = Table({f"xb_{name}": table[name] for name in ("row", "ra", "dec")})
    with _failures():
        response: Any = matcher.query_async(
            sent, f"vizier:{catalogue}", radius_arcsec * u.arcsec,
            colRA1="xb_ra", colDec1="xb_dec", cache=False,
        )  # fmt: skip
        parsed = votable.parse(io.BytesIO(response.content))
        complete = not any(
            info.name.upper() == "QUERY_STATUS" and info.value.upper() == "OVERFLOW"
            for resource in parsed.resources
            for info in resource.infos
        )
        found = plain_table(parsed.get_first_table())
    found.remove_columns([name for name in ("xb_ra", "xb_dec") if name in found.colnames])
    if "xb_row" not in found.colnames or "angDist" not in found.colnames:
        raise TemporaryError(f"the answer has the columns {found.colnames}, without row or angDist")
    if "row" in found.colnames:
        found.rename_column("row", "row_2")
    found.rename_column("xb_row", "row")
    return Answer(table=found, complete=complete)


def fetch_moc(address: str, name: str, timeout: float) -> Answer:
    """The cells of a MOC of the MOC server of CDS, numbered as NUNIQ; none for an unknown name."""
    from mocpy import MOC

    # The request that astroquery.mocserver makes, which has no time-out while it reads.
    asked = {"expr": f"ID={name}", "get": "moc", "fmt": "ascii", "order": "max"}
    with _failures(), _session(timeout) as session:
        response = session.get(address, params=asked)
        response.raise_for_status()
        text = response.text.strip()
        cells = MOC.from_string(text, "ascii").uniq_hpx if text else []
    return Answer(table=Table({"uniq": [int(cell) for cell in cells]}, dtype=[int]), complete=True)


def resolve(address: str, name: str, timeout: float) -> Answer:
    """The position of a named object by Sesame, in degrees (ICRS)."""
    from astropy.coordinates import get_icrs_coordinates
    from astropy.coordinates.name_resolve import NameResolveError, sesame_database, sesame_url
    from astropy.utils.data import conf

    limited = conf.set_temp("remote_timeout", timeout)
    with _failures(), sesame_url.set([address]), sesame_database.set("all"), limited:
        try:
            place: Any = get_icrs_coordinates(name)
        except NameResolveError as error:
            failed = TemporaryError if "retrieve" in str(error).lower() else RefusedError
            raise failed(str(error)) from error
    return Answer(table=Table({"ra": [place.ra.deg], "dec": [place.dec.deg]}), complete=True)


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Failures of the libraries as one of two; their warnings on the style of an answer go."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (TemporaryError, RefusedError):
        raise
    except Exception as error:
        raise _failure(error) from error


def _failure(error: Exception) -> Exception:
    """What an exception of a library means; an unexpected one stays as it is."""
    import requests
    from astroquery.exceptions import InvalidQueryError
    from pyvo.dal.exceptions import DALAccessError, DALFormatError, DALQueryError
    from urllib3.exceptions import HTTPError as BrokenTransfer

    # An answer of HTTP that is an error counts as false.
    responses = (_refusal(cause) for cause in _causes(error))
    response = next((found for found in responses if found is not None), None)
    text = _one_line(str(error) or type(error).__name__)
    code = None if response is None else response.status_code
    if code is not None and (code in _PASSING or code >= 500):
        return TemporaryError(text, wait_s=_asked_pause(response))
    # astroquery raises HTTPError without an answer for clients that CDS has banned.
    refusals = (DALQueryError, InvalidQueryError, requests.HTTPError)
    if isinstance(error, refusals) or code is not None:
        return RefusedError(text)
    if any(isinstance(cause, requests.Timeout | TimeoutError) for cause in _causes(error)):
        return TemporaryError(f"no answer in time ({text})")
    broken = (requests.RequestException, BrokenTransfer, OSError)
    if any(isinstance(cause, broken) for cause in _causes(error)):
        return TemporaryError(f"no connection, or a broken one ({text})")
    unreadable = (DALFormatError, ValueError, IndexError)
    if isinstance(error, unreadable) or "expat" in type(error).__module__:
        return TemporaryError(f"the answer is no readable VOTable ({text})")
    return TemporaryError(text) if isinstance(error, DALAccessError) else error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those behind it, through whatever libraries it came."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        seen.append(link)
        yield link
        cause = getattr(link, "cause", None)  # of pyvo
        link = cause if isinstance(cause, BaseException) else link.__cause__ or link.__context__


def _refusal(error: BaseException) -> Any:
    """The answer of HTTP that an exception is about, if it is an error."""
    response = getattr(error, "response", None)
    return response if response is not None and response.status_code >= 400 else None


def _asked_pause(response: Any) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if re.fullmatch(r"\d+", text) else None


def _error_text(response: "requests.Response") -> str:
    """The service's own words in an answer that is an error."""
    text = re.sub(r"<[^>]*>", " ", response.text[:20_000])
    words = _one_line(text)[:300]
    return f"HTTP {response.status_code}" + (f": {words}" if words else f" {response.reason}")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
