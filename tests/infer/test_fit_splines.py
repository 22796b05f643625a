"""Smooth curves: the P-spline optimum, their contributions, and the selection of their share."""

import numpy as np
import pytest
from scipy.optimize import minimize

from xbayes.infer.fit_splines import _design, _penalty_root, fit_splines, lay_knots
from xbayes.infer.select_splines import learn_splines
from xbayes.infer.select_terms import HeldOut
from xbayes.models.additive_terms import contributions, mixed, mixed_log_joint, spline_contributions
from xbayes.types import Features

N = 400
EVERY = np.ones(N, bool)
PENALTY = (3.0, 0.2)


def sources(truth, seed=0):
    """Class 1 lies on both sides of class 0 in the first feature; the last has values missing."""
    rng = np.random.default_rng(seed)
    value = rng.normal(size=(len(truth), 3))
    side = rng.choice([-1.0, 1.0], len(truth))
    value[:, 0] = np.where(truth == 1, 2.5 * side, 0) + 0.7 * value[:, 0]
    observed = np.ones(value.shape, bool)
    observed[:, 2] = rng.random(len(truth)) < np.where(truth == 0, 0.9, 0.5)
    value = np.where(observed, value, np.nan)
    return Features(value, observed, np.ones_like(observed), np.ones_like(value), 0 * value)


@pytest.fixture(scope="module", params=[2, 3])
def fitted(request):
    truth = np.random.default_rng(1).integers(0, request.param, N)
    features = sources(truth)
    return fit_splines(features, truth, EVERY, request.param, PENALTY), features, truth


def scores(splines, features):
    return np.asarray(spline_contributions(splines, features)).sum(1) + splines.base


def test_curves_are_the_minimum_of_the_penalised_log_loss(fitted):
    """By brute force: a quasi-Newton search over the coefficients themselves."""
    splines, features, truth = fitted
    knots, n_classes = lay_knots(features, EVERY), len(splines.base)
    designs = [_design(knot, features, f) for f, knot in enumerate(knots)]
    x = np.hstack([d - d.mean(0) for d in designs])
    form, at = np.zeros((x.shape[1], x.shape[1])), 0
    for knot in knots:
        root = _penalty_root(knot, PENALTY)
        form[at : at + len(root), at : at + len(root)] = root @ root.T
        at += len(root)
    onehot = np.eye(n_classes)[truth]

    def loss(flat):
        b = flat.reshape(-1, n_classes)
        score = x @ b[:-1] + b[-1]
        total = np.logaddexp.reduce(score, axis=1)
        error = np.exp(score - total[:, None]) - onehot
        value = (total - (score * onehot).sum(1)).sum() + 0.5 * (b[:-1] * (form @ b[:-1])).sum()
        return value, np.concatenate([x.T @ error + form @ b[:-1], error.sum(0)[None]]).ravel()

    size = (x.shape[1] + 1) * n_classes
    found = minimize(loss, np.zeros(size), jac=True, method="L-BFGS-B", options={"maxiter": 3000})
    b = found.x.reshape(-1, n_classes)
    best = x @ b[:-1] + b[-1]
    best -= best.mean(1, keepdims=True)
    got = scores(splines, features)
    np.testing.assert_allclose(got, best, atol=0.05)
    assert np.abs(best).max() > 1

    def mean_loss(score):
        return (np.logaddexp.reduce(score, axis=1) - (score * onehot).sum(1)).mean()

    assert mean_loss(got) == pytest.approx(mean_loss(best), abs=1e-3)


def test_a_curve_separates_classes_that_a_line_cannot(fitted):
    splines, features, truth = fitted
    found = np.asarray(spline_contributions(splines, features))[:, 0]
    log_odds = found[:, 1] - found[:, 0]
    assert log_odds[truth == 1].mean() > 1 > -1 > log_odds[truth == 0].mean()


def test_terms_have_mean_zero_over_rows_and_over_classes(fitted):
    splines, features, _ = fitted
    found = np.asarray(spline_contributions(splines, features))
    np.testing.assert_allclose(found.mean(0), 0, atol=2e-3)  # curves are linear between nodes
    np.testing.assert_allclose(found.sum(-1), 0, atol=1e-9)
    assert np.abs(found).max() > 1


