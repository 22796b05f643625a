"""Variational mixtures against scikit-learn, closed forms, enumeration and Monte Carlo."""

from itertools import pairwise, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import beta, dirichlet, multivariate_normal, multivariate_t, wishart
from sklearn.mixture import BayesianGaussianMixture

from xbayes.errors import InputError
from xbayes.infer.em import em_step, fit_chunks, fit_em, random_starts
from xbayes.models import sticks
from xbayes.models.bayesian_mixture import (
    WEIGHTS,
    VariationalParams,
    bayesian_mixture,
    draw,
    log_joint,
    log_predictive,
    lower_bound,
    m_step,
    mixture_prior,
    penalty,
    point,
    starting_from,
)
from xbayes.models.measured import Measured, check_rows
from xbayes.models.normal_wishart import NormalWishart, log_density

F, K = 2, 3


def clumps(n=60, seed=0, centres=((0.0, 0.0), (5.0, 0.0), (0.0, 6.0))):
    rng = np.random.default_rng(seed)
    return np.asarray(centres)[rng.integers(len(centres), size=n)] + rng.normal(size=(n, F))


def a_prior(n_components=K, weights="dirichlet", **options):
    given = {"mean_precision": 0.7, "degrees": 3.5, "concentration": 0.4, **options}
    mean, scatter = np.array([0.5, -0.3]), np.array([[2.0, 0.4], [0.4, 1.0]])
    return mixture_prior(n_components, mean, scatter, weights, **given)


def some_responsibilities(n, n_components=K, seed=1):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(n_components), size=n)


def fitted(x, n_components=K, weights="dirichlet", row_weight=None, n_starts=2, **options):
    model = bayesian_mixture(n_components, weights, **options)
    row_weight = jnp.ones(len(x), x.dtype) if row_weight is None else jnp.asarray(row_weight)
    starts = random_starts(model, jax.random.key(0), x, row_weight, n_starts)
    return fit_em(model, starts, x, row_weight, tol=1e-9, max_steps=1000)


def bound_given(params, x, resp):
    """The ELBO with any q(z)."""
    expected = np.asarray(log_joint(params, x))
    return (resp * (expected - np.log(resp))).sum() - float(penalty(params))


def scikit_learn(x, resp, prior, kind, concentration):
    model = BayesianGaussianMixture(
        n_components=resp.shape[1],
        reg_covar=0.0,
        weight_concentration_prior_type=kind,
        weight_concentration_prior=concentration,
        mean_precision_prior=float(prior.component.mean_precision),
        mean_prior=np.asarray(prior.component.mean),
        degrees_of_freedom_prior=float(prior.component.degrees),
        covariance_prior=np.asarray(prior.component.scatter),
    )
    model._check_parameters(x)
    model._initialize(x, resp)
    return model


def constant_of_scikit_learn(n_rows, n_components, prior, kind, concentration):
    """The constants missing from its lower bound: normalisation of the prior, and 2 pi."""
    nu, beta_0 = float(prior.component.degrees), float(prior.component.mean_precision)
    log_det = np.linalg.slogdet(np.asarray(prior.component.scatter))[1]
    component = nu * F / 2 * np.log(2) - nu / 2 * log_det - F / 2 * np.log(beta_0)
    component += gammaln((nu - np.arange(F)) / 2).sum()
    if kind == "dirichlet_distribution":
        weight = n_components * gammaln(concentration) - gammaln(n_components * concentration)
    else:
        weight = -n_components * np.log(concentration)  # Beta(1, gamma)
    return -n_rows * F / 2 * np.log(2 * np.pi) - weight - n_components * component


