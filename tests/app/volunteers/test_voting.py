"""Votes: one for each person and source, final, and only on a source that was shown."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from tests.app.volunteers.people import (
    NOON,
    RULES,
    RUN,
    account,
    days,
    first_admin,
    new_guest,
    shown,
    vote,
)
from xbayes.app.volunteers.assignments import Task, choose_source, show_source, shown_source
from xbayes.app.volunteers.campaigns import NewCampaign, create_campaign, end_campaign
from xbayes.app.volunteers.moderation import ban
from xbayes.app.volunteers.problems import AlreadyVoted, Forbidden, TooOften
from xbayes.app.volunteers.progress import progress
from xbayes.app.volunteers.tables import Kind, Role, Standing, Vote
from xbayes.app.volunteers.voting import (
    Ballot,
    has_voted,
    is_right,
    outcome_of,
    record_vote,
    votes_by_answer,
)
from xbayes.errors import InputError


def ballot(source, answer="AGN", **more):
    return Ballot(run=RUN, source=source, answer=answer, **more)


def test_a_vote_shows_what_others_answered_only_afterwards(either):
    database = either
    one, two, three = (account(database, name) for name in ("One", "Two", "Three"))
    vote(database, one, "s1", "AGN"), vote(database, two, "s1", "Star")
    assert outcome_of(database, three, RUN, "s1") is None
    outcome, progress_then = vote(database, three, "s1", "AGN")
    assert outcome.others == {"AGN": 1, "Star": 1}
    assert outcome.right is None and outcome.true_class is None and outcome.kind is Kind.REAL
    assert outcome_of(database, three, RUN, "s1") == outcome
    assert progress_then.n_votes == 1 and progress_then.success is None
    assert votes_by_answer(database, RUN, "s1") == {"AGN": 2, "Star": 1}
    assert has_voted(database, three, RUN, "s1") and not has_voted(database, three, RUN, "s2")


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [("AGN", "AGN", True), ("Star", "AGN", False), ("unknown", "AGN", None),
     ("other", "CV", True), ("AGN", "CV", False), ("other", "AGN", False)],
)  # fmt: skip
def test_an_answer_is_right_if_the_class_is_or_is_not_offered(database, answer, truth, right):
    assert is_right(answer, truth, RULES.classes) is right
    outcome, _ = vote(database, account(database, "One"), "k1", answer, true_class=truth)
    assert outcome.right is right and outcome.true_class == truth and outcome.kind is Kind.TEST


def test_a_vote_is_final(either):
    database = either
    user = account(database, "One")
    vote(database, user, "s1", "AGN")
    for answer in ("AGN", "Star"):
        with pytest.raises(AlreadyVoted, match="cannot be changed"):
            record_vote(database, user, ballot("s1", answer), RULES, now=NOON)
    with pytest.raises(AlreadyVoted):
        show_source(database, user, Task(run=RUN), shown("s1"), now=NOON)
    assert outcome_of(database, user, RUN, "s1").answer == "AGN"
    assert progress(database, user, now=NOON).n_votes == 1


def test_no_vote_on_a_source_that_was_not_shown_to_this_person(database):
    one, two = account(database, "One"), account(database, "Two")
    show_source(database, one, Task(run=RUN), shown("s1"), now=NOON)
    for user, source in ((two, "s1"), (one, "s2")):
        with pytest.raises(Forbidden, match="not shown"):
            record_vote(database, user, ballot(source), RULES, now=NOON)
    assert votes_by_answer(database, RUN, "s1") == {}


def test_the_server_knows_what_is_a_test_and_keeps_the_source_until_the_vote(database):
    user, task = account(database, "One"), Task(run=RUN)
    kept = show_source(database, user, task, shown("k1", "XRB"), now=NOON)
    assert show_source(database, user, task, shown("s9"), now=NOON) == kept
    assert shown_source(database, user, task) == kept
    training = show_source(
        database, user, Task(run=RUN, training=True), shown("k2", "AGN", True), now=NOON
    )
    assert training.kind is Kind.TRAINING
    outcome, _ = record_vote(database, user, ballot("k1", "XRB"), RULES, now=NOON)
    assert outcome.kind is Kind.TEST and outcome.right
    assert shown_source(database, user, task) is None
    with pytest.raises(InputError, match="the class"):
        show_source(database, user, task, shown("s1")._replace(kind=Kind.TEST), now=NOON)


def test_a_researcher_chooses_sources_which_measure_no_skill(database):
    volunteer = account(database, "One")
    researcher = account(database, "Two", Role.RESEARCHER)
    with pytest.raises(Forbidden, match="researcher"):
        choose_source(database, volunteer, Task(run=RUN), shown("k1", "XRB"), now=NOON)
    for source, truth in (("k1", "XRB"), ("s1", None)):
        choose_source(database, researcher, Task(run=RUN), shown(source, truth), now=NOON)
        outcome, after = record_vote(database, researcher, ballot(source, "XRB"), RULES, now=NOON)
        assert outcome.kind is (Kind.REAL if truth is None else Kind.TRAINING)
    assert after.skill is None and after.success == 1.0 and after.n_votes == 1


def test_wrong_answers_long_comments_and_haste_are_refused(database):
    user = account(database, "One")
    rules = RULES._replace(most_a_minute=2)
    for wrong in (ballot("s1", "QSO"), ballot("s1", comment="x" * 2001)):
        with pytest.raises(InputError, match=r"answers are|may have 2000"):
            record_vote(database, user, wrong, RULES, now=NOON)
    for number in range(3):
        show_source(database, user, Task(run=RUN), shown(f"s{number}"), now=NOON)
        if number < 2:
            record_vote(database, user, ballot(f"s{number}"), rules, now=NOON)
    with pytest.raises(TooOften, match="2 votes a minute"):
        record_vote(database, user, ballot("s2"), rules, now=NOON)
    assert record_vote(database, user, ballot("s2"), rules, now=NOON + timedelta(minutes=2))


def test_comments_are_plain_text(database):
    user = account(database, "One")
    comment = " <b>a</b>\r\n\u202eb\x00\x07 "
    vote(database, user, "s1", comment=comment)
    with database.read() as session:
        assert session.scalars(select(Vote.comment)).one() == "<b>a</b>\nb"


def test_banned_people_and_unknown_ones_do_not_vote(database):
    admin, user, guest = first_admin(database), account(database, "One"), new_guest(database)
    for banned in (user, guest.account.id):
        show_source(database, banned, Task(run=RUN), shown("s1"), now=NOON)
        ban(database, admin, banned, "nonsense", NOON + days(1), now=NOON)
        with pytest.raises(Forbidden, match="banned until 2026-11-26: nonsense"):
            record_vote(database, banned, ballot("s1"), RULES, now=NOON)
    assert record_vote(database, user, ballot("s1"), RULES, now=NOON + days(1))
    with pytest.raises(Forbidden, match="does not exist"):
        record_vote(database, 12345, ballot("s1"), RULES, now=NOON)


def test_a_campaign_takes_votes_while_it_runs_and_apart_from_others(either):
    database = either
    boss, user = account(database, "Boss", Role.RESEARCHER), account(database, "One")
    new = NewCampaign(name="ULX", question="Is it one?", run=RUN, sources=["s1", "s2"],
                      starts=NOON, ends=NOON + days(2))  # fmt: skip
    campaign = create_campaign(database, boss, new, now=NOON)
    vote(database, user, "s1", "AGN")
    outcome, _ = vote(database, user, "s1", "XRB", campaign_id=campaign)
    assert outcome.answer == "XRB"
    with pytest.raises(AlreadyVoted):
        record_vote(database, user, ballot("s1", campaign_id=campaign), RULES, now=NOON)
    for when, says in ((NOON - days(1), "starts on"), (NOON + days(2), "has ended")):
        with pytest.raises(Forbidden, match=says):
            vote(database, user, "s2", campaign_id=campaign, now=when)
    end_campaign(database, boss, campaign, now=NOON + days(1))
    with pytest.raises(Forbidden, match="ended"):
        vote(database, user, "s2", campaign_id=campaign, now=NOON + days(1))


def at_once(number, action):
    """Run an action in threads that start together; their results and errors."""
    found, barrier = [], threading.Barrier(number)

    def call(which):
        barrier.wait()
        try:
            found.append(action(which))
        except InputError as error:
            found.append(error)

    threads = [threading.Thread(target=call, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_of_votes_at_once_on_one_source_one_counts(either):
    database = either
    user = account(database, "One")
    for round_ in range(5):
        source = f"s{round_}"
        show_source(database, user, Task(run=RUN), shown(source), now=NOON)
        found = at_once(8, lambda n, s=source: record_vote(
            database, user, ballot(s, ("AGN", "Star")[n % 2]), RULES, now=NOON))  # fmt: skip
        assert sum(isinstance(f, tuple) for f in found) == 1
        assert sum(isinstance(f, AlreadyVoted) for f in found) == 7
    assert progress(database, user, now=NOON).n_votes == 5
    with database.read() as session:
        assert session.scalar(select(func.count(Vote.id))) == 5


def test_people_who_vote_at_once_are_all_counted(either):
    database = either
    users = [account(database, f"User {n}") for n in range(8)]

    def votes_of(which):
        for number in range(10):
            truth = "AGN" if number % 2 else None
            vote(database, users[which], f"s{number}", "AGN", true_class=truth)

    assert at_once(8, votes_of) == [None] * 8
    with database.read() as session:
        standings = session.scalars(select(Standing)).all()
        assert {(s.n_votes, s.n_tests, s.tests_right) for s in standings} == {(10, 5, 5)}
        assert session.scalar(select(func.count(Vote.id))) == 80
    assert votes_by_answer(database, RUN, "s3") == {"AGN": 8}


VOTER = """
import sys
from tests.app.volunteers.people import account, vote
from xbayes.app.volunteers.database import open_database
database = open_database(sys.argv[1])
user = account(database, sys.argv[2])
for number in range(1_000_000):
    vote(database, user, f"s{number}")
    print(user, number, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_acknowledged_vote_is_lost_when_the_process_is_killed(kind, new_url, opened):
    """Two processes vote and say so; each is killed with SIGKILL at some moment."""
    url = new_url(kind)
    acknowledged = set()
    for attempt in range(3):
        voters = [
            subprocess.Popen(
                [sys.executable, "-c", VOTER, url, f"Voter {attempt}-{n}"],
                stdout=subprocess.PIPE, text=True, cwd=os.getcwd(),
            )
            for n in range(2)
        ]  # fmt: skip
        for voter in voters:
            acknowledged.add(tuple(map(int, voter.stdout.readline().split())))
        time.sleep(0.7 + 0.1 * attempt)
        for voter in voters:
            voter.send_signal(signal.SIGKILL)
        for voter in voters:
            lines = voter.stdout.read().split("\n")[:-1]  # the last may be cut off
            acknowledged |= {tuple(map(int, line.split())) for line in lines}
            voter.wait()
            voter.stdout.close()
    database = opened(url)
    with database.read() as session:
        kept = {
            (user, int(source[1:]))
            for user, source in session.execute(select(Vote.user_id, Vote.source))
        }
        counted = {s.user_id: s.n_votes for s in session.scalars(select(Standing))}
    assert len(acknowledged) > 20
    assert acknowledged <= kept
    assert sum(counted.values()) == len(kept), "counts and votes are written together"
