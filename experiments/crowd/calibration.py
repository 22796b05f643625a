"""Simulation-based calibration: ranks of the truth among posterior samples are uniform."""

import sys
from pathlib import Path

import numpy as np
from scipy.stats import kstest

from xbayes.crowd.em import fit_point
from xbayes.crowd.gibbs import SweepPlan, sample_posterior

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.crowd.prior_votes import ranks_of, votes_from_prior


def calibration(replicates: int = 80, first: int = 1000) -> None:
    """Print the p-value of each quantity; with each vote once, and twice (the control)."""
    plan = SweepPlan(warmup=150, draws=600, thin=6)
    for copies in (1, 2):
        ranks = []
        for seed in range(first, first + replicates):
            made = votes_from_prior(seed)
            votes = made.votes.rows(np.repeat(np.arange(len(made.votes.source)), copies))
            draws = sample_posterior(votes, fit_point(votes), seed, plan=plan)
            ranks.append(ranks_of(made, draws))
        print(f"each vote counted {copies} time(s), {replicates} replicates")
        for name in ranks[0]:
            of_quantity = np.array([rank[name] for rank in ranks])
            print(f"  {name}: p = {kstest(of_quantity, 'uniform').pvalue:.3g}", flush=True)
