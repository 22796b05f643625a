"""The next source: informative ones first, fairly, never twice, reproducible, quick."""

import time

import numpy as np
import pytest

from tests.app.volunteers.people import NOON, RULES, RUN, account, days, vote
from xbayes.app.volunteers.assignments import Task
from xbayes.app.volunteers.campaigns import NewCampaign, create_campaign, end_campaign
from xbayes.app.volunteers.export import import_labels
from xbayes.app.volunteers.next_source import SPREAD, QueueOptions, SourceQueue
from xbayes.app.volunteers.problems import Forbidden
from xbayes.app.volunteers.serving import Server, Sources
from xbayes.app.volunteers.tables import Kind, Role
from xbayes.app.volunteers.voting import Ballot, record_vote
from xbayes.errors import InputError

NONE = np.zeros(0, int)


def queue(n=500, known=100, seed=0, **options):
    rng = np.random.default_rng(seed)
    truth = np.full(n, -1)
    truth[rng.choice(n, known, replace=False)] = rng.choice(3, known, p=[0.9, 0.08, 0.02])
    score = rng.random(n)
    score[:3] = np.nan
    return SourceQueue(
        score, truth, np.zeros(n, int), np.zeros(n, bool), QueueOptions(**options)
    ), score  # fmt: skip


def work(made, users, number, training=False):
    """The choices as people take turns, each vote counted."""
    seen = {user: [] for user in users}
    for turn in range(number):
        for user in users:
            done = np.array([c.index for c in seen[user]], int)
            choice = made.choose(done, done, user, turn, training)
            if choice is not None:
                seen[user].append(choice)
                made.count(choice.index)
    return seen


def test_nobody_sees_a_source_twice_and_all_unknown_ones_come_in_the_end():
    made, _ = queue(n=120, known=30, window=10, enough=100)
    for choices in work(made, [1, 2, 3], 150).values():
        rows = [c.index for c in choices]
        assert len(set(rows)) == len(rows)
        assert set(rows) >= set(np.flatnonzero(made.true_class == -1))


def test_the_most_informative_unknown_sources_come_first_and_equally_often():
    made, score = queue(n=2000, known=400, window=50, enough=10)
    unknown = np.flatnonzero(made.true_class == -1)
    best = unknown[np.argsort(-score[unknown], kind="stable")]
    seen = work(made, range(20), 20)
    real = [c.index for choices in seen.values() for c in choices if c.kind is Kind.REAL]
    votes = np.bincount(real, minlength=2000)
    assert set(np.flatnonzero(votes)) <= set(best[:80]), "the window moves as sources have enough"
    assert votes[best[:20]].min() >= votes.max() - 3 and votes.max() <= 10


def test_sources_with_fewer_votes_are_preferred_in_the_window():
    made, score = queue(n=100, known=0, window=40, known_share=0.0)
    best = np.argsort(-score, kind="stable")[:40]
    for index in best[:-5]:
        made.count(int(index))
    drawn = {made.choose(NONE, NONE, user, 0).index for user in range(100)}
    assert drawn == set(best[-5:])


def test_done_and_settled_sources_come_no_more():
    made, score = queue(n=2000, known=0, window=5, enough=2, known_share=0.0)
    best = np.argsort(-score, kind="stable")
    for index in best[:1500]:
        made.count(int(index), 2)
    made.settle(int(best[1500]))
    made.settle(int(best[0]))
    assert made.n_waiting == 499
    drawn = {made.choose(NONE, NONE, user, 0).index for user in range(200)}
    assert drawn == set(best[1501:1506])


def test_the_share_of_known_sources_and_their_classes():
    made, _ = queue(n=20_000, known=5000, window=500, enough=50)
    choices = [c for choices in work(made, range(40), 50).values() for c in choices]
    known = [c for c in choices if c.kind is Kind.TEST]
    assert 0.17 < len(known) / len(choices) < 0.23
    share = np.bincount(made.true_class[[c.index for c in known]]) / len(known)
    assert share.min() > 0.2, "rare classes are tested as often as common ones"
    assert all((made.true_class[c.index] >= 0) == (c.kind is Kind.TEST) for c in choices)


def test_training_shows_known_sources_only_until_none_is_left():
    made, _ = queue(n=60, known=12)
    (choices,) = work(made, [7], 20, training=True).values()
    assert len(choices) == 12 and {c.kind for c in choices} == {Kind.TRAINING}
    assert made.choose(np.arange(60), NONE, 7, 20) is None


def test_known_sources_of_other_campaigns_are_left_out():
    made, _ = queue(n=60, known=12, known_share=1.0)
    known = np.flatnonzero(made.true_class >= 0)
    left = {made.choose(NONE, known[:-1], user, 0).index for user in range(20)}
    assert left == {known[-1]}
    assert made.choose(NONE, known, 1, 0).kind is Kind.REAL


