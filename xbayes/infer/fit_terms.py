"""Fit of the tables of an additive model: boosted trees of at most two splits, summed exactly.

A path through a tree of depth 2 depends on one feature or on two, so each leaf is added to the
table of a feature or of a pair of features. The sum of all trees is then the sum of the tables (Lou
et al. 2013, GA2M). Boosting is that of scikit-learn, on histograms (Ke et al. 2017, LightGBM).
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

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


class Boosted(NamedTuple):
    """Trees fitted by scikit-learn to binned values, and the edges of the bins."""

    model: Any  # HistGradientBoostingClassifier; None where all rows have one class
    present: Int[np.ndarray, "M"]  # classes that have rows; the others have no trees
    base: Float[np.ndarray, "C"]  # log proportions
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
    model = HistGradientBoostingClassifier(
        max_depth=depth, max_iter=rounds, random_state=seed, **OPTIONS
    )
    weight = None if row_weight is None else row_weight[rows]
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
    n_features, n_classes = len(boosted.edge), len(boosted.base)
    base, main = boosted.base.copy(), np.zeros((n_features, N_BINS + 1, n_classes))
    pairs: dict[tuple[int, int], np.ndarray] = {}
    if boosted.model is not None:
        start = np.asarray(boosted.model._baseline_prediction)
        base[boosted.present] = _by_class(start, len(boosted.present))[0]
        for trees in boosted.model._predictors[:rounds]:
            for m, tree in enumerate(trees):
                _add_tree(tree.nodes, _class_effect(boosted, m, len(trees)), base, main, pairs)
    names = sorted(pairs)
    shape = (len(names), N_BINS + 1, N_BINS + 1, n_classes)
    pair_table = np.stack([pairs[name] for name in names]) if names else np.zeros(shape)
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


def _class_effect(boosted: Boosted, m: int, n_trees: int) -> Float[np.ndarray, "C"]:
    """Change of the score of each class per unit of the m-th tree of a round."""
    effect = np.zeros(len(boosted.base))
    if n_trees == 1:  # two classes: one tree for the log-odds of the second
        effect[boosted.present] = -0.5, 0.5
    else:
        effect[boosted.present[m]] = 1.0
    return effect


def _add_tree(nodes: np.ndarray, class_effect: np.ndarray, base, main, pairs) -> None:
    """Add each leaf of a tree, times `class_effect`, to the table of the features on its path."""
    stack: list[tuple[int, dict[int, np.ndarray]]] = [(0, {})]
    while stack:
        index, path = stack.pop()
        node = nodes[index]
        if not node["is_leaf"]:
            f = int(node["feature_idx"])
            left = np.arange(N_BINS + 1) <= node["num_threshold"]
            left[-1] = node["missing_go_to_left"]
            cells = path.get(f, True)
            stack.append((int(node["left"]), path | {f: cells & left}))
            stack.append((int(node["right"]), path | {f: cells & ~left}))
            continue
        value = node["value"] * class_effect
        if not path:
            base += value
        elif len(path) == 1:
            ((f, cells),) = path.items()
            main[f, cells] += value
        else:
            a, b = sorted(path)
            zero = np.zeros((N_BINS + 1, N_BINS + 1, len(class_effect)))
            table = pairs.setdefault((a, b), zero)
            table[np.ix_(path[a], path[b])] += value


def _codes(edge: Float[np.ndarray, "F E"], features: Features) -> Float[np.ndarray, "N F"]:
    """Bins as numbers, NaN where not measured; scikit-learn then makes one bin of each value."""
    at = np.asarray(bins(edge, features)).astype(np.float64)
    return np.where(at > edge.shape[1], np.nan, at)


def _by_class(score: np.ndarray, n_classes: int) -> Float[np.ndarray, "N C"]:
    """Scores by class; for two classes scikit-learn gives the log-odds of the second."""
    if n_classes > 2:
        return score
    return np.stack([-0.5 * score.ravel(), 0.5 * score.ravel()], axis=-1)
