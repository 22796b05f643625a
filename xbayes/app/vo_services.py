"""What the services of the Virtual Observatory share: the database, the jobs, the parameters."""

import threading
from collections.abc import Mapping
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from xbayes.app.request import site_of
from xbayes.app.vo_jobs import JobStore
from xbayes.catalog.adql_database import AdqlDatabase, Answer, QueryLimits, Stop
from xbayes.catalog.votable_stream import Info, message
from xbayes.errors import InputError

DEFAULT_ROWS, MOST_ROWS = 20_000, 100_000
SYNC_SECONDS = 30.0
AT_ONCE = 4  # queries that are answered at the same time
PATIENCE = 10.0  # seconds that a query waits for its turn
VOTABLE = "application/x-votable+xml"


class VoServices:
    """The database and the jobs of a site.

    Parameters
    ----------
    database
        The catalogues that are queried.
    """

    def __init__(self, database: AdqlDatabase) -> None:
        self.database = database
        self._turn = threading.BoundedSemaphore(AT_ONCE)
        self.jobs = JobStore()

    def query(self, text: str, limits: QueryLimits, stop: Stop | None = None) -> Answer:
        """The answer, when it is the turn of the query."""
        if not self._turn.acquire(timeout=PATIENCE):
            raise Busy("too many queries run now; try again in a minute")
        try:
            return self.database.query(text, limits, stop)
        finally:
            self._turn.release()


class Busy(InputError):
    """The service cannot take more now: the answer has the status 503."""


class Missing(InputError):
    """There is no such thing: the answer has the status 404."""


class Parameters(NamedTuple):
    """The parameters of a request; their names are in capitals, which the standards do not ask."""

    values: Mapping[str, str]

    def get(self, name: str, default: str = "") -> str:
        """The value of a parameter, without blanks around it."""
        return self.values.get(name, default).strip()

    def count(self, name: str, default: int, most: int) -> int:
        """A whole number that is not negative, at most `most`."""
        text = self.get(name)
        if not text:
            return default
        if not (text.isdecimal() and text.isascii()):
            raise InputError(f"{name} must be a whole number, 0 or more; found {text[:40]!r}")
        return min(int(text[:18]), most)


_opening = threading.Lock()


def services(request: Request) -> VoServices:
    """The services of the site, opened by the first request that needs them."""
    state = request.app.state
    with _opening:
        if getattr(state, "vo", None) is None:
            runs = site_of(request).runs
            state.vo = VoServices(AdqlDatabase({n: run.catalogue for n, run in runs.items()}))
        return state.vo


async def parameters_of(request: Request) -> Parameters:
    """The parameters in the address and in the form that was sent."""
    pairs = list(request.query_params.multi_items())
    if request.method == "POST":
        try:
            async with request.form() as form:
                pairs += [(k, v if isinstance(v, str) else "a file") for k, v in form.multi_items()]
        except (HTTPException, ValueError) as error:
            raise InputError(f"the form is not understood: {error}") from None
    return Parameters({key.upper(): value for key, value in pairs})


def base_url(request: Request) -> str:
    """The address of the site, with a slash at its end."""
    return str(request.base_url)


def fault(error: InputError) -> Response:
    """A fault as TAP and DALI report it."""
    status = 503 if isinstance(error, Busy) else 404 if isinstance(error, Missing) else 400
    headers = {"Retry-After": "60"} if status == 503 else {}
    body = message([Info(name="QUERY_STATUS", value="ERROR", text=str(error))])
    return Response(body, status, headers=headers, media_type=VOTABLE)
