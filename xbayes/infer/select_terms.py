"""Selection of the boosted terms: their rounds and their share in the score, on inner folds.

trees without each fold -> scores of that fold -> rounds and share -> tables -> held-out averages
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.infer.fit_terms import ROUNDS, SHARES, Boosted, boost, staged_scores, tables_of
from xbayes.models.additive_terms import contributions, mixed_log_joint
from xbayes.models.term_tables import TermTables, bins, importance, padded, pair_counts
from xbayes.types import Features

ROWS = 256  # the padded number of held-out rows is a multiple


class TermPlan(NamedTuple):
    """The options of the boosted terms."""

    depth: int  # features per term, at most: 1 or 2
    share: float | None = None  # None: selected on inner folds


class TermReport(NamedTuple):
    """The selected share and rounds, their gain, and the pairs by importance."""

    share: float = 0.0  # 0: the terms do not improve the scores, and there are none
    rounds: int = 0
    gain: float = 0.0  # held-out log loss without the terms minus that with them
    gain_error: float = 0.0  # its standard error, clustered by group
    pair: tuple[tuple[int, int], ...] = ()  # the most important first
    importance: tuple[float, ...] = ()  # root mean square of the pair's term, in log-odds


class HeldOut(NamedTuple):
    """The rows on which additive terms are selected; rows that are not used have fold -1."""

    truth: Int[np.ndarray, "N"]
    fold: Int[np.ndarray, "N"]
    group: Int[np.ndarray, "N"]
    log_joint: Float[np.ndarray, "N C"]  # held-out scores of the base model, without the terms
    measured: Bool[np.ndarray, "N"]  # rows with any evidence; the others keep their scores
    judged: Bool[np.ndarray, "N"] | None = None  # rows that count in the losses; None: all


class ShareSelection(NamedTuple):
    """The stage and share with the least held-out log loss, and the gain over the base model."""

    stage: int
    share: float
    gain: float
    gain_error: float  # standard error, clustered by group


def learn_terms(
    features: Features,
    held_out: HeldOut,
    plan: TermPlan,
    seed: int,
    row_weight: Float[np.ndarray, "N"] | None = None,
) -> tuple[TermTables | None, Float[np.ndarray, "N C"], TermReport]:
    """Tables fitted to all rows with `fold >= 0`, held-out averaged scores, and a report.

    The tables are None where `plan` gives no share and the log loss falls by no more than its
    standard error (the rule of one standard error: Breiman et al. 1984, section 3.4.3). The scores
    are then those of the base model.
    """
    training, n_classes = held_out.fold >= 0, held_out.log_joint.shape[1]

    def boosted_on(rows: Bool[np.ndarray, "N"], rounds: int = ROUNDS[-1]) -> Boosted:
        return boost(
            features,
            held_out.truth,
            rows,
            n_classes,
            depth=plan.depth,
            rounds=rounds,
            seed=seed,
            row_weight=row_weight,
        )

    folds = np.unique(held_out.fold[training]).tolist()
    parts = [training & (held_out.fold != j) for j in folds]
    without = dict(zip(folds, _in_threads(boosted_on, parts), strict=True))
    staged = np.zeros((len(ROUNDS), *held_out.log_joint.shape))
    for j, boosted in without.items():
        rows = held_out.fold == j
        staged[:, rows] = staged_scores(boosted, features.rows(rows), ROUNDS)
    best = select_share(held_out, staged, SHARES if plan.share is None else (plan.share,))
    if plan.share is None and not best.gain > best.gain_error:
        report = TermReport(gain=best.gain, gain_error=best.gain_error)
        return None, held_out.log_joint, report
    rounds = ROUNDS[best.stage]
    log_joint = _held_out_average(without, held_out, features, rounds, best.share)
    tables = tables_of(boosted_on(training, rounds), features, training, rounds, best.share)
    pairs, size = _by_importance(tables, features, training)
    report = TermReport(
        share=best.share,
        rounds=rounds,
        gain=best.gain,
        gain_error=best.gain_error,
        pair=pairs,
        importance=size,
    )
    return tables, log_joint, report


def _held_out_average(
    without: dict[int, Boosted], held_out: HeldOut, features: Features, rounds: int, share: float
) -> Float[np.ndarray, "N C"]:
    """The scores averaged with the terms that were fitted without the fold of each row."""
    training, log_joint = held_out.fold >= 0, np.array(held_out.log_joint, np.float64)
    for j, boosted in without.items():
        rows = held_out.fold == j
        tables = tables_of(boosted, features, training & ~rows, rounds, share)
        terms = _summed(tables, features.rows(rows))
        log_joint[rows] = mixed_log_joint(
            tables, held_out.log_joint[rows], terms, held_out.measured[rows]
        )
    return log_joint


def _in_threads(
    function: Callable[[Bool[np.ndarray, "N"]], Boosted], parts: list[Bool[np.ndarray, "N"]]
) -> list[Boosted]:
    """`function` of each part. NumPy and SciPy release the interpreter lock while they compute."""
    x64 = bool(jax.config.read("jax_enable_x64"))  # threads do not inherit it

    def call(part: Bool[np.ndarray, "N"]) -> Boosted:
        with jax.enable_x64(x64):
            return function(part)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(call, parts))


def _summed(tables: TermTables, features: Features) -> Float[np.ndarray, "N C"]:
    """The summed contributions, of padded rows and pairs, so that most folds share compilations."""
    n_rows = len(np.asarray(features.value))
    rows = features.padded(-(-n_rows // ROWS) * ROWS)
    return np.asarray(_summed_contributions(padded(tables), rows))[:n_rows]


@jax.jit
def _summed_contributions(tables: TermTables, features: Features) -> Float[Array, "N C"]:
    return contributions(tables, features).sum(1)


def select_share(
    held_out: HeldOut, staged: Float[np.ndarray, "R N C"], shares: tuple[float, ...]
) -> ShareSelection:
    """Stage and share s with the least log loss of (1 - s) base model + s staged scores."""
    rows = held_out.fold >= 0
    rows = rows if held_out.judged is None else rows & held_out.judged
    base_model, truth = held_out.log_joint[rows], held_out.truth[rows]
    losses = {
        (r, share): _log_losses((1 - share) * base_model + share * scores[rows], truth)
        for r, scores in enumerate(staged)
        for share in shares
    }
    best = min(losses, key=lambda choice: losses[choice].mean())
    gain = _log_losses(base_model, truth) - losses[best]
    gain = np.where(held_out.measured[rows], gain, 0.0)
    mean = gain.mean()
    group = np.unique(held_out.group[rows], return_inverse=True)[1]
    by_group = np.bincount(group, gain - mean)
    stage, share = best
    return ShareSelection(
        stage=stage,
        share=share,
        gain=float(mean),
        gain_error=float(np.sqrt((by_group**2).sum()) / len(gain)),
    )


def _log_losses(score: Float[np.ndarray, "n C"], truth: Int[np.ndarray, "n"]) -> np.ndarray:
    score = np.asarray(score, np.float64)
    return np.logaddexp.reduce(score, axis=1) - score[np.arange(len(truth)), truth]


def _by_importance(tables: TermTables, features: Features, rows: Bool[np.ndarray, "N"]):
    """The pairs and their importance, the most important first."""
    pair, n_bins = np.asarray(tables.pair), tables.main.shape[1]
    if not len(pair):
        return (), ()
    at, available = np.asarray(bins(tables.edge, features)), np.asarray(features.available)
    count = pair_counts(at[rows], available[rows], pair, n_bins)
    size = tables.share * importance(tables, count)
    order = np.argsort(-size, kind="stable")
    return tuple((int(a), int(b)) for a, b in pair[order]), tuple(map(float, size[order]))