@pytest.mark.parametrize("kind", ["dirichlet_distribution", "dirichlet_process"])
def test_every_iteration_agrees_with_scikit_learn(kind):
    x, concentration = clumps(), 0.4
    resp = some_responsibilities(len(x))
    weights = "dirichlet" if kind == "dirichlet_distribution" else "stick_breaking"
    prior = a_prior(weights=weights, concentration=concentration, open_end=True)
    theirs = scikit_learn(x, resp, prior, kind, concentration)
    params = m_step(starting_from(prior), x, resp)
    constant = constant_of_scikit_learn(len(x), K, prior, kind, concentration)
    for _ in range(40):
        log_norm, log_resp = theirs._e_step(x)
        resp = np.exp(log_resp)
        np.testing.assert_allclose(jax.nn.softmax(log_joint(params, x)), resp, atol=1e-8)
        theirs._m_step(x, log_resp)
        params = m_step(params, x, resp)
        theirs._set_parameters(theirs._get_parameters())
        ours = point(params)
        np.testing.assert_allclose(ours.mean, theirs.means_, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(ours.covariance, theirs.covariances_, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(np.exp(ours.log_weight), theirs.weights_, rtol=1e-6)
        nu, beta_k = params.component.degrees, params.component.mean_precision
        np.testing.assert_allclose(nu, theirs.degrees_of_freedom_, rtol=1e-9)
        np.testing.assert_allclose(beta_k, theirs.mean_precision_, rtol=1e-9)
        bound = theirs._compute_lower_bound(log_resp, log_norm) + constant
        np.testing.assert_allclose(bound_given(params, x, np.maximum(resp, 1e-300)), bound)


@pytest.mark.parametrize(
    ("weights", "kind"),
    [
        (w, k) if (w, k) == ("dirichlet", "missing") else pytest.param(w, k, marks=pytest.mark.slow)
        for w, k in product(WEIGHTS, ["exact", "missing", "noise"])
    ],
)
def test_the_bound_never_decreases(weights, kind):
    rng = np.random.default_rng(2)
    value = clumps(80)
    x = Measured(
        value,
        rng.random(value.shape) > 0.3 if kind == "missing" else None,
        rng.gamma(0.5, 1.0, value.shape) if kind == "noise" else None,
    )
    model, row_weight = bayesian_mixture(5, weights), jnp.asarray(rng.gamma(1.0, 1.0, 80))
    params = model.init(jax.random.key(1), x, row_weight)
    bounds = []
    for _ in range(60):
        bounds.append(float(lower_bound(params, x, row_weight)))
        params, _ = em_step(model, params, x, row_weight)
    assert bounds[-1] > bounds[0] + 1.0
    assert all(after > before - 1e-8 for before, after in pairwise(bounds))
    _, info = fit_em(model, jax.tree.map(lambda a: a[None], params), x, row_weight, max_steps=1)
    np.testing.assert_allclose(
        info.log_lik * row_weight.sum(), lower_bound(params, x, row_weight), rtol=1e-9
    )


def sampled_by_scipy(params, n_draws, rng):
    """Samples of q with Dirichlet weights, and log prior - log q, from SciPy alone."""
    c, prior = jax.device_get((params.component, params.prior.component))
    alpha, alpha_0 = np.asarray(params.stick.taken), np.asarray(params.prior.stick.taken)
    weight = rng.dirichlet(alpha, n_draws)
    weight = np.maximum(weight, 1e-300)
    weight[:, -1] = 1 - weight[:, :-1].sum(1)
    ratio = np.array([dirichlet.logpdf(w, alpha_0) - dirichlet.logpdf(w, alpha) for w in weight])
    mean = np.zeros((n_draws, len(alpha), F))
    precision = np.zeros((n_draws, len(alpha), F, F))
    inverse_0 = np.linalg.inv(prior.scatter)
    for k in range(len(alpha)):
        nu, inverse = float(c.degrees[k]), np.linalg.inv(c.scatter[k])
        precision[:, k] = wishart.rvs(nu, inverse, n_draws, random_state=rng)
        each = np.moveaxis(precision[:, k], 0, -1)
        ratio += wishart.logpdf(each, float(prior.degrees), inverse_0)
        ratio -= wishart.logpdf(each, nu, inverse)
        # Solving with a root of the precision gives the covariance of the mean.
        half = np.linalg.cholesky(precision[:, k])
        step = rng.normal(size=(n_draws, F))
        back = np.linalg.solve(half.swapaxes(1, 2), step[..., None])[..., 0]
        mean[:, k] = c.mean[k] + back / np.sqrt(c.mean_precision[k])
        off = np.einsum("sfg,sf->sg", half, mean[:, k] - prior.mean)
        beta_k, beta_0 = c.mean_precision[k], float(prior.mean_precision)
        ratio += (step**2).sum(1) / 2 - beta_0 * (off**2).sum(1) / 2
        ratio += F / 2 * np.log(beta_0 / beta_k)
    return weight, mean, precision, ratio


@pytest.mark.slow
def test_the_bound_is_the_average_over_the_posterior():
    """E_q[log p - log q] by Monte Carlo; the missing values of two rows are latent variables."""
    rng, n_draws = np.random.default_rng(3), 3000
    value = clumps(6, seed=4)
    observed = np.ones((6, F), bool)
    observed[1, 0] = observed[4, 1] = False
    x, ones = Measured(value, observed), jnp.ones(6)
    params = m_step(starting_from(a_prior(2)), x, some_responsibilities(6, 2))
    resp = np.asarray(jax.nn.softmax(log_joint(params, x)))
    weight, mean, precision, total = sampled_by_scipy(params, n_draws, rng)
    total = total - (resp * np.log(resp)).sum()
    half_log_det = np.linalg.slogdet(precision)[1] / 2
    spread, m_of = np.asarray(point(params).covariance), np.asarray(params.component.mean)
    for n, k in product(range(6), range(2)):
        row = np.tile(value[n], (n_draws, 1))
        log_q = np.zeros(n_draws)  # of the missing value
        if not observed[n].all():
            m, o = np.flatnonzero(~observed[n])[0], np.flatnonzero(observed[n])[0]
            slope = spread[k, m, o] / spread[k, o, o]
            centre = m_of[k, m] + slope * (value[n, o] - m_of[k, o])
            sd = np.sqrt(spread[k, m, m] - slope * spread[k, o, m])
            step = rng.normal(size=n_draws)
            row[:, m] = centre + sd * step
            log_q = -(step**2) / 2 - np.log(sd) - np.log(2 * np.pi) / 2
        off = row - mean[:, k]
        far = np.einsum("sf,sfg,sg->s", off, precision[:, k], off)
        log_lik = half_log_det[:, k] - F / 2 * np.log(2 * np.pi) - far / 2
        total = total + resp[n, k] * (np.log(weight[:, k]) + log_lik - log_q)
    error = total.std() / np.sqrt(n_draws)
    assert error < 0.1
    assert abs(total.mean() - float(lower_bound(params, x, ones))) < 4 * error


def one_by_one(x, prior):
    """log p(x) of one component, as a product of predictive densities (Murphy 2012, Eq. 4.222)."""
    beta_0, m, nu, s = (np.asarray(leaf) for leaf in prior.component)
    total = 0.0
    for row in x:
        eta = nu + 1 - F
        total += multivariate_t(m, s * (1 + beta_0) / (beta_0 * eta), eta).logpdf(row)
        off = row - m
        s = s + beta_0 / (beta_0 + 1) * np.outer(off, off)
        m, beta_0, nu = m + off / (beta_0 + 1), beta_0 + 1, nu + 1
    return total, (beta_0, m, nu, s)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_one_component_is_the_exact_posterior(weights):
    x, prior = clumps(20), a_prior(1, weights)
    params = m_step(starting_from(prior), x, np.ones((20, 1)))
    evidence, posterior = one_by_one(x, prior)
    for leaf, expected in zip(params.component, posterior, strict=True):
        np.testing.assert_allclose(leaf[0], expected, rtol=1e-9)
    np.testing.assert_allclose(lower_bound(params, x, jnp.ones(20)), evidence, rtol=1e-10)
    beta_n, m, nu, s = posterior
    eta, new = nu + 1 - F, clumps(7, seed=5)
    shape = s * (1 + beta_n) / (beta_n * eta)
    student = multivariate_t(m, shape, eta)
    np.testing.assert_allclose(log_predictive(params, new), student.logpdf(new), rtol=1e-10)
    incomplete = Measured(np.where([True, False], new, np.nan), np.tile([True, False], (7, 1)))
    marginal = multivariate_t(m[:1], shape[:1, :1], eta)
    np.testing.assert_allclose(
        log_predictive(params, incomplete), marginal.logpdf(new[:, :1]), rtol=1e-10
    )


@pytest.mark.slow
def test_the_bound_is_below_the_evidence():
    """The evidence is a sum over all 2^7 partitions of seven rows, each in closed form."""
    x, prior = clumps(7, seed=6), a_prior(2, concentration=0.8)
    of_one = a_prior(1)
    total = -np.inf
    for z in product(range(2), repeat=7):
        count = np.bincount(z, minlength=2)
        weight = (gammaln(0.8 + count) - gammaln(0.8)).sum() + gammaln(1.6) - gammaln(8.6)
        parts = [one_by_one(x[np.array(z) == k], of_one)[0] for k in range(2)]
        total = np.logaddexp(total, weight + sum(parts))
    starts = [m_step(starting_from(prior), x, some_responsibilities(7, 2, s)) for s in range(6)]
    starts = jax.tree.map(lambda *each: jnp.stack(each), *starts)
    params, _ = fit_em(bayesian_mixture(2), starts, x, jnp.ones(7), tol=1e-10)
    bound = float(lower_bound(params, x, jnp.ones(7)))
    assert total - 3.0 < bound < total


@pytest.mark.slow
@pytest.mark.parametrize("weights", WEIGHTS)
def test_superfluous_components_stay_empty(weights):
    params, info = fitted(clumps(400), 8, weights, n_starts=3)
    assert bool(info.converged)
    count = np.sort(np.asarray(params.component.degrees) - F)
    assert (count[:5] < 2.0).all()
    assert (count[5:] > 90).all()
    np.testing.assert_allclose(count.sum(), 400, rtol=1e-9)
    found = np.sort(np.asarray(point(params).mean)[np.argsort(params.component.degrees)[5:]], 0)
    truth = np.sort(np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 6.0]]), 0)
    np.testing.assert_allclose(found, truth, atol=0.4)


