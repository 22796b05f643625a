"""`GaussianMixture`: the numbers of scikit-learn, and the features that scikit-learn lacks."""

import os
import pickle
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as SklearnMixture
from sklearn.utils.estimator_checks import check_estimator

from xbayes.estimators import GaussianMixture
from xbayes.estimators.mixture_shapes import shape_of

TYPES = ("full", "tied", "diag", "spherical")
FULL_FIRST = ["full", *(pytest.param(t, marks=pytest.mark.slow) for t in TYPES[1:])]
K, F = 3, 4
DATA = os.environ.get("XBAYES_DATA")


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    centre = 1.5 * rng.normal(size=(K, F))
    return centre[rng.integers(K, size=400)] + rng.normal(size=(400, F)) * [1.0, 2.0, 0.5, 1.0]


@pytest.fixture(autouse=True)
def ignore_convergence_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)


def start(X, covariance_type):
    """A start that is not symmetric and not a fixed point."""
    shape = shape_of(covariance_type, K, F)
    precision = np.full(shape, 0.7) if covariance_type in ("diag", "spherical") else None
    if precision is None:
        precision = np.broadcast_to(0.5 * np.eye(F) + 0.2, shape).copy()
    return {
        "weights_init": np.array([0.5, 0.3, 0.2]),
        "means_init": X[:K],
        "precisions_init": precision,
    }


@pytest.mark.slow
def test_check_estimator():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skipped checks warn
        check_estimator(GaussianMixture())


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("max_iter", [1, 2, 7, 100])
def test_every_iteration_equals_that_of_scikit_learn(covariance_type, max_iter, X):
    given = {"covariance_type": covariance_type, "max_iter": max_iter, **start(X, covariance_type)}
    ours, theirs = GaussianMixture(K, **given).fit(X), SklearnMixture(K, **given).fit(X)
    assert (ours.n_iter_, ours.converged_) == (theirs.n_iter_, theirs.converged_)
    np.testing.assert_allclose(ours.lower_bounds_, theirs.lower_bounds_, atol=1e-8)
    assert ours.score(X) == pytest.approx(theirs.score(X), abs=1e-8)
    for name in (
        "weights_",
        "means_",
        "covariances_",
        "precisions_",
        "precisions_cholesky_",
        "lower_bound_",
    ):
        actual, expected = getattr(ours, name), getattr(theirs, name)
        np.testing.assert_allclose(actual, expected, rtol=1e-7, atol=1e-7, err_msg=name)
    for method in ("score_samples", "predict_proba", "predict", "bic", "aic"):
        actual, expected = getattr(ours, method)(X), getattr(theirs, method)(X)
        np.testing.assert_allclose(actual, expected, rtol=1e-7, atol=1e-7, err_msg=method)


def test_same_constructor():
    ours, theirs = GaussianMixture().get_params(), SklearnMixture().get_params()
    assert {**theirs, "missing": "refuse"} == ours


def test_float64_is_used_and_the_global_precision_unchanged(X, precision):
    given = start(X, "full")
    ours, theirs = GaussianMixture(K, **given).fit(X), SklearnMixture(K, **given).fit(X)
    assert ours.score(X) == pytest.approx(theirs.score(X), abs=1e-8)
    assert jax.config.jax_enable_x64 == (precision == "float64")
    assert jnp.zeros(()).dtype == precision


