"""Accounts: guests, signing up, logging in, passwords, consent and deletion."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from xbayes.app.languages import languages
from xbayes.app.volunteers.audit import forget_name, record
from xbayes.app.volunteers.clock import utc_now
from xbayes.app.volunteers.database import Database
from xbayes.app.volunteers.limits import LogInLimits
from xbayes.app.volunteers.names import clean_name, former_name, guest_name, name_key
from xbayes.app.volunteers.passwords import (
    check_password,
    hash_password,
    is_password,
    needs_new_hash,
)
from xbayes.app.volunteers.problems import Forbidden, Missing, WrongLogin
from xbayes.app.volunteers.progress import new_standing
from xbayes.app.volunteers.roles import active_user, refuse_banned
from xbayes.app.volunteers.sessions import (
    SignedIn,
    end_session,
    end_sessions,
    hash_token,
    start_session,
)
from xbayes.app.volunteers.tables import (
    Assignment,
    Flag,
    LogIn,
    Post,
    ResetLink,
    Role,
    Standing,
    User,
    Vote,
)
from xbayes.errors import InputError

CONSENT_VERSION = "2026-11"  # of the note that people agree to (docs/howto/volunteers.md)


class Consent(NamedTuple):
    """What a person agreed to."""

    version: str = CONSENT_VERSION
    keep_votes: bool = True  # if the account is deleted, the votes stay under a pseudonym


class Credentials(NamedTuple):
    """What a person types to log in, and the address of the browser."""

    name: str
    password: str
    address: str = ""


def create_guest(
    database: Database, consent: Consent, language: str, *, now: datetime | None = None
) -> SignedIn:
    """A new guest, who has a pseudonym and can vote.

    Raises InputError without consent to the note as it is now.
    """
    now = now or utc_now()
    with database.write() as session:
        user = _new_user(guest_name(), None, consent, language, now)
        _add(session, user)
        return start_session(session, user, now)


def sign_up(
    database: Database,
    credentials: Credentials,
    consent: Consent,
    language: str = "en",
    *,
    guest_token: str | None = None,
    now: datetime | None = None,
) -> SignedIn:
    """A new account. The guest of `guest_token` becomes the account and keeps the votes.

    Raises
    ------
    InputError
        If the name is taken or not allowed, the password is weak, or consent is missing.
    """
    now = now or utc_now()
    name = clean_name(credentials.name)
    hashed = hash_password(check_password(credentials.password, name))
    new = _new_user(name, hashed, consent, language, now)
    try:
        with database.write() as session:
            user = _guest_of(session, guest_token, now)
            if user is None:
                user = new
                _add(session, user)
            else:
                for field in ("name", "name_key", "password_hash", "guest", "language"):
                    setattr(user, field, getattr(new, field))
                _agree(user, consent, now)
                end_sessions(session, user.id)
                session.flush()
            return start_session(session, user, now)
    except IntegrityError:
        raise InputError(f"the name {name!r} is taken; choose another") from None


def log_in(
    database: Database,
    limits: LogInLimits,
    credentials: Credentials,
    *,
    old_token: str | None = None,
    now: datetime | None = None,
) -> SignedIn:
    """A new session of an account; the session of `old_token` ends.

    Votes of a guest stay with the guest: only signing up takes them along.

    Raises
    ------
    WrongLogin
        If the name or the password is wrong, which takes equally long.
    TooOften
        After too many failed attempts with this name or from this address.
    Forbidden
        If the account is banned.
    """
    now = now or utc_now()
    key = name_key(credentials.name)[:80]
    limits.take(key, credentials.address, now)
    with database.read() as session:
        user = session.scalars(select(User).where(User.name_key == key)).first()
    stored = user.password_hash if user is not None and user.deleted is None else None
    if not is_password(stored, credentials.password) or user is None or stored is None:
        raise WrongLogin("the name or the password is wrong")
    limits.succeeded(key, credentials.address)
    refuse_banned(user, now)
    new_hash = hash_password(credentials.password) if needs_new_hash(stored) else stored
    with database.write() as session:
        end_session(session, old_token)
        row = active_user(session, user.id, now)
        if row.password_hash != stored:  # changed since it was read
            raise WrongLogin("the name or the password is wrong")
        row.password_hash = new_hash
        return start_session(session, row, now)


def change_password(
    database: Database,
    limits: LogInLimits,
    user_id: int,
    old: str,
    new: str,
    *,
    now: datetime | None = None,
) -> SignedIn:
    """Set another password; all sessions end and a new one starts.

    Raises
    ------
    WrongLogin
        If the old password is wrong.
    InputError
        If the new password is weak.
    """
    now = now or utc_now()
    name, stored = _confirm(database, limits, user_id, old, now)
    hashed = hash_password(check_password(new, name))
    with database.write() as session:
        user = active_user(session, user_id, now)
        if user.password_hash != stored:  # changed since it was read
            raise WrongLogin("the password is wrong")
        user.password_hash = hashed
        end_sessions(session, user_id)
        return start_session(session, user, now)


def use_reset_link(
    database: Database, token: str, password: str, *, now: datetime | None = None
) -> SignedIn:
    """Set a password by a link that an admin issued; all sessions end and a new one starts.

    Raises
    ------
    Missing
        If the link is not known, has expired or was used.
    InputError
        If the password is weak; the link can be used again.
    """
    now = now or utc_now()
    hashed_token = hash_token(token)
    valid = (ResetLink.token_hash == hashed_token, ResetLink.used.is_(None))
    with database.read() as session:
        found = session.execute(
            select(User.name)
            .join(ResetLink, ResetLink.user_id == User.id)
            .where(*valid, ResetLink.expires > now, User.deleted.is_(None))
        ).first()
    if found is None:
        raise Missing("this link has expired or was used; ask an admin for another")
    hashed = hash_password(check_password(password, found.name))
    with database.write() as session:
        # The count tells which of two requests at the same time used the link.
        taken = session.execute(
            update(ResetLink).where(*valid).values(used=now).returning(ResetLink.user_id)
        ).first()
        if taken is None:
            raise Missing("this link has expired or was used; ask an admin for another")
        user = active_user(session, taken.user_id, now)
        user.password_hash = hashed
        end_sessions(session, user.id)
        return start_session(session, user, now)


def give_consent(
    database: Database, user_id: int, consent: Consent, *, now: datetime | None = None
) -> None:
    """Agree to a new version of the note, or choose again what happens to the votes."""
    now = now or utc_now()
    with database.write() as session:
        _agree(active_user(session, user_id, now), consent, now)


def set_language(database: Database, user_id: int, language: str) -> None:
    """Choose the language of the pages."""
    with database.write() as session:
        active_user(session, user_id, utc_now()).language = _known_language(language)


def delete_account(
    database: Database,
    limits: LogInLimits,
    user_id: int,
    password: str,
    *,
    keep_votes: bool | None = None,
    now: datetime | None = None,
) -> None:
    """Delete an account, or a guest, who needs no password.

    Name, password, sessions, posts, flags and comments are removed. The answers stay under the
    pseudonym `former-N`, or are removed too: as the person agreed, or says now by `keep_votes`.

    Raises
    ------
    WrongLogin
        If the password is wrong.
    Forbidden
        If it is the account of the last admin.
    """
    now = now or utc_now()
    with database.read() as session:
        guest = active_user(session, user_id, now).guest
    if not guest:
        _confirm(database, limits, user_id, password, now)
    with database.write() as session:
        user = active_user(session, user_id, now)
        if user.role is Role.ADMIN and count_admins(session) == 1:
            raise Forbidden("this is the last admin; make another account an admin first")
        kept = user.keep_votes if keep_votes is None else keep_votes
        _erase(session, user, kept, now)
        record(session, user_id, "delete account", user.name, f"votes kept: {kept}", now)


def count_admins(session: Session) -> int:
    """The number of admins. Their rows are locked, so that two cannot leave at the same time."""
    admins = select(User.id).where(User.role == Role.ADMIN, User.deleted.is_(None))
    return len(session.scalars(admins.with_for_update()).all())


def create_account(session: Session, name: str, role: Role, now: datetime) -> User:
    """An account without a password, which a reset link will set, in a transaction under way."""
    user = _new_user(clean_name(name), None, Consent(), "en", now)
    user.guest, user.role = False, role
    _add(session, user)
    return user


def find_user(session: Session, name: str) -> User | None:
    """The row of an account by its name."""
    key = name_key(name)
    return session.scalars(select(User).where(User.name_key == key)).first()


def _new_user(
    name: str, hashed: str | None, consent: Consent, language: str, now: datetime
) -> User:
    user = User(
        name=name,
        name_key=name_key(name),
        password_hash=hashed,
        guest=hashed is None,
        role=Role.VOLUNTEER,
        language=_known_language(language),
        created=now,
        ban_reason="",
    )
    _agree(user, consent, now)
    return user


def _add(session: Session, user: User) -> None:
    session.add(user)
    session.flush()
    session.add(new_standing(user.id))


def _agree(user: User, consent: Consent, now: datetime) -> None:
    if consent.version != CONSENT_VERSION:
        raise InputError("agree to the note on consent and data use as it is now, then go on")
    user.consent_version, user.consented = consent.version, now
    user.keep_votes = consent.keep_votes


def _known_language(language: str) -> str:
    if language not in languages():
        raise InputError(f"languages are {', '.join(languages())}; found {language!r}")
    return language


def _guest_of(session: Session, token: str | None, now: datetime) -> User | None:
    if not token:
        return None
    user = session.scalars(
        select(User)
        .join(LogIn, LogIn.user_id == User.id)
        .where(LogIn.token_hash == hash_token(token), LogIn.expires > now, User.guest)
        .where(User.deleted.is_(None))
    ).first()
    if user is not None:
        refuse_banned(user, now)
    return user


def _confirm(
    database: Database, limits: LogInLimits, user_id: int, password: str, now: datetime
) -> tuple[str, str]:
    """The name and stored hash of an account whose password is right; else WrongLogin."""
    with database.read() as session:
        user = active_user(session, user_id, now)
    limits.take(user.name_key, f"account {user_id}", now)
    if not is_password(user.password_hash, password) or user.password_hash is None:
        raise WrongLogin("the password is wrong")
    limits.succeeded(user.name_key, f"account {user_id}")
    return user.name, user.password_hash


def _erase(session: Session, user: User, keep_votes: bool, now: datetime) -> None:
    for table in (Flag, Post, Assignment, ResetLink):
        session.execute(delete(table).where(table.user_id == user.id))
    end_sessions(session, user.id)
    session.execute(delete(Standing).where(Standing.user_id == user.id))
    if keep_votes:
        session.execute(update(Vote).where(Vote.user_id == user.id).values(comment=""))
    else:
        session.execute(delete(Vote).where(Vote.user_id == user.id))
    forget_name(session, user.name, former_name(user.id))
    user.name = former_name(user.id)
    user.name_key = name_key(user.name)
    user.password_hash, user.role, user.deleted = None, Role.VOLUNTEER, now


def n_accounts(database: Database) -> int:
    """The number of accounts, without guests and deleted ones."""
    with database.read() as session:
        counted = select(func.count()).where(User.deleted.is_(None), ~User.guest)
        return session.scalar(counted.select_from(User)) or 0
