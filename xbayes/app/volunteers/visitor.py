"""Who makes a request: the session, the token of forms, and pages that nobody else may keep."""

import hmac
import secrets
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, NamedTuple
from urllib.parse import urlencode, urlsplit

from fastapi import Depends
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from xbayes.app.languages import language_of, translations_of
from xbayes.app.request import render, served, site_of
from xbayes.app.security import Next
from xbayes.app.volunteers.accounts import CONSENT_VERSION
from xbayes.app.volunteers.problems import Forbidden
from xbayes.app.volunteers.roles import Account, require
from xbayes.app.volunteers.sessions import (
    LASTS,
    SignedIn,
    account_of_session,
    csrf_token,
    is_csrf_token,
)
from xbayes.app.volunteers.state import volunteers_of
from xbayes.app.volunteers.tables import Role
from xbayes.app.volunteers.words import Translate, answer_name, class_name

SESSION, VISIT = "xbayes_session", "xbayes_visit"
PERSONAL = (
    "/volunteer",
    "/login",
    "/signup",
    "/logout",
    "/reset",
    "/account",
    "/ranking",
    "/discussion",
    "/researchers",
    "/admin",
)
MOST_FIELDS = 60  # of a form


class Visitor(NamedTuple):
    """Who makes a request."""

    account: Account | None
    token: str  # of the session, else of the visit
    new_visit: bool  # whether the browser does not have the token yet

    def may(self, role: str) -> bool:
        """Whether the visitor has a role, for what a page offers; the rules check it again."""
        return self.account is not None and self.account.may(Role(role))


class NotSignedIn(Exception):
    """The page needs a guest or an account: the browser is sent to the start."""


def visitor_of(request: Request) -> Visitor:
    """The visitor, read once for a request."""
    if not hasattr(request.state, "visitor"):
        session = request.cookies.get(SESSION, "")
        account = account_of_session(volunteers_of(request).database, session)
        visit = request.cookies.get(VISIT, "")
        new = account is None and len(visit) < 20
        token = session if account is not None else secrets.token_urlsafe(32) if new else visit
        request.state.visitor = Visitor(account=account, token=token, new_visit=new)
    return request.state.visitor


def member(request: Request, role: Role = Role.VOLUNTEER) -> Account:
    """The account that makes the request.

    Raises
    ------
    NotSignedIn
        If there is none.
    Forbidden
        If it does not have the role.
    """
    account = visitor_of(request).account
    if account is None:
        raise NotSignedIn
    return require(account, role)


def voter(request: Request) -> Account:
    """As `member`; the account must have agreed to the note as it is now."""
    account = member(request)
    if account.consent_version != CONSENT_VERSION:
        raise Forbidden("the note on data use has changed; agree to it on the page Account first")
    return account


class Posted:
    """A form that was sent from a page of this site."""

    def __init__(self, form: FormData) -> None:
        self._form = form

    def text(self, name: str) -> str:
        """The text of a field; empty if it is not there."""
        value = self._form.get(name, "")
        return value if isinstance(value, str) else ""

    def ticked(self, name: str) -> bool:
        """Whether a box is ticked."""
        return bool(self.text(name))

    def number(self, name: str) -> int:
        """A whole number; 0 if it is none."""
        text = self.text(name)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0

    def file(self, name: str) -> UploadFile | None:
        """An uploaded file."""
        value = self._form.get(name)
        return value if isinstance(value, UploadFile) and value.filename else None


async def _form(request: Request) -> AsyncIterator[FormData]:
    async with request.form(max_files=1, max_fields=MOST_FIELDS) as form:
        yield form


def _posted(request: Request, form: Annotated[FormData, Depends(_form)]) -> Posted:
    """The form, if it carries the token of the session or visit."""
    posted = Posted(form)
    visitor = visitor_of(request)
    if visitor.new_visit or not is_csrf_token(_key(request, visitor), posted.text("csrf")):
        raise Forbidden("this form has expired; go back, load the page again, and send it again")
    return posted


Form = Annotated[Posted, Depends(_posted)]


def page(request: Request, template: str, *, status: int = 200, **context: object) -> HTMLResponse:
    """A page for this visitor alone."""
    visitor = visitor_of(request)
    answer = render(
        request,
        f"volunteers/{template}",
        status=status,
        visitor=visitor,
        csrf=csrf_token(_key(request, visitor)),
        class_name=partial(class_name, words_of(request)),
        answer_name=partial(answer_name, words_of(request)),
        **context,
    )
    answer.headers["Cache-Control"] = "no-store"
    if visitor.new_visit:
        _set(request, answer, VISIT, visitor.token, None)
    return answer


def signed_in(request: Request, signed: SignedIn, to: str) -> Response:
    """Send the browser on with the cookie of a new session."""
    answer = go(to)
    _set(request, answer, SESSION, signed.token, int(LASTS.total_seconds()))
    answer.delete_cookie(VISIT)
    return answer


def signed_out(to: str) -> Response:
    """Send the browser on without a session."""
    answer = go(to)
    answer.delete_cookie(SESSION)
    answer.headers["Clear-Site-Data"] = '"cache"'
    return answer


def go(to: str, **query: object) -> Response:
    """Send the browser to another page of the site, after a form."""
    given = {key: value for key, value in query.items() if value not in (None, "")}
    return RedirectResponse(f"{to}?{urlencode(given)}" if given else to, 303)


def local_path(path: str, default: str) -> str:
    """The path if it is one of this site, else the default: no form leads to another site."""
    plain = path.isprintable() and path.startswith("/") and "\\" not in path
    return path if plain and not path.startswith("//") and not urlsplit(path).netloc else default


def language(request: Request) -> str:
    """The language of the pages of the visitor."""
    return language_of(request)


def words_of(request: Request) -> Translate:
    """The translation of texts for this request."""
    translations = translations_of(language_of(request))
    assert translations is not None
    return translations.gettext


def run_of_several(request: Request) -> str | None:
    """The name of the run for addresses; None where the site has one only."""
    return served(request).name if len(site_of(request).runs) > 1 else None


async def keep_private(request: Request, call_next: Next) -> Response:
    """Let nobody keep pages that are made for one person."""
    answer = await call_next(request)
    own = request.url.path.startswith(PERSONAL) or SESSION in request.cookies
    if own and not request.url.path.startswith("/static/"):
        answer.headers.setdefault("Cache-Control", "no-store")
    return answer


def to_start(request: Request, error: Exception) -> Response:
    """The answer to a visitor who is neither a guest nor logged in."""
    target = request.url.path if request.method == "GET" else "/volunteer"
    if request.method == "GET" and request.url.query:
        target += f"?{request.url.query}"
    return go("/volunteer", next=target)


def _key(request: Request, visitor: Visitor) -> str:
    """What the token of forms is made of. Without a session it holds the secret of the site."""
    if visitor.account is not None:
        return visitor.token
    secret = site_of(request).options.secret_key
    return hmac.new(secret.encode(), visitor.token.encode(), "sha256").hexdigest()


def _set(request: Request, answer: Response, name: str, value: str, lasts: int | None) -> None:
    secure = site_of(request).options.public or request.url.scheme == "https"
    answer.set_cookie(name, value, max_age=lasts, httponly=True, samesite="lax", secure=secure)
