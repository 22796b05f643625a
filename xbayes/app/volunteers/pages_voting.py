"""Pages on which people vote, in training and on unknown sources, and what is shown afterwards."""

from contextlib import suppress
from typing import NamedTuple

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from xbayes.app import source_page
from xbayes.app.request import NotThere, render, served, site_of
from xbayes.app.served_run import ServedRun
from xbayes.app.source_routes import ALADIN_POLICY
from xbayes.app.volunteers.assignments import Task, shown_source
from xbayes.app.volunteers.campaigns import CampaignView, campaigns
from xbayes.app.volunteers.discussion import discussion
from xbayes.app.volunteers.evidence import Evidence, evidence_of, plain_chart, position_of
from xbayes.app.volunteers.pages_community import discussion_context
from xbayes.app.volunteers.problems import AlreadyVoted, Forbidden, Missing
from xbayes.app.volunteers.progress import progress
from xbayes.app.volunteers.roles import Account
from xbayes.app.volunteers.state import server_of, volunteers_of
from xbayes.app.volunteers.tables import OPEN_CAMPAIGN, Kind
from xbayes.app.volunteers.visitor import Form, go, member, page, run_of_several, voter, words_of
from xbayes.app.volunteers.voting import (
    OTHER,
    UNKNOWN,
    Ballot,
    Outcome,
    outcome_of,
    record_vote,
)
from xbayes.app.volunteers.why import other_class, why
from xbayes.app.volunteers.words import class_text

router = APIRouter(include_in_schema=False)
VOTE, TRAIN = "/volunteer/vote", "/volunteer/train"
CHART_AGE = "private, max-age=3600"


class Why(NamedTuple):
    """Why a known source is of its class."""

    sentences: list[str]
    other: str  # the class that it is compared with


@router.get(VOTE)
def vote_page(request: Request) -> Response:
    """The next source to vote on."""
    return _ask(request, training=False)


@router.get(TRAIN)
def train_page(request: Request) -> Response:
    """The next known source of the training."""
    return _ask(request, training=True)


@router.post(VOTE)
def vote(request: Request, form: Form) -> Response:
    """Cast a vote, then show what others answered."""
    return _cast(request, form, VOTE)


@router.post(TRAIN)
def train(request: Request, form: Form) -> Response:
    """Answer in training, then show whether it is right, and why."""
    return _cast(request, form, TRAIN)


@router.get("/volunteer/voted")
def voted(request: Request, source: str, campaign: int = OPEN_CAMPAIGN) -> Response:
    """What is shown after a vote. Before it, the page does not exist."""
    account, run = member(request), served(request)
    found = volunteers_of(request)
    outcome = outcome_of(found.database, account.id, run.name, source, campaign)
    if outcome is None:
        raise Missing(f"you have not voted on {source!r}")
    training = outcome.kind is Kind.TRAINING
    truth = outcome.true_class
    return page(
        request,
        "voted.html",
        source=source,
        outcome=outcome,
        training=training,
        others=sorted(outcome.others.items(), key=lambda item: -item[1]),
        n_others=sum(outcome.others.values()),
        why=None if truth is None else _why(request, run, source, outcome),
        what="" if truth is None else class_text(words_of(request), truth),
        progress=progress(found.database, account.id),
        next_page=TRAIN if training else VOTE,
        next_query=_query(request, campaign),
        **discussion_context(request, run, source),
        posts=discussion(found.database, run.name, source, account),
    )


@router.get("/volunteer/chart.svg")
def chart(request: Request, source: str) -> Response:
    """The finder chart of a source without any class."""
    member(request)
    svg = plain_chart(served(request), source)
    return Response(svg, media_type="image/svg+xml", headers={"Cache-Control": CHART_AGE})


@router.get("/volunteer/aladin")
def aladin(request: Request, source: str) -> HTMLResponse:
    """Surveys around a source in Aladin Lite, on a page of its own with a wider policy."""
    member(request)
    run = served(request)
    at = position_of(run, source)
    if site_of(request).options.aladin is None or at is None:
        raise NotThere("Aladin Lite is not installed here, or the source has no position")
    back = TRAIN if request.query_params.get("from") == "train" else VOTE
    answer = render(request, "source_aladin.html", source=source, position=at, address=back)
    answer.headers["Content-Security-Policy"] = ALADIN_POLICY
    return answer


