"""The optimiser against SciPy on the same loss, and its invariances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from xbayes.infer.gradient import fit_from_starts, fit_log_loss, log_loss, minimise
from xbayes.models.naive_bayes import KINDS, naive_bayes

CATEGORY = (0, 0, 1, 2)
OTHERS = [pytest.param(k, marks=pytest.mark.slow) for k in KINDS if k != "property"]
PROPERTY_FIRST = ["property", *OTHERS]


@pytest.fixture
def problem():
    rng = np.random.default_rng(2)
    truth = rng.choice(3, 300, p=[0.6, 0.3, 0.1])
    signal = 1.2 * (np.eye(3)[truth][:, None] - 1 / 3) * np.array([1.0, 0.5, 0.2, 0.0])[:, None]
    log_lik = signal + rng.normal(size=(300, 4, 3))
    return jnp.asarray(log_lik), jnp.asarray(truth)


def test_minimise_a_quadratic(precision):
    target = jnp.arange(4.0)
    scale = jnp.array([1.0, 10.0, 0.3, 3.0])
    found, info = minimise(lambda x: (scale * (x - target) ** 2).sum(), jnp.zeros(4))
    assert info.converged
    np.testing.assert_allclose(found, target, atol=1e-3)


@pytest.mark.parametrize("kind", PROPERTY_FIRST)
def test_weights_reach_the_minimum_scipy_finds(kind, problem):
    log_lik, truth = problem
    model, ones = naive_bayes(CATEGORY, 3, kind), jnp.ones(300)
    start = model.init(jax.random.key(0), log_lik)
    _, info = fit_log_loss(model, start, log_lik, truth, ones, penalty=3.0)
    assert info.converged

    flat, unflatten = jax.flatten_util.ravel_pytree(start)

    def loss(vector):
        params = unflatten(vector)
        return log_loss(model, params, log_lik, truth, ones) + 3.0 / 300 * model.penalty(params)

    value_and_grad = jax.jit(jax.value_and_grad(loss))
    best = minimize(
        lambda v: tuple(np.asarray(a, np.float64) for a in value_and_grad(v)),
        np.asarray(flat),
        jac=True,
        method="BFGS",
        options={"gtol": 1e-7, "maxiter": 3000},
    )
    assert float(info.loss) <= best.fun + 1e-6


def test_learned_weights_follow_the_information(problem):
    """The first feature is the most informative, the last feature is noise."""
    log_lik, truth = problem
    model = naive_bayes((0, 1, 2, 3), 3, "property")
    start = model.init(jax.random.key(0), log_lik)
    params, _ = fit_log_loss(model, start, log_lik, truth, jnp.ones(300), penalty=1.0)
    alpha = np.asarray(model.alpha(params))[:, 0]
    assert alpha[0] > alpha[1] > alpha[3]
    assert alpha[3] < 0.35


def test_rows_of_weight_zero_change_nothing(problem):
    log_lik, truth = problem
    model = naive_bayes(CATEGORY, 3, "property")
    start, half = model.init(jax.random.key(0), log_lik), (jnp.arange(300) < 150).astype(float)
    garbled = log_lik.at[150:].set(50.0)
    unlabelled = truth.at[150:].set(-1)
    all_rows, _ = fit_log_loss(model, start, garbled, unlabelled, half, penalty=3.0)
    few, _ = fit_log_loss(model, start, log_lik[:150], truth[:150], jnp.ones(150), penalty=3.0)
    np.testing.assert_allclose(model.alpha(all_rows), model.alpha(few), atol=1e-4)


@pytest.mark.slow
def test_several_starts_end_at_the_best_minimum(problem):
    log_lik, truth = problem
    model, prior = naive_bayes(CATEGORY, 3, "property_class"), jnp.log(jnp.array([0.6, 0.3, 0.1]))
    rows = (log_lik, truth, jnp.ones(300))
    several, info = fit_from_starts(
        model, jax.random.key(3), *rows, log_prior=prior, penalty=3.0, n_starts=4
    )
    starts = [
        model.init(key, log_lik)._replace(log_prior=prior)
        for key in jax.random.split(jax.random.key(3), 4)
    ]
    singles = [fit_log_loss(model, start, *rows, penalty=3.0)[1].loss for start in starts]
    assert float(info.loss) <= min(map(float, singles)) + 1e-6
    np.testing.assert_array_equal(several.log_prior, prior)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_curvature_leads_to_the_same_minimum(kind, monkeypatch):
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 3, 600)
    log_lik = jnp.asarray(0.7 * np.eye(3)[truth][:, None] + rng.normal(size=(600, 4, 3)))
    model = naive_bayes((0, 0, 1, 1), 3, kind)
    start = model.init(jax.random.key(0), log_lik)
    rows = (log_lik, jnp.asarray(truth), jnp.ones(600))
    plain, info = fit_log_loss(model, start, *rows, penalty=3.0)
    monkeypatch.setattr("xbayes.infer.gradient.MANY_ROWS", 1)
    whitened, other = fit_log_loss(model, start, *rows, penalty=3.0)
    assert bool(other.converged)
    assert float(other.loss) == pytest.approx(float(info.loss), abs=1e-6)
    scores = [jax.nn.log_softmax(model.log_joint(p, log_lik)) for p in (plain, whitened)]
    np.testing.assert_allclose(*scores, atol=5e-3)