@pytest.mark.slow
def test_a_large_concentration_keeps_components():
    """The negative control of the previous test: the prior empties the components."""
    x, model, ones = clumps(400), bayesian_mixture(8), jnp.ones(400)
    starts = random_starts(model, jax.random.key(0), x, ones, 3)
    prior = jax.tree.map(lambda leaf: 400 * leaf, starts.prior.stick)
    starts = starts._replace(prior=starts.prior._replace(stick=prior))
    params, _ = fit_em(model, starts, x, ones, tol=1e-9, max_steps=1000)
    assert (np.asarray(params.component.degrees) - F > 5).all()


@pytest.mark.slow
def test_row_weights_equal_repeated_rows_and_order_does_not_matter():
    x = clumps(50, seed=7)
    weight = np.random.default_rng(8).permutation(np.repeat([0.0, 1.0, 2.0], [10, 30, 10]))
    params, info = fitted(x, row_weight=weight)
    again, _ = fitted(np.repeat(x, weight.astype(int), axis=0))
    back, back_info = fitted(np.where(weight > 0, x.T, 1e3).T[::-1], row_weight=weight[::-1])
    for other in (again, back):
        for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(info.log_lik, back_info.log_lik, rtol=1e-9)


@pytest.mark.slow
def test_rows_in_chunks_give_the_same_fit():
    x = clumps(90, seed=9)
    model = bayesian_mixture(4)
    start = model.init(jax.random.key(0), x)
    whole, info = fit_em(model, jax.tree.map(lambda a: a[None], start), x, jnp.ones(90))
    parts, of_parts = fit_chunks(
        model, start, lambda: ((x[i : i + 40], np.ones(len(x[i : i + 40]))) for i in (0, 40, 80))
    )
    assert int(of_parts.n_steps) == int(info.n_steps)
    np.testing.assert_allclose(of_parts.log_lik, info.log_lik, rtol=1e-9)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_a_dirichlet_is_a_stick():
    alpha = np.array([0.3, 2.0, 5.0, 0.1])
    stick = sticks.dirichlet(jnp.asarray(alpha))
    np.testing.assert_allclose(
        np.exp(sticks.log_mean_weight(stick)), alpha / alpha.sum(), rtol=1e-12
    )
    rng = np.random.default_rng(0)
    logs = np.log(rng.dirichlet([3.0, 2.0, 5.0, 1.0], 40_000))
    big = sticks.dirichlet(jnp.array([3.0, 2.0, 5.0, 1.0]))
    np.testing.assert_allclose(sticks.expected_log_weight(big), logs.mean(0), atol=0.03)
    counted = sticks.given_counts(stick, jnp.array([4.0, 0.0, 1.5, 2.0]))
    alpha = alpha + np.array([4.0, 0.0, 1.5, 2.0])
    np.testing.assert_allclose(counted.taken, alpha)
    np.testing.assert_allclose(counted.left, [*alpha[::-1].cumsum()[2::-1], 0.0])


