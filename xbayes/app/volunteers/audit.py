"""The log of what researchers, moderators and admins do."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from xbayes.app.volunteers.database import Database
from xbayes.app.volunteers.roles import require_role
from xbayes.app.volunteers.tables import ID_LENGTH, Audit, Role, User

ON_ACCOUNTS = (
    "ban",
    "unban",
    "set role",
    "issue reset link",
    "make admin",
)  # their target is a name


class Action(NamedTuple):
    """An action as the log has it."""

    id: int
    time: datetime
    actor: str  # name; empty for the command line
    action: str
    target: str
    detail: str


def record(
    session: Session, actor_id: int | None, action: str, target: str, detail: str, now: datetime
) -> None:
    """Add an action to the log, in the transaction of the action itself.

    `actor_id` is None for the command line.
    """
    session.add(
        Audit(time=now, actor_id=actor_id, action=action, target=target[:ID_LENGTH], detail=detail)
    )


def forget_name(session: Session, name: str, new: str) -> None:
    """Replace the name of a deleted account in the log."""
    named = (Audit.target == name, Audit.action.in_(ON_ACCOUNTS))
    session.execute(update(Audit).where(*named).values(target=new))


def audit_log(
    database: Database, actor_id: int, *, limit: int = 100, offset: int = 0
) -> list[Action]:
    """The actions, the newest first. Only admins may read it."""
    with database.read() as session:
        require_role(session, actor_id, Role.ADMIN)
        query = (
            select(Audit, User.name)
            .outerjoin(User, Audit.actor_id == User.id)
            .order_by(Audit.id.desc())
            .limit(limit)
            .offset(offset)
        )
        return [
            Action(
                id=entry.id,
                time=entry.time,
                actor=name or "",
                action=entry.action,
                target=entry.target,
                detail=entry.detail,
            )
            for entry, name in session.execute(query)
        ]
