"""The variational updates by covariance type: formulas of Bishop 2006, and the exact bound."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xbayes.errors import InputError
from xbayes.models.bayesian_mixture import (
    bayesian_mixture,
    lower_bound,
    mixture_prior,
    starting_from,
)
from xbayes.models.bayesian_mixture_types import bayesian_mixture_of_type

N, K, F = 80, 3, 2


@pytest.fixture(autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return jnp.asarray(
        rng.normal(size=(N, F)) + np.repeat([[0.0, 3.0]], N, 0) * (np.arange(N) % 2)[:, None]
    )


def started(x, model, weights):
    prior = mixture_prior(
        K, x.mean(0), 0.7 * jnp.eye(F) + 0.2, weights, concentration=0.4, degrees=3.5
    )
    params = starting_from(prior)
    centre = jnp.asarray(np.random.default_rng(1).normal(size=(K, F)))
    params = params._replace(component=params.component._replace(mean=centre))
    return model.maximise(params, model.statistics(params, x, jnp.ones(N)))


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["dirichlet", "stick_breaking"])
def test_full_without_a_regulariser_is_the_exact_bayesian_mixture(weights, x):
    model, exact = bayesian_mixture_of_type("full"), bayesian_mixture(K, weights)
    params, differences, bounds = started(x, model, weights), [], []
    for _ in range(5):
        statistics = model.statistics(params, x, jnp.ones(N))
        updated = model.maximise(params, statistics)
        expected = exact.maximise(params, statistics)
        for got, wanted in zip(jax.tree.leaves(updated), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)
        # The bound has the old responsibilities and the new parameters, so it lies between two
        # values of the evidence lower bound with optimal responsibilities.
        before = float(lower_bound(params, x, jnp.ones(N)))
        after = float(lower_bound(updated, x, jnp.ones(N)))
        bounds.append((before, float(model.bound(params, statistics, updated)), after))
        params = updated
    for _ in range(400):
        params = model.maximise(params, model.statistics(params, x, jnp.ones(N)))
    statistics = model.statistics(params, x, jnp.ones(N))
    constant = float(lower_bound(params, x, jnp.ones(N)) - model.bound(params, statistics, params))
    for before, bound, after in bounds:
        assert before - 1e-8 <= bound + constant <= after + 1e-8
    differences = np.diff([bound for _, bound, _ in bounds])
    assert differences.min() > 0


@pytest.mark.parametrize(
    "covariance_type",
    ["full", *(pytest.param(t, marks=pytest.mark.slow) for t in ("tied", "diag", "spherical"))],
)
def test_updates_are_those_of_bishop(covariance_type, x):
    reg_covar = 0.1
    model = bayesian_mixture_of_type(covariance_type, reg_covar)
    params = started(x, model, "dirichlet")
    resp = np.asarray(jax.nn.softmax(model.log_joint(params, x), 1))
    new = model.maximise(params, model.statistics(params, x, jnp.ones(N)))
    prior, rows = params.prior.component, np.asarray(x)
    count = resp.sum(0)
    mean = (resp.T @ rows) / count[:, None]
    beta = float(prior.mean_precision) + count
    added = []
    for k in range(K):
        off = rows - mean[k]
        within = (resp[:, k, None] * off).T @ off + count[k] * reg_covar * np.eye(F)
        move = mean[k] - np.asarray(prior.mean)
        added.append(
            within + count[k] / beta[k] * float(prior.mean_precision) * np.outer(move, move)
        )
    added = np.array(added)
    if covariance_type == "tied":
        added[:], count = added.mean(0), np.full(K, count.mean())
    if covariance_type in ("diag", "spherical"):
        added = added * np.eye(F)
    if covariance_type == "spherical":
        added = np.trace(added, axis1=1, axis2=2)[:, None, None] / F * np.eye(F)
    np.testing.assert_allclose(new.component.degrees, float(prior.degrees) + count, rtol=1e-10)
    np.testing.assert_allclose(new.component.mean_precision, beta, rtol=1e-10)
    np.testing.assert_allclose(new.component.scatter, prior.scatter + added, rtol=1e-9, atol=1e-12)


def test_unknown_types_and_starts_without_a_prior_are_refused(x):
    with pytest.raises(InputError, match="covariance_type must be in"):
        bayesian_mixture_of_type("round")
    with pytest.raises(InputError, match="reg_covar must be at least 0"):
        bayesian_mixture_of_type("full", -1.0)
    with pytest.raises(InputError, match="the prior is part of the starting values"):
        bayesian_mixture_of_type("full").init(jax.random.key(0), x)
