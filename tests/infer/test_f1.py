"""The smooth F1, fits to it with the log loss, and their recalibration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from sklearn.metrics import f1_score

from xbayes.infer.f1 import fit_f1, recalibrate, smooth_f1
from xbayes.infer.gradient import fit_log_loss, log_loss
from xbayes.models.assignment_matrix import assignment_model
from xbayes.models.naive_bayes import KINDS, naive_bayes

CATEGORY = (0, 0, 1, 2)
SLOW = pytest.mark.slow
OTHERS = [pytest.param(k, marks=SLOW) for k in KINDS if k != "property"]
PROPERTY_FIRST = ["property", *OTHERS]


def problem(seed, n=800):
    """Class 2 is rare, so the log loss mostly separates class 0 from class 1."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, n, p=[0.55, 0.37, 0.08])
    signal = np.zeros((n, 4, 3))
    signal[:, 0] += 2.0 * (np.eye(3)[truth] - 1 / 3) * np.array([1, 1, 0.1])
    signal[:, 1] += 1.5 * ((truth == 2)[:, None] - 0.5) * (np.arange(3) == 2)
    signal[:, 2] += 1.0 * ((truth == 2)[:, None] - 0.5) * (np.arange(3) == 2)
    return jnp.asarray(signal + rng.normal(size=signal.shape)), jnp.asarray(truth)


def start_of(model, log_lik, truth):
    log_prior = jnp.log(jnp.bincount(truth, length=3) / len(truth))
    return model.init(jax.random.key(0), log_lik)._replace(log_prior=log_prior)


def true_f1(model, params, log_lik, truth):
    prediction = np.asarray(model.log_joint(params, log_lik)).argmax(-1)
    return f1_score(np.asarray(truth) == 2, prediction == 2)


def test_smooth_f1_integrates_the_counts_over_all_thresholds(precision):
    """Against counts of a loop over thresholds and rows."""
    rng = np.random.default_rng(0)
    scores, truth = rng.normal(size=(60, 3)), rng.integers(0, 3, 60)
    p = np.exp(scores[:, 1]) / np.exp(scores).sum(1)
    hits = chosen = 0.0
    for threshold in (np.arange(4000) + 0.5) / 4000:
        for probability, label in zip(p.tolist(), truth.tolist(), strict=True):
            if probability >= threshold:
                chosen += 1 / 4000
                hits += (label == 1) / 4000
    expected = 2 * hits / (chosen + (truth == 1).sum())
    got = smooth_f1(jnp.asarray(scores), jnp.asarray(truth == 1), jnp.ones(60), 1)
    assert float(got) == pytest.approx(expected, abs=1e-4)
    certain = smooth_f1(jnp.asarray(1e4 * scores), jnp.asarray(truth == 1), jnp.ones(60), 1)
    assert float(certain) == pytest.approx(f1_score(truth == 1, scores.argmax(-1) == 1), abs=1e-5)


def test_a_row_weight_counts_like_repeated_rows():
    rng = np.random.default_rng(1)
    scores, truth, times = rng.normal(size=(60, 3)), rng.integers(0, 3, 60), rng.integers(0, 3, 60)
    weighted = smooth_f1(jnp.asarray(scores), jnp.asarray(truth == 0), jnp.asarray(times * 1.0), 0)
    rows = np.repeat(np.arange(60), times)
    repeated = smooth_f1(
        jnp.asarray(scores[rows]), jnp.asarray(truth[rows] == 0), jnp.ones(len(rows)), 0
    )
    assert float(weighted) == pytest.approx(float(repeated))


def model_of(kind):
    return assignment_model(4, 3) if kind == "assignment" else naive_bayes(CATEGORY, 3, kind)


@pytest.mark.parametrize("kind", [*KINDS, "assignment"])
def test_the_gradient_of_the_smooth_f1_equals_finite_differences(kind):
    log_lik, truth = problem(3, 40)
    model, rng = model_of(kind), np.random.default_rng(0)
    flat, unflatten = ravel_pytree(start_of(model, log_lik, truth))
    design, weight = model.design(log_lik), jnp.asarray(rng.uniform(0, 2, 40))

    def f1(vector):
        params = unflatten(vector)
        scores = params.log_prior + model.scores(params, design)
        return smooth_f1(scores, truth == 2, weight, 2)

    direction, step = jnp.asarray(rng.normal(size=flat.shape)), 1e-5
    expected = (f1(flat + step * direction) - f1(flat - step * direction)) / (2 * step)
    got = jax.grad(f1)(flat) @ direction
    assert abs(float(expected)) > 1e-4
    assert float(got) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("kind", [*PROPERTY_FIRST, pytest.param("assignment", marks=SLOW)])
def test_a_larger_weight_of_the_f1_term_raises_the_f1_of_its_own_rows(kind):
    log_lik, truth = problem(1)
    model, ones = model_of(kind), jnp.ones(len(truth))
    start, design = start_of(model, log_lik, truth), model.design(log_lik)
    by_loss, _ = fit_log_loss(model, start, log_lik, truth, ones, penalty=3.0)

    def fitted(*f1_weights):
        given = {"penalty": jnp.asarray(3.0), "focus": 2, "f1_weights": jnp.asarray(f1_weights)}
        return fit_f1(model, by_loss, design, truth, ones, **given)[0]

    path = fitted(0.0, 0.1, 1.0)
    for got, want in zip(jax.tree.leaves(path), jax.tree.leaves(by_loss), strict=True):
        np.testing.assert_allclose(got[0], want, atol=1e-10, rtol=0)
        assert np.isfinite(got).all()
    f1 = []
    for n in range(3):
        params = jax.tree.map(lambda leaf, n=n: leaf[n], path)
        scores = model.log_joint(params, log_lik)
        f1.append(float(smooth_f1(scores, truth == 2, ones, 2)))
    assert f1[0] < f1[1] + 1e-3 < f1[2] + 1e-3
    size = fit_f1._cache_size()
    fitted(0.0, 0.2, 2.0)
    assert fit_f1._cache_size() == size, "other weights of the term compile nothing"


@pytest.mark.parametrize("kind", PROPERTY_FIRST)
def test_recalibration_corrects_a_wrong_temperature_and_offsets(kind):
    log_lik, truth = problem(2)
    model, ones = naive_bayes(CATEGORY, 3, kind), jnp.ones(len(truth))
    start = start_of(model, log_lik, truth)
    best, _ = fit_log_loss(model, start, log_lik, truth, ones, penalty=1e-3)
    wrong = model.rescale(best, jnp.log(2.0), jnp.array([1.0, -1.0, 0.5]))
    np.testing.assert_allclose(model.alpha(wrong), 2 * model.alpha(best), rtol=1e-6)
    refitted, info = recalibrate(model, wrong, model.design(log_lik), truth, ones)
    assert info.converged
    losses = [float(log_loss(model, p, log_lik, truth, ones)) for p in (best, refitted, wrong)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    assert losses[2] > losses[0] + 0.01
