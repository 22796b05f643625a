"""What the pages of the volunteers share: the database, the queues of sources, and the limits."""

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from starlette.requests import Request

from xbayes.app.request import served
from xbayes.app.served_run import ServedRun
from xbayes.app.site import Site
from xbayes.app.volunteers.database import Database, open_database
from xbayes.app.volunteers.evidence import prepare
from xbayes.app.volunteers.limits import Attempts, LogInLimits
from xbayes.app.volunteers.queue_sources import sources_of
from xbayes.app.volunteers.serving import Server
from xbayes.app.volunteers.voting import VotingRules

HOUR = timedelta(hours=1)
# By address. A school shares one address, so a class must fit.
GUESTS, SIGN_UPS = 100, 60


class Volunteers(NamedTuple):
    """The volunteers' part of a site."""

    database: Database
    servers: Mapping[str, Server]  # by the name of the run
    log_ins: LogInLimits
    guests: Attempts
    sign_ups: Attempts

    def rules(self, run: ServedRun) -> VotingRules:
        """The answers that are offered for a run."""
        return VotingRules(classes=tuple(run.fitted.classes))


def open_volunteers(site: Site) -> Volunteers:
    """Open the database of the site and read the sources of its runs.

    Raises
    ------
    InputError
        If the database cannot be opened, or its schema is not that of this version.
    """
    database = open_database(site.options.database)
    try:
        runs, suggested = [*site.runs.values()], site.options.suggested
        servers = {
            run.name: Server(
                database,
                sources_of(run, others=[o for o in runs if o is not run], suggested=suggested),
            )
            for run in runs
        }
    except BaseException:
        database.close()
        raise
    for run in site.runs.values():
        prepare(run)
    return Volunteers(
        database=database,
        servers=servers,
        log_ins=LogInLimits(),
        guests=Attempts(GUESTS, HOUR),
        sign_ups=Attempts(SIGN_UPS, HOUR),
    )


def volunteers_of(request: Request) -> Volunteers:
    """The volunteers' part of the site that answers the request."""
    return request.app.state.volunteers


def server_of(request: Request) -> Server:
    """The queue of sources of the run that the request asks for."""
    return volunteers_of(request).servers[served(request).name]
