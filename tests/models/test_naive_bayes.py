"""The alpha-weighted naive Bayes, against explicit loops over its formulas."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from xbayes.infer.gradient import fit_log_loss
from xbayes.models.naive_bayes import KINDS, naive_bayes

CATEGORY = (0, 0, 1, 2, 2)  # 5 features in 3 categories
N, F, C = 7, 5, 4


@pytest.fixture
def log_lik():
    values = np.random.default_rng(0).normal(-2, 1.5, (N, F, C))
    values[0] = 0.0  # nothing measured
    values[1, 2] = 0.0
    return values


def random_params(model, log_lik, seed=0):
    params = model.init(jax.random.key(seed), jnp.asarray(log_lik))
    keys = jax.random.split(jax.random.key(seed + 1), 3)
    return params._replace(
        log_prior=jnp.log(jnp.array([0.66, 0.25, 0.07, 0.02])),
        offset=jax.random.normal(keys[0], (C,)),
        mixing=0.3 * jax.random.normal(keys[1], params.mixing.shape),
    )


def softplus(x):
    return np.log1p(np.exp(np.asarray(x)))


def brute_force_scores(params, log_lik, kind):
    """Loops over sources, classes and features, from the table in the module docstring."""
    scores = np.zeros((N, C))
    for n in range(N):
        for c in range(C):
            scores[n, c] = params.log_prior[c]
            if (log_lik[n] == 0).all():
                continue
            scores[n, c] += params.offset[c]
            for p in range(F):
                r = log_lik[n, p] - log_lik[n, p].mean()
                if kind == "category":
                    scores[n, c] += softplus(params.raw_category)[CATEGORY[p]] * r[c]
                if kind in ("property", "matrix"):
                    scores[n, c] += softplus(params.raw_property)[p] * r[c]
                if kind == "property_class":
                    scores[n, c] += softplus(params.raw_class)[p, c] * r[c]
                if kind == "matrix":
                    scores[n, c] += sum(params.mixing[p, c, d] * r[d] for d in range(C))
    return scores


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_the_formula(kind, log_lik):
    model = naive_bayes(CATEGORY, C, kind)
    params = random_params(model, log_lik)
    expected = brute_force_scores(params, log_lik, kind)
    np.testing.assert_allclose(model.log_joint(params, jnp.asarray(log_lik)), expected, rtol=1e-9)


@pytest.mark.parametrize(
    "precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)], indirect=True
)
@pytest.mark.parametrize("kind", KINDS)
def test_contributions_sum_to_the_log_odds(kind, log_lik, precision):
    model = naive_bayes(CATEGORY, C, kind)
    params, x = random_params(model, log_lik), jnp.asarray(log_lik)
    total = params.log_prior + params.offset + model.contributions(params, x).sum(1)
    total = total.at[0].set(params.log_prior)  # nothing measured: no offset either
    tolerance = 1e-6 if precision == "float64" else 1e-4
    np.testing.assert_allclose(total, model.log_joint(params, x), atol=tolerance)


def test_normalised_weights_are_the_published_formula(log_lik):
    """P(c) (prod over t of L(t|c)^alpha_t)^(1/sum alpha), normalised over the classes."""
    model = naive_bayes(CATEGORY, C, "category", normalise=True, offsets=False)
    params = random_params(model, log_lik)
    alpha = softplus(params.raw_category)
    prior = np.exp(params.log_prior)
    for n in range(N):
        by_category = [np.exp(log_lik[n, np.array(CATEGORY) == t]).prod(0) for t in range(3)]
        product = np.prod([lt**a for lt, a in zip(by_category, alpha, strict=True)], axis=0)
        expected = prior * product ** (1 / alpha.sum())
        got = softmax(model.log_joint(params, jnp.asarray(log_lik)), axis=-1)[n]
        np.testing.assert_allclose(got, expected / expected.sum(), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_units_of_a_feature_do_not_matter(kind, log_lik):
    model = naive_bayes(CATEGORY, C, kind)
    params = random_params(model, log_lik)
    other = log_lik + np.array([0.0, 3.0, -7.0, 20.0, 1.0])[:, None]  # densities in other units
    got = [
        log_softmax(model.log_joint(params, jnp.asarray(x[1:])), axis=-1) for x in (log_lik, other)
    ]
    np.testing.assert_allclose(*got, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_measured_gives_the_prior(kind, log_lik):
    model = naive_bayes(CATEGORY, C, kind)
    params = random_params(model, log_lik)
    got = softmax(model.log_joint(params, jnp.asarray(log_lik)), axis=-1)[0]
    np.testing.assert_allclose(got, np.exp(params.log_prior), rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "precision"),
    [
        pair if pair == ("matrix", "float64") else pytest.param(*pair, marks=pytest.mark.slow)
        for pair in product(KINDS, ("float64", "float32"))
    ],
    indirect=["precision"],
)
def test_contract(kind, log_lik, precision):
    model = naive_bayes(CATEGORY, C, kind)
    params, x = random_params(model, log_lik), jnp.asarray(log_lik)
    plain = model.log_joint(params, x)
    assert plain.shape == (N, C)
    np.testing.assert_allclose(jax.jit(model.log_joint)(params, x), plain, rtol=1e-5)
    batched = jax.vmap(model.log_joint, in_axes=(None, 0))(params, jnp.stack([x, 2 * x]))
    np.testing.assert_allclose(batched[0], plain, rtol=1e-4, atol=1e-5)
    order = jnp.array([3, 1, 0, 2, 6, 5, 4])
    np.testing.assert_allclose(model.log_joint(params, x[order]), plain[order], rtol=1e-4)
    for loss in (lambda p: jax.nn.log_softmax(model.log_joint(p, x)).sum(), model.penalty):
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(loss)(params)))
    gradient = jax.grad(lambda p: model.log_joint(p, x).sum())(params)
    assert (np.asarray(gradient.log_prior) == 0).all()


@pytest.mark.parametrize(
    "kind", [k if k == "property" else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]
)
def test_the_penalty_alone_gives_the_plain_naive_bayes(kind, log_lik):
    x, no_weight = jnp.asarray(log_lik), jnp.zeros(N)
    model = naive_bayes(CATEGORY, C, kind)
    start = model.init(jax.random.key(1), x)
    params, info = fit_log_loss(model, start, x, jnp.zeros(N, int), no_weight, penalty=10.0)
    assert info.converged
    np.testing.assert_allclose(model.alpha(params), 1.0, atol=1e-3)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="weights in"):
        naive_bayes(CATEGORY, C, "propety")
    with pytest.raises(ValueError, match="published form"):
        naive_bayes(CATEGORY, C, "matrix", normalise=True)