def test_curves_are_constant_beyond_the_nodes_and_not_detected_has_its_own_height(fitted):
    splines, _, _ = fitted
    value = np.array([[-1e9, 0, 0], [splines.node[0, 0], 0, np.nan], [1e9, 0, np.nan]])
    observed = np.isfinite(value)
    available = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 0]], bool)
    rows = Features(value, observed, available, np.ones_like(value), 0 * value)
    found = np.asarray(spline_contributions(splines, rows))
    np.testing.assert_array_equal(found[0, 0], found[1, 0])
    np.testing.assert_allclose(found[2, 0], splines.height[0, -1])
    np.testing.assert_allclose(found[1, 2], splines.missing[2])
    assert splines.missing[2, 1] > splines.missing[2, 0] + 0.3
    assert not found[2, 2].any()


def test_rows_left_out_change_nothing():
    truth = np.random.default_rng(1).integers(0, 2, N)
    features, rows = sources(truth), np.arange(N) % 3 > 0
    wild = features._replace(value=np.where(rows[:, None], features.value, 1e6))
    other = np.where(rows, truth, 1 - truth)
    one = fit_splines(features, truth, rows, 2, PENALTY)
    same = fit_splines(wild, other, rows, 2, PENALTY)
    all_rows = fit_splines(features, truth, EVERY, 2, PENALTY)
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.abs(one.height - all_rows.height).max() > 0.01


def test_constant_features_and_classes_without_rows_are_harmless():
    truth = np.random.default_rng(1).integers(0, 2, N)
    features = sources(truth)
    value, measured = features.value.copy(), features.measured.copy()
    value[:, 1] = 4.0
    measured[:, 2] = False
    flat = features._replace(value=value, measured=measured)
    splines = fit_splines(flat, truth, EVERY, 3, PENALTY)
    found = np.asarray(spline_contributions(splines, flat))
    np.testing.assert_allclose(found[:, 1:], 0, atol=1e-9)
    assert np.isfinite(found).all() and (np.diff(splines.node, axis=1) > 0).all()
    assert splines.base[2] < splines.base[:2].min() - 5
    alone = fit_splines(flat, 0 * truth, EVERY, 3, PENALTY)
    assert not np.asarray(spline_contributions(alone, flat)).any()


def held_out(truth, own):
    fold = np.random.default_rng(0).integers(0, 3, len(truth))
    return HeldOut(
        truth=truth,
        fold=fold,
        group=np.arange(len(truth)),
        log_joint=own,
        measured=np.ones(len(truth), bool),
    )


def test_curves_are_used_only_where_they_improve_the_scores():
    truth = np.random.default_rng(1).integers(0, 2, N)
    features, own = sources(truth), np.zeros((N, 2))
    splines, log_joint, report = learn_splines(features, held_out(truth, own))
    assert splines is not None and report.share >= 0.8 and report.gain > 0.1
    loss = np.logaddexp.reduce(log_joint, axis=1) - log_joint[np.arange(N), truth]
    assert np.log(2) - loss.mean() == pytest.approx(report.gain, abs=1e-9)
    shuffled = np.random.default_rng(2).permutation(truth)
    none, same, report = learn_splines(features, held_out(shuffled, own))
    assert none is None and report.share == 0
    np.testing.assert_array_equal(same, own)


def test_mixed_contributions_sum_to_mixed_scores(fitted):
    splines, features, _ = fitted
    splines = splines._replace(share=np.array(0.3))
    own = np.random.default_rng(2).normal(size=(N, 3, len(splines.base)))
    added = contributions(splines, features)
    joint = mixed_log_joint(splines, own.sum(1), np.asarray(added.sum(1)), EVERY)
    rest = np.asarray(joint) - np.asarray(mixed(splines, own, added)).sum(1)
    np.testing.assert_allclose(rest, np.broadcast_to(0.3 * splines.base, rest.shape), atol=1e-12)
