"""Fit of the tables of an additive model: boosted trees of at most two splits, summed exactly.

A path through a tree of depth 2 depends on one feature or on two, so each leaf is added to the
table of a feature or of a pair of features. The sum of all trees is then the sum of the tables (Lou
et al. 2013, GA2M). Boosting is that of scikit-learn, on histograms (Ke et al. 2017, LightGBM).

scikit-learn gives access to the scores after each round, but not to the trees. The change of the
scores of a class in a round is the output of one tree. Each side of a split contains at least one
END bin: the first, the last or the bin of values that are not measured. Therefore a tree can be
recovered from its outputs for a few rows, the probes, in which one feature is in any bin and all
other features are in the same END bin.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int
from threadpoolctl import threadpool_limits

from xbayes.models.term_tables import TermTables, bins, purified
from xbayes.types import Features

N_BINS = 32  # of the values of a feature; one more bin for values that are not measured
ROUNDS = (50, 100, 150, 200, 300)  # candidate numbers of boosting rounds
SHARES = (0.2, 0.35, 0.5, 0.65, 0.8)  # candidate shares of the terms in the log-odds
OPTIONS: dict[str, Any] = {
    "learning_rate": 0.05,
    "min_samples_leaf": 10,
    "l2_regularization": 5.0,
    "max_features": 0.5,  # of all features, drawn anew for each split
    "max_bins": N_BINS,
    "early_stopping": False,
}
END = np.array([N_BINS, 0, N_BINS - 1])  # the bins: not measured, the first and the last
SAME = 1e-12  # outputs of a tree that differ by less are equal up to rounding


class Trees(Protocol):
    """The part of scikit-learn's HistGradientBoostingClassifier that is used after the fit."""

    def staged_decision_function(self, codes: np.ndarray, /) -> Iterator[np.ndarray]:
        """Scores after each round; one column (log-odds of the second class) for two classes."""
        ...


class Boosted(NamedTuple):
    """Trees fitted by scikit-learn to binned values, and the edges of the bins."""

    model: Trees | None  # None where all rows have one class
    present: Int[np.ndarray, "M"]  # classes that have rows; the others have no trees
    base: Float[np.ndarray, "C"]  # scores before the first round, from the log proportions
    edge: Float[np.ndarray, "F E"]


def lay_edges(features: Features, rows: Bool[np.ndarray, "N"]) -> Float[np.ndarray, "F E"]:
    """Upper ends of bins with equal numbers of the given rows; unused edges are inf."""
    value, measured = np.asarray(features.value, np.float64), np.asarray(features.measured)
    edge = np.full((value.shape[1], N_BINS - 1), np.inf)
    for f in range(value.shape[1]):
        used = value[rows & measured[:, f], f]
        if len(used):
            quantiles = np.unique(np.quantile(used, np.linspace(0, 1, N_BINS + 1)[1:-1]))
            edge[f, : len(quantiles)] = quantiles
    return edge


