"""Votes: one person, one source, one answer, which is never changed.

A vote is final, because the answers of others, and the class of a known source, are shown after it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from xbayes.app.volunteers.assignments import refuse_second
from xbayes.app.volunteers.clock import utc_now
from xbayes.app.volunteers.database import Database
from xbayes.app.volunteers.plain_text import plain_text
from xbayes.app.volunteers.problems import Forbidden, TooOften
from xbayes.app.volunteers.progress import Progress, count_vote, progress_of
from xbayes.app.volunteers.roles import active_user
from xbayes.app.volunteers.tables import (
    OPEN_CAMPAIGN,
    Assignment,
    Campaign,
    Kind,
    Standing,
    Vote,
)
from xbayes.errors import InputError

OTHER, UNKNOWN = "other", "unknown"
LONGEST_COMMENT = 2000  # characters
MINUTE = timedelta(minutes=1)


class VotingRules(NamedTuple):
    """What answers are offered, and how fast a person may vote."""

    classes: tuple[str, ...]  # the answers besides `other` and `unknown`
    most_a_minute: int = 60


class Ballot(NamedTuple):
    """A vote as a person casts it."""

    run: str
    source: str
    answer: str
    campaign_id: int = OPEN_CAMPAIGN
    nothing_to_see: bool = False  # in the image
    comment: str = ""


class Outcome(NamedTuple):
    """What is shown after a vote."""

    answer: str
    kind: Kind
    true_class: str | None  # of a known source
    right: bool | None  # None for an unknown source, and for "don't know"
    others: Mapping[str, int]  # answers of other people on this source of the run


def is_right(answer: str, true_class: str, classes: tuple[str, ...]) -> bool | None:
    """Whether an answer is right; None for "don't know".

    `other` is right if the true class is not offered.
    """
    if answer == UNKNOWN:
        return None
    return answer == (true_class if true_class in classes else OTHER)


def record_vote(
    database: Database,
    user_id: int,
    ballot: Ballot,
    rules: VotingRules,
    *,
    now: datetime | None = None,
) -> tuple[Outcome, Progress]:
    """Record a vote on the source that the person is looking at.

    When this returns, the vote is on disk.

    Raises
    ------
    AlreadyVoted
        If the person has voted on the source; nothing changes.
    Forbidden
        If the source was not shown to this person, or the campaign does not run.
    TooOften
        If the person votes too fast.
    """
    now = now or utc_now()
    if ballot.answer not in (*rules.classes, OTHER, UNKNOWN):
        offered = ", ".join((*rules.classes, OTHER, UNKNOWN))
        raise InputError(f"the answers are {offered}; found {ballot.answer!r}")
    comment = plain_text(ballot.comment, LONGEST_COMMENT, "a comment")
    try:
        with database.write() as session:
            active_user(session, user_id, now)
            # Locked, so that two requests of the same person are counted one after the other.
            standing = session.get_one(Standing, user_id, with_for_update=True)
            shown = _shown(session, user_id, ballot)
            check_runs(session, ballot.campaign_id, now)
            _check_rate(session, user_id, rules.most_a_minute, now)
            vote = Vote(
                user_id=user_id,
                run=ballot.run,
                source=ballot.source,
                campaign_id=ballot.campaign_id,
                answer=ballot.answer,
                nothing_to_see=ballot.nothing_to_see,
                comment=comment,
                kind=shown[0].kind,
                true_class=shown[0].true_class,
                right=_right(ballot.answer, shown[0].true_class, rules.classes),
                time=now,
            )
            session.add(vote)
            for row in shown:
                session.delete(row)
            count_vote(standing, vote.kind, vote.right, now)
            session.flush()
            outcome = _outcome(session, vote)
    except IntegrityError:
        with database.read() as session:
            refuse_second(session, user_id, ballot.run, ballot.source, ballot.campaign_id)
        raise
    return outcome, progress_of(standing, now.date())


def outcome_of(
    database: Database, user_id: int, run: str, source: str, campaign_id: int = OPEN_CAMPAIGN
) -> Outcome | None:
    """What was shown after the person's own vote on a source; None before that vote."""
    with database.read() as session:
        vote = _vote_of(session, user_id, run, source, campaign_id)
        return None if vote is None else _outcome(session, vote)


def has_voted(database: Database, user_id: int, run: str, source: str) -> bool:
    """Whether the person has voted on a source, in any campaign."""
    found = select(Vote.id).where(Vote.user_id == user_id, Vote.run == run, Vote.source == source)
    with database.read() as session:
        return session.scalars(found).first() is not None


def answers_on(session: Session, run: str, source: str, but: int | None = None) -> dict[str, int]:
    """The number of votes by answer on a source, without those of one person."""
    query = (
        select(Vote.answer, func.count())
        .where(Vote.run == run, Vote.source == source)
        .group_by(Vote.answer)
        .order_by(func.count().desc(), Vote.answer)
    )
    if but is not None:
        query = query.where(Vote.user_id != but)
    return {answer: number for answer, number in session.execute(query)}


def votes_by_answer(database: Database, run: str, source: str) -> dict[str, int]:
    """The number of votes by answer on a source. For researchers, or after a vote."""
    with database.read() as session:
        return answers_on(session, run, source)


def check_runs(session: Session, campaign_id: int, now: datetime) -> Campaign:
    """The campaign, which must have started and not ended; else Forbidden."""
    campaign = session.get(Campaign, campaign_id)
    if campaign is None:
        raise Forbidden(f"there is no campaign {campaign_id}")
    if campaign.starts > now:
        raise Forbidden(f"the campaign {campaign.name!r} starts on {campaign.starts:%Y-%m-%d}")
    if campaign.ends is not None and campaign.ends <= now:
        raise Forbidden(f"the campaign {campaign.name!r} has ended")
    return campaign


def _shown(session: Session, user_id: int, ballot: Ballot) -> list[Assignment]:
    """The rows that show the source to the person; AlreadyVoted or Forbidden if none does."""
    query = select(Assignment).where(
        Assignment.user_id == user_id,
        Assignment.run == ballot.run,
        Assignment.source == ballot.source,
        Assignment.campaign_id == ballot.campaign_id,
    )
    rows = list(session.scalars(query.order_by(Assignment.time)).all())
    if not rows:
        refuse_second(session, user_id, ballot.run, ballot.source, ballot.campaign_id)
        raise Forbidden(f"{ballot.source} was not shown to you; vote on the source of the page")
    return rows


def _check_rate(session: Session, user_id: int, most: int, now: datetime) -> None:
    recent = select(func.count()).where(Vote.user_id == user_id, Vote.time > now - MINUTE)
    if (session.scalar(recent) or 0) >= most:
        raise TooOften(f"over {most} votes a minute; take your time", 60)


def _right(answer: str, true_class: str | None, classes: tuple[str, ...]) -> bool | None:
    return None if true_class is None else is_right(answer, true_class, classes)


def _vote_of(
    session: Session, user_id: int, run: str, source: str, campaign_id: int
) -> Vote | None:
    return session.scalars(
        select(Vote).where(
            Vote.user_id == user_id,
            Vote.run == run,
            Vote.source == source,
            Vote.campaign_id == campaign_id,
        )
    ).first()


def _outcome(session: Session, vote: Vote) -> Outcome:
    return Outcome(
        answer=vote.answer,
        kind=vote.kind,
        true_class=vote.true_class,
        right=vote.right,
        others=answers_on(session, vote.run, vote.source, but=vote.user_id),
    )
