"""CLAXSON for astronomers: any source with its automatic class, votes and discussion."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from xbayes.app import source_page
from xbayes.app.archive_links import archive_links
from xbayes.app.request import served, site_of
from xbayes.app.selected import selected
from xbayes.app.served_run import ServedRun
from xbayes.app.source_json import finite, posterior_of, set_of
from xbayes.app.volunteers.assignments import Shown, Task, choose_source
from xbayes.app.volunteers.campaigns import campaigns
from xbayes.app.volunteers.discussion import discussion
from xbayes.app.volunteers.pages_community import discussion_context
from xbayes.app.volunteers.state import server_of, volunteers_of
from xbayes.app.volunteers.tables import Kind, Role
from xbayes.app.volunteers.visitor import (
    Form,
    go,
    member,
    page,
    run_of_several,
    visitor_of,
    voter,
)
from xbayes.app.volunteers.voting import (
    OTHER,
    UNKNOWN,
    Ballot,
    has_voted,
    record_vote,
    votes_by_answer,
)
from xbayes.catalog.selection import PROBABILITY, select
from xbayes.errors import InputError

router = APIRouter(include_in_schema=False)
HOME = "/researchers"
MOST_FOUND = 50


@router.get(HOME)
def researchers(request: Request) -> Response:
    """A search by name or position, and the campaigns that run."""
    run, text = served(request), request.query_params.get("q", "").strip()
    found, problem = [], ""
    if text:
        try:
            found = _search(request, run)
        except InputError as error:
            problem = str(error)
    return page(
        request,
        "researchers.html",
        asked=text,
        found=found,
        problem=problem,
        most=MOST_FOUND,
        current=campaigns(volunteers_of(request).database, run.name, current=True),
    )


@router.get("/researchers/source/{source:path}")
def source_view(request: Request, source: str) -> Response:
    """A source: automatic class, confidence, archives, votes (for researchers), discussion."""
    run, account = served(request), visitor_of(request).account
    row = source_page.source_row(run, source)
    found = volunteers_of(request)
    researcher = account is not None and account.may(Role.RESEARCHER)
    voted = account is not None and has_voted(found.database, account.id, run.name, source)
    votes = votes_by_answer(found.database, run.name, source) if researcher or voted else None
    at = source_page.positions(run, row)
    return page(
        request,
        "researcher_source.html",
        source=source,
        prediction=str(row["prediction"]),
        posterior=posterior_of(row, run.fitted.classes),
        members=set_of(row),
        outlier_p=finite(row.get("outlier_p")),
        position=at,
        links={} if at is None else archive_links(*at),
        votes=votes,
        researcher=researcher,
        voted=voted,
        answers=(*found.rules(run).classes, OTHER, UNKNOWN),
        posts=discussion(found.database, run.name, source, account),
        address=source_page.source_address(run, source, len(site_of(request).runs) > 1),
        **discussion_context(request, run, source),
    )


@router.post("/researchers/vote")
def vote_on_chosen(request: Request, form: Form) -> Response:
    """A vote of a researcher on a source of their choice."""
    voter(request)
    account, run = member(request, Role.RESEARCHER), served(request)
    found, source = volunteers_of(request), form.text("source")
    source_page.source_row(run, source)
    truth = server_of(request).true_class(source)
    shown = Shown(
        source=source, kind=Kind.REAL if truth is None else Kind.TRAINING, true_class=truth
    )
    choose_source(found.database, account.id, Task(run=run.name), shown)
    ballot = Ballot(
        run=run.name, source=source, answer=form.text("answer"), comment=form.text("comment")
    )
    record_vote(found.database, account.id, ballot, found.rules(run))
    return go("/volunteer/voted", source=source, run=run_of_several(request))


def _search(request: Request, run: ServedRun) -> list[dict[str, object]]:
    """The sources that match the name or position of a request."""
    found = selected(request)
    names = (run.catalogue.id, "prediction", PROBABILITY)
    selection = found.selection._replace(limit=MOST_FOUND, offset=0)
    rows = select(selection, run.catalogue, names).to_pylist()
    return [
        {"id": str(row[run.catalogue.id]), "prediction": row["prediction"], "p": row[PROBABILITY]}
        for row in rows
    ]
