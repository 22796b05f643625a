"""Pages of campaigns: the list, and for researchers a form that starts or ends one."""

from datetime import UTC, datetime
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from xbayes.app.request import served, site_of
from xbayes.app.selection_url import selection_of
from xbayes.app.served_run import ServedRun
from xbayes.app.volunteers.campaigns import (
    LONGEST_NAME,
    LONGEST_QUESTION,
    MOST_SOURCES,
    CampaignView,
    NewCampaign,
    campaigns,
    create_campaign,
    end_campaign,
)
from xbayes.app.volunteers.clock import utc_now
from xbayes.app.volunteers.problems import Missing
from xbayes.app.volunteers.state import volunteers_of
from xbayes.app.volunteers.tables import OPEN_CAMPAIGN, Role
from xbayes.app.volunteers.visitor import Form, go, member, page
from xbayes.catalog.query import VIEW
from xbayes.catalog.selection import where
from xbayes.errors import InputError

router = APIRouter(include_in_schema=False)
HOME = "/campaigns"


@router.get(HOME)
def campaign_list(request: Request) -> Response:
    """The campaigns of the run, with their progress."""
    return _list(request)


@router.get("/campaigns/{campaign_id}")
def campaign_page(request: Request, campaign_id: int) -> Response:
    """A campaign: its question, its progress, its end."""
    found = campaigns(volunteers_of(request).database, served(request).name)
    one = next((c for c in found if c.id == campaign_id), None)
    if one is None:
        raise Missing(f"there is no campaign {campaign_id}")
    return page(request, "campaign.html", one=one, open=_runs(one), now=utc_now())


@router.post(HOME)
def start(request: Request, form: Form) -> Response:
    """Start a campaign on a selection of the catalogue."""
    account, run = member(request, Role.RESEARCHER), served(request)
    try:
        new = NewCampaign(
            name=form.text("name"),
            question=form.text("question"),
            run=run.name,
            sources=selected_ids(run, form.text("selection")),
            selection=form.text("selection"),
            ends=end_of(form.text("ends")),
        )
        made = create_campaign(volunteers_of(request).database, account.id, new)
    except InputError as error:
        return _list(request, problem=error)
    return go(f"{HOME}/{made}")


@router.post("/campaigns/{campaign_id}/end")
def end(request: Request, form: Form, campaign_id: int) -> Response:
    """End a campaign now."""
    account = member(request, Role.RESEARCHER)
    end_campaign(volunteers_of(request).database, account.id, campaign_id)
    return go(f"{HOME}/{campaign_id}")


def selected_ids(run: ServedRun, address: str) -> list[str]:
    """The ids of the sources of a selection, given as the address of the catalogue page.

    Raises InputError for no selection, or one of more sources than a campaign may have.
    """
    text = address.strip()
    query = urlsplit(text).query if "?" in text else text
    if not query:
        raise InputError(
            "give the address of a selection of the catalogue, such as /?class=XRB&p_max=0.6"
        )
    sql, parameters = where(selection_of(QueryParams(query), run.catalogue), run.catalogue)
    own_id = f"CAST({run.catalogue.quoted(run.catalogue.id)} AS VARCHAR)"
    found = run.catalogue.query(
        f"SELECT {own_id} AS id FROM {VIEW} WHERE {sql} LIMIT {MOST_SOURCES + 1}", parameters
    )
    return found["id"].to_pylist()


def end_of(text: str) -> datetime | None:
    """The end of the day of a date, in UTC; None for no text."""
    if not text.strip():
        return None
    try:
        day = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(f"a date is YYYY-MM-DD; found {text[:40]!r}") from None
    return day.replace(hour=23, minute=59, tzinfo=UTC)


def _list(request: Request, problem: InputError | None = None) -> Response:
    found = campaigns(volunteers_of(request).database, served(request).name)
    return page(
        request,
        "campaigns.html",
        status=200 if problem is None else getattr(problem, "status", 422),
        several=len(site_of(request).runs) > 1,
        campaigns=[(one, _runs(one)) for one in found],
        problem="" if problem is None else str(problem),
        longest_name=LONGEST_NAME,
        longest_question=LONGEST_QUESTION,
    )


def _runs(one: CampaignView) -> bool:
    now = utc_now()
    return (one.starts <= now and (one.ends is None or one.ends > now)) or one.id == OPEN_CAMPAIGN
