"""How far a person has come: counts, success rates, daily streak and level."""

from datetime import date, datetime, timedelta
from typing import NamedTuple

from xbayes.app.volunteers.clock import monday_of, utc_now
from xbayes.app.volunteers.database import Database
from xbayes.app.volunteers.roles import active_user
from xbayes.app.volunteers.tables import Kind, Standing

VOTES_A_DAY = 5  # a day of a streak
DAY = timedelta(days=1)


class Level(NamedTuple):
    """What a level needs. Votes in training do not count."""

    votes: int
    success: float  # on hidden known sources
    tests: int  # answered hidden known sources


# Level 1 needs nothing. Skill counts from level 3 on, once some hidden known sources are answered.
LEVELS = (
    Level(votes=0, success=0.0, tests=0),
    Level(votes=20, success=0.0, tests=0),
    Level(votes=100, success=0.6, tests=10),
    Level(votes=500, success=0.7, tests=50),
    Level(votes=2000, success=0.75, tests=100),
    Level(votes=10000, success=0.8, tests=200),
)


class Progress(NamedTuple):
    """How far a person has come."""

    n_votes: int  # on unknown sources and hidden known ones
    n_training: int
    n_tests: int  # hidden known sources among n_votes
    success: float | None  # share of right answers on known sources, in training too
    skill: float | None  # the same on hidden known sources only
    week_votes: int  # since Monday
    streak: int  # days in a row with VOTES_A_DAY votes, up to today or yesterday
    longest_streak: int
    left_today: int  # votes until today counts
    level: int
    next_level: Level | None


def count_vote(standing: Standing, kind: Kind, right: bool | None, now: datetime) -> None:
    """Add a vote to the running counts."""
    # A clock that was set back does not open a day again.
    day = max(now.date(), standing.day or now.date())
    answered, correct = int(right is not None), int(right is True)
    if kind is Kind.TRAINING:
        standing.n_training += 1
        standing.training_answered += answered
        standing.training_right += correct
    else:
        standing.n_votes += 1
        standing.week_votes = 1 + _week_votes(standing, day)
        standing.week = monday_of(day)
    if kind is Kind.TEST:
        standing.n_tests += 1
        standing.tests_answered += answered
        standing.tests_right += correct
    standing.day_votes = 1 + (standing.day_votes if standing.day == day else 0)
    standing.day = day
    if standing.day_votes == VOTES_A_DAY:
        standing.streak = 1 + (standing.streak if standing.streak_day == day - DAY else 0)
        standing.streak_day = day
        standing.longest_streak = max(standing.longest_streak, standing.streak)


def progress_of(standing: Standing, today: date) -> Progress:
    """The progress as of a day."""
    alive = standing.streak_day is not None and standing.streak_day >= today - DAY
    voted = standing.day_votes if standing.day == today else 0
    level = level_of(standing)
    answered = standing.training_answered + standing.tests_answered
    return Progress(
        n_votes=standing.n_votes,
        n_training=standing.n_training,
        n_tests=standing.n_tests,
        success=_share(standing.training_right + standing.tests_right, answered),
        skill=_share(standing.tests_right, standing.tests_answered),
        week_votes=_week_votes(standing, today),
        streak=standing.streak if alive else 0,
        longest_streak=standing.longest_streak,
        left_today=max(0, VOTES_A_DAY - voted),
        level=level,
        next_level=LEVELS[level] if level < len(LEVELS) else None,
    )


def level_of(standing: Standing) -> int:
    """The highest level, from 1, whose needs and those of the levels before are met."""
    skill = _share(standing.tests_right, standing.tests_answered) or 0.0
    met = 0
    for level in LEVELS:
        enough = standing.n_votes >= level.votes and standing.tests_answered >= level.tests
        if not (enough and skill >= level.success):
            break
        met += 1
    return met


def progress(database: Database, user_id: int, *, now: datetime | None = None) -> Progress:
    """The progress of a person."""
    now = now or utc_now()
    with database.read() as session:
        active_user(session, user_id, now)
        standing = session.get_one(Standing, user_id)
    return progress_of(standing, now.date())


def new_standing(user_id: int) -> Standing:
    """The counts of a person without votes."""
    zeros = {c.key: 0 for c in Standing.__table__.columns if not c.nullable and c.key != "user_id"}
    return Standing(user_id=user_id, **zeros)


def _week_votes(standing: Standing, day: date) -> int:
    return standing.week_votes if standing.week == monday_of(day) else 0


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
