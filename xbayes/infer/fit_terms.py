"""Learn the tables of an additive model: boosted trees of two splits at most, added up exactly.

Every path through a tree of depth 2 asks about one property or two, so its leaf belongs in the
table of a property or of a pair. Boosting is scikit-learn's (Ke et al. 2017, histograms).
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.models.term_tables import TermTables, bins, purified
from xbayes.types import Features

N_BINS = 32  # of the values of a property; one more for missing
ROUNDS = (50, 100, 150, 200, 300)  # of boosting, to choose from
SHARES = (0.2, 0.35, 0.5, 0.65, 0.8)  # of the terms in the log-odds, likewise
_ALL_ROUNDS: dict[str, Any] = {"early_stopping": False}  # the library's annotation says text
RATE, LEAST, RIDGE, PROPERTIES = 0.05, 10, 5.0, 0.5  # step, rows a leaf, shrinkage, share a split


class Boosted(NamedTuple):
    """Trees as scikit-learn keeps them, on bins; and what the bins are."""

    model: Any  # None where the rows have one class
    present: Int[np.ndarray, "M"]  # classes that have rows
    base: Float[np.ndarray, "C"]  # log proportions; where a class has no rows its trees are absent
    edge: Float[np.ndarray, "F E"]


def lay_edges(features: Features, rows: Bool[np.ndarray, "N"]) -> Float[np.ndarray, "F E"]:
    """Upper ends of bins that hold equal numbers of the rows; inf where values repeat too much."""
    value, observed = np.asarray(features.value, np.float64), np.asarray(features.measured)
    edge = np.full((value.shape[1], N_BINS - 1), np.inf)
    for f in range(value.shape[1]):
        seen = value[rows & observed[:, f], f]
        if len(seen):
            found = np.unique(np.quantile(seen, np.linspace(0, 1, N_BINS + 1)[1:-1]))
            edge[f, : len(found)] = found
    return edge


def boost(
    features: Features,
    truth: Int[np.ndarray, "N"],
    rows: Bool[np.ndarray, "N"],
    n_classes: int,
    depth: int,
    rounds: int,
    seed: int,
    row_weight: Float[np.ndarray, "N"] | None = None,
) -> Boosted:
    """Boost trees of `depth` 1 or 2 on some rows; the others change nothing."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    members = np.bincount(truth[rows], minlength=n_classes)
    base = np.log(np.maximum(members, 1e-3) / members.sum())
    edge, present = lay_edges(features, rows), np.flatnonzero(members)
    if len(present) < 2:
        return Boosted(None, present, base, edge)
    model = HistGradientBoostingClassifier(
        max_depth=depth,
        max_iter=rounds,
        learning_rate=RATE,
        l2_regularization=RIDGE,
        min_samples_leaf=LEAST,
        max_features=PROPERTIES,
        max_bins=N_BINS,
        random_state=seed,
        **_ALL_ROUNDS,
    )
    weight = None if row_weight is None else row_weight[rows]
    codes = _codes(edge, features)[rows]
    codes[:, np.isnan(codes).all(axis=0)] = 0.0  # the library bins no column that has no value
    model.fit(codes, truth[rows], sample_weight=weight)
    return Boosted(model, present, base, edge)


def staged_scores(
    boosted: Boosted, features: Features, rounds: tuple[int, ...]
) -> Float[np.ndarray, "R N C"]:
    """Scores of the trees themselves after some numbers of rounds."""
    n_rows = len(np.asarray(features.value))
    scores = np.tile(boosted.base, (len(rounds), n_rows, 1))
    if boosted.model is not None:
        stages = enumerate(
            boosted.model.staged_decision_function(_codes(boosted.edge, features)), 1
        )
        kept = [score for n, score in stages if n in rounds]
        for r, score in enumerate(kept):
            scores[r][:, boosted.present] = _by_class(score, len(boosted.present))
    return scores


