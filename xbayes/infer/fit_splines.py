"""Learn the curves of an additive model: P-splines under a multinomial log loss.

Cubic B-splines whose coefficients pay for their second differences (Eilers & Marx 1996) and, less,
for their size. Knots lie at quantiles, so a curve may turn where the sources are. The penalty is a
quadratic form, so in the coordinates of its Cholesky factor it is scikit-learn's ridge.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.models.additive_terms import SplineTerms
from xbayes.types import Features

N_KNOTS = 10
OUTERMOST = 0.002  # quantile of the first knot and, from above, of the last
DEGREE = 3
NODES_A_KNOT = 16  # at which a curve is kept: between two knots it is a straight line then
# Penalties of second differences and of size, to choose from: the wildest first.
PENALTIES = ((1.0, 0.1), (3.0, 0.2), (10.0, 0.5), (30.0, 2.0))
LARGEST = 1e-4  # gradient of the mean log loss at the end
MOST_STEPS = 500


class Basis(NamedTuple):
    """B-splines of one property."""

    knot: Float[np.ndarray, "L"]  # increasing; fewer than two where the property does not vary


def lay_basis(features: Features, rows: Bool[np.ndarray, "N"]) -> tuple[Basis, ...]:
    """Knots of each property at quantiles of the rows; fewer where values repeat."""
    value, observed = np.asarray(features.value, np.float64), np.asarray(features.measured)
    at = np.linspace(OUTERMOST, 1 - OUTERMOST, N_KNOTS)
    return tuple(
        Basis(np.unique(np.quantile(value[seen, f], at)) if seen.any() else np.zeros(0))
        for f, seen in enumerate((observed & rows[:, None]).T)
    )


def fit_splines(
    features: Features,
    truth: Int[np.ndarray, "N"],
    rows: Bool[np.ndarray, "N"],
    n_classes: int,
    penalty: tuple[float, float],
    share: float = 1.0,
    row_weight: Float[np.ndarray, "N"] | None = None,
) -> SplineTerms:
    """Curves of least penalised log loss on some rows; the others change nothing."""
    bases = lay_basis(features, rows)
    members = np.bincount(truth[rows], minlength=n_classes)
    present = np.flatnonzero(members)
    base = np.log(np.maximum(members, 1e-3) / members.sum())
    designs = [_design(b, features, f)[rows] for f, b in enumerate(bases)]
    coefficient = [np.zeros((d.shape[1], n_classes)) for d in designs]
    if len(present) > 1:
        weight = None if row_weight is None else row_weight[rows]
        base[present], learned = _least_loss(designs, bases, truth[rows], penalty, weight)
        for own, found in zip(coefficient, learned, strict=True):
            own[:, present] = found
    # What is the same for all classes tells nothing, and the mean over the rows is the base's.
    base -= base.mean()
    for own, design in zip(coefficient, designs, strict=True):
        own -= own.mean(1, keepdims=True)
        mean = (design @ own).mean(0)
        own -= mean
        base += mean
    return _tabulated(bases, coefficient, base, share)


def _design(basis: Basis, features: Features, f: int) -> Float[np.ndarray, "N B"]:
    """A row's B-splines, and last whether a survey looked and found nothing; zero if none did."""
    value, knot = np.asarray(features.value, np.float64)[:, f], basis.knot
    observed, available = (np.asarray(a)[:, f] for a in (features.measured, features.available))
    # One value says only that there is one: a column of its own keeps rows summing to one.
    each = _b_splines(knot, value) if len(knot) > 1 else np.ones((len(value), 1))
    gap = (available & ~observed)[:, None]
    return np.hstack([np.where(observed[:, None], each, 0.0), gap])


def _b_splines(knot: Float[np.ndarray, "L"], value: np.ndarray) -> np.ndarray:
    """Constant beyond the outermost knots."""
    from scipy.interpolate import BSpline

    whole = np.concatenate([[knot[0]] * DEGREE, knot, [knot[-1]] * DEGREE])
    inside = np.clip(np.where(np.isfinite(value), value, knot[0]), knot[0], knot[-1])
    return BSpline.design_matrix(inside, whole, DEGREE).toarray()


def _least_loss(designs, bases, truth, penalty, row_weight):
    """Base and coefficients of the classes that have rows, by property."""
    from sklearn.linear_model import LogisticRegression

    means = [design.mean(0) for design in designs]
    roots = [_penalty_root(basis, penalty) for basis in bases]
    round_ = [
        np.linalg.solve(root, (design - mean).T).T
        for root, design, mean in zip(roots, designs, means, strict=True)
    ]
    # Of two classes the library learns one column, w, which stands for -w/2 and w/2: half the cost.
    cost = 1.0 if len(np.unique(truth)) > 2 else 0.5
    ridge = LogisticRegression(C=1 / cost, tol=LARGEST, max_iter=MOST_STEPS)
    model = ridge.fit(np.hstack(round_), truth, sample_weight=row_weight)
    weight, base = model.coef_, model.intercept_
    if len(weight) == 1:  # two classes: the library gives the log-odds of the second
        weight, base = np.concatenate([-weight, weight]) / 2, np.concatenate([-base, base]) / 2
    ends = np.cumsum([len(root) for root in roots])[:-1]
    parts = np.split(weight.T, ends)
    found = [np.linalg.solve(root.T, part) for root, part in zip(roots, parts, strict=True)]
    shift = [mean @ part for mean, part in zip(means, found, strict=True)]
    return base - sum(shift), found


def _penalty_root(basis: Basis, penalty: tuple[float, float]) -> Float[np.ndarray, "B B"]:
    """Lower Cholesky factor of the quadratic form; a gap's height pays for its size only."""
    rough, size = penalty
    n_splines = len(basis.knot) + DEGREE - 1 if len(basis.knot) > 1 else 1
    form = size * np.eye(n_splines + 1)
    if n_splines > 2:
        change = np.diff(np.eye(n_splines), 2, axis=0)
        form[:-1, :-1] += rough * change.T @ change
    return np.linalg.cholesky(form)


def _tabulated(bases, coefficient, base, share: float) -> SplineTerms:
    """The curves at nodes, the same number for every property."""
    n_nodes = NODES_A_KNOT * (N_KNOTS - 1) + 1
    nodes, heights = [], []
    for basis, own in zip(bases, coefficient, strict=True):
        knot = basis.knot
        if len(knot) > 1:
            node = np.interp(np.linspace(0, len(knot) - 1, n_nodes), np.arange(len(knot)), knot)
            heights.append(_b_splines(knot, node) @ own[:-1])
        else:
            node = (knot[0] if len(knot) else 0.0) + np.arange(n_nodes)
            heights.append(np.tile(own[0], (n_nodes, 1)))
        nodes.append(node)
    gaps = np.stack([own[-1] for own in coefficient])
    return SplineTerms(np.array(share), base, np.stack(nodes), np.stack(heights), gaps)
