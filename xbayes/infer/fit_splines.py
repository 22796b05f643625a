"""Fit of smooth additive curves: P-splines under a multinomial log loss.

Cubic B-splines with a penalty on the second differences of their coefficients (Eilers & Marx 1996,
Statistical Science 11, 89) and a smaller penalty on their size:

    loss = sum over rows of -log softmax(base + B a)[true class]
           + 1/2 sum over features and classes of (rough |D2 a|^2 + size |a|^2)

Knots lie at quantiles, so a curve can bend where sources are. A column of B has mean zero over the
training rows in which its feature is available, and is zero in the others: a feature that is not
available adds the average of its curve, and its absence is no evidence. The penalty is a quadratic
form a^T P a with P = L L^T; in the coordinates L^T a it is the ridge penalty of scikit-learn.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.models.additive_terms import SplineTerms
from xbayes.types import Features

N_KNOTS = 10
OUTER_QUANTILE = 0.002  # of the first knot; the last knot is at 1 minus it
DEGREE = 3
NODES_PER_KNOT = 16  # of the tabulated curve, which is linear between nodes
# Candidate penalties (rough, size), the least smooth first.
PENALTIES = ((1.0, 0.1), (3.0, 0.2), (10.0, 0.5), (30.0, 2.0))
TOL = 1e-4  # gradient of the mean log loss
MAX_STEPS = 500

Knots = Float[np.ndarray, "L"]  # increasing; fewer than two where a feature does not vary


def lay_knots(features: Features, rows: Bool[np.ndarray, "N"]) -> tuple[Knots, ...]:
    """Knots of each feature at quantiles of the given rows; fewer where values repeat."""
    value, measured = np.asarray(features.value, np.float64), np.asarray(features.measured)
    quantiles = np.linspace(OUTER_QUANTILE, 1 - OUTER_QUANTILE, N_KNOTS)
    return tuple(
        np.unique(np.quantile(value[used, f], quantiles)) if used.any() else np.zeros(0)
        for f, used in enumerate((measured & rows[:, None]).T)
    )


def fit_splines(
    features: Features,
    truth: Int[np.ndarray, "N"],
    rows: Bool[np.ndarray, "N"],
    n_classes: int,
    penalty: tuple[float, float],
    *,
    share: float = 1.0,
    row_weight: Float[np.ndarray, "N"] | None = None,
) -> SplineTerms:
    """Curves that minimise the penalised log loss of the given rows; other rows change nothing.

    `penalty` is (rough, size), see above. `share` is stored in the terms: their part in the
    averaged log-odds.
    """
    knots = lay_knots(features, rows)
    members = np.bincount(truth[rows], minlength=n_classes)
    present = np.flatnonzero(members)
    base = np.log(np.maximum(members, 1e-3) / members.sum())
    designs = [_design(knot, features.rows(rows), f) for f, knot in enumerate(knots)]
    available = np.asarray(features.available)[rows]
    means = [d.sum(0) / max(a.sum(), 1) for d, a in zip(designs, available.T, strict=True)]
    centred = [
        np.where(a[:, None], design - mean, 0.0)
        for design, mean, a in zip(designs, means, available.T, strict=True)
    ]
    coefficients = [np.zeros((design.shape[1], n_classes)) for design in designs]
    if len(present) > 1:
        weight = None if row_weight is None else row_weight[rows]
        base[present], fitted = _minimise_loss(centred, knots, truth[rows], penalty, weight)
        for coefficient, of_present in zip(coefficients, fitted, strict=True):
            coefficient[:, present] = of_present
    # A term common to all classes is not identified.
    base -= base.mean()
    for coefficient, mean in zip(coefficients, means, strict=True):
        coefficient -= coefficient.mean(1, keepdims=True)
        coefficient -= mean @ coefficient  # B-splines sum to one, so this centres the curve
    return _tabulated(knots, coefficients, base, share)


def _design(knot: Knots, features: Features, f: int) -> Float[np.ndarray, "N B"]:
    """B-splines of each value, and in the last column 1 where it is not detected.

    The row of a value that is not available is zero.
    """
    value = np.asarray(features.value, np.float64)[:, f]
    measured, available = (np.asarray(a)[:, f] for a in (features.measured, features.available))
    # A feature that does not vary has one constant column, so that rows still sum to one.
    basis = _b_splines(knot, value) if len(knot) > 1 else np.ones((len(value), 1))
    not_detected = (available & ~measured)[:, None]
    return np.hstack([np.where(measured[:, None], basis, 0.0), not_detected])


def _b_splines(knot: Knots, value: np.ndarray) -> np.ndarray:
    """Values of the B-splines, constant beyond the outermost knots."""
    from scipy.interpolate import BSpline

    padded = np.concatenate([[knot[0]] * DEGREE, knot, [knot[-1]] * DEGREE])
    inside = np.clip(np.where(np.isfinite(value), value, knot[0]), knot[0], knot[-1])
    return BSpline.design_matrix(inside, padded, DEGREE).toarray()


def _minimise_loss(designs, knots, truth, penalty, row_weight):
    """Base and coefficients, by feature, of the classes that have rows; of centred designs."""
    from sklearn.linear_model import LogisticRegression

    roots = [_penalty_root(knot, penalty) for knot in knots]
    whitened = [
        np.linalg.solve(root, design.T).T for root, design in zip(roots, designs, strict=True)
    ]
    # For two classes scikit-learn fits one column w, which stands for -w/2 and w/2: half the cost.
    cost = 1.0 if len(np.unique(truth)) > 2 else 0.5
    ridge = LogisticRegression(C=1 / cost, tol=TOL, max_iter=MAX_STEPS)
    model = ridge.fit(np.hstack(whitened), truth, sample_weight=row_weight)
    weight, base = model.coef_, model.intercept_
    if len(weight) == 1:  # two classes: the log-odds of the second
        weight, base = np.concatenate([-weight, weight]) / 2, np.concatenate([-base, base]) / 2
    ends = np.cumsum([len(root) for root in roots])[:-1]
    parts = np.split(weight.T, ends)
    fitted = [np.linalg.solve(root.T, part) for root, part in zip(roots, parts, strict=True)]
    return base, fitted


def _penalty_root(knot: Knots, penalty: tuple[float, float]) -> Float[np.ndarray, "B B"]:
    """Lower Cholesky factor of the quadratic form; the last column has the size penalty only."""
    rough, size = penalty
    n_splines = len(knot) + DEGREE - 1 if len(knot) > 1 else 1
    form = size * np.eye(n_splines + 1)
    if n_splines > 2:
        difference = np.diff(np.eye(n_splines), 2, axis=0)
        form[:-1, :-1] += rough * difference.T @ difference
    return np.linalg.cholesky(form)


def _tabulated(knots, coefficients, base, share: float) -> SplineTerms:
    """The curves at nodes, the same number of nodes for every feature."""
    n_nodes = NODES_PER_KNOT * (N_KNOTS - 1) + 1
    nodes, heights = [], []
    for knot, coefficient in zip(knots, coefficients, strict=True):
        if len(knot) > 1:
            node = np.interp(np.linspace(0, len(knot) - 1, n_nodes), np.arange(len(knot)), knot)
            heights.append(_b_splines(knot, node) @ coefficient[:-1])
        else:
            node = (knot[0] if len(knot) else 0.0) + np.arange(n_nodes)
            heights.append(np.tile(coefficient[0], (n_nodes, 1)))
        nodes.append(node)
    return SplineTerms(
        share=np.array(share),
        base=base,
        node=np.stack(nodes),
        height=np.stack(heights),
        missing=np.stack([coefficient[-1] for coefficient in coefficients]),
    )