@pytest.mark.parametrize("covariance_type", FULL_FIRST)
@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
@pytest.mark.parametrize("max_iter", [0, 1, 100])
def test_starts_are_those_of_scikit_learn(init_params, covariance_type, max_iter, X):
    rng = np.random.default_rng(9)
    X = X * [30.0, 1.0, 0.03, 1.0] + rng.normal(size=F)  # k-means on the rows as they are
    given = {"init_params": init_params, "covariance_type": covariance_type, "n_init": 2}
    given |= {"n_components": K, "max_iter": max_iter}
    for seed in range(3):
        ours = GaussianMixture(**given, random_state=seed).fit(X)
        theirs = SklearnMixture(**given, random_state=seed).fit(X)
        assert ours.n_iter_ == theirs.n_iter_
        np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-6, atol=1e-9)
        if max_iter < 2 and init_params in ("k-means++", "random_from_data"):
            assert ours.weights_.sum() == pytest.approx(1.0)
            continue  # scikit-learn starts with weights 1/N, which do not sum to 1
        np.testing.assert_allclose(ours.lower_bound_, theirs.lower_bound_, rtol=1e-8)
        np.testing.assert_allclose(ours.bic(X), theirs.bic(X), rtol=1e-8)
        for drawn, expected in zip(ours.sample(9), theirs.sample(9), strict=True):
            np.testing.assert_allclose(drawn, expected, rtol=1e-5, atol=1e-5)


def test_starts_consume_the_random_state_as_in_scikit_learn(X):
    ours, theirs = np.random.RandomState(5), np.random.RandomState(5)
    GaussianMixture(K, n_init=2, random_state=ours).fit(X)
    SklearnMixture(K, n_init=2, random_state=theirs).fit(X)
    assert ours.randint(1 << 30) == theirs.randint(1 << 30)


