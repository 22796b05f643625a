"""Progress and ranking, against plain Python over the list of all votes."""

import time
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from tests.app.volunteers.people import NOON, account, days, first_admin, new_guest, vote
from xbayes.app.volunteers.clock import monday_of
from xbayes.app.volunteers.moderation import ban
from xbayes.app.volunteers.progress import (
    LEVELS,
    VOTES_A_DAY,
    count_vote,
    level_of,
    new_standing,
    progress,
    progress_of,
)
from xbayes.app.volunteers.ranking import Period, rank_of, ranking
from xbayes.app.volunteers.tables import Kind, Standing, User

DAY = timedelta(days=1)
VOTES = st.lists(
    st.tuples(
        st.integers(0, 40).map(lambda hours: timedelta(hours=hours)),  # since the last vote
        st.sampled_from(list(Kind)),
        st.sampled_from([True, False, None]),
    ),
    max_size=60,
)


def plain_progress(votes, today):
    """Counts of a list of (time, kind, right): no running counts."""
    by_day = Counter(at.date() for at, _, _ in votes)
    full = {day for day, number in by_day.items() if number >= VOTES_A_DAY}
    runs = {day: next(n for n in range(1, 10_000) if day - n * DAY not in full) for day in full}
    rights = [r for _, kind, r in votes if kind is not Kind.REAL and r is not None]
    tests = [r for _, kind, r in votes if kind is Kind.TEST and r is not None]
    counted = [at for at, kind, _ in votes if kind is not Kind.TRAINING]
    return {
        "n_votes": len(counted),
        "n_training": len(votes) - len(counted),
        "n_tests": sum(kind is Kind.TEST for _, kind, _ in votes),
        "success": sum(rights) / len(rights) if rights else None,
        "skill": sum(tests) / len(tests) if tests else None,
        "week_votes": sum(monday_of(at.date()) == monday_of(today) for at in counted),
        "streak": runs.get(today, runs.get(today - DAY, 0)),
        "longest_streak": max(runs.values(), default=0),
        "left_today": max(0, VOTES_A_DAY - by_day[today]),
    }


def counted(votes):
    """The running counts, and the votes with their times."""
    standing, at, listed = new_standing(1), NOON, []
    for step, kind, right in votes:
        right = None if kind is Kind.REAL else right
        at += step
        listed.append((at, kind, right))
        count_vote(standing, kind, right, at)
    return standing, listed, at


@settings(deadline=None, max_examples=200)
@given(votes=VOTES, later=st.integers(0, 10))
def test_running_counts_are_those_of_the_list(votes, later):
    standing, listed, at = counted(votes)
    today = (at + later * DAY).date()
    found = progress_of(standing, today)._asdict()
    expected = plain_progress(listed, today)
    assert {name: found[name] for name in expected} == expected


def test_a_streak_as_a_volunteer_sees_it(database):
    user, at = account(database, "One"), NOON
    for day in range(3):
        for number in range(VOTES_A_DAY):
            _, now = vote(database, user, f"s{day}-{number}", now=at + days(day))
            assert now.streak == day + (number == VOTES_A_DAY - 1)
            assert now.left_today == VOTES_A_DAY - 1 - number
    assert progress(database, user, now=at + days(3)).streak == 3
    assert progress(database, user, now=at + days(4)).streak == 0
    assert progress(database, user, now=at + days(4)).longest_streak == 3


def test_a_clock_that_is_set_back_changes_no_day():
    standing = new_standing(1)
    for hour in (0, -30, -60, 0, 0):
        count_vote(standing, Kind.REAL, None, NOON + timedelta(hours=hour))
    assert progress_of(standing, NOON.date()).streak == 1


def test_levels_rise_with_votes_and_with_skill():
    standing = new_standing(1)
    assert level_of(standing) == 1
    for level, needs in enumerate(LEVELS, start=1):
        standing.n_votes, standing.tests_answered = needs.votes, needs.tests
        standing.tests_right = round(needs.success * needs.tests)
        assert level_of(standing) == level
        if needs.tests:
            standing.tests_right -= 1
            assert level_of(standing) < level
    assert progress_of(standing, NOON.date()).next_level is not None
    assert [n.votes for n in LEVELS] == sorted(n.votes for n in LEVELS)


@pytest.mark.parametrize("period", Period)
def test_the_ranking_is_that_of_sorted_counts(either, period):
    database = either
    numbers = [3, 12, 7, 12, 1, 12, 7, 20]
    users = [account(database, f"User {n}") for n in range(len(numbers))]
    for user, number in zip(users, numbers, strict=True):
        for n in range(number):
            vote(database, user, f"s{n}", now=NOON if n else NOON - days(7))
    least = 2
    counts = {u: n - (period is Period.WEEK) for u, n in zip(users, numbers, strict=True)}
    expected = [
        (1 + sum(other > n for other in counts.values()), user, n)
        for user, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if n >= least
    ]
    found = ranking(database, period, least=least, now=NOON)
    assert [(row.rank, row.user_id, row.n_votes) for row in found] == expected
    assert [row.rank for row in found][:4] == [1, 2, 2, 2] and found[4].rank == 5
    assert ranking(database, period, least=least, limit=3, now=NOON) == found[:3]
    assert rank_of(database, users[2], period, least=least, now=NOON).rank == 5
    assert rank_of(database, users[4], period, least=least, now=NOON) is None
    assert ranking(database, Period.WEEK, least=1, now=NOON + days(5)) == []


def test_guests_banned_accounts_and_training_are_not_ranked(database):
    admin, guest = first_admin(database), new_guest(database).account.id
    users = [account(database, name) for name in ("One", "Two", "Three")]
    for user in (guest, *users):
        for n in range(3):
            vote(database, user, f"s{n}", true_class="AGN", training=user == users[1])
    ban(database, admin, users[2], "nonsense", now=NOON)
    assert [row.name for row in ranking(database, least=1, now=NOON)] == ["One"]


def test_the_ranking_of_many_is_quick(database):
    """Under 50 ms with 5,000 accounts: it reads no votes."""
    base = {"guest": False, "role": "volunteer", "language": "en", "created": NOON,
            "consent_version": "2026-11", "consented": NOON, "keep_votes": True}  # fmt: skip
    users = [{**base, "name": f"u{n}", "name_key": f"u{n}", "id": n} for n in range(1, 5001)]
    zeros = {c.key: 0 for c in Standing.__table__.columns if not c.nullable}
    with database.write() as session:
        session.execute(insert(User), users)
        rows = [{**zeros, "user_id": n, "n_votes": n % 977} for n in range(1, 5001)]
        session.execute(insert(Standing), rows)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        assert len(ranking(database, limit=100, now=NOON)) == 100
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.05
