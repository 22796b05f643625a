"""The smooth F1 tends to the true F1; fits to it, and their recalibration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import f1_score

from xbayes.infer.f1 import fit_f1, recalibrate, smooth_f1
from xbayes.infer.gradient import fit_log_loss, log_loss
from xbayes.models.naive_bayes import KINDS, naive_bayes

CATEGORY = (0, 0, 1, 2)
OTHERS = [pytest.param(k, marks=pytest.mark.slow) for k in KINDS if k != "property"]
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


def test_smooth_f1_tends_to_the_true_f1(precision):
    rng = np.random.default_rng(0)
    scores, truth = jnp.asarray(rng.normal(size=(500, 3))), rng.integers(0, 3, 500)
    smooth = [
        float(smooth_f1(scores, jnp.asarray(truth == 1), jnp.ones(500), 1, sharpness))
        for sharpness in (1.0, 10.0, 1e4)
    ]
    true = f1_score(truth == 1, np.asarray(scores).argmax(-1) == 1)
    assert smooth[2] == pytest.approx(true, abs=1e-3)
    assert abs(smooth[1] - true) < abs(smooth[0] - true)


def test_a_row_weight_counts_like_repeated_rows():
    rng = np.random.default_rng(1)
    scores, truth, times = rng.normal(size=(60, 3)), rng.integers(0, 3, 60), rng.integers(0, 3, 60)
    weighted = smooth_f1(
        jnp.asarray(scores), jnp.asarray(truth == 0), jnp.asarray(times * 1.0), 0, 2.0
    )
    rows = np.repeat(np.arange(60), times)
    repeated = smooth_f1(
        jnp.asarray(scores[rows]), jnp.asarray(truth[rows] == 0), jnp.ones(len(rows)), 0, 2.0
    )
    assert float(weighted) == pytest.approx(float(repeated))


@pytest.mark.parametrize("kind", PROPERTY_FIRST)
def test_gradient_f1_is_no_worse_than_log_loss_on_its_own_rows(kind):
    log_lik, truth = problem(1)
    model, ones = naive_bayes(CATEGORY, 3, kind), jnp.ones(len(truth))
    start = start_of(model, log_lik, truth)
    by_loss, _ = fit_log_loss(model, start, log_lik, truth, ones, penalty=3.0)
    by_f1, _ = fit_f1(model, by_loss, log_lik, truth, ones, penalty=3.0, focus=2)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(by_f1))
    before, after = (true_f1(model, p, log_lik, truth) for p in (by_loss, by_f1))
    assert after > before - 0.03  # the recalibration may lose a little
    losses = [float(log_loss(model, p, log_lik, truth, ones)) for p in (by_loss, by_f1)]
    assert losses[0] <= losses[1] + 1e-6


@pytest.mark.parametrize("kind", PROPERTY_FIRST)
def test_recalibration_corrects_a_wrong_temperature_and_offsets(kind):
    log_lik, truth = problem(2)
    model, ones = naive_bayes(CATEGORY, 3, kind), jnp.ones(len(truth))
    start = start_of(model, log_lik, truth)
    best, _ = fit_log_loss(model, start, log_lik, truth, ones, penalty=1e-3)
    wrong = model.rescale(best, jnp.log(2.0), jnp.array([1.0, -1.0, 0.5]))
    np.testing.assert_allclose(model.alpha(wrong), 2 * model.alpha(best), rtol=1e-6)
    refitted, info = recalibrate(model, wrong, log_lik, truth, ones)
    assert info.converged
    losses = [float(log_loss(model, p, log_lik, truth, ones)) for p in (best, refitted, wrong)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    assert losses[2] > losses[0] + 0.01
