"""Fit of the tables of an additive model: boosted trees of at most two splits, summed exactly.

A path through a tree of depth 2 depends on one feature or on two, so each output is added to the
table of a feature or of a pair of features. The sum of all trees is then the sum of the tables (Lou
et al. 2013, GA2M).
"""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.infer.boosted_trees import Binned, Split, Trees, grow, one_round, outputs
from xbayes.models.term_tables import TermTables, bins, purified
from xbayes.types import Features

N_BINS = 32  # of the values of a feature; one more bin for values that are not detected
ROUNDS = (50, 100, 150, 200, 300)  # candidate numbers of boosting rounds
SHARES = (0.2, 0.35, 0.5, 0.65, 0.8)  # candidate shares of the terms in the log-odds


class Boosted(NamedTuple):
    """Trees fitted to binned values, and the edges of the bins."""

    trees: Trees | None  # None where all rows have one class
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
    members = np.bincount(truth[rows], minlength=n_classes)
    base = np.log(np.maximum(members, 1e-3) / members.sum())
    edge, present = lay_edges(features, rows), np.flatnonzero(members)
    if len(present) < 2:
        return Boosted(trees=None, present=present, base=base, edge=edge)
    weight = np.ones(len(truth)) if row_weight is None else np.asarray(row_weight, np.float64)
    start = np.bincount(truth[rows], weights=weight[rows], minlength=n_classes)[present]
    start = np.log(np.maximum(start / start.sum(), np.finfo(float).eps))
    base[present] = start - start.mean()
    trees = grow(
        _binned(edge, features.rows(rows)),
        np.searchsorted(present, truth[rows]),
        weight[rows],
        base[present],
        depth=depth,
        rounds=rounds,
        seed=seed,
    )
    return Boosted(trees=trees, present=present, base=base, edge=edge)


def staged_scores(
    boosted: Boosted, features: Features, rounds: tuple[int, ...]
) -> Float[np.ndarray, "R N C"]:
    """Scores of the trees after each of the given numbers of rounds, which increase."""
    score = np.tile(boosted.base, (len(np.asarray(features.value)), 1))
    if boosted.trees is None:
        return np.stack([score] * len(rounds))
    binned, stages, done = _binned(boosted.edge, features), [], 0
    for number in rounds:
        for r in range(done, number):
            score[:, boosted.present] += outputs(binned, one_round(boosted.trees, r))
        stages.append(score.copy())
        done = number
    return np.stack(stages)


def tables_of(
    boosted: Boosted, features: Features, rows: Bool[np.ndarray, "N"], rounds: int, share: float
) -> TermTables:
    """Pure tables (`term_tables.purified`) of the first `rounds` rounds.

    `rows` are the rows that the trees were fitted to; `share` is stored in the tables.
    """
    n_classes, n_bins = len(boosted.base), N_BINS + 1
    sums = output_sums(boosted, rounds)
    names = sorted(sums.pairs)
    shape = (len(names), n_bins, n_bins, n_classes)
    base, main = np.array(boosted.base), np.zeros((len(boosted.edge), n_bins, n_classes))
    pair_table = np.zeros(shape)
    base[boosted.present] += sums.base
    main[..., boosted.present] = sums.main
    if names:
        pair_table[..., boosted.present] = np.stack([sums.pairs[name] for name in names])
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
    at, available = np.asarray(bins(boosted.edge, features)), np.asarray(features.available)
    return purified(tables, at[rows], available[rows])


class OutputSums(NamedTuple):
    """Sums of the outputs of the splits over the rounds, by features on the path."""

    base: Float[np.ndarray, "M"]
    main: Float[np.ndarray, "F K M"]
    pairs: dict[tuple[int, int], np.ndarray]  # [K K M] each


def output_sums(boosted: Boosted, rounds: int) -> OutputSums:
    """The sums over the first rounds."""
    n_features, n_bins, n_present = len(boosted.edge), N_BINS + 1, len(boosted.present)
    sums = OutputSums(
        base=np.zeros(n_present),
        main=np.zeros((n_features, n_bins, n_present)),
        pairs=defaultdict(lambda: np.zeros((n_bins, n_bins, n_present))),
    )
    if boosted.trees is None:
        return sums
    sums.base[:] = boosted.trees.base[:rounds].sum(0)
    for r in range(rounds):
        tree = one_round(boosted.trees, r)
        for c in np.flatnonzero(tree.root.feature >= 0).tolist():
            root, output = int(tree.root.feature[c]), _by_bin(tree.root, c)
            sums.main[root, :, c] += output
            for s in (0, 1):
                child = Split._make(array[s] for array in tree.child)
                if child.feature[c] >= 0:
                    on_side = tree.root.left[c] == (s == 0)
                    _add_child(sums, root, on_side, child, c)
    return sums


def _by_bin(split: Split, c: int) -> Float[np.ndarray, "K"]:
    return np.where(split.left[c], *split.output[c])


def _add_child(
    sums: OutputSums, root: int, on_side: Bool[np.ndarray, "K"], child: Split, c: int
) -> None:
    """The split `child` of class c, of rows whose bin of the root's feature is `on_side`."""
    feature, output = int(child.feature[c]), _by_bin(child, c)
    if feature == root:
        sums.main[root, :, c] += on_side * output
    elif root < feature:
        sums.pairs[root, feature][..., c] += np.outer(on_side, output)
    else:
        sums.pairs[feature, root][..., c] += np.outer(output, on_side)


def _binned(edge: Float[np.ndarray, "F E"], features: Features) -> Binned:
    at, available = np.asarray(bins(edge, features)), np.asarray(features.available)
    return Binned(bin=at, available=available, n_bins=N_BINS + 1)


def _reach(features: Features, rows: Bool[np.ndarray, "N"]) -> Float[np.ndarray, "F 2"]:
    """The smallest and the largest measured value of the given rows; zeros where there is none."""
    value, used = np.asarray(features.value, np.float64), np.asarray(features.measured)
    used = used & rows[:, None]
    low = np.where(used, value, np.inf).min(axis=0)
    high = np.where(used, value, -np.inf).max(axis=0)
    return np.where(used.any(axis=0), [low, high], 0.0).T
