"""Accounts as the pages see them, and the roles that the rules ask for."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from xbayes.app.volunteers.clock import utc_now
from xbayes.app.volunteers.problems import Forbidden
from xbayes.app.volunteers.tables import Role, User

ORDER = tuple(Role)


class Account(NamedTuple):
    """An account or a guest."""

    id: int
    name: str
    role: Role
    guest: bool
    language: str
    created: datetime
    consent_version: str
    keep_votes: bool

    def may(self, role: Role) -> bool:
        """Whether the account may do what the role may."""
        return is_at_least(self.role, role)


def account_of(user: User) -> Account:
    """The account of a row."""
    return Account(
        id=user.id,
        name=user.name,
        role=user.role,
        guest=user.guest,
        language=user.language,
        created=user.created,
        consent_version=user.consent_version,
        keep_votes=user.keep_votes,
    )


def is_at_least(role: Role, least: Role) -> bool:
    """Whether a role may do all that another may."""
    return ORDER.index(role) >= ORDER.index(least)


def require(account: Account | None, role: Role) -> Account:
    """The account, if it has the role or a later one.

    Raises Forbidden for other accounts, and for nobody.
    """
    if account is None:
        raise Forbidden("log in first")
    if not account.may(role):
        raise Forbidden(f"this needs the role {role.value}; your account is a {account.role.value}")
    return account


def active_user(session: Session, user_id: int, now: datetime) -> User:
    """The row of an account that is neither deleted nor banned; Forbidden for others."""
    user = session.get(User, user_id)
    if user is None or user.deleted is not None:
        raise Forbidden("this account does not exist; log in")
    refuse_banned(user, now)
    return user


def refuse_banned(user: User, now: datetime) -> None:
    """Raise Forbidden if the account is banned."""
    if user.banned_until is not None and user.banned_until > now:
        until = "" if user.banned_until.year == 9999 else f" until {user.banned_until:%Y-%m-%d}"
        raise Forbidden(f"this account is banned{until}: {user.ban_reason}")


def require_role(
    session: Session, user_id: int, role: Role, now: datetime | None = None
) -> Account:
    """As `require`, with the role that the database has now."""
    return require(account_of(active_user(session, user_id, now or utc_now())), role)
