"""What admins do: users, roles, reset links. Each action is in the audit log."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from xbayes.app.volunteers.accounts import count_admins, create_account, find_user
from xbayes.app.volunteers.audit import record
from xbayes.app.volunteers.clock import utc_now
from xbayes.app.volunteers.database import Database
from xbayes.app.volunteers.names import name_key
from xbayes.app.volunteers.problems import Forbidden, Missing
from xbayes.app.volunteers.roles import require_role
from xbayes.app.volunteers.sessions import end_sessions, hash_token, new_token
from xbayes.app.volunteers.tables import ResetLink, Role, Standing, User
from xbayes.errors import InputError

LINK_LASTS = timedelta(hours=24)


class UserView(NamedTuple):
    """An account or guest as admins and moderators see it."""

    id: int
    name: str
    role: Role
    guest: bool
    created: datetime
    n_votes: int
    n_training: int
    tests_answered: int
    tests_right: int
    banned_until: datetime | None
    ban_reason: str


def list_users(
    database: Database,
    actor_id: int,
    *,
    name: str = "",
    guests: bool = False,
    limit: int = 100,
    offset: int = 0,
) -> list[UserView]:
    """The accounts whose name contains `name`, by name; guests too if asked. For moderators."""
    query = (
        select(User, Standing)
        .join(Standing, Standing.user_id == User.id)
        .where(User.deleted.is_(None), User.name_key.contains(name_key(name), autoescape=True))
        .order_by(User.name_key)
        .limit(limit)
        .offset(offset)
    )
    if not guests:
        query = query.where(~User.guest)
    with database.read() as session:
        require_role(session, actor_id, Role.MODERATOR)
        return [_view(user, standing) for user, standing in session.execute(query)]


def set_role(
    database: Database, actor_id: int, user_id: int, role: Role, *, now: datetime | None = None
) -> None:
    """Give an account a role. Its sessions end, so that no page keeps the old one.

    Raises
    ------
    Forbidden
        If the actor is no admin, the account is a guest, or the last admin would leave.
    """
    now = now or utc_now()
    with database.write() as session:
        require_role(session, actor_id, Role.ADMIN, now)
        user = _user(session, user_id)
        if user.guest:
            raise Forbidden("guests are volunteers; they can sign up")
        if user.role is Role.ADMIN and role is not Role.ADMIN and count_admins(session) == 1:
            raise Forbidden("this is the last admin; make another account an admin first")
        record(session, actor_id, "set role", user.name, f"{user.role.value} to {role.value}", now)
        user.role = role
        if user_id != actor_id:
            end_sessions(session, user_id)


def issue_reset_link(
    database: Database, actor_id: int, user_id: int, *, now: datetime | None = None
) -> str:
    """The token of a link that sets a new password, once, within a day. For admins.

    Links that were issued to the account before no longer work.
    """
    now = now or utc_now()
    with database.write() as session:
        require_role(session, actor_id, Role.ADMIN, now)
        user = _user(session, user_id)
        if user.guest:
            raise Forbidden("guests have no password")
        return _issue(session, actor_id, user, now)


def make_admin(database: Database, name: str, *, now: datetime | None = None) -> tuple[str, bool]:
    """Make an account an admin, from the command line: the token of a link, and whether it is new.

    Raises InputError if the name is not allowed.
    """
    now = now or utc_now()
    with database.write() as session:
        user = find_user(session, name)
        new = user is None
        if user is None:
            user = create_account(session, name, Role.ADMIN, now)
        if user.guest or user.deleted is not None:
            raise InputError(f"{name!r} is a guest or a deleted account; give another name")
        user.role = Role.ADMIN
        record(session, None, "make admin", user.name, "new account" if new else "", now)
        return _issue(session, None, user, now), new


def _issue(session: Session, actor_id: int | None, user: User, now: datetime) -> str:
    token = new_token()
    session.execute(delete(ResetLink).where(ResetLink.user_id == user.id))
    link = ResetLink(
        token_hash=hash_token(token),
        user_id=user.id,
        issued_by=actor_id,
        created=now,
        expires=now + LINK_LASTS,
    )
    session.add(link)
    record(session, actor_id, "issue reset link", user.name, "", now)
    return token


def _user(session: Session, user_id: int) -> User:
    user = session.get(User, user_id)
    if user is None or user.deleted is not None:
        raise Missing(f"there is no account {user_id}")
    return user


def _view(user: User, standing: Standing) -> UserView:
    return UserView(
        id=user.id,
        name=user.name,
        role=user.role,
        guest=user.guest,
        created=user.created,
        n_votes=standing.n_votes,
        n_training=standing.n_training,
        tests_answered=standing.tests_answered,
        tests_right=standing.tests_right,
        banned_until=user.banned_until,
        ban_reason=user.ban_reason,
    )
