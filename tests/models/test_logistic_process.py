"""The logistic Gaussian process: mode, precision, evidence and posterior samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import xbayes.models.logistic_process as process
from xbayes.models.logistic_process import draw_process, fit_process

N_NODES = 40


def counted(value, n_nodes=N_NODES):
    """Counts at the nodes of values from 0 to 1."""
    node = np.round(np.asarray(value) * (n_nodes - 1)).astype(int)
    return jnp.asarray(np.bincount(node, minlength=n_nodes), float)


def flat(n_nodes=N_NODES):
    return jnp.full(n_nodes, -np.log(n_nodes))


def skewed(n, seed=0):
    return counted(stats.beta(2, 5).rvs(n, random_state=seed))


def log_posterior(w, count, scale, log_base):
    """The definition, without a normalising constant."""
    x = jnp.arange(len(count)) / (len(count) - 1)
    wave = jnp.arange(1, len(w) + 1)
    f = (jnp.sqrt(2) * jnp.cos(jnp.pi * wave * x[:, None])) @ (scale * w)
    return count @ jax.nn.log_softmax(log_base + f) - 0.5 * w @ w


@pytest.mark.parametrize(
    "n", [200, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 3, 20_000))]
)
def test_newton_ends_at_the_mode_with_its_precision(n):
    count, scales = skewed(n) if n else jnp.zeros(N_NODES), process._scales(float)
    fit = fit_process(count, flat())
    for h in (0, 4, 8):
        given = (count, scales[h], flat())
        slope = jax.grad(log_posterior)(fit.mode[h], *given)
        np.testing.assert_allclose(slope, 0.0, atol=1e-6 + 1e-8 * n)
        hessian = jax.hessian(log_posterior)(fit.mode[h], *given)
        np.testing.assert_allclose(fit.root[h] @ fit.root[h].T, -hessian, atol=1e-6 * max(n, 1))


@pytest.mark.slow
def test_evidence_equals_a_sum_over_a_fine_lattice(monkeypatch):
    monkeypatch.setattr(process, "N_WAVES", 2)
    count, scales = skewed(60), process._scales(float)
    fit = fit_process(count, flat())
    w = np.linspace(-8, 8, 161)
    lattice = jnp.asarray(np.stack(np.meshgrid(w, w), -1).reshape(-1, 2))
    exact = []
    for scale in scales:
        each = jax.vmap(log_posterior, (0, None, None, None))(lattice, count, scale, flat())
        exact.append(jax.nn.logsumexp(each))
    exact = np.array(exact) - exact[0]
    np.testing.assert_allclose(fit.log_evidence - fit.log_evidence[0], exact, atol=0.05)


def test_evidence_distinguishes_smooth_from_wavy_densities():
    x = np.arange(128) / 127
    for bends, longest in ((1, True), (12, False)):
        density = np.exp(1.5 * np.cos(np.pi * bends * x))
        count = jnp.asarray(4000 * density / density.sum())
        weight = jax.nn.softmax(fit_process(count, flat(128)).log_evidence).reshape(3, 3)
        of_length = np.asarray(weight.sum(0))  # pairs are ordered by size, then length
        assert (of_length[2] > 0.9) == longest, of_length


def deviation_of(draws):
    return np.std(np.asarray(draws), axis=0)


@pytest.mark.slow
def test_samples_have_the_covariance_of_the_precision():
    """With independent weights of the sources, the covariance of w is its inverse precision."""
    rng = np.random.default_rng(0)
    value = np.clip(stats.beta(2, 5).rvs(300, random_state=1), 0, 1)
    fit = fit_process(counted(value), flat())
    chosen = fit._replace(log_evidence=jnp.where(jnp.arange(9) == 4, 0.0, -jnp.inf))
    draws = []
    for seed in range(600):
        weight = rng.exponential(size=300)
        node = np.round(value * (N_NODES - 1)).astype(int)
        count = jnp.asarray(np.bincount(node, weight, N_NODES))
        draws.append(draw_process(jax.random.key(seed), chosen, count))
    covariance = jnp.linalg.inv(fit.root[4] @ fit.root[4].T)
    waves = process._waves(flat()) * process._scales(float)[4]
    density = jax.nn.softmax(flat() + waves @ fit.mode[4])
    turn = waves - density @ waves  # derivative of the log density
    exact = np.sqrt(jnp.einsum("bj,jk,bk->b", turn, covariance, turn))
    often = np.asarray(density) > 1 / (4 * N_NODES)
    np.testing.assert_allclose(deviation_of(draws)[often], exact[often], rtol=0.2)


def test_weights_of_groups_widen_the_posterior():
    value = np.repeat(stats.beta(2, 5).rvs(60, random_state=2), 5)
    node = np.round(value * (N_NODES - 1)).astype(int)
    fit, rng = fit_process(counted(value), flat()), np.random.default_rng(0)
    draws = {1: [], 5: []}
    for seed in range(150):
        for size, samples in draws.items():
            weight = np.repeat(rng.exponential(size=300 // size), size)
            count = jnp.asarray(np.bincount(node, weight, N_NODES))
            samples.append(draw_process(jax.random.key(seed), fit, count))
    often = counted(value) > 5
    ratio = deviation_of(draws[5])[often] / deviation_of(draws[1])[often]
    assert np.median(ratio) > 1.3


@pytest.mark.slow
def test_intervals_cover_densities_of_the_prior():
    """Coverage of 90 % intervals for densities sampled from the prior, with 200 sources each.

    The coverage is 0.87 where there are sources (0.83 everywhere), because the posterior is only
    approximately normal. Intervals of half the width must fail.
    """
    rng, inside, narrow = np.random.default_rng(5), [], []
    waves, scale = np.asarray(process._waves(flat())), np.asarray(process._scales(float)[4])
    for seed in range(40):
        truth = np.asarray(jax.nn.log_softmax(waves @ (scale * rng.normal(size=len(scale)))))
        node = rng.choice(N_NODES, 200, p=np.exp(truth))
        fit = fit_process(jnp.asarray(np.bincount(node, minlength=N_NODES), float), flat())
        count = [np.bincount(node, rng.exponential(size=200), N_NODES) for _ in range(80)]
        keys = jax.random.split(jax.random.key(seed), 80)
        draws = jax.vmap(draw_process, (0, None, 0))(keys, fit, jnp.asarray(np.array(count)))
        draws, mean = np.asarray(draws), np.asarray(draws).mean(0)
        for each, covered in ((draws, inside), (mean + (draws - mean) / 2, narrow)):
            low, high = np.quantile(each, [0.05, 0.95], axis=0)
            covered.append(((low <= truth) & (truth <= high))[truth > np.log(0.02)].mean())
    assert 0.83 < np.mean(inside) < 0.95, (np.mean(inside), np.mean(narrow))
    assert np.mean(narrow) < 0.7


def test_without_sources_the_posterior_is_the_prior():
    base = jnp.log(jax.nn.softmax(jnp.linspace(0.0, 2.0, N_NODES)))
    fit = fit_process(jnp.zeros(N_NODES), base)
    np.testing.assert_allclose(fit.mode, 0.0, atol=1e-12)
    keys = jax.random.split(jax.random.key(0), 200)
    draws = jax.vmap(draw_process, (0, None, None))(keys, fit, jnp.zeros(N_NODES))
    np.testing.assert_allclose(jnp.exp(draws).sum(1), 1.0)
    assert np.all(deviation_of(draws) > 0.5)