@pytest.mark.parametrize(
    "precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)], indirect=True
)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_samples_have_the_moments_of_the_posterior(weights, precision):
    dtype = jnp.dtype(precision)
    x = jnp.asarray(clumps(40), dtype)
    prior = jax.tree.map(lambda a: a.astype(dtype), a_prior(K, weights))
    params = m_step(starting_from(prior), x, jnp.asarray(some_responsibilities(40), dtype))
    draws = jax.jit(draw, static_argnums=2)(jax.random.key(1), params, 20_000)
    assert {leaf.dtype for leaf in draws} == {dtype}
    weight = np.exp(draws.log_weight)
    np.testing.assert_allclose(weight.sum(1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(weight.mean(0), np.exp(point(params).log_weight), atol=0.01)
    np.testing.assert_allclose(
        draws.log_weight.mean(0), sticks.expected_log_weight(params.stick), atol=0.04
    )
    c = params.component
    np.testing.assert_allclose(draws.mean.mean(0), c.mean, atol=0.05)
    expected = c.scatter / (c.degrees - F - 1)[:, None, None]
    np.testing.assert_allclose(draws.covariance.mean(0), expected, rtol=0.05, atol=0.1)
    of_precision = np.linalg.inv(np.asarray(draws.covariance, np.float64)).mean(0)
    np.testing.assert_allclose(
        of_precision, np.linalg.inv(point(params).covariance), rtol=0.05, atol=0.01
    )
    of_mean = np.stack([np.cov(draws.mean[:, k].T) for k in range(K)])
    np.testing.assert_allclose(
        of_mean, expected / c.mean_precision[:, None, None], rtol=0.07, atol=0.01
    )


@pytest.mark.slow
def test_the_predictive_density_is_the_average_over_samples():
    x, new = clumps(50, seed=3), clumps(8, seed=11)
    params, _ = fitted(x)
    draws = draw(jax.random.key(2), params, 20_000)
    off = new - draws.mean[:, :, None]  # [S K N F]
    far = np.einsum("skni,skij,sknj->skn", off, np.linalg.inv(draws.covariance), off)
    log_norm = np.linalg.slogdet(2 * np.pi * np.asarray(draws.covariance))[1] / 2
    each = np.exp(draws.log_weight[..., None] - log_norm[..., None] - far / 2).sum(1)  # [S N]
    error = each.std(0) / np.sqrt(len(each))
    assert (np.abs(each.mean(0) - np.exp(log_predictive(params, new))) < 5 * error).all()


@pytest.mark.slow
def test_single_precision_gives_the_same_fit():
    x, resp = clumps(300), some_responsibilities(300)
    start = jax.tree.map(lambda a: a[None], m_step(starting_from(a_prior()), x, resp))
    wide, _ = fit_em(bayesian_mixture(K), start, x, jnp.ones(300), tol=1e-7)
    jax.config.update("jax_enable_x64", False)
    try:
        start, rows = jax.tree.map(lambda a: np.asarray(a, np.float32), (start, x))
        narrow, _ = fit_em(bayesian_mixture(K), start, rows, jnp.ones(300), tol=1e-7)
    finally:
        jax.config.update("jax_enable_x64", True)
    for a, b in zip(jax.tree.leaves(wide), jax.tree.leaves(narrow), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"concentration": -1.0}, "concentration must be a finite number above 0; found -1"),
        ({"concentration": float("nan")}, "concentration must be a finite number above 0"),
        ({"mean_precision": 0.0}, "mean_precision must be a finite number above 0; found 0"),
        ({"degrees": 1.0}, "degrees must be above F - 1 = 1 and finite; found 1"),
        ({"weights": "pitman_yor"}, "weights must be one of"),
        ({"n_components": 0}, "at least 1 component; found 0"),
    ],
)
def test_invalid_numbers_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        mixture_prior(**{"n_components": 2, "mean": np.zeros(2), "scatter": np.eye(2), **options})
    with pytest.raises(InputError, match=says):
        model = bayesian_mixture(**{"n_components": 2, **options})
        model.init(jax.random.key(0), jnp.asarray(clumps()))


