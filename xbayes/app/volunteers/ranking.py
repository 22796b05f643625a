"""The ranking of volunteers, all time and this week, from running counts."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import func, select

from xbayes.app.volunteers.clock import monday_of, utc_now
from xbayes.app.volunteers.database import Database
from xbayes.app.volunteers.progress import progress_of
from xbayes.app.volunteers.tables import Standing, User

LEAST_VOTES = 10  # of an account in the ranking


class Period(StrEnum):
    """What votes a ranking counts."""

    ALL = "all"
    WEEK = "week"  # since Monday, 0:00 UTC


class Rank(NamedTuple):
    """A place in the ranking. Equal counts share a rank, and the next ranks are left out."""

    rank: int
    user_id: int
    name: str
    level: int
    n_votes: int  # in the period
    success: float | None
    skill: float | None


def ranking(
    database: Database,
    period: Period = Period.ALL,
    *,
    least: int = LEAST_VOTES,
    limit: int = 100,
    now: datetime | None = None,
) -> list[Rank]:
    """The accounts with the most votes, of those with at least `least` of them.

    Guests, deleted and banned accounts are left out. Votes in training do not count. Accounts of
    equal rank stand in the order in which they were made.
    """
    now = now or utc_now()
    counted = Standing.n_votes if period is Period.ALL else Standing.week_votes
    query = (
        select(func.rank().over(order_by=counted.desc()), User.name, Standing)
        .join(User, User.id == Standing.user_id)
        .where(counted >= max(least, 1), ~User.guest, User.deleted.is_(None))
        .where((User.banned_until.is_(None)) | (User.banned_until <= now))
        .order_by(counted.desc(), User.id)
        .limit(limit)
    )
    if period is Period.WEEK:
        query = query.where(Standing.week == monday_of(now.date()))
    with database.read() as session:
        rows = session.execute(query).all()
    found = []
    for rank, name, standing in rows:
        progress = progress_of(standing, now.date())
        found.append(
            Rank(
                rank=rank,
                user_id=standing.user_id,
                name=name,
                level=progress.level,
                n_votes=progress.n_votes if period is Period.ALL else progress.week_votes,
                success=progress.success,
                skill=progress.skill,
            )
        )
    return found


def rank_of(
    database: Database,
    user_id: int,
    period: Period = Period.ALL,
    *,
    least: int = LEAST_VOTES,
    now: datetime | None = None,
) -> Rank | None:
    """The place of one account; None if it is not in the ranking."""
    everyone = ranking(database, period, least=least, limit=1_000_000, now=now)
    return next((rank for rank in everyone if rank.user_id == user_id), None)