def test_the_scaled_start_reaches_the_likelihood_of_scikit_learn(X):
    given = {"init_params": "kmeans_scaled", "n_init": 4, "random_state": 0, "tol": 1e-6}
    ours = GaussianMixture(K, **given).fit(X)
    theirs = SklearnMixture(K, tol=1e-6, **start(X, "full")).fit(X)
    assert ours.lower_bound_ > theirs.lower_bound_ - 5e-3
    assert ours.score(X) == pytest.approx(ours.lower_bound_, abs=1e-4)
    shuffled = GaussianMixture(K, **given).fit(X[::-1])
    np.testing.assert_allclose(shuffled.means_, ours.means_, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("covariance_type", TYPES)
def test_default_bic_on_the_detections_is_that_of_scikit_learn(covariance_type):
    if not DATA:
        pytest.skip("set XBAYES_DATA to the folder of the catalogues")
    table = pd.read_csv(Path(DATA) / "chandra_detections.csv")
    rows = table.drop(columns=["detection_id", "group_id", "otype"]).dropna().to_numpy(float)
    for n_components in (2, 3, 6):
        for seed in range(3):
            given = {"covariance_type": covariance_type, "random_state": seed}
            ours = GaussianMixture(n_components, **given).fit(rows)
            theirs = SklearnMixture(n_components, **given).fit(rows)
            assert ours.bic(rows) == pytest.approx(theirs.bic(rows), rel=1e-6)


@pytest.mark.slow
def test_default_bic_on_the_scaled_detections_is_the_one_measured_from_outside():
    """K = 3 after the published scaling: scikit-learn finds -243,037."""
    if not DATA:
        pytest.skip("set XBAYES_DATA to the folder of the catalogues")
    table = pd.read_csv(Path(DATA) / "chandra_detections.csv")
    table = table.drop(columns=["detection_id", "group_id", "otype"]).dropna()
    for name in ("bb_kt", "var_ratio_b", "var_ratio_h", "var_ratio_s"):
        value = table[name]
        table[name] = np.log(value + value[value > 0].min() / 10)
    for name in ("powlaw_gamma", "bb_kt", "var_ratio_b", "var_ratio_h", "var_ratio_s"):
        table[name] = (table[name] - table[name].min()) / np.ptp(table[name])
    rows = table.to_numpy(float)
    assert GaussianMixture(3, random_state=0).fit(rows).bic(rows) == pytest.approx(-243037, abs=1)


def test_a_collapsing_component_keeps_the_last_valid_parameters():
    """Three rows at one point attract a component; without `reg_covar` its covariance vanishes."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 2)), np.full((3, 2), 4.0)])
    given = {"n_components": 2, "reg_covar": 0.0, "means_init": [[0.0, 0.0], [4.0, 4.0]]}
    given |= {"weights_init": [0.9, 0.1], "precisions_init": [np.eye(2), np.eye(2)]}
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        SklearnMixture(**given).fit(X)
    with pytest.warns(ConvergenceWarning, match="collapsed onto a point or a plane in iteration"):
        fitted = GaussianMixture(**given).fit(X)
    assert not fitted.converged_
    assert 0 < fitted.n_iter_ < 100
    assert len(fitted.lower_bounds_) == fitted.n_iter_
    for values in (fitted.means_, fitted.precisions_cholesky_, fitted.score_samples(X)):
        assert np.isfinite(values).all()
    np.testing.assert_allclose(fitted.means_[1], 4.0, atol=0.1)
    before = SklearnMixture(**given, max_iter=fitted.n_iter_ - 1).fit(X)
    np.testing.assert_allclose(fitted.covariances_, before.covariances_, rtol=1e-6, atol=1e-12)
    # Of several starts, one that converges is preferred.
    good = GaussianMixture(2, reg_covar=0.0, init_params="random", n_init=5, random_state=0).fit(X)
    assert good.converged_


def test_an_empty_component_is_harmless():
    """k-means finds fewer clusters than components in repeated rows."""
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], 10, axis=0)
    with pytest.warns(ConvergenceWarning, match="distinct clusters"):
        fitted = GaussianMixture(4, random_state=0).fit(X)
    with pytest.warns(ConvergenceWarning, match="distinct clusters"):
        theirs = SklearnMixture(4, random_state=0).fit(X)
    assert fitted.score(X) == pytest.approx(theirs.score(X), abs=1e-8)
    assert np.sort(fitted.weights_)[:2].max() < 1e-12


@pytest.mark.slow
def test_warm_start_continues_where_the_last_fit_stopped(X):
    given = start(X, "full")
    whole = GaussianMixture(K, max_iter=7, tol=0.0, **given).fit(X)
    parts = GaussianMixture(K, max_iter=3, tol=0.0, warm_start=True, **given).fit(X)
    parts.set_params(max_iter=4).fit(X)
    np.testing.assert_allclose(parts.means_, whole.means_, atol=1e-9)
    smaller = parts.set_params(n_components=2, **dict.fromkeys(given)).fit(X)
    assert smaller.means_.shape == (2, F)


@pytest.mark.parametrize("covariance_type", FULL_FIRST)
def test_samples_follow_the_mixture(covariance_type, X):
    fitted = GaussianMixture(K, covariance_type=covariance_type, random_state=0).fit(X)
    drawn, label = fitted.sample(40_000)
    np.testing.assert_allclose(np.bincount(label) / 40_000, fitted.weights_, atol=0.015)
    full = fitted.covariances_ if covariance_type == "tied" else fitted.covariances_[0]
    full = np.diag(np.broadcast_to(full, F)) if np.ndim(full) < 2 else full
    np.testing.assert_allclose(drawn[label == 0].mean(0), fitted.means_[0], atol=0.1)
    np.testing.assert_allclose(np.cov(drawn[label == 0].T), full, atol=0.25)
    assert fitted.sample(1)[0].shape == (1, F)


def test_nan_is_refused_by_default(X):
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        GaussianMixture().fit(X)
    fitted = GaussianMixture(missing="marginalise").fit(X)
    with pytest.raises(ValueError, match="NaN"):
        fitted.set_params(missing="refuse").predict(X)


def test_nan_means_not_measured(X):
    rng = np.random.default_rng(1)
    X = np.where(rng.random(X.shape) < 0.3, np.nan, X)
    X[0] = np.nan
    fitted = GaussianMixture(K, missing="marginalise", random_state=0).fit(X)
    log_density = fitted.score_samples(X)
    for n in range(0, 20):
        o = np.flatnonzero(~np.isnan(X[n]))
        density = sum(
            w * (multivariate_normal(m[o], c[np.ix_(o, o)]).pdf(X[n, o]) if o.size else 1.0)
            for w, m, c in zip(fitted.weights_, fitted.means_, fitted.covariances_, strict=True)
        )
        assert log_density[n] == pytest.approx(np.log(density), abs=1e-9)
    np.testing.assert_allclose(fitted.predict_proba(X)[0], fitted.weights_, rtol=1e-9)
    np.testing.assert_allclose(fitted.predict_proba(X[5:6])[0], fitted.predict_proba(X)[5])
    np.testing.assert_array_equal(fitted.fit_predict(X), fitted.predict(X))
    single = np.full((1, F), np.nan)
    single[0, 2] = 1.0  # most features are measured in no row, which only `fit` refuses
    assert fitted.predict_proba(single).sum() == pytest.approx(1.0)


@pytest.mark.slow
def test_noise_is_deconvolved(X):
    rng = np.random.default_rng(2)
    noise = rng.choice([0.1, 9.0], X.shape)
    noisy = X + np.sqrt(noise) * rng.normal(size=X.shape)
    truth = np.cov(X.T)
    fitted = GaussianMixture(1, tol=1e-6, max_iter=1000).fit(noisy, noise=noise)
    without_noise = GaussianMixture(1).fit(noisy)
    error = np.abs(fitted.covariances_[0] - truth).max()
    assert error < 1.2 < np.abs(without_noise.covariances_[0] - truth).max()
    matrices = noise[:, :, None] * np.eye(F)
    np.testing.assert_allclose(
        fitted.score_samples(noisy, noise=matrices), fitted.score_samples(noisy, noise=noise)
    )


def test_sample_weight_is_repetition(X):
    weight = np.arange(400) % 3
    for given in ({"init_params": "kmeans_scaled", "random_state": 0}, start(X, "full")):
        weighted = GaussianMixture(K, **given).fit(X, sample_weight=weight)
        repeated = GaussianMixture(K, **given).fit(np.repeat(X, weight, axis=0))
        np.testing.assert_allclose(weighted.means_, repeated.means_, atol=1e-8)
    present = GaussianMixture(K, random_state=0).fit(X, sample_weight=weight > 0)
    alone = GaussianMixture(K, random_state=0).fit(X[weight > 0])
    np.testing.assert_allclose(present.means_, alone.means_, atol=1e-8)
    with pytest.raises(ValueError, match="sample_weight"):
        GaussianMixture().fit(X, sample_weight=weight[:5])


def test_pickle_and_padding(X):
    fitted = GaussianMixture(K, random_state=0).fit(X)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    np.testing.assert_allclose(fitted.score_samples(X[:3]), fitted.score_samples(X)[:3])


def test_verbose_prints_the_lower_bounds(X, capsys):
    fitted = GaussianMixture(K, random_state=0, verbose=1, verbose_interval=1).fit(X)
    assert capsys.readouterr().out.count("lower bound") == fitted.n_iter_


WRONG = [
    ({"n_components": 2.5}, "The 'n_components' parameter of GaussianMixture must be an int in"),
    ({"n_components": "2"}, "Got '2' instead"),
    ({"n_components": 0}, "Got 0 instead"),
    ({"n_components": 500}, "Expected n_samples >= n_components but got n_components = 500"),
    ({"tol": -1.0}, "The 'tol' parameter of GaussianMixture must be a float in"),
    ({"tol": "small"}, "The 'tol' parameter"),
    ({"reg_covar": float("nan")}, "The 'reg_covar' parameter"),
    ({"reg_covar": -1.0}, "The 'reg_covar' parameter"),
    ({"max_iter": 2.0}, "The 'max_iter' parameter"),
    ({"n_init": 0}, "The 'n_init' parameter"),
    ({"covariance_type": "round"}, "The 'covariance_type' parameter of GaussianMixture must be a"),
    ({"covariance_type": ["full"]}, "The 'covariance_type' parameter"),
    ({"init_params": "guess"}, "The 'init_params' parameter"),
    ({"init_params": None}, "The 'init_params' parameter"),
    ({"random_state": "seed"}, "The 'random_state' parameter"),
    ({"warm_start": "yes"}, "The 'warm_start' parameter"),
    ({"verbose": -1}, "The 'verbose' parameter"),
    ({"verbose_interval": 0}, "The 'verbose_interval' parameter"),
    ({"weights_init": 1.0}, "The 'weights_init' parameter"),
    ({"weights_init": [0.5, 0.2, 0.2]}, "The parameter 'weights' should be normalized"),
    ({"weights_init": [2.0, 0.2, 0.2]}, "The parameter 'weights' should be in the range"),
    ({"weights_init": [1.0]}, r"The parameter 'weights' should have the shape of \(3,\), but got"),
    ({"means_init": np.zeros((K, 2))}, "The parameter 'means' should have the shape of"),
    ({"precisions_init": -np.tile(np.eye(F), (K, 1, 1))}, "should be symmetric, positive-definite"),
    ({"precisions_init": np.tile(np.ones((F, F)), (K, 1, 1))}, "symmetric, positive-definite"),
    ({"precisions_init": np.eye(F)}, "The parameter 'full precision' should have the shape of"),
    ({"covariance_type": "diag", "precisions_init": -np.ones((K, F))}, "should be positive"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_wrong_parameters_are_refused_as_in_scikit_learn(given, message, X):
    given = {"n_components": K, **given}
    with pytest.raises(ValueError, match=message) as ours:
        GaussianMixture(**given).fit(X)
    with pytest.raises(ValueError, match=message) as theirs:
        SklearnMixture(**given).fit(X)
    assert str(ours.value) == str(theirs.value)
    if "parameter of" in message:
        assert type(ours.value) is type(theirs.value)  # InvalidParameterError


def test_own_parameters_are_checked(X):
    with pytest.raises(ValueError, match="The 'missing' parameter of GaussianMixture must be"):
        GaussianMixture(missing="impute").fit(X)
    with pytest.raises(ValueError, match="'means' has values that are not finite"):
        GaussianMixture(K, means_init=np.full((K, F), np.inf)).fit(X)
    with pytest.raises(ValueError, match="'n_components' parameter"):
        GaussianMixture(2.5, init_params="kmeans_scaled").fit(X)
    generator = np.random.RandomState(0)
    with pytest.raises(ValueError, match="'tol' parameter"):
        GaussianMixture(tol=-1, random_state=generator).fit(X)
    assert generator.randint(1 << 30) == np.random.RandomState(0).randint(1 << 30)


@pytest.mark.slow
def test_degenerate_rows(X):
    constant = X * [1.0, 1.0, 1.0, 0.0]
    fitted = GaussianMixture(K, random_state=0).fit(constant)
    np.testing.assert_allclose(fitted.covariances_[:, -1, -1], 1e-6, rtol=1e-3)
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        GaussianMixture(K, reg_covar=0.0, random_state=0).fit(constant)
    same = np.ones((9, F))  # fewer points than components
    assert np.isfinite(GaussianMixture(K, random_state=0).fit(same).score(same))
    with pytest.raises(ValueError, match="minimum of 2"):
        GaussianMixture().fit(X[:1])
    with pytest.raises(ValueError, match="infinity"):
        GaussianMixture(missing="marginalise").fit(np.where(X > 2, np.inf, X))
    empty = np.where(np.arange(F) == 1, np.nan, X)
    with pytest.raises(ValueError, match=r"features \[1\] are observed in no row"):
        GaussianMixture(missing="marginalise").fit(empty)
    with pytest.raises(ValueError, match="negative variance"):
        GaussianMixture().fit(X, noise=-np.ones_like(X))
