"""Sessions: who is logged in. The browser holds a random token, the database only its hash."""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from xbayes.app.volunteers.clock import utc_now
from xbayes.app.volunteers.database import Database
from xbayes.app.volunteers.roles import Account, account_of
from xbayes.app.volunteers.tables import LogIn, ResetLink, User, Vote

LASTS = timedelta(days=30)  # after log-in
IDLE = timedelta(days=7)  # without a request
SEEN_EVERY = timedelta(hours=1)  # a request writes the time only so often
EMPTY_GUEST = timedelta(days=30)  # a guest without votes is removed


class SignedIn(NamedTuple):
    """A new session. The token goes into a cookie (HttpOnly, SameSite) and nowhere else."""

    account: Account
    token: str
    expires: datetime


def new_token() -> str:
    """A random token of 256 bits."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """The hash of a token, by which the database finds it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def csrf_token(session_token: str) -> str:
    """The token that the forms of a session carry; nobody without the session can make it."""
    return hmac.new(session_token.encode(), b"csrf", hashlib.sha256).hexdigest()


def is_csrf_token(session_token: str, given: str) -> bool:
    """Whether a form carries the token of the session."""
    return hmac.compare_digest(csrf_token(session_token).encode(), given.encode())


def start_session(session: Session, user: User, now: datetime) -> SignedIn:
    """A session of the user, in a transaction that is under way."""
    token, expires = new_token(), now + LASTS
    session.add(
        LogIn(token_hash=hash_token(token), user_id=user.id, created=now, seen=now, expires=expires)
    )
    return SignedIn(account=account_of(user), token=token, expires=expires)


def end_session(session: Session, token: str | None) -> None:
    """End the session of a token, if there is one."""
    if token:
        session.execute(delete(LogIn).where(LogIn.token_hash == hash_token(token)))


def end_sessions(session: Session, user_id: int) -> None:
    """End all sessions of a user."""
    session.execute(delete(LogIn).where(LogIn.user_id == user_id))


def log_out(database: Database, token: str) -> None:
    """End the session of a token."""
    with database.write() as session:
        end_session(session, token)


def account_of_session(
    database: Database, token: str | None, *, now: datetime | None = None
) -> Account | None:
    """The account of a session; None if it has expired, ended or never was.

    The account has the role of this moment: read it for every request and do not keep it.
    """
    if not token:
        return None
    now = now or utc_now()
    hashed = hash_token(token)
    with database.read() as session:
        found = session.execute(
            select(User, LogIn.seen)
            .join(LogIn, LogIn.user_id == User.id)
            .where(LogIn.token_hash == hashed, LogIn.expires > now, LogIn.seen > now - IDLE)
        ).first()
    if found is None:
        return None
    user, seen = found
    banned = user.banned_until is not None and user.banned_until > now
    if user.deleted is not None or banned:
        return None
    if now - seen > SEEN_EVERY:
        with database.write(durable=False) as session:
            session.execute(update(LogIn).where(LogIn.token_hash == hashed).values(seen=now))
    return account_of(user)


def remove_expired(database: Database, *, now: datetime | None = None) -> int:
    """Remove expired sessions and links, and old guests without votes; the number of guests."""
    now = now or utc_now()
    with database.write() as session:
        session.execute(delete(LogIn).where((LogIn.expires <= now) | (LogIn.seen <= now - IDLE)))
        session.execute(delete(ResetLink).where(ResetLink.expires <= now))
        empty = select(User.id).where(
            User.guest,
            User.created <= now - EMPTY_GUEST,
            ~select(Vote.id).where(Vote.user_id == User.id).exists(),
            ~select(LogIn.user_id).where(LogIn.user_id == User.id).exists(),
        )
        gone = session.scalars(empty).all()
        session.execute(delete(User).where(User.id.in_(gone)))
        return len(gone)
