"""The source that a person is looking at. The server keeps it, and accepts votes on it only."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from xbayes.app.volunteers.clock import utc_now
from xbayes.app.volunteers.database import Database
from xbayes.app.volunteers.problems import AlreadyVoted
from xbayes.app.volunteers.roles import active_user, require_role
from xbayes.app.volunteers.tables import OPEN_CAMPAIGN, Assignment, Kind, Role, Slot, Vote
from xbayes.errors import InputError


class Task(NamedTuple):
    """Where a person votes: a run, a campaign, and whether in training."""

    run: str
    campaign_id: int = OPEN_CAMPAIGN
    training: bool = False

    @property
    def slot(self) -> Slot:
        """The place of the source that is shown."""
        return Slot.TRAINING if self.training else Slot.REAL


class Shown(NamedTuple):
    """A source that is shown to a person. Its kind and class never go to the browser."""

    source: str
    kind: Kind
    true_class: str | None = None  # of a known source


def shown_source(database: Database, user_id: int, task: Task) -> Shown | None:
    """The source that the person is looking at; None after a vote and at first."""
    with database.read() as session:
        row = session.get(Assignment, (user_id, task.run, task.campaign_id, task.slot))
    if row is None:
        return None
    return Shown(source=row.source, kind=row.kind, true_class=row.true_class)


def show_source(
    database: Database, user_id: int, task: Task, shown: Shown, *, now: datetime | None = None
) -> Shown:
    """Keep the source that is shown; the one that is kept.

    If another request of the same person has kept one before, that stays.
    """
    now = now or utc_now()
    _check_kind(shown)
    with database.write(durable=False) as session:
        active_user(session, user_id, now)
        key = (user_id, task.run, task.campaign_id, task.slot)
        row = session.get(Assignment, key)
        if row is None:
            refuse_second(session, user_id, task.run, shown.source, task.campaign_id)
            row = _row(user_id, task, task.slot, shown, now)
            session.add(row)
        return Shown(source=row.source, kind=row.kind, true_class=row.true_class)


def choose_source(
    database: Database, user_id: int, task: Task, shown: Shown, *, now: datetime | None = None
) -> None:
    """Let a researcher vote on a source of their choice.

    A known one counts as training, for a source that one may choose measures no skill.

    Raises
    ------
    Forbidden
        If the account is not that of a researcher.
    AlreadyVoted
        If the person has voted on the source.
    """
    now = now or utc_now()
    kind = Kind.REAL if shown.true_class is None else Kind.TRAINING
    with database.write() as session:
        require_role(session, user_id, Role.RESEARCHER, now)
        refuse_second(session, user_id, task.run, shown.source, task.campaign_id)
        session.merge(_row(user_id, task, Slot.CHOSEN, shown._replace(kind=kind), now))


def refuse_second(session: Session, user_id: int, run: str, source: str, campaign_id: int) -> None:
    """Raise AlreadyVoted if the person has voted on the source in the campaign."""
    found = select(Vote.id).where(
        Vote.user_id == user_id,
        Vote.run == run,
        Vote.source == source,
        Vote.campaign_id == campaign_id,
    )
    if session.scalar(found) is not None:
        raise AlreadyVoted(f"you have voted on {source}; a vote cannot be changed")


def _row(user_id: int, task: Task, slot: Slot, shown: Shown, now: datetime) -> Assignment:
    return Assignment(
        user_id=user_id,
        run=task.run,
        campaign_id=task.campaign_id,
        slot=slot,
        source=shown.source,
        kind=shown.kind,
        true_class=shown.true_class,
        time=now,
    )


def _check_kind(shown: Shown) -> None:
    if (shown.kind is Kind.REAL) != (shown.true_class is None):
        raise InputError(
            f"a source of the kind {shown.kind.value} has the class {shown.true_class!r}"
        )
