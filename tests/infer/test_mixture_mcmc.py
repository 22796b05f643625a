"""NUTS on the Bayesian mixture: simulation-based calibration, closed forms, label switching."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import chisquare, multivariate_t, t

from xbayes.errors import InputError, XbayesWarning
from xbayes.infer.mixture_draws import posterior_mean, relabel, responsibilities
from xbayes.infer.mixture_mcmc import (
    MixtureDraws,
    sample_chain,
    sample_posterior,
    warn_if_not_converged,
)
from xbayes.models.bayesian_mixture import (
    VariationalParams,
    draw,
    m_step,
    mixture_prior,
    starting_from,
)
from xbayes.models.gaussian_mixture import MixtureParams, log_joint
from xbayes.models.measured import Measured
from xbayes.models.normal_wishart import NormalWishart
from xbayes.models.sticks import Sticks

N_SKIES, N, N_DRAWS, THIN, WARMUP = 200, 16, 31, 8, 200
BINS = 8
GRID = np.linspace(-5.0, 5.0, 9)
CENTRE = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])


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
def log_density(draws, x):
    """Log density of rows under each sample [S N]."""
    return jax.lax.map(lambda params: jax.nn.logsumexp(log_joint(params, x), axis=1), draws)


@jax.jit
def run(keys, around, x, row_weight):
    """One chain for each simulated sample of rows [R N]."""
    chain = partial(sample_chain, n_warmup=WARMUP, n_draws=N_DRAWS, thin=THIN)
    return jax.vmap(lambda key, x: chain(key, around, x[:, None], row_weight))(keys, x)


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
    found = run(
        jax.random.split(chain_key, N_SKIES), starting_from(used_by_sampler), x, jnp.ones(N)
    )
    assert float(found.diverging.mean()) < 0.01
    rank = (invariants(found.params) < invariants(truth)[:, None]).sum(1)  # [R Q], 0 .. S
    counts = [np.bincount(r * BINS // (N_DRAWS + 1), minlength=BINS) for r in rank.T]
    return np.array([chisquare(count).pvalue for count in counts])


@pytest.mark.slow
@pytest.mark.usefixtures("full_optimisation")
@pytest.mark.parametrize("given", [("dirichlet", 0.8), ("stick_breaking", 2.0)])
def test_ranks_of_the_truth_are_uniform(given):
    """Talts et al. 2018 (arXiv:1804.06788): truth and samples are exchangeable."""
    prior = prior_of(*given)
    assert p_values(prior, prior, 1).min() > 0.01


@pytest.mark.slow
@pytest.mark.usefixtures("full_optimisation")
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


def displaced(prior):
    """An approximate posterior that is wrong: other weights, means, widths and degrees."""
    component = NormalWishart(
        mean_precision=jnp.array([1.0, 3.0]),
        mean=jnp.array([[-1.0], [2.0]]),
        degrees=jnp.array([6.0, 9.0]),
        scatter=jnp.array([[[8.0]], [[3.0]]]),
    )
    stick = Sticks(taken=jnp.array([3.0, 2.0]), left=jnp.array([2.0, 0.0]))
    return VariationalParams(stick=stick, component=component, prior=prior)


@pytest.mark.slow
@pytest.mark.usefixtures("full_optimisation")
@pytest.mark.parametrize("nearby", [None, displaced])
def test_the_predictive_density_is_the_sum_over_all_allocations(nearby):
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
    around = starting_from(prior) if nearby is None else nearby(prior)
    found = run(keys, around, jnp.asarray(rows), jnp.asarray(np.repeat([1.0, 0.0], 8)))
    draws = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found.params)
    each = np.exp(log_density(draws, jnp.asarray(GRID[:, None]))).reshape(N_SKIES, N_DRAWS, -1)
    error = each.mean(1).std(0) / np.sqrt(N_SKIES)  # chains are independent
    assert (error < 0.05 * true).all()
    assert (np.abs(each.mean((0, 1)) - true) < 4 * error).all()


def test_chains_of_one_component_have_the_conjugate_mean():
    """In one dimension, with few samples; the mean of the prior must fail the same test."""
    x = np.random.default_rng(4).normal(2.0, 1.0, (25, 1))
    prior = mixture_prior(1, np.zeros(1), np.eye(1), mean_precision=0.5, degrees=5.0)
    around, sizes = starting_from(prior), {"n_warmup": 100, "n_draws": 40, "n_chains": 8}
    found = sample_posterior(jax.random.key(5), around, x, **sizes)
    mean = np.asarray(found.params.mean)[..., 0, 0]
    by_chain = mean.mean(1)
    error = by_chain.std(ddof=1) / np.sqrt(8)
    exact = m_step(around, x, np.ones((25, 1))).component
    far = np.abs(by_chain.mean() - np.array([float(exact.mean[0, 0]), 0.0])) / error
    assert far[0] < 5.4 < far[1]  # p = 0.001 for Student's t of seven degrees of freedom
    width = np.sqrt(
        float(exact.scatter[0, 0, 0] / (exact.degrees[0] - 2) / exact.mean_precision[0])
    )
    np.testing.assert_allclose(mean.std(), width, rtol=0.25)


@pytest.mark.slow
@pytest.mark.usefixtures("full_optimisation")
def test_one_component_is_the_conjugate_posterior():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(25, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]]) + [1.0, -2.0]
    scatter = np.array([[1.5, 0.3], [0.3, 1.0]])
    prior = mixture_prior(1, np.array([0.5, 0.0]), scatter, mean_precision=0.5, degrees=5.0)
    around = starting_from(prior)
    found = sample_posterior(jax.random.key(5), around, x, n_warmup=300, n_draws=400, n_chains=16)
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


INCOMPLETE = Measured(np.zeros((500_001, 1)), np.arange(500_001)[:, None] > 0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"x": np.array([[np.nan], [1.0]])}, "not finite"),
        ({"row_weight": jnp.zeros(2)}, "every row has weight zero"),
        ({"x": np.zeros((500_001, 1))}, "at most 1,000,000; found 500001 x 2 x 1 = 1,000,002"),
        ({"x": INCOMPLETE}, r"features\^3, because values are missing .* 500001 x 2 x 1\^3"),
        ({"n_draws": 0}, "must be at least 1"),
    ],
)
def test_invalid_input_is_refused(change, says):
    given = {"x": np.zeros((2, 1)), **change}
    with pytest.raises(InputError, match=says):
        sample_posterior(jax.random.key(0), starting_from(prior_of("dirichlet", 1.0)), **given)


def test_weights_that_do_not_sum_to_one_are_refused():
    prior = mixture_prior(2, np.zeros(1), np.eye(1), "stick_breaking", open_end=True)
    with pytest.raises(InputError, match="without open_end"):
        sample_posterior(jax.random.key(0), starting_from(prior), np.zeros((2, 1)))


def test_chains_that_have_not_converged_warn():
    potential = np.random.default_rng(0).normal(size=(2, 200))
    apart = potential + np.array([[0.0], [2.0]])
    never, often = np.zeros((2, 200), bool), np.arange(400).reshape(2, 200) % 10 == 0
    draws = MixtureDraws(params=None, potential=potential, diverging=never, n_steps=None)
    warn_if_not_converged(draws)  # warnings are errors here
    with pytest.warns(XbayesWarning, match="R-hat of the log joint is 1\\.[2-9].* 0.0% of"):
        warn_if_not_converged(draws._replace(potential=apart))
    with pytest.warns(XbayesWarning, match="is 1.00 .* 10.0% of the trajectories diverged"):
        warn_if_not_converged(draws._replace(diverging=often))


@pytest.fixture
def scrambled():
    """Samples around three components, permuted in each sample, and rows drawn from them."""
    rng = np.random.default_rng(6)
    order = np.stack([rng.permutation(3) for _ in range(60)])
    mean = CENTRE[order] + 0.2 * rng.normal(size=(60, 3, 2))
    weight = np.array([0.5, 0.3, 0.2])[order]
    covariance = np.tile(np.eye(2), (60, 3, 1, 1)) * (1 + 0.1 * order[..., None, None])
    draws = MixtureParams(*map(jnp.asarray, (np.log(weight), mean, covariance)))
    x = jnp.asarray(CENTRE[rng.integers(3, size=40)] + rng.normal(size=(40, 2)))
    return draws, x, order


def test_relabelling_undoes_the_permutations(scrambled):
    draws, x, order = scrambled
    first = np.asarray(responsibilities(draws, x))[0]
    found = relabel(draws, x, first)
    named = np.take_along_axis(order, found.order, 1)
    assert (named == named[0]).all()
    assert np.array_equal(np.sort(found.order, 1), np.tile(np.arange(3), (60, 1)))
    np.testing.assert_allclose(np.exp(found.draws.log_weight).std(0), 0.0, atol=1e-12)
    mean = posterior_mean(found.draws)
    np.testing.assert_allclose(mean.log_weight, found.draws.log_weight[0])
    np.testing.assert_allclose(mean.mean, CENTRE[order[0]], atol=0.1)
    np.testing.assert_allclose(mean.covariance, found.draws.covariance[0], atol=1e-12)
    np.testing.assert_allclose(found.membership.sum(1), 1.0, rtol=1e-9)
    np.testing.assert_allclose(responsibilities(found.draws, x).mean(0), found.membership)
    wanted = np.asarray(responsibilities(draws, x))[7]
    towards = relabel(draws, x, reference=wanted)
    assert (towards.order[7] == np.arange(3)).all()
    with pytest.raises(InputError, match="reference must have shape"):
        relabel(draws, x, reference=wanted[:5])
    with pytest.raises(InputError, match="not finite"):
        relabel(draws._replace(mean=draws.mean * np.nan), x, first)
    ignored = jnp.concatenate([x, 50 + x])  # far rows, of weight 0
    both = np.concatenate([first, first[:, ::-1]])
    weighted = relabel(draws, ignored, both, jnp.repeat(jnp.array([1.0, 0.0]), len(x)))
    assert (weighted.order == found.order).all()