def _ask(request: Request, *, training: bool) -> Response:
    account, run = voter(request), served(request)
    server, found = server_of(request), volunteers_of(request)
    campaign = OPEN_CAMPAIGN if training else _campaign_id(request)
    task = Task(run=run.name, campaign_id=campaign, training=training)
    shown = server.next_source(account.id, task)
    common = {
        "training": training,
        "here": TRAIN if training else VOTE,
        "campaign": None if training else _campaign(request, run, campaign),
        "campaign_id": campaign,
        "progress": progress(found.database, account.id),
        "query": _query(request, campaign),
    }
    if shown is None:
        return page(request, "nothing_left.html", **common)
    seen, curve = evidence(request, run, shown.source), site_of(request).options.light_curves
    return page(
        request,
        "vote.html",
        evidence=seen,
        curve_json=[point._asdict() for point in seen.curve],
        curve_unit="" if curve is None else source_page.light_curves(curve).unit,
        answers=(*found.rules(run).classes, OTHER, UNKNOWN),
        has_products=bool(site_of(request).options.products),
        products=source_page.source_address(
            run, shown.source, len(site_of(request).runs) > 1, "/products"
        ),
        aladin=site_of(request).options.aladin is not None,
        **common,
    )


def evidence(request: Request, run: ServedRun, source: str) -> Evidence:
    """What is shown of a source before a vote."""
    curve, points = site_of(request).options.light_curves, []
    if curve is not None:
        points = source_page.light_curve(run, source_page.source_row(run, source), curve)
    return evidence_of(words_of(request), run, source, points)


def _cast(request: Request, form: Form, here: str) -> Response:
    account, run = voter(request), served(request)
    found = volunteers_of(request)
    campaign = form.number("campaign") or OPEN_CAMPAIGN
    source = form.text("source")
    task = Task(run=run.name, campaign_id=campaign, training=here == TRAIN)
    _same_mode(request, account, run, task, source)
    ballot = Ballot(
        run=run.name,
        source=source,
        answer=form.text("answer"),
        campaign_id=campaign,
        nothing_to_see=form.ticked("nothing"),
        comment=form.text("comment"),
    )
    with suppress(AlreadyVoted):  # sent twice: the first vote stands, and its page is shown
        record_vote(found.database, account.id, ballot, found.rules(run))
    shown = None if campaign == OPEN_CAMPAIGN else campaign
    return go("/volunteer/voted", source=source, campaign=shown, run=run_of_several(request))


def _same_mode(request: Request, account: Account, run: ServedRun, task: Task, source: str) -> None:
    """Refuse a vote on a source that another page shows, unless it was cast already."""
    database = volunteers_of(request).database
    shown = shown_source(database, account.id, task)
    if shown is not None and shown.source == source:
        return
    if outcome_of(database, account.id, run.name, source, task.campaign_id) is None:
        raise Forbidden("this source is not shown to you any more; load the page again")


def _why(request: Request, run: ServedRun, source: str, outcome: Outcome) -> Why | None:
    """Why the source is of its class; None where its track is not known."""
    result, truth = source_page.computed(run, source), outcome.true_class
    if result is None or truth is None or truth not in result.track.classes:
        return None
    track = result.track
    sentences = why(words_of(request), track, source_page.descriptions(run), truth, outcome.answer)
    return Why(sentences=sentences, other=other_class(track, truth, outcome.answer))


def _campaign_id(request: Request) -> int:
    text = request.query_params.get("campaign", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else OPEN_CAMPAIGN


def _campaign(request: Request, run: ServedRun, campaign_id: int) -> CampaignView | None:
    """The campaign, for its question; None for the open one."""
    if campaign_id == OPEN_CAMPAIGN:
        return None
    found = campaigns(volunteers_of(request).database, run.name)
    return next((one for one in found if one.id == campaign_id), None)


def _query(request: Request, campaign: int) -> str:
    parts = [] if campaign == OPEN_CAMPAIGN else [f"campaign={campaign}"]
    several = run_of_several(request)
    parts += [] if several is None else [f"run={several}"]
    return f"?{'&'.join(parts)}" if parts else ""
