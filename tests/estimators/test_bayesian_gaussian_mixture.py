"""`BayesianGaussianMixture`: the numbers of scikit-learn, and missing values."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture as SklearnMixture
from sklearn.utils.estimator_checks import check_estimator

from xbayes.estimators import BayesianGaussianMixture

TYPES = ("full", "tied", "diag", "spherical")
PRIORS = ("dirichlet_process", "dirichlet_distribution")
STARTS = ("kmeans", "k-means++", "random", "random_from_data")
ATTRIBUTES = (
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
    "mean_precision_",
    "degrees_of_freedom_",
    "weight_concentration_",
    "weight_concentration_prior_",
    "mean_precision_prior_",
    "mean_prior_",
    "degrees_of_freedom_prior_",
    "covariance_prior_",
    "lower_bound_",
)
K, F = 4, 3


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    centre = 2.0 * rng.normal(size=(3, F))
    return centre[rng.integers(3, size=300)] + rng.normal(size=(300, F)) * [1.0, 2.0, 0.5]


@pytest.fixture(autouse=True)
def ignore_convergence_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)


def priors(covariance_type):
    """A prior that differs from the default in every part."""
    matrix = 0.5 * np.eye(F) + 0.2
    covariance = {"diag": np.diag(matrix) * [1, 2, 3], "spherical": 0.7}.get(
        covariance_type, matrix
    )
    return {
        "weight_concentration_prior": 0.3,
        "mean_precision_prior": 2.5,
        "mean_prior": [0.1, -0.2, 0.3],
        "degrees_of_freedom_prior": 4.5,
        "covariance_prior": covariance,
    }


def assert_equal_fits(ours, theirs, X):
    assert (ours.n_iter_, ours.converged_) == (theirs.n_iter_, theirs.converged_)
    np.testing.assert_allclose(ours.lower_bounds_, np.ravel(theirs.lower_bounds_), rtol=1e-9)
    for name in ATTRIBUTES:
        actual, expected = getattr(ours, name), getattr(theirs, name)
        if name == "weight_concentration_" and isinstance(expected, tuple):
            assert isinstance(actual, tuple)
        else:
            assert np.shape(actual) == np.shape(np.squeeze(expected)) or name != "lower_bound_"
        np.testing.assert_allclose(actual, expected, rtol=1e-7, atol=1e-8, err_msg=name)
    for method in ("score_samples", "predict_proba", "predict", "score"):
        actual, expected = getattr(ours, method)(X), getattr(theirs, method)(X)
        np.testing.assert_allclose(actual, expected, rtol=1e-7, atol=1e-8, err_msg=method)
    for drawn, expected in zip(ours.sample(9), theirs.sample(9), strict=True):
        np.testing.assert_allclose(drawn, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_check_estimator():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skipped checks warn
        check_estimator(BayesianGaussianMixture())


def test_same_constructor():
    ours, theirs = BayesianGaussianMixture().get_params(), SklearnMixture().get_params()
    assert {**theirs, "missing": "refuse"} == ours
    with pytest.raises(TypeError):
        BayesianGaussianMixture(3)  # n_components is a keyword there, too


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("kind", PRIORS)
@pytest.mark.parametrize("prior", ["default", "given"])
def test_every_iteration_equals_that_of_scikit_learn(covariance_type, kind, prior, X):
    given = {
        "n_components": K,
        "covariance_type": covariance_type,
        "weight_concentration_prior_type": kind,
        "random_state": 1,
        **(priors(covariance_type) if prior == "given" else {}),
    }
    ours, theirs = BayesianGaussianMixture(**given).fit(X), SklearnMixture(**given).fit(X)
    assert_equal_fits(ours, theirs, X)


@pytest.mark.slow
@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("init_params", STARTS)
@pytest.mark.parametrize("max_iter", [0, 1, 500])
def test_starts_are_those_of_scikit_learn(covariance_type, init_params, max_iter, X):
    given = {
        "n_components": K,
        "covariance_type": covariance_type,
        "init_params": init_params,
        "n_init": 3,
        "max_iter": max_iter,
        "tol": 1e-6,
        "random_state": np.random.RandomState(3),
    }
    ours = BayesianGaussianMixture(**given).fit(X)
    theirs = SklearnMixture(**{**given, "random_state": np.random.RandomState(3)}).fit(X)
    np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours.covariances_, theirs.covariances_, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours.weights_, theirs.weights_, rtol=1e-6, atol=1e-8)
    assert ours.n_iter_ == theirs.n_iter_


@pytest.mark.parametrize("kind", PRIORS)
def test_the_lower_bound_never_falls(kind, X):
    given = {"weight_concentration_prior_type": kind, "reg_covar": 0.0, "tol": 0.0, "max_iter": 128}
    fitted = BayesianGaussianMixture(n_components=8, random_state=0, **given).fit(X)
    assert fitted.n_iter_ > 50
    rise = np.diff(fitted.lower_bounds_)
    assert rise.min() > -1e-9 * abs(fitted.lower_bound_)
    assert fitted.lower_bound_ > fitted.lower_bounds_[0] + 1


def test_empty_components_stay_at_the_prior():
    rng = np.random.default_rng(0)
    X = np.repeat(20.0 * np.eye(F), 100, axis=0) + rng.normal(size=(300, F))
    given = {"weight_concentration_prior": 1e-4, "tol": 1e-8, "max_iter": 2000, "random_state": 0}
    fitted = BayesianGaussianMixture(n_components=6, **given).fit(X)
    empty = fitted.mean_precision_ < 1.0 + 1e-3
    assert empty.sum() == 3
    np.testing.assert_allclose(
        fitted.means_[empty], np.tile(X.mean(0), (empty.sum(), 1)), atol=0.01
    )
    prior = np.cov(X.T) / F
    np.testing.assert_allclose(fitted.covariances_[empty][0], prior, rtol=0.01)
    assert fitted.weights_[empty].max() < 0.01
    assert np.isfinite(fitted.predict_proba(X)).all()


@pytest.mark.slow
def test_missing_values_errors_and_weights(X):
    given = {"n_components": 2, "random_state": 0, "missing": "marginalise", "max_iter": 30}
    given["init_params"] = "kmeans_scaled"  # it does not depend on repeated rows
    gaps = np.where(np.random.default_rng(1).random(X.shape) < 0.2, np.nan, X)
    fitted = BayesianGaussianMixture(**given, tol=0.0, reg_covar=0.0).fit(gaps)
    assert np.diff(fitted.lower_bounds_).min() > -1e-9 * abs(fitted.lower_bound_)
    assert np.isfinite(fitted.score_samples(gaps)).all()
    assert np.abs(np.sort(fitted.means_, 0) - np.sort(_of_complete(given, X), 0)).max() < 0.6
    weight = np.arange(300) % 3
    weighted = BayesianGaussianMixture(**given).fit(X, sample_weight=weight)
    repeated = BayesianGaussianMixture(**given).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted.means_, repeated.means_, atol=1e-8)
    np.testing.assert_allclose(weighted.covariance_prior_, repeated.covariance_prior_, rtol=1e-9)
    noisy = BayesianGaussianMixture(**given).fit(X, noise=np.full(X.shape, 0.1))
    assert np.isfinite(noisy.lower_bound_)


def _of_complete(given, X):
    return BayesianGaussianMixture(**given).fit(X).means_


def test_warm_start_and_pickle(X):
    given = {"n_components": K, "random_state": 0, "tol": 0.0}
    whole = BayesianGaussianMixture(**given, max_iter=7).fit(X)
    parts = BayesianGaussianMixture(**given, max_iter=3, warm_start=True).fit(X)
    parts.set_params(max_iter=4).fit(X)
    np.testing.assert_allclose(parts.means_, whole.means_, atol=1e-9)
    again = pickle.loads(pickle.dumps(parts))
    np.testing.assert_array_equal(again.predict_proba(X), parts.predict_proba(X))
    small = BayesianGaussianMixture(n_components=K, random_state=0).fit(X[:, :1])
    assert small.means_.shape == (K, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_components": 2.5}, "The 'n_components' parameter of BayesianGaussianMixture must be"),
        ({"weight_concentration_prior_type": "process"}, "must be a str among"),
        ({"weight_concentration_prior": 0.0}, "'weight_concentration_prior' parameter"),
        ({"mean_precision_prior": -1.0}, "'mean_precision_prior' parameter"),
        ({"mean_prior": [0.0]}, "The parameter 'means' should have the shape of"),
        ({"degrees_of_freedom_prior": 2.0}, "should be greater than 2, but got 2.000"),
        ({"covariance_prior": np.eye(2)}, "'full covariance_prior' should have the shape of"),
        ({"covariance_prior": -np.eye(F)}, "'full precision' should be symmetric, positive"),
        ({"covariance_type": "diag", "covariance_prior": -np.ones(F)}, "should be positive"),
        (
            {"covariance_type": "spherical", "covariance_prior": -1.0},
            "'covariance_prior' parameter",
        ),
    ],
)
def test_wrong_parameters_are_refused_as_in_scikit_learn(given, message, X):
    with pytest.raises(ValueError, match=message):
        BayesianGaussianMixture(**given).fit(X)
    with pytest.raises(ValueError, match=message):
        SklearnMixture(**given).fit(X)
