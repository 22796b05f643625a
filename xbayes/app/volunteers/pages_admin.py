"""Pages of moderators and admins: people, flags, and the log of actions."""

from datetime import datetime, timedelta

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from xbayes.app.volunteers import admin as rules
from xbayes.app.volunteers import moderation
from xbayes.app.volunteers.audit import audit_log
from xbayes.app.volunteers.clock import utc_now
from xbayes.app.volunteers.state import volunteers_of
from xbayes.app.volunteers.tables import Role
from xbayes.app.volunteers.visitor import Form, Posted, go, member, page
from xbayes.errors import InputError

router = APIRouter(include_in_schema=False)
PAGE = 50  # rows


@router.get("/admin")
def overview(request: Request) -> Response:
    """The flags that wait, and the way to the other pages."""
    account = member(request, Role.MODERATOR)
    database = volunteers_of(request).database
    flags = moderation.open_flags(database, account.id)
    hidden = moderation.hidden_posts(database, account.id)
    return page(request, "admin.html", flags=flags, hidden=hidden)


@router.get("/admin/users")
def users(request: Request) -> Response:
    """Accounts, by name."""
    return _users(request)


@router.get("/admin/audit")
def audit(request: Request) -> Response:
    """The log of actions."""
    account = member(request, Role.ADMIN)
    offset = _offset(request)
    actions = audit_log(volunteers_of(request).database, account.id, limit=PAGE + 1, offset=offset)
    return page(
        request, "audit.html", actions=actions[:PAGE], offset=offset, more=len(actions) > PAGE,
        step=PAGE,
    )  # fmt: skip


@router.post("/admin/posts/{post_id}/{action}")
def moderate(request: Request, form: Form, post_id: int, action: str) -> Response:
    """Hide a post, show it again, or dismiss its flags."""
    account, database = member(request, Role.MODERATOR), volunteers_of(request).database
    if action == "hide":
        moderation.hide_post(database, account.id, post_id, form.text("reason"))
    elif action == "unhide":
        moderation.unhide_post(database, account.id, post_id)
    elif action == "dismiss":
        moderation.dismiss_flags(database, account.id, post_id)
    else:
        raise InputError(f"the actions are hide, unhide and dismiss; found {action!r}")
    return go("/admin")


@router.post("/admin/users/{user_id}/role")
def give_role(request: Request, form: Form, user_id: int) -> Response:
    """Give an account a role."""
    account = member(request, Role.ADMIN)
    text = form.text("role")
    if text not in {role.value for role in Role}:
        raise InputError(f"the roles are {', '.join(Role)}; found {text!r}")
    rules.set_role(volunteers_of(request).database, account.id, user_id, Role(text))
    return go("/admin/users")


@router.post("/admin/users/{user_id}/link")
def reset_link(request: Request, form: Form, user_id: int) -> Response:
    """Issue a link that sets a password. It is shown once, on this page."""
    account = member(request, Role.ADMIN)
    token = rules.issue_reset_link(volunteers_of(request).database, account.id, user_id)
    return _users(request, link=f"{request.base_url}reset/{token}")


@router.post("/admin/users/{user_id}/ban")
def ban(request: Request, form: Form, user_id: int) -> Response:
    """Ban an account for some days, or for ever."""
    account = member(request, Role.MODERATOR)
    until = _until(form)
    moderation.ban(volunteers_of(request).database, account.id, user_id, form.text("reason"), until)
    return go("/admin/users")


@router.post("/admin/users/{user_id}/unban")
def unban(request: Request, form: Form, user_id: int) -> Response:
    """End a ban."""
    account = member(request, Role.MODERATOR)
    moderation.unban(volunteers_of(request).database, account.id, user_id)
    return go("/admin/users")


def _users(request: Request, link: str = "") -> Response:
    account, query = member(request, Role.MODERATOR), request.query_params
    name, guests, offset = query.get("name", ""), bool(query.get("guests")), _offset(request)
    found = rules.list_users(
        volunteers_of(request).database,
        account.id,
        name=name,
        guests=guests,
        limit=PAGE + 1,
        offset=offset,
    )
    return page(
        request,
        "users.html",
        users=found[:PAGE],
        name=name,
        guests=guests,
        offset=offset,
        more=len(found) > PAGE,
        step=PAGE,
        roles=[role.value for role in Role],
        link=link,
        now=utc_now(),
    )


def _until(form: Posted) -> datetime | None:
    days = form.number("days")
    return utc_now() + timedelta(days=min(days, 3650)) if days else None


def _offset(request: Request) -> int:
    text = request.query_params.get("offset", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
