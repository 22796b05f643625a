"""The mixture against SciPy, brute force and simulated data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from xbayes.infer.em import fit_em, random_starts
from xbayes.models.base import dead
from xbayes.models.gaussian_mixture import (
    COVARIANCE_TYPES,
    MixtureParams,
    free_parameters,
    gaussian_mixture,
    log_joint,
    statistics,
)
from xbayes.models.measured import Measured, check_rows
from xbayes.models.mixture_start import k_means_plus_plus, random_centres, random_rows

N, F, K = 40, 3, 2


def covariances(rng, n, n_features):
    root = rng.normal(size=(n, n_features, n_features))
    return root @ root.swapaxes(1, 2) + 0.3 * np.eye(n_features)


@pytest.fixture
def params():
    rng = np.random.default_rng(1)
    weight = jnp.log(jnp.array([0.3, 0.7]))
    mean = jnp.asarray(rng.normal(size=(K, F)))
    covariance = jnp.asarray(covariances(rng, K, F))
    return MixtureParams(log_weight=weight, mean=mean, covariance=covariance)


def measured(kind, n=N, seed=2):
    """Rows with missing values (NaN) and errors."""
    rng = np.random.default_rng(seed)
    value, observed = 2 * rng.normal(size=(n, F)), rng.random((n, F)) > 0.4
    observed[0], observed[1] = False, True
    value = np.where(observed, value, np.nan) if "missing" in kind else value
    noise = rng.gamma(1.0, 0.5, (n, F)) if "variance" in kind else None
    noise = covariances(rng, n, F) if "covariance" in kind else noise
    observed = observed if "missing" in kind else None
    rows = Measured(value=value, observed=observed, noise=noise)
    return jax.tree.map(jnp.asarray, rows)


KINDS = ["exact", "missing", "variance", "covariance", "missing covariance", "missing variance"]
OTHERS = [pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[:-1]]
ONE_FAST = ["missing variance", *OTHERS]


def brute_force(params, x):
    """Joint density, and mean and covariance of the true values, of each row and component."""
    mean, covariance = np.asarray(params.mean), np.asarray(params.covariance)
    joint = np.zeros((len(x.value), K))
    true_mean, true_covariance = np.zeros((len(x.value), K, F)), np.zeros((len(x.value), K, F, F))
    for n, value in enumerate(np.asarray(x.value)):
        o = np.flatnonzero(np.ones(F, bool) if x.observed is None else x.observed[n])
        error = np.zeros((F, F)) if x.noise is None else np.asarray(x.noise[n])
        error = np.diag(error) if error.ndim == 1 else error
        for k in range(K):
            total = (covariance[k] + error)[np.ix_(o, o)]
            joint[n, k] = params.log_weight[k]
            if o.size:
                joint[n, k] += multivariate_normal(mean[k, o], total).logpdf(value[o])
            gain = covariance[k][:, o] @ np.linalg.inv(total)
            true_mean[n, k] = mean[k] + gain @ (value[o] - mean[k, o])
            true_covariance[n, k] = covariance[k] - gain @ covariance[k][o]
    return joint, true_mean, true_covariance


@pytest.mark.parametrize("kind", KINDS)
def test_density_is_scipys_marginal_with_the_errors_added(kind, params):
    x = measured(kind)
    np.testing.assert_allclose(log_joint(params, x), brute_force(params, x)[0], rtol=1e-10)


@pytest.mark.parametrize(
    ("covariance_type", "kind"),
    [("full", "missing variance")]
    + [pytest.param("full", kind, marks=pytest.mark.slow) for kind in KINDS[:-1]]
    + [
        pytest.param(t, kind, marks=pytest.mark.slow)
        for t in COVARIANCE_TYPES[1:]
        for kind in ("exact", "missing variance")
    ],
)
def test_m_step_maximises_the_expected_likelihood(kind, covariance_type, params):
    """Against the conditional moments of each row; the covariance type against a maximum."""
    x, weight = measured(kind), np.linspace(0.0, 2.0, N)
    joint, true_mean, true_covariance = brute_force(params, x)
    resp = weight[:, None] * np.exp(joint - np.logaddexp.reduce(joint, 1)[:, None])
    count = resp.sum(0)
    mean = np.einsum("nk,nkf->kf", resp, true_mean) / count[:, None]
    apart = true_mean - mean
    scatter = np.einsum("nk,nkf,nkg->kfg", resp, apart, apart)
    scatter += np.einsum("nk,nkfg->kfg", resp, true_covariance)

    model = gaussian_mixture(K, covariance_type, reg_covar=0.0)
    for new in (
        model.m_step(params, x, jnp.asarray(resp)),
        model.maximise(params, model.statistics(params, x, jnp.asarray(weight))),
    ):
        np.testing.assert_allclose(new.log_weight, np.log(count / count.sum()), rtol=1e-9)
        np.testing.assert_allclose(new.mean, mean, rtol=1e-8, atol=1e-10)

        def loss(precision):
            """Minus twice the expected log-likelihood, as a function of the precisions."""
            total = np.einsum("kfg,kfg->", precision, scatter)
            return total - (count * np.linalg.slogdet(precision)[1]).sum()

        best = np.linalg.inv(np.asarray(new.covariance))
        for direction in allowed_directions(covariance_type):
            ahead, back = loss(best + 1e-4 * direction), loss(best - 1e-4 * direction)
            assert abs(ahead - back) / 2e-4 < 1e-3  # a stationary point of a convex function
            assert min(ahead, back) > loss(best)


def allowed_directions(covariance_type):
    """Changes of the precisions [K F F] that keep the covariance type."""
    if covariance_type == "spherical":
        yield from (np.eye(K)[k][:, None, None] * np.eye(F) for k in range(K))
        return
    for f in range(F):
        for g in range(f + 1 if covariance_type != "diag" else 0):
            pair = np.zeros((F, F))
            pair[f, g] = pair[g, f] = 1.0
            if covariance_type == "tied":
                yield np.broadcast_to(pair, (K, F, F))
            else:
                yield from (np.eye(K)[k][:, None, None] * pair for k in range(K))
        if covariance_type == "diag":
            yield from (np.eye(K)[k][:, None, None] * np.diag(np.eye(F)[f]) for k in range(K))


@pytest.mark.slow
def test_one_gaussian_with_errors_is_the_maximum_likelihood():
    """EM for K = 1 with errors agrees with a general optimiser."""
    x = measured("missing variance", 200)
    ones = jnp.ones(200)
    model = gaussian_mixture(1, "diag", reg_covar=0.0)
    starts = random_starts(model, jax.random.key(0), x, ones, 1)
    _, info = fit_em(model, starts, x, ones, tol=1e-10, max_steps=2000)

    def loss(vector):
        mean, covariance = vector[:F], jnp.diag(jnp.exp(vector[F:]))
        params = MixtureParams(jnp.zeros(1), mean[None], covariance[None])
        return -log_joint(params, x).mean()

    found = minimize(jax.jit(jax.value_and_grad(loss)), np.zeros(2 * F), jac=True)
    assert float(info.log_lik) == pytest.approx(-found.fun, abs=1e-6)


@pytest.mark.slow
def test_errors_and_missing_values_do_not_bias_the_fit():
    """The truth is recovered with 40 % missing values and errors of very different size.

    It is not recovered if they are ignored. Whether a value is missing depends on an observed
    value, so the mean of the remaining values is biased.
    """
    rng = np.random.default_rng(3)
    n, truth = 6000, np.array([[1.0, 0.8], [0.8, 1.0]])
    label = rng.random(n) < 0.4
    true = rng.multivariate_normal([0, 0], truth, n) + np.where(label[:, None], 6.0, 0.0)
    noise = rng.choice([0.05, 2.0], (n, 2))
    value = true + np.sqrt(noise) * rng.normal(size=(n, 2))
    observed = np.ones((n, 2), bool)
    observed[:, 1] = rng.random(n) > np.where(value[:, 0] > np.median(value[:, 0]), 0.7, 0.1)
    x = Measured(*map(jnp.asarray, (value, observed, noise)))
    ones = jnp.ones(n)
    model = gaussian_mixture(2)
    starts = random_starts(model, jax.random.key(0), x, ones, 2)
    found, _ = fit_em(model, starts, x, ones, tol=1e-7, max_steps=300)
    order = np.argsort(found.mean[:, 0])
    np.testing.assert_allclose(found.mean[order], [[0, 0], [6, 6]], atol=0.15)
    np.testing.assert_allclose(found.covariance, [truth, truth], atol=0.15)
    np.testing.assert_allclose(np.exp(found.log_weight)[order], [0.6, 0.4], atol=0.03)

    no_errors, _ = fit_em(model, starts, Measured(x.value, x.observed), ones, tol=1e-7)
    assert (np.diagonal(no_errors.covariance, axis1=1, axis2=2) > 1.5).all()
    whole = jnp.where(observed, value, np.nanmean(np.where(observed, value, np.nan), 0))
    filled, _ = fit_em(model, starts, whole, ones, tol=1e-7)
    assert np.abs(np.sort(filled.mean[:, 1]) - [0, 6]).max() > 0.5


@pytest.mark.parametrize(
    "precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)], indirect=True
)
def test_complete_exact_rows_agree_with_the_general_path(params, precision):
    x, weight = measured("exact", 5000).value.astype(precision), jnp.ones(5000, precision)
    params = jax.tree.map(lambda leaf: leaf.astype(precision), params)
    whole, rows = statistics(params, x, weight), Measured(x, jnp.ones(x.shape, bool))
    tolerance = {"rtol": 1e-4, "atol": 1e-1} if precision == "float32" else {"rtol": 1e-9}
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **tolerance),
        whole,
        statistics(params, rows, weight),
    )


def test_float32_is_precise_over_many_rows():
    """With means of 1e3 sigma and 1e5 rows, a plain float32 sum of squares loses all digits."""
    rng = np.random.default_rng(0)
    value = (1000.0 + rng.normal(size=(100_000, 2))).astype(np.float32)
    jax.config.update("jax_enable_x64", False)
    try:
        model = gaussian_mixture(1, reg_covar=0.0)
        found = model.init(jax.random.key(0), jnp.asarray(value))
        for _ in range(2):
            found = model.maximise(
                found, model.statistics(found, jnp.asarray(value), jnp.ones(len(value)))
            )
    finally:
        jax.config.update("jax_enable_x64", True)
    np.testing.assert_allclose(found.covariance[0], np.cov(value.astype(float).T), atol=2e-4)
    np.testing.assert_allclose(found.mean[0], value.astype(float).mean(0), rtol=1e-7)


@pytest.mark.parametrize("kind", ONE_FAST)
def test_contract(kind, params):
    x = measured(kind)
    plain = log_joint(params, x)
    assert plain.shape == (N, K)
    np.testing.assert_allclose(jax.jit(log_joint)(params, x), plain, rtol=1e-9)
    two = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), params)
    np.testing.assert_allclose(jax.vmap(log_joint, (0, None))(two, x)[1], plain, rtol=1e-9)
    order = np.random.default_rng(0).permutation(N)
    moved = jax.tree.map(lambda leaf: leaf[order], x)
    np.testing.assert_allclose(log_joint(params, moved), plain[order], rtol=1e-9)
    swapped = jax.tree.map(lambda leaf: leaf[::-1], params)
    np.testing.assert_allclose(log_joint(swapped, x), plain[:, ::-1], rtol=1e-9)
    gradient = jax.grad(lambda p: jax.nn.logsumexp(log_joint(p, x), axis=1).sum())(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_row_with_nothing_observed_has_the_weights_as_joint(params):
    x = measured("missing variance")
    np.testing.assert_allclose(log_joint(params, x)[0], params.log_weight, rtol=1e-12)


def test_density_integrates_to_one(params):
    grid = np.linspace(-12, 12, 61)
    points = np.stack(np.meshgrid(grid, grid, grid), -1).reshape(-1, 3)
    density = np.exp(jax.nn.logsumexp(log_joint(params, jnp.asarray(points)), axis=1))
    assert density.sum() * (grid[1] - grid[0]) ** 3 == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    "start",
    [random_centres]
    + [pytest.param(start, marks=pytest.mark.slow) for start in (k_means_plus_plus, random_rows)],
)
def test_starts_differ_by_key_only(start):
    rng = np.random.default_rng(4)
    value = rng.normal(size=(60, 2))
    model = gaussian_mixture(3, start=start)
    keys = jax.random.split(jax.random.key(1), 2)
    padded, ones = np.pad(value, ((0, 30), (0, 0))), np.pad(np.ones(60), (0, 30))

    def init(x, weight, key=keys[0]):
        return model.init(key, jnp.asarray(x), jnp.asarray(weight))

    first, second = init(padded, ones), init(padded, ones, keys[1])
    assert np.abs(first.mean - second.mean).max() > 1e-3
    assert np.abs(first.mean[0] - first.mean[1]).max() > 1e-3
    order = rng.permutation(90)
    twice = np.concatenate([value, value[30:]])
    for got, expected in [
        (init(padded[order], ones[order]), first),
        (init(value, ones[:60]), first),
        (init(padded, ones * np.repeat([1.0, 2.0, 0.0], 30)), init(twice, np.ones(90))),
    ]:
        np.testing.assert_allclose(got.mean, expected.mean, atol=1e-9)
        np.testing.assert_allclose(got.covariance, expected.covariance, atol=1e-9)


def test_an_empty_component_restarts_from_the_heaviest(params):
    away = params._replace(mean=params.mean.at[0].set(1e6))
    x = measured("exact")
    model = gaussian_mixture(K)
    found = model.statistics(away, x, jnp.ones(N))
    assert dead(found).tolist() == [True, False]
    new = model.maximise(away, found)
    np.testing.assert_allclose(np.exp(new.log_weight), 0.5)
    apart = np.asarray(new.mean[0] - new.mean[1])
    distance = apart @ np.linalg.solve(np.asarray(new.covariance[1]), apart)
    assert distance == pytest.approx(1.0)  # one sigma


def test_number_of_free_parameters():
    assert [free_parameters(kind, 2, 3) for kind in COVARIANCE_TYPES] == [19, 13, 13, 9]


def test_wrong_arguments_are_refused():
    for arguments, message in [
        ((0,), "n_components >= 1"),
        ((2, "round"), "covariance_type"),
        ((2, "full", -1.0), "reg_covar"),
    ]:
        with pytest.raises(ValueError, match=message):
            gaussian_mixture(*arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": np.full((5, 2), np.inf)}, "not finite"),
        ({"value": np.full((5, 2), np.nan)}, "not finite"),
        ({"observed": np.array([[True, False]] * 5)}, r"features \[1\] are observed in no row"),
        ({"noise": -np.ones((5, 2))}, "negative variance"),
        ({"noise": np.full((5, 2), np.nan)}, "noise is not finite"),
        ({"noise": np.ones(5)}, "noise has shape"),
        ({"noise": np.tile([[1.0, 2.0], [2.0, 1.0]], (5, 1, 1))}, "negative variance"),
        ({"noise": np.tile([[1.0, 0.5], [0.0, 1.0]], (5, 1, 1))}, "symmetric"),
    ],
)
def test_bad_rows_are_refused(change, message):
    x = Measured(np.zeros((5, 2)))._replace(**change)
    with pytest.raises(ValueError, match=message):
        check_rows(x, np.ones(5), 2)


def test_bad_weights_are_refused():
    x = np.zeros((5, 2))
    for weight, message in [
        (-np.ones(5), "not negative"),
        (np.zeros(5), "weight zero"),
        (np.eye(5)[0], "2 components need as many rows; got 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_rows(x, weight, 2)
