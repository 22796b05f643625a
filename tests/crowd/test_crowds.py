"""Simulated crowds: the model against majority vote, copies, settling, the next source."""

import numpy as np
import pytest

from xbayes.crowd.aggregate import SettleRule, aggregate_arrays, is_settled
from xbayes.crowd.copies import find_groups, merge_copies
from xbayes.crowd.gibbs import SweepPlan
from xbayes.crowd.simulate import Crowd, simulate_votes
from xbayes.crowd.votes import Votes, last_votes, majority_vote, vote_counts

N_SOURCES = 600


def simulated(crowd, seed=0):
    """Truth and votes; one size, so that the crowds share a compilation where nothing is merged."""
    truth = np.random.default_rng(seed).choice(3, N_SOURCES, p=[0.6, 0.25, 0.15])
    return truth, simulate_votes(truth, 3, crowd, votes_per_source=7.0, seed=seed)


def losses(posterior, truth):
    return -np.log(np.maximum(posterior[np.arange(len(truth)), truth], 1e-9))


@pytest.mark.parametrize(
    "crowd",
    [
        Crowd(experts=5, novices=35, clickers=0, coordinated=0),
        Crowd(experts=3, novices=20, clickers=17, coordinated=0),
        Crowd(experts=5, novices=20, clickers=5, coordinated=10),
    ],
    ids=["novices", "clickers", "coordinated"],
)
def test_the_model_beats_majority_vote_on_the_same_sources(crowd):
    truth, made = simulated(crowd)
    labelled, majority = aggregate_arrays(made.votes, intervals=False), majority_vote(made.votes)
    right = labelled.posterior.argmax(1) == truth
    assert right.mean() >= (majority.argmax(1) == truth).mean() + 0.005
    gain = losses(majority, truth) - losses(labelled.posterior, truth)
    assert gain.mean() > 3 * gain.std() / np.sqrt(len(gain))


def test_clickers_and_copies_are_told_from_novices():
    _, made = simulated(Crowd(experts=5, novices=20, clickers=5, coordinated=10))
    labelled = aggregate_arrays(made.votes, intervals=False)
    np.testing.assert_array_equal(labelled.group > 0, made.kind == 3)
    assert labelled.guesses[made.kind == 2].min() > 0.5
    assert np.mean(labelled.guesses[made.kind < 2] > 0.5) < 0.1
    corrected = labelled.skill.corrected
    assert corrected[made.kind == 0].min() > corrected[made.kind == 1].mean()
    assert np.abs(corrected[made.kind == 2]).max() < 0.2


def test_excellent_volunteers_are_no_copies():
    truth = np.random.default_rng(2).choice(3, 400)
    made = simulate_votes(truth, 3, Crowd(30, 10, 0, 0), votes_per_source=8.0, seed=5)
    assert find_groups(made.votes) == []
    merged = merge_copies(made.votes)
    assert merged.votes is made.votes and not merged.group.any()


def test_a_group_votes_once_for_each_source():
    _, made = simulated(Crowd(experts=5, novices=20, clickers=5, coordinated=10))
    merged = merge_copies(made.votes)
    of_group = np.unique(merged.voice[made.kind == 3])
    assert len(of_group) == 1
    rows = merged.votes.user == of_group[0]
    assert len(np.unique(merged.votes.source[rows])) == rows.sum()
    assert merged.votes.n_users == made.votes.n_users - 9


def test_intervals_hold_the_skill_and_narrow_with_votes():
    truth, made = simulated(Crowd(experts=5, novices=35, clickers=0, coordinated=0))
    plan = SweepPlan(warmup=60, draws=120, thin=2)
    labelled = aggregate_arrays(made.votes, plan=plan)
    own = made.votes.answer == truth[made.votes.source]
    size = np.bincount(made.votes.user)
    share = np.bincount(made.votes.user, own) / size
    low, high = labelled.skill.right_interval.T
    assert np.mean((share > low - 0.02) & (share < high + 0.02)) > 0.85
    assert np.all(labelled.interval[..., 0] <= labelled.interval[..., 1])
    same = aggregate_arrays(made.votes, plan=plan)
    np.testing.assert_array_equal(same.posterior, labelled.posterior)  # the seed decides
    certain = is_settled(labelled, SettleRule())
    right = labelled.posterior.argmax(1) == truth
    assert certain.any() and right[certain].mean() > 0.95
    stricter = is_settled(labelled, SettleRule(probability=0.999, least_votes=8))
    assert stricter.sum() < certain.sum() and np.all(certain[stricter])


def test_the_last_vote_of_a_volunteer_counts():
    source, user = np.array([0, 0, 1, 0, 1]), np.array([5, 5, 5, 6, 5])
    np.testing.assert_array_equal(last_votes(source, user), [False, True, False, True, True])
    time = np.array([2.0, 1.0, np.nan, 0.0, 0.0])
    np.testing.assert_array_equal(last_votes(source, user, time), [True, False, False, True, True])


def test_counts_and_majority_vote():
    votes = Votes(np.array([0, 0, 1]), np.arange(3), np.array([1, 1, 3]), 2, 3, 2)
    np.testing.assert_array_equal(vote_counts(votes), [[0, 2, 0, 0], [0, 0, 0, 1]])
    np.testing.assert_allclose(majority_vote(votes), [[0.5 / 3, 2.5 / 3], [0.5, 0.5]])
