"""How much a boosted additive model is worth beside another one: its share, on inner folds.

trees without each fold -> scores of that fold -> rounds and share -> tables -> held-out mixture
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.infer.fit_terms import ROUNDS, SHARES, Boosted, boost, staged_scores, tables_of
from xbayes.models.additive_terms import contributions, mixed_log_joint
from xbayes.models.term_tables import TermTables, bins, importance, pair_counts
from xbayes.types import Features


class TermPlan(NamedTuple):
    """What the config says of the terms."""

    depth: int  # properties in a term at most: 1 or 2
    share: float | None = None  # None: chosen on inner folds


class TermReport(NamedTuple):
    """What was chosen, and the pairs by what they do to the scores of the training rows."""

    share: float = 0.0  # 0: the terms told nothing new, and there are none
    rounds: int = 0
    gain: float = 0.0  # held-out log loss without the terms less that with them
    gain_error: float = 0.0  # its standard error, groups kept together
    pair: tuple[tuple[int, int], ...] = ()  # the most important first
    importance: tuple[float, ...] = ()  # root mean square of the pair's term, in log-odds


class Held(NamedTuple):
    """The training rows as the choice reads them; others have fold -1."""

    truth: Int[np.ndarray, "N"]
    fold: Int[np.ndarray, "N"]
    group: Int[np.ndarray, "N"]
    own: Float[np.ndarray, "N C"]  # held-out scores of the model that the terms stand beside
    measured: Bool[np.ndarray, "N"]


def learn_terms(
    features: Features,
    held: Held,
    plan: TermPlan,
    seed: int,
    row_weight: Float[np.ndarray, "N"] | None = None,
) -> tuple[TermTables | None, Float[np.ndarray, "N C"], TermReport]:
    """Tables learned on all rows with `fold >= 0`, held-out mixed scores, and how it went.

    None where the share is left to the folds and their log loss falls by no more than its standard
    error (Breiman et al. 1984, section 3.4.3): then the scores are those of the other model.
    """
    training, n_classes = held.fold >= 0, held.own.shape[1]

    def boosted_on(rows: Bool[np.ndarray, "N"]) -> Boosted:
        fixed = (n_classes, plan.depth, ROUNDS[-1], seed, row_weight)
        return boost(features, held.truth, rows, *fixed)

    without = {
        int(j): boosted_on(training & (held.fold != j)) for j in np.unique(held.fold[training])
    }
    staged = np.zeros((len(ROUNDS), *held.own.shape))
    for j, boosted in without.items():
        rows = held.fold == j
        staged[:, rows] = staged_scores(boosted, features.rows(rows), ROUNDS)
    shares = SHARES if plan.share is None else (plan.share,)
    place, share, gain, error = choose_share(held, staged, shares)
    rounds = ROUNDS[place]
    if plan.share is None and not gain > error:
        return None, held.own, TermReport(gain=gain, gain_error=error)
    log_joint = np.array(held.own, np.float64)
    for j, boosted in without.items():
        rows = held.fold == j
        tables = tables_of(boosted, features, training & ~rows, rounds, share)
        terms = contributions(tables, features.rows(rows)).sum(1)
        log_joint[rows] = mixed_log_joint(tables, held.own[rows], terms, held.measured[rows])
    tables = tables_of(boosted_on(training), features, training, rounds, share)
    order, told = _ranked(tables, features, training)
    pairs = tuple((int(a), int(b)) for a, b in np.asarray(tables.pair)[order])
    report = TermReport(share, rounds, gain, error, pairs, tuple(map(float, told[order])))
    return tables, log_joint, report


def choose_share(
    held: Held, staged: Float[np.ndarray, "R N C"], shares: tuple[float, ...]
) -> tuple[int, float, float, float]:
    """Place and share of least held-out log loss, what they gain, and its standard error."""
    rows = held.fold >= 0
    own, truth, group = held.own[rows], held.truth[rows], held.group[rows]
    alone = _losses(own, truth)
    tried = {
        (r, s): _losses((1 - s) * own + s * terms[rows], truth)
        for r, terms in enumerate(staged)
        for s in shares
    }
    best = min(tried, key=lambda one: tried[one].mean())
    gained = np.where(held.measured[rows], alone - tried[best], 0.0)
    mean = gained.mean()
    by_group = np.bincount(np.unique(group, return_inverse=True)[1], gained - mean)
    return *best, float(mean), float(np.sqrt((by_group**2).sum()) / len(gained))


def _losses(score: Float[np.ndarray, "n C"], truth: Int[np.ndarray, "n"]) -> np.ndarray:
    score = np.asarray(score, np.float64)
    return np.logaddexp.reduce(score, axis=1) - score[np.arange(len(truth)), truth]


def _ranked(tables: TermTables, features: Features, rows: Bool[np.ndarray, "N"]):
    pair, n_bins = np.asarray(tables.pair), tables.main.shape[1]
    if not len(pair):
        return np.zeros(0, int), np.zeros(0)
    at = np.asarray(bins(tables.edge, features))[rows]
    told = tables.share * importance(tables, pair_counts(at, pair, n_bins))
    return np.argsort(-told, kind="stable"), told
