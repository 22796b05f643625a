"""Moderation: flags of readers, hiding posts, banning accounts."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from xbayes.app.volunteers.audit import record
from xbayes.app.volunteers.clock import FOREVER, utc_now
from xbayes.app.volunteers.database import Database
from xbayes.app.volunteers.plain_text import needed_text, plain_text
from xbayes.app.volunteers.problems import Forbidden, Missing
from xbayes.app.volunteers.roles import active_user, is_at_least, require_role
from xbayes.app.volunteers.sessions import end_sessions
from xbayes.app.volunteers.tables import Flag, Post, Role, User

LONGEST_REASON = 500  # characters


class FlaggedPost(NamedTuple):
    """A post that a reader flagged."""

    flag_id: int
    reason: str
    time: datetime
    flagged_by: str
    post_id: int
    author_id: int
    author: str
    run: str
    source: str
    text: str
    hidden: bool


class HiddenPost(NamedTuple):
    """A post that a moderator hid."""

    post_id: int
    author: str
    source: str
    text: str
    reason: str


def hidden_posts(
    database: Database, actor_id: int, *, limit: int = 100, now: datetime | None = None
) -> list[HiddenPost]:
    """The posts that are hidden, the latest first; for moderators."""
    with database.read() as session:
        require_role(session, actor_id, Role.MODERATOR, now or utc_now())
        rows = session.execute(
            select(Post, User.name)
            .join(User, User.id == Post.user_id)
            .where(Post.hidden.is_not(None))
            .order_by(Post.hidden.desc())
            .limit(limit)
        ).all()
    return [
        HiddenPost(
            post_id=post.id, author=name, source=post.source, text=post.text,
            reason=post.hidden_reason,
        )
        for post, name in rows
    ]  # fmt: skip


def flag_post(
    database: Database, user_id: int, post_id: int, reason: str, *, now: datetime | None = None
) -> None:
    """Ask a moderator to look at a post. A second flag of the same person changes nothing."""
    now = now or utc_now()
    reason = plain_text(reason, LONGEST_REASON, "the reason")
    try:
        with database.write() as session:
            active_user(session, user_id, now)
            _post(session, post_id)
            session.add(Flag(post_id=post_id, user_id=user_id, reason=reason, time=now))
    except IntegrityError:
        return


def open_flags(database: Database, actor_id: int) -> list[FlaggedPost]:
    """The flags that no moderator has dealt with, the oldest first."""
    with database.read() as session:
        require_role(session, actor_id, Role.MODERATOR)
        query = select(Flag, Post).join(Post, Post.id == Flag.post_id)
        rows = session.execute(query.where(Flag.resolved.is_(None)).order_by(Flag.id)).all()
        people = {user_id for flag, post in rows for user_id in (flag.user_id, post.user_id)}
        named = select(User.id, User.name).where(User.id.in_(people))
        names = {user_id: name for user_id, name in session.execute(named)}
    return [
        FlaggedPost(
            flag_id=flag.id,
            reason=flag.reason,
            time=flag.time,
            flagged_by=names[flag.user_id],
            post_id=post.id,
            author_id=post.user_id,
            author=names[post.user_id],
            run=post.run,
            source=post.source,
            text=post.text,
            hidden=post.hidden is not None,
        )
        for flag, post in rows
    ]


def hide_post(
    database: Database, actor_id: int, post_id: int, reason: str, *, now: datetime | None = None
) -> None:
    """Hide a post from all but moderators; its flags are dealt with."""
    now = now or utc_now()
    reason = needed_text(reason, LONGEST_REASON, "the reason")
    with database.write() as session:
        require_role(session, actor_id, Role.MODERATOR, now)
        post = _post(session, post_id)
        post.hidden, post.hidden_by, post.hidden_reason = now, actor_id, reason
        _resolve(session, actor_id, post_id, now)
        record(session, actor_id, "hide post", f"post {post_id}", reason, now)


def unhide_post(
    database: Database, actor_id: int, post_id: int, *, now: datetime | None = None
) -> None:
    """Show a hidden post again."""
    now = now or utc_now()
    with database.write() as session:
        require_role(session, actor_id, Role.MODERATOR, now)
        post = _post(session, post_id)
        post.hidden, post.hidden_by, post.hidden_reason = None, None, ""
        record(session, actor_id, "unhide post", f"post {post_id}", "", now)


def dismiss_flags(
    database: Database, actor_id: int, post_id: int, *, now: datetime | None = None
) -> None:
    """Leave a flagged post as it is; its flags are dealt with."""
    now = now or utc_now()
    with database.write() as session:
        require_role(session, actor_id, Role.MODERATOR, now)
        _post(session, post_id)
        _resolve(session, actor_id, post_id, now)
        record(session, actor_id, "dismiss flags", f"post {post_id}", "", now)


def ban(
    database: Database,
    actor_id: int,
    user_id: int,
    reason: str,
    until: datetime | None = None,
    *,
    now: datetime | None = None,
) -> None:
    """Ban an account or a guest until a time, or for ever; all its sessions end.

    The votes stay. Raises Forbidden for an account whose role is not below that of the actor.
    """
    now = now or utc_now()
    reason = needed_text(reason, LONGEST_REASON, "the reason")
    with database.write() as session:
        user = _below(session, actor_id, user_id, now)
        user.banned_until, user.ban_reason = until or FOREVER, reason
        end_sessions(session, user_id)
        ends = "for ever" if until is None else f"until {until:%Y-%m-%d %H:%M}"
        record(session, actor_id, "ban", user.name, f"{ends}: {reason}", now)


def unban(database: Database, actor_id: int, user_id: int, *, now: datetime | None = None) -> None:
    """End a ban."""
    now = now or utc_now()
    with database.write() as session:
        user = _below(session, actor_id, user_id, now)
        user.banned_until, user.ban_reason = None, ""
        record(session, actor_id, "unban", user.name, "", now)


def _below(session: Session, actor_id: int, user_id: int, now: datetime) -> User:
    actor = require_role(session, actor_id, Role.MODERATOR, now)
    user = session.get(User, user_id)
    if user is None or user.deleted is not None:
        raise Missing(f"there is no account {user_id}")
    if is_at_least(user.role, actor.role):
        raise Forbidden(f"{user.name} is a {user.role.value}; only a higher role may do this")
    return user


def _post(session: Session, post_id: int) -> Post:
    post = session.get(Post, post_id)
    if post is None:
        raise Missing(f"there is no post {post_id}")
    return post


def _resolve(session: Session, actor_id: int, post_id: int, now: datetime) -> None:
    session.execute(
        update(Flag)
        .where(Flag.post_id == post_id, Flag.resolved.is_(None))
        .values(resolved=now, resolved_by=actor_id)
    )
