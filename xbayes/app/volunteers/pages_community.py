"""Pages that people share: the ranking, and the discussion of each source."""

from typing import TypedDict
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from xbayes.app.request import served, site_of
from xbayes.app.served_run import ServedRun
from xbayes.app.source_page import source_row
from xbayes.app.volunteers import discussion as talk
from xbayes.app.volunteers.discussion import LONGEST_POST, discussion
from xbayes.app.volunteers.moderation import LONGEST_REASON, flag_post
from xbayes.app.volunteers.ranking import LEAST_VOTES, Period, rank_of, ranking
from xbayes.app.volunteers.state import volunteers_of
from xbayes.app.volunteers.visitor import Form, go, local_path, member, page, visitor_of

router = APIRouter(include_in_schema=False)


class DiscussionContext(TypedDict):
    """What the template of a discussion reads besides the posts."""

    discuss_at: str
    longest_post: int
    longest_reason: int
    to: str  # the page to come back to


@router.get("/ranking")
def ranking_page(request: Request) -> Response:
    """The ranking, all time or this week, and one's own place."""
    database, account = volunteers_of(request).database, visitor_of(request).account
    period = Period.WEEK if request.query_params.get("period") == "week" else Period.ALL
    ranks = ranking(database, period)
    own = None if account is None else rank_of(database, account.id, period)
    return page(
        request, "ranking.html", ranks=ranks, own=own, period=period.value, least=LEAST_VOTES
    )


@router.get("/discussion/{source:path}")
def discussion_page(request: Request, source: str) -> Response:
    """The discussion of a source; without its frame for the page of the source."""
    run = served(request)
    source_row(run, source)
    return page(
        request,
        "discussion.html",
        fragment="HX-Request" in request.headers,
        source=source,
        posts=discussion(
            volunteers_of(request).database, run.name, source, visitor_of(request).account
        ),
        **discussion_context(request, run, source),
    )


@router.post("/discussion/{source:path}")
def write(request: Request, form: Form, source: str) -> Response:
    """Write in the discussion of a source."""
    account, run = member(request), served(request)
    source_row(run, source)
    talk.add_post(volunteers_of(request).database, account.id, run.name, source, form.text("text"))
    return _back(form, discussion_address(request, run, source))


@router.post("/posts/{post_id}/flag")
def flag(request: Request, form: Form, post_id: int) -> Response:
    """Ask a moderator to look at a post."""
    account = member(request)
    flag_post(volunteers_of(request).database, account.id, post_id, form.text("reason"))
    return _back(form, "/volunteer")


@router.post("/posts/{post_id}/remove")
def remove(request: Request, form: Form, post_id: int) -> Response:
    """Remove one's own post."""
    account = member(request)
    talk.remove_post(volunteers_of(request).database, account.id, post_id)
    return _back(form, "/volunteer")


def discussion_address(request: Request, run: ServedRun, source: str) -> str:
    """The address of the discussion of a source."""
    several = len(site_of(request).runs) > 1
    return f"/discussion/{quote(source, safe='')}" + (f"?run={run.name}" if several else "")


def discussion_context(request: Request, run: ServedRun, source: str) -> DiscussionContext:
    """What the template of a discussion reads besides the posts."""
    return {
        "discuss_at": discussion_address(request, run, source),
        "longest_post": LONGEST_POST,
        "longest_reason": LONGEST_REASON,
        "to": local_path(request.url.path, "/volunteer")
        if not request.url.query
        else local_path(f"{request.url.path}?{request.url.query}", "/volunteer"),
    }


def _back(form: Form, default: str) -> Response:
    return go(local_path(form.text("next"), default))
