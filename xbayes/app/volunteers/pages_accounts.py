"""Pages of accounts: the start, guests, signing up, logging in and out, the own account."""

from collections.abc import Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from xbayes.app.languages import SOURCE, languages
from xbayes.app.volunteers import accounts
from xbayes.app.volunteers.accounts import Consent, Credentials
from xbayes.app.volunteers.clock import utc_now
from xbayes.app.volunteers.progress import progress
from xbayes.app.volunteers.sessions import SignedIn, log_out
from xbayes.app.volunteers.state import volunteers_of
from xbayes.app.volunteers.visitor import (
    SESSION,
    Form,
    Posted,
    go,
    language,
    local_path,
    member,
    page,
    signed_in,
    signed_out,
    visitor_of,
)
from xbayes.errors import InputError

router = APIRouter(include_in_schema=False)
START, TUTORIAL, ACCOUNT = "/volunteer", "/volunteer/tutorial", "/account"


@router.get(START)
def start(request: Request) -> Response:
    """What the site is about, the note on data use, and the ways in."""
    account = visitor_of(request).account
    own = None if account is None else progress(volunteers_of(request).database, account.id)
    to = local_path(request.query_params.get("next", ""), "")
    return page(request, "start.html", progress=own, to=to, problem="")


@router.post("/volunteer/guest")
def guest(request: Request, form: Form) -> Response:
    """Go on as a guest."""
    to = local_path(form.text("next"), TUTORIAL)
    found = volunteers_of(request)
    if visitor_of(request).account is not None:
        return go(to)

    def enter() -> SignedIn:
        found.guests.take(_address(request), utc_now())
        return accounts.create_guest(found.database, _consent(form), _language(request))

    return _try(request, enter, "start.html", to, progress=None)


@router.get("/login")
def log_in_page(request: Request) -> Response:
    """The form to log in."""
    return page(request, "login.html", to=_next(request), problem="", name="")


@router.post("/login")
def log_in(request: Request, form: Form) -> Response:
    """Log in; the session of before ends."""
    found = volunteers_of(request)

    def enter() -> SignedIn:
        old = request.cookies.get(SESSION)
        given = _credentials(request, form)
        return accounts.log_in(found.database, found.log_ins, given, old_token=old)

    to = local_path(form.text("next"), START)
    return _try(request, enter, "login.html", to, name=form.text("name"))


@router.get("/signup")
def sign_up_page(request: Request) -> Response:
    """The form to make an account."""
    return page(request, "signup.html", to=_next(request), problem="", name="")


@router.post("/signup")
def sign_up(request: Request, form: Form) -> Response:
    """Make an account; a guest takes the votes along."""
    found = volunteers_of(request)

    def enter() -> SignedIn:
        found.sign_ups.take(_address(request), utc_now())
        return accounts.sign_up(
            found.database,
            _credentials(request, form),
            _consent(form),
            _language(request),
            guest_token=request.cookies.get(SESSION),
        )

    account = visitor_of(request).account
    if account is not None and not account.guest:
        return go(START)
    to = local_path(form.text("next"), TUTORIAL if account is None else START)
    return _try(request, enter, "signup.html", to, name=form.text("name"))


@router.post("/logout")
def leave(request: Request, form: Form) -> Response:
    """End the session."""
    log_out(volunteers_of(request).database, request.cookies.get(SESSION, ""))
    return signed_out(START)


@router.get("/reset/{token}")
def reset_page(request: Request, token: str) -> Response:
    """The form that sets a password by a link."""
    answer = page(request, "reset.html", link=token, problem="")
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


@router.post("/reset/{token}")
def reset(request: Request, form: Form, token: str) -> Response:
    """Set the password of the account of a link."""
    found = volunteers_of(request)

    def enter() -> SignedIn:
        _same_twice(form)
        return accounts.use_reset_link(found.database, token, form.text("password"))

    return _try(request, enter, "reset.html", START, link=token)


@router.get(ACCOUNT)
def own_account(request: Request) -> Response:
    """The own account."""
    return _account_page(request)


@router.post("/account/language")
def choose_language(request: Request, form: Form) -> Response:
    """Choose the language of the pages."""
    account, chosen = member(request), form.text("language")
    accounts.set_language(volunteers_of(request).database, account.id, chosen)
    return go(ACCOUNT, lang=chosen)


@router.post("/account/password")
def change_password(request: Request, form: Form) -> Response:
    """Set another password; the other sessions end."""
    account, found = member(request), volunteers_of(request)
    try:
        _same_twice(form)
        signed = accounts.change_password(
            found.database, found.log_ins, account.id, form.text("old"), form.text("password")
        )
    except InputError as error:
        return _account_page(request, problem=error)
    return signed_in(request, signed, f"{ACCOUNT}?done=password")


@router.post("/account/consent")
def consent(request: Request, form: Form) -> Response:
    """Agree to the note, or choose again what happens to the votes."""
    account = member(request)
    try:
        accounts.give_consent(volunteers_of(request).database, account.id, _consent(form))
    except InputError as error:
        return _account_page(request, problem=error)
    return go(ACCOUNT, done="consent")


@router.post("/account/delete")
def delete(request: Request, form: Form) -> Response:
    """Delete the account."""
    account, found = member(request), volunteers_of(request)
    try:
        if not form.ticked("sure"):
            raise InputError("the account is deleted only if you are sure; tick the box")
        accounts.delete_account(
            found.database,
            found.log_ins,
            account.id,
            form.text("password"),
            keep_votes=form.text("votes") != "remove",
        )
    except InputError as error:
        return _account_page(request, problem=error)
    return signed_out(f"{START}?done=deleted")


def _account_page(request: Request, problem: InputError | None = None) -> Response:
    account = member(request)
    return page(
        request,
        "account.html",
        status=200 if problem is None else _status(problem),
        account=account,
        progress=progress(volunteers_of(request).database, account.id),
        current=account.consent_version == accounts.CONSENT_VERSION,
        done=request.query_params.get("done", ""),
        problem="" if problem is None else str(problem),
    )


def _try(
    request: Request, enter: Callable[[], SignedIn], template: str, to: str, **shown: object
) -> Response:
    """Enter, or show the form again with the reason why not."""
    try:
        return signed_in(request, enter(), to)
    except InputError as error:
        status, text = _status(error), str(error)
    return page(request, template, status=status, to=to, problem=text, **shown)


def _status(error: InputError) -> int:
    return getattr(error, "status", 422)


def _next(request: Request) -> str:
    return local_path(request.query_params.get("next", ""), "")


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _credentials(request: Request, form: Posted) -> Credentials:
    return Credentials(
        name=form.text("name"), password=form.text("password"), address=_address(request)
    )


def _consent(form: Posted) -> Consent:
    version = accounts.CONSENT_VERSION if form.ticked("consent") else ""
    return Consent(version=version, keep_votes=form.text("votes") != "remove")


def _language(request: Request) -> str:
    chosen = language(request)
    return chosen if chosen in languages() else SOURCE


def _same_twice(form: Posted) -> None:
    if form.text("password") != form.text("again"):
        raise InputError("the two passwords differ; type the same twice")