def boost(
    features: Features,
    truth: Int[np.ndarray, "N"],
    rows: Bool[np.ndarray, "N"],
    n_classes: int,
    *,
    depth: int,
    rounds: int,
    seed: int,
    row_weight: Float[np.ndarray, "N"] | None = None,
) -> Boosted:
    """Boosted trees of `depth` 1 or 2, fitted to the given rows; other rows change nothing."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    members = np.bincount(truth[rows], minlength=n_classes)
    base = np.log(np.maximum(members, 1e-3) / members.sum())
    edge, present = lay_edges(features, rows), np.flatnonzero(members)
    if len(present) < 2:
        return Boosted(model=None, present=present, base=base, edge=edge)
    weight = None if row_weight is None else row_weight[rows]
    start = np.bincount(truth[rows], weights=weight, minlength=n_classes)[present]
    start = np.log(np.maximum(start / start.sum(), np.finfo(float).eps))
    base[present] = start - start.mean()  # as scikit-learn before the first round
    model = HistGradientBoostingClassifier(
        max_depth=depth, max_iter=rounds, random_state=seed, **OPTIONS
    )
    codes = _codes(edge, features)[rows]
    codes[:, np.isnan(codes).all(axis=0)] = 0.0  # scikit-learn refuses columns without any value
    model.fit(codes, truth[rows], sample_weight=weight)
    return Boosted(model=model, present=present, base=base, edge=edge)


def staged_scores(
    boosted: Boosted, features: Features, rounds: tuple[int, ...]
) -> Float[np.ndarray, "R N C"]:
    """Scores of the trees after each of the given numbers of rounds."""
    n_rows = len(np.asarray(features.value))
    scores = np.tile(boosted.base, (len(rounds), n_rows, 1))
    if boosted.model is not None:
        stages = boosted.model.staged_decision_function(_codes(boosted.edge, features))
        chosen = [score for n, score in enumerate(stages, 1) if n in rounds]
        for r, score in enumerate(chosen):
            scores[r][:, boosted.present] = _by_class(score, len(boosted.present))
    return scores


def tables_of(
    boosted: Boosted, features: Features, rows: Bool[np.ndarray, "N"], rounds: int, share: float
) -> TermTables:
    """Pure tables (`term_tables.purified`) of the first `rounds` rounds.

    `rows` are the rows that the trees were fitted to; `share` is stored in the tables.
    """
    class_effects = _class_effects(boosted)
    sums = leaf_sums(boosted, rounds)
    names = sorted(sums.pairs)
    shape = (len(names), len(class_effects), N_BINS + 1, N_BINS + 1)
    pair_table = np.reshape([sums.pairs[name] for name in names], shape)
    base = boosted.base + sums.base @ class_effects
    main = np.tensordot(sums.main, class_effects, (0, 0))  # [F, K, C]
    pair_table = np.tensordot(pair_table, class_effects, (1, 0))  # [P, K, K, C]
    # A term common to all classes is not identified.
    base, main, pair_table = (a - a.mean(-1, keepdims=True) for a in (base, main, pair_table))
    tables = TermTables(
        share=np.array(share),
        base=base,
        edge=boosted.edge,
        main=main,
        pair=np.array(names, np.int64).reshape(-1, 2),
        pair_table=pair_table,
        reach=_reach(features, rows),
    )
    return purified(tables, np.asarray(bins(boosted.edge, features))[rows])


def _reach(features: Features, rows: Bool[np.ndarray, "N"]) -> Float[np.ndarray, "F 2"]:
    """The smallest and the largest measured value of the given rows; zeros where there is none."""
    value, used = np.asarray(features.value, np.float64), np.asarray(features.measured)
    used = used & rows[:, None]
    low = np.where(used, value, np.inf).min(axis=0)
    high = np.where(used, value, -np.inf).max(axis=0)
    return np.where(used.any(axis=0), [low, high], 0.0).T


def _class_effects(boosted: Boosted) -> Float[np.ndarray, "T C"]:
    """Change of the score of each class per unit of each tree of a round."""
    every = np.eye(len(boosted.base))[boosted.present]
    # Two classes share one tree, for the log-odds of the second.
    return every if len(every) > 2 else 0.5 * (every[1:] - every[:1])


class LeafSums(NamedTuple):
    """Sums of leaf values over the rounds, by tree of a round and features on the path."""

    base: Float[np.ndarray, "T"]
    main: Float[np.ndarray, "T F K"]
    pairs: dict[tuple[int, int], np.ndarray]  # [T, K, K] each


def leaf_sums(boosted: Boosted, rounds: int) -> LeafSums:
    """The sums over the first rounds, from the scores of the probes after each round."""
    n_features, n_trees = len(boosted.edge), len(_class_effects(boosted))
    sums = LeafSums(
        base=np.zeros(n_trees),
        main=np.zeros((n_trees, n_features, N_BINS + 1)),
        pairs=defaultdict(lambda: np.zeros((n_trees, N_BINS + 1, N_BINS + 1))),
    )
    if boosted.model is None:
        return sums
    probes, start = _probes(n_features), boosted.base[boosted.present]
    last = start if len(start) > 2 else start[1:] - start[:1]
    stages = boosted.model.staged_decision_function(probes.reshape(-1, n_features))
    # Threads that wait for each other cost more than they save.
    with threadpool_limits(1, "openmp"):
        for score in itertools.islice(stages, rounds):
            score = score.reshape(-1, n_trees)
            outputs = np.ascontiguousarray((score - last).T).reshape(-1, *probes.shape[:-1])
            depends = np.ptp(outputs, axis=1) > SAME  # [T, 3, F]
            for t in range(n_trees):
                _add_tree(outputs[t], depends[t], t, sums)
            last = score
    return sums


def _probes(n_features: int) -> Float[np.ndarray, "K 3 F F"]:
    """The bins, coded as by `_codes`, in row [k, e, f]: k for feature f, END[e] for all others."""
    code, each = np.append(np.arange(N_BINS, dtype=float), np.nan), np.arange(n_features)
    probes = np.empty((N_BINS + 1, len(END), n_features, n_features))
    probes[:] = code[END][:, None, None]
    probes[:, :, each, each] = code[:, None, None]
    return probes


def _add_tree(
    output: Float[np.ndarray, "K 3 F"], depends: Bool[np.ndarray, "3 F"], t: int, sums: LeafSums
) -> None:
    """Add each leaf of tree t of a round.

    The tree is given by its output for each probe, and by whether the output depends on the bin of
    feature f while all other features are in END[e].
    """
    active = np.flatnonzero(depends.any(0)).tolist()
    if not active:
        sums.base[t] += output[0, 0, 0]
        return
    candidates = ((f, _sides(output[:, :, f], depends, f)) for f in active)
    roots = [(f, side) for f, side in candidates if side is not None]
    if not roots:
        raise RuntimeError(
            f"cannot recover a boosted tree that depends on the features {active}: it has more "
            "than two splits on a path; install the version of scikit-learn in constraints.txt"
        )
    # If two features can be the root, one of them makes a tree with fewer leaves.
    root, side = min(roots, key=lambda candidate: np.count_nonzero(candidate[1] >= 0))
    single = side < 0
    sums.main[t, root, single] += output[single, 0, root]
    for e in set(side[~single].tolist()):
        other = next(f for f in active if f != root and depends[e, f])
        leaves = output[:, e, other]
        if root < other:
            sums.pairs[root, other][t, side == e] += leaves
        else:
            sums.pairs[other, root][t, :, side == e] += leaves


def _sides(
    output: Float[np.ndarray, "K 3"], depends: Bool[np.ndarray, "3 F"], f: int
) -> Int[np.ndarray, "K"] | None:
    """For each bin of the root f, an END bin in the same child if the child splits another feature.

    -1 for the other bins, whose leaves depend on f only; None if f cannot be the root.
    """
    n_others = depends.sum(1) - depends[:, f]
    if (n_others > 1).any():
        return None
    # Bins in a child that splits another feature have the same outputs, whatever the others are.
    same = np.abs(output[:, None] - output[END]).max(-1) < SAME  # [K, 3]
    same &= n_others > 0
    side = np.where(same.any(1), same.argmax(1), -1)
    constant = np.ptp(output, axis=1) < SAME
    return side if constant[side < 0].all() else None


def _codes(edge: Float[np.ndarray, "F E"], features: Features) -> Float[np.ndarray, "N F"]:
    """Bins as numbers, NaN where not measured; scikit-learn then makes one bin of each value."""
    at = np.asarray(bins(edge, features)).astype(np.float64)
    return np.where(at > edge.shape[1], np.nan, at)


def _by_class(score: np.ndarray, n_classes: int) -> Float[np.ndarray, "N C"]:
    """Scores by class; for two classes scikit-learn gives the log-odds of the second."""
    if n_classes > 2:
        return score
    return np.stack([-0.5 * score.ravel(), 0.5 * score.ravel()], axis=-1)