@pytest.mark.parametrize(
    "scatter", [np.zeros((2, 2)), [[1.0, 2.0], [2.0, 1.0]], np.eye(2) * np.nan]
)
def test_an_invalid_scatter_is_refused(scatter):
    with pytest.raises(InputError, match="symmetric and positive definite"):
        mixture_prior(2, np.zeros(2), np.asarray(scatter))


@pytest.mark.slow
def test_degenerate_rows_have_a_proper_posterior():
    """One row, a constant or collinear feature, or more components than rows."""
    line, first = clumps(50), np.arange(50)
    rows = {
        "one row": (line, first < 1),
        "constant": (line * [1.0, 0.0] + [0.0, 3.0], first >= 0),
        "collinear": (line[:, :1] * [1.0, 2.0], first >= 0),
        "few": (line, first < 2),
        "repeated": (line[first % 2], first >= 0),
    }
    for name, (x, used) in rows.items():
        params, info = fitted(x, row_weight=used.astype(float))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)), name
        assert np.isfinite(info.log_lik), name
        assert (np.linalg.eigvalsh(point(params).covariance) > 0).all(), name
        np.testing.assert_allclose((params.component.degrees - F).sum(), used.sum(), rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_refused(bad):
    x = clumps(50)
    x[3, 1] = bad
    with pytest.raises(InputError, match="not finite"):
        check_rows(x, np.ones(50), 2)
    with pytest.raises(InputError, match="not finite"):
        fitted(x)


def test_a_row_of_weight_zero_changes_nothing_and_errors_have_no_predictive_density():
    x = clumps(30)
    rows = Measured(np.vstack([x, [np.nan, np.nan]]), np.arange(31)[:, None] < np.full(F, 30))
    prior = starting_from(a_prior(1))
    seen = m_step(prior, x, np.ones((30, 1)))
    resp = np.ones((31, 1))
    resp[30] = 0.0
    both = m_step(prior, rows, resp)
    np.testing.assert_allclose(both.component.scatter, seen.component.scatter, rtol=1e-9)
    assert isinstance(both, VariationalParams)
    np.testing.assert_allclose(log_predictive(seen, rows)[30], 0.0, atol=1e-12)
    with pytest.raises(InputError, match="exact values"):
        log_predictive(seen, Measured(x, None, np.ones((30, F))))


def test_the_divergence_of_sticks_agrees_with_scipy(precision):
    rng = np.random.default_rng(1)
    dtype = jnp.dtype(precision)
    q = sticks.given_counts(sticks.stick_breaking(3, 0.7), jnp.array([4.0, 2.5, 1.0], dtype))
    prior = sticks.stick_breaking(3, 0.7)
    total = 0.0
    for a, b in zip(np.asarray(q.taken)[:2], np.asarray(q.left)[:2], strict=True):
        v = rng.beta(a, b, 200_000)
        total += (beta.logpdf(v, a, b) - beta.logpdf(v, 1, 0.7)).mean()
    np.testing.assert_allclose(sticks.divergence(q, prior), total, atol=0.02)


def test_the_log_density_of_a_mean_and_a_precision_agrees_with_scipy():
    scatter, precision = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.5, -0.4], [-0.4, 0.8]])
    centre, mean = np.array([0.3, -1.0]), np.array([1.0, 0.5])
    component = NormalWishart(jnp.array(0.7), jnp.array(centre), jnp.array(4.5), jnp.array(scatter))
    found = log_density(component, jnp.array(mean), jnp.array(np.linalg.inv(precision)))
    wanted = wishart(4.5, np.linalg.inv(scatter)).logpdf(precision)
    wanted += multivariate_normal(centre, np.linalg.inv(0.7 * precision)).logpdf(mean)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