def tables_of(
    boosted: Boosted, features: Features, rows: Bool[np.ndarray, "N"], rounds: int, share: float
) -> TermTables:
    """The first `rounds` rounds as pure tables; `rows` are those the trees were learned on."""
    n_features, n_classes = len(boosted.edge), len(boosted.base)
    base, main = boosted.base.copy(), np.zeros((n_features, N_BINS + 1, n_classes))
    pairs: dict[tuple[int, int], np.ndarray] = {}
    if boosted.model is not None:
        start = np.asarray(boosted.model._baseline_prediction)
        base[boosted.present] = _by_class(start, len(boosted.present))[0]
        for trees in boosted.model._predictors[:rounds]:
            for m, tree in enumerate(trees):
                column = _column(boosted, m, len(trees))
                _add_tree(tree.nodes, column, base, main, pairs)
    names = sorted(pairs)
    shape = (len(names), N_BINS + 1, N_BINS + 1, n_classes)
    each = np.stack([pairs[name] for name in names]) if names else np.zeros(shape)
    # What is the same for all classes tells nothing.
    base, main, each = (a - a.mean(-1, keepdims=True) for a in (base, main, each))
    pair = np.array(names, np.int64).reshape(-1, 2)
    reach = _reach(features, rows)
    tables = TermTables(np.array(share), base, boosted.edge, main, pair, each, reach)
    return purified(tables, np.asarray(bins(boosted.edge, features))[rows])


def _reach(features: Features, rows: Bool[np.ndarray, "N"]) -> Float[np.ndarray, "F 2"]:
    """The least and the largest value among the rows; zeros where there is none."""
    value, seen = np.asarray(features.value, np.float64), np.asarray(features.measured)
    seen = seen & rows[:, None]
    low, high = (
        pick(np.where(seen, value, other), axis=0)
        for pick, other in ((np.min, np.inf), (np.max, -np.inf))
    )
    found = seen.any(axis=0)
    return np.stack([np.where(found, low, 0.0), np.where(found, high, 0.0)], axis=1)


def _column(boosted: Boosted, m: int, n_trees: int) -> Float[np.ndarray, "C"]:
    """What a unit of the m-th tree of a round adds to each class."""
    column = np.zeros(len(boosted.base))
    if n_trees == 1:  # two classes: one tree for the log-odds of the second
        column[boosted.present] = -0.5, 0.5
    else:
        column[boosted.present[m]] = 1.0
    return column


def _add_tree(nodes: np.ndarray, column: np.ndarray, base, main, pairs) -> None:
    """Each leaf of a tree, times `column`, into the table of the properties on its path."""
    waiting: list[tuple[int, dict[int, np.ndarray]]] = [(0, {})]
    while waiting:
        index, path = waiting.pop()
        node = nodes[index]
        if not node["is_leaf"]:
            f = int(node["feature_idx"])
            left = np.arange(N_BINS + 1) <= node["num_threshold"]
            left[-1] = node["missing_go_to_left"]
            here = path.get(f, True)
            waiting.append((int(node["left"]), path | {f: here & left}))
            waiting.append((int(node["right"]), path | {f: here & ~left}))
            continue
        value = node["value"] * column
        if not path:
            base += value
        elif len(path) == 1:
            ((f, cells),) = path.items()
            main[f, cells] += value
        else:
            a, b = sorted(path)
            table = pairs.setdefault((a, b), np.zeros((N_BINS + 1, N_BINS + 1, len(column))))
            table[np.ix_(path[a], path[b])] += value


def _codes(edge: Float[np.ndarray, "F E"], features: Features) -> Float[np.ndarray, "N F"]:
    """Bins as numbers, NaN where missing: as many values as bins, so the trees split on bins."""
    at = np.asarray(bins(edge, features)).astype(np.float64)
    return np.where(at > edge.shape[1], np.nan, at)


def _by_class(score: np.ndarray, n_classes: int) -> Float[np.ndarray, "N C"]:
    """Scores by class, also where the library gives the log-odds of the second of two."""
    if n_classes > 2:
        return score
    return np.stack([-0.5 * score.ravel(), 0.5 * score.ravel()], axis=-1)
