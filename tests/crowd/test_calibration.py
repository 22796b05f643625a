"""Simulation-based calibration of the sampler, with a control that fails."""

import numpy as np
import pytest
from scipy.stats import kstest

from tests.crowd.prior_votes import ranks_of, votes_from_prior
from xbayes.crowd.em import fit_point
from xbayes.crowd.gibbs import SweepPlan, sample_posterior

pytestmark = [pytest.mark.slow, pytest.mark.optimised]
REPLICATES = 40


def ranks(copies: int, replicates: int = REPLICATES) -> dict[str, np.ndarray]:
    """Ranks of the truth, with each vote counted so many times."""
    found = []
    for seed in range(replicates):
        made = votes_from_prior(seed)
        votes = made.votes.rows(np.repeat(np.arange(len(made.votes.source)), copies))
        plan = SweepPlan(warmup=100, draws=300, thin=3)
        draws = sample_posterior(votes, fit_point(votes), seed, plan=plan)
        found.append(ranks_of(made, draws))
    return {name: np.array([rank[name] for rank in found]) for name in found[0]}


def test_the_truth_has_uniform_ranks_among_the_samples():
    p = {name: kstest(values, "uniform").pvalue for name, values in ranks(1).items()}
    assert min(p.values()) > 0.01 / len(p), p


def test_votes_that_count_four_times_are_found():
    """The control; half of the replicates are enough to find it."""
    wrong = ranks(4, REPLICATES // 2)
    p = {name: kstest(values, "uniform").pvalue for name, values in wrong.items()}
    assert min(p.values()) < 0.01 / len(p), p
