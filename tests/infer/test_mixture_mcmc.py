"""NUTS on the Bayesian mixture: simulation-based calibration, closed forms, label switching."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import chisquare, multivariate_t, t

from xbayes.infer.mixture_draws import (
    co_clustering,
    log_density,
    occupied,
    relabel,
    responsibilities,
)
from xbayes.infer.mixture_mcmc import sample_chain, sample_posterior
from xbayes.models.bayesian_mixture import draw, m_step, mixture_prior, starting_from
from xbayes.models.gaussian_mixture import MixtureParams
from xbayes.types import InputError

pytestmark = pytest.mark.optimised

N_SKIES, N, N_DRAWS, THIN, WARMUP = 200, 16, 31, 8, 200
BINS = 8
GRID = np.linspace(-5.0, 5.0, 9)


def prior_of(weights, concentration, scatter=1.0, mean_precision=0.2):
    return mixture_prior(
        2,
        np.zeros(1),
        np.array([[scatter]]),
        weights,
        concentration=concentration,
        mean_precision=mean_precision,
        degrees=4.0,
    )


@jax.jit
def run(keys, prior, x, row_weight):
    """One chain for each simulated sample of rows [R N]."""
    chain = partial(sample_chain, n_warmup=WARMUP, n_draws=N_DRAWS, thin=THIN)
    return jax.vmap(lambda key, x: chain(key, prior, x[:, None], row_weight))(keys, x)


def simulated(key, prior):
    """Parameters from the prior [R K], and rows [R N] from each."""
    params_key, component_key, value_key = jax.random.split(key, 3)
    truth = draw(params_key, starting_from(prior), N_SKIES)
    size = (N_SKIES, N)
    component = jax.random.categorical(component_key, truth.log_weight[:, None], shape=size)
    mean = jnp.take_along_axis(truth.mean[..., 0], component, 1)
    variance = jnp.take_along_axis(truth.covariance[..., 0, 0], component, 1)
    return truth, mean + jnp.sqrt(variance) * jax.random.normal(value_key, size)


def invariants(params: MixtureParams):
    """Quantities [... Q] that do not depend on the order of the components."""
    weight, mean = np.exp(params.log_weight), np.asarray(params.mean[..., 0])
    variance = np.asarray(params.covariance[..., 0, 0])
    at = [
        (weight * np.exp(-((p - mean) ** 2) / 2 / variance) / np.sqrt(variance)).sum(-1)
        for p in (0.0, 2.0)
    ]
    centre = (weight * mean).sum(-1)
    spread = (weight * (variance + mean**2)).sum(-1) - centre**2
    return np.stack([*at, centre, spread, weight.max(-1), mean.min(-1), variance.min(-1)], -1)


def p_values(prior, used_by_sampler, seed):
    """P-value of uniform ranks of the truth among the samples, by quantity."""
    rows_key, chain_key = jax.random.split(jax.random.key(seed))
    truth, x = simulated(rows_key, prior)
    found = run(jax.random.split(chain_key, N_SKIES), used_by_sampler, x, jnp.ones(N))
    assert float(found.diverging.mean()) < 0.01
    rank = (invariants(found.params) < invariants(truth)[:, None]).sum(1)  # [R Q], 0 .. S
    counts = [np.bincount(r * BINS // (N_DRAWS + 1), minlength=BINS) for r in rank.T]
    return np.array([chisquare(count).pvalue for count in counts])


@pytest.mark.slow
@pytest.mark.parametrize("given", [("dirichlet", 0.8), ("stick_breaking", 2.0)])
def test_ranks_of_the_truth_are_uniform(given):
    """Talts et al. 2018 (arXiv:1804.06788): truth and samples are exchangeable."""
    prior = prior_of(*given)
    assert p_values(prior, prior, 1).min() > 0.01


@pytest.mark.parametrize(
    ("wrong", "which"),
    [({"scatter": 0.4}, 6), ({"concentration": 20.0}, 4)],
)
def test_ranks_reveal_a_wrong_prior(wrong, which):
    prior = prior_of("dirichlet", 0.8)
    given = {"weights": "dirichlet", "concentration": 0.8, **wrong}
    assert p_values(prior, prior_of(**given), 1)[which] < 0.01


def one_by_one(x, component):
    """log p(x) of one component and its posterior predictive, from one row after the other."""
    penalty, m, nu, s = (float(np.ravel(leaf)[0]) for leaf in component)
    total = 0.0
    for value in x:
        wide = np.sqrt(s * (1 + penalty) / (penalty * nu))
        total += t(nu, m, wide).logpdf(value)
        s += penalty / (penalty + 1) * (value - m) ** 2
        m, penalty, nu = m + (value - m) / (penalty + 1), penalty + 1, nu + 1
    return total, t(nu, m, np.sqrt(s * (1 + penalty) / (penalty * nu)))


def test_the_predictive_density_is_the_sum_over_all_allocations():
    """Eight rows in two components: 2^8 closed forms. Further rows have weight zero."""
    prior, alpha = prior_of("dirichlet", 0.8), 0.8
    x = np.array([-2.5, -2.0, -1.7, -0.4, 0.3, 1.9, 2.2, 2.6])
    log_post, density = [], []
    for z in product((False, True), repeat=8):
        chosen = np.array(z)
        count = np.array([8 - chosen.sum(), chosen.sum()])
        parts = [one_by_one(x[chosen == k], prior.component) for k in (False, True)]
        log_post.append(gammaln(alpha + count).sum() + parts[0][0] + parts[1][0])
        share = (alpha + count) / (2 * alpha + 8)
        density.append(sum(w * p.pdf(GRID) for w, (_, p) in zip(share, parts, strict=True)))
    post = np.exp(np.array(log_post) - np.max(log_post))
    true = post @ np.array(density) / post.sum()
    rows = np.tile(np.append(x, np.full(8, 99.0)), (N_SKIES, 1))
    keys = jax.random.split(jax.random.key(3), N_SKIES)
    found = run(keys, prior, jnp.asarray(rows), jnp.asarray(np.repeat([1.0, 0.0], 8)))
    draws = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found.params)
    each = np.exp(log_density(draws, jnp.asarray(GRID[:, None]))).reshape(N_SKIES, N_DRAWS, -1)
    error = each.mean(1).std(0) / np.sqrt(N_SKIES)  # chains are independent
    assert (error < 0.05 * true).all()
    assert (np.abs(each.mean((0, 1)) - true) < 4 * error).all()


@pytest.mark.slow
def test_one_component_is_the_conjugate_posterior():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(25, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]]) + [1.0, -2.0]
    scatter = np.array([[1.5, 0.3], [0.3, 1.0]])
    prior = mixture_prior(1, np.array([0.5, 0.0]), scatter, mean_precision=0.5, degrees=5.0)
    found = sample_posterior(jax.random.key(5), prior, x, n_warmup=300, n_draws=400, n_chains=16)
    assert float(found.diverging.mean()) < 0.01
    exact = m_step(starting_from(prior), x, np.ones((25, 1))).component
    nu, s, m = float(exact.degrees[0]), np.asarray(exact.scatter[0]), np.asarray(exact.mean[0])
    expected = s / (nu - 3)
    of_mean = expected / float(exact.mean_precision[0])
    mean, covariance = (np.asarray(leaf[:, :, 0]) for leaf in found.params[1:])  # [H S ...]
    off = mean - m
    for each, true in (
        (mean, m),
        (covariance, expected),
        (off[..., :, None] * off[..., None, :], of_mean),
    ):
        by_chain = each.mean(1)
        error = by_chain.std(0, ddof=1) / np.sqrt(len(by_chain))
        assert (np.abs(by_chain.mean(0) - true) < 4.5 * error).all()
    new = np.array([[0.0, 0.0], [1.0, -1.0]])
    draws = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found.params)
    penalty = float(exact.mean_precision[0])
    student = multivariate_t(m, s * (1 + penalty) / (penalty * (nu - 1)), nu - 1)
    average = np.exp(log_density(draws, jnp.asarray(new))).mean(0)
    np.testing.assert_allclose(average, student.pdf(new), rtol=0.05)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"x": np.array([[np.nan], [1.0]])}, "not finite"),
        ({"row_weight": jnp.zeros(2)}, "every row has weight zero"),
        ({"x": np.zeros((5001, 1))}, "at most 5000; found 5001"),
        ({"n_draws": 0}, "must be at least 1"),
    ],
)
def test_invalid_input_is_refused(change, says):
    given = {"x": np.zeros((2, 1)), **change}
    with pytest.raises(InputError, match=says):
        sample_posterior(jax.random.key(0), prior_of("dirichlet", 1.0), **given)


def test_weights_that_do_not_sum_to_one_are_refused():
    prior = mixture_prior(2, np.zeros(1), np.eye(1), "stick_breaking", open_end=True)
    with pytest.raises(InputError, match="without open_end"):
        sample_posterior(jax.random.key(0), prior, np.zeros((2, 1)))


@pytest.fixture
def scrambled():
    """Samples around three components, permuted in each sample, and rows drawn from them."""
    rng = np.random.default_rng(6)
    centre = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    order = np.stack([rng.permutation(3) for _ in range(60)])
    mean = centre[order] + 0.2 * rng.normal(size=(60, 3, 2))
    weight = np.array([0.5, 0.3, 0.2])[order]
    covariance = np.tile(np.eye(2), (60, 3, 1, 1)) * (1 + 0.1 * order[..., None, None])
    draws = MixtureParams(*map(jnp.asarray, (np.log(weight), mean, covariance)))
    x = jnp.asarray(centre[rng.integers(3, size=40)] + rng.normal(size=(40, 2)))
    return draws, x, order


def test_relabelling_undoes_the_permutations(scrambled):
    draws, x, order = scrambled
    found = relabel(draws, x)
    named = np.take_along_axis(order, found.order, 1)
    assert (named == named[0]).all()
    assert np.array_equal(np.sort(found.order, 1), np.tile(np.arange(3), (60, 1)))
    np.testing.assert_allclose(np.exp(found.draws.log_weight).std(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(found.membership.sum(1), 1.0, rtol=1e-9)
    np.testing.assert_allclose(responsibilities(found.draws, x).mean(0), found.membership)
    wanted = np.asarray(responsibilities(draws, x))[7]
    towards = relabel(draws, x, reference=wanted)
    assert (towards.order[7] == np.arange(3)).all()
    with pytest.raises(InputError, match="reference must have shape"):
        relabel(draws, x, reference=wanted[:5])
    with pytest.raises(InputError, match="not finite"):
        relabel(draws._replace(mean=draws.mean * np.nan), x)


def test_invariant_summaries_do_not_change_with_relabelling(scrambled):
    draws, x, _ = scrambled
    other = relabel(draws, x).draws
    together = co_clustering(draws, x)
    np.testing.assert_allclose(log_density(other, x), log_density(draws, x), rtol=1e-12)
    np.testing.assert_allclose(co_clustering(other, x), together, rtol=1e-12)
    resp = np.asarray(responsibilities(draws, x))
    apart = [(resp[:, 3, k] * resp[:, 8, k]).mean() for k in range(3)]
    np.testing.assert_allclose(together[3, 8], sum(apart), rtol=1e-12)
    np.testing.assert_allclose(np.diag(together), 1.0)


def test_occupied_components_are_counted(scrambled):
    draws, x, _ = scrambled
    assert (np.asarray(occupied(jax.random.key(0), draws, x)) == 3).all()
    one = draws._replace(log_weight=jnp.full((60, 3), -700.0).at[:, 1].set(0.0))
    assert (np.asarray(occupied(jax.random.key(0), one, x)) == 1).all()
    two = x[:2] * 0  # two equal rows: P(same component) = sum of squared responsibilities
    many = jax.tree.map(lambda leaf: jnp.tile(leaf[:1], (4000,) + (1,) * (leaf.ndim - 1)), draws)
    resp = np.asarray(responsibilities(draws, two))[0, 0]
    mean = np.asarray(occupied(jax.random.key(1), many, two)).mean()
    np.testing.assert_allclose(mean, 2 - (resp**2).sum(), atol=0.03)