def test_the_same_person_and_number_give_the_same_source():
    one, two = (queue()[0] for _ in range(2))
    assert work(one, range(5), 30) == work(two, range(5), 30)
    drawn = {one.choose(NONE, NONE, user, 0).index for user in range(300)}
    assert len(drawn) > SPREAD, "people at the same time are spread"
    other = queue(**{"seed": 0})[0]
    other.options = QueueOptions(seed=1)
    again = [other.choose(NONE, NONE, user, 0) for user in range(50)]
    assert again != [queue()[0].choose(NONE, NONE, user, 0) for user in range(50)]


def test_a_million_sources_take_under_five_milliseconds_a_choice():
    rng = np.random.default_rng(0)
    n = 1_000_000
    truth = np.where(rng.random(n) < 0.02, rng.integers(0, 4, n), -1)
    made = SourceQueue(
        rng.random(n), truth, rng.poisson(0.1, n), np.zeros(n, bool), QueueOptions(enough=3)
    )
    seen = rng.choice(n, 5000, replace=False)
    seconds = []
    for number in range(1000):
        start = time.process_time()
        choice = made.choose(seen, seen, number % 200, number)
        made.count(choice.index)
        seconds.append(time.process_time() - start)
    assert np.mean(seconds) < 0.005


@pytest.fixture
def sources():
    rng = np.random.default_rng(3)
    return Sources(
        run=RUN,
        ids=[f"s{n}" for n in range(40)],
        score=rng.random(40),
        true_class=np.where(np.arange(40) < 10, rng.integers(0, 3, 40), -1),
        classes=RULES.classes,
    )


def go_through(server, database, user, number, task=None):
    """Votes on the sources that the server shows; the sources."""
    task, seen = task or Task(run=RUN), []
    for _ in range(number):
        shown = server.next_source(user, task, now=NOON)
        if shown is None:
            break
        assert server.next_source(user, task, now=NOON) == shown, "a page loaded again"
        ballot = Ballot(run=RUN, source=shown.source, answer="AGN", campaign_id=task.campaign_id)
        outcome, _ = record_vote(database, user, ballot, RULES, now=NOON)
        assert (
            outcome.true_class
            == shown.true_class
            == (server.true_class(shown.source) if shown.kind is not Kind.REAL else None)
        )
        seen.append(shown.source)
    return seen


def test_a_person_goes_through_all_sources_once(either, sources):
    database = either
    server = Server(database, sources, QueueOptions(window=5))
    user = account(database, "One")
    trained = go_through(server, database, user, 3, Task(run=RUN, training=True))
    assert {server.true_class(source) for source in trained} <= set(RULES.classes)
    seen = trained + go_through(server, database, user, 100)
    assert len(set(seen)) == len(seen)
    assert {source for source in sources.ids if server.true_class(source) is None} <= set(seen)
    # The same votes, another process.
    assert Server(database, sources).next_source(user, Task(run=RUN), now=NOON) is None


def test_votes_of_other_processes_count(database, sources, monkeypatch):
    monkeypatch.setattr("xbayes.app.volunteers.serving.REFRESH", -1.0)
    options = QueueOptions(window=30, known_share=0.0, enough=2)
    server = Server(database, sources, options)
    users = [account(database, f"User {n}") for n in range(3)]
    (first,) = go_through(server, database, users[0], 1)
    for user in users[:2]:
        for number in range(10, 39):
            if (user, f"s{number}") != (users[0], first):
                vote(database, user, f"s{number}")
    assert go_through(server, database, users[2], 1) == ["s39"]


def test_labels_that_are_settled_and_campaigns_select_sources(database, sources, tmp_path):
    file = tmp_path / "labels.csv"
    rows = [f"s{n},1.0,0.0,0.0,9,{n < 30}" for n in range(10, 40)]
    file.write_text("\n".join(["name,p_AGN,p_Star,entropy,n_votes,settled", *rows]))
    assert import_labels(database, None, RUN, file, now=NOON) == 20
    server = Server(database, sources, QueueOptions(known_share=0.0))
    user, boss = account(database, "One"), account(database, "Boss", Role.RESEARCHER)
    assert sorted(go_through(server, database, user, 99)) == [f"s{n}" for n in range(30, 40)]
    new = NewCampaign(name="ULX", question="Is it?", run=RUN, sources=["s12", "s31", "nowhere"])
    campaign = create_campaign(database, boss, new, now=NOON)
    task = Task(run=RUN, campaign_id=campaign)
    assert sorted(go_through(server, database, user, 99, task)) == ["s12", "s31"]
    end_campaign(database, boss, campaign, now=NOON + days(1))
    with pytest.raises(Forbidden, match="ended"):
        server.next_source(boss, task, now=NOON + days(2))
    server.settle(["s35", "nowhere"])


def test_arrays_of_different_lengths_are_refused(database, sources):
    with pytest.raises(InputError, match="40 ids, 39 scores"):
        Server(database, sources._replace(score=sources.score[:-1]))
