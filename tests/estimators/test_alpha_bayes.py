"""`AlphaBayesClassifier`: the contract of scikit-learn, and the numbers of the package."""

import pickle
import warnings

import jax
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.estimator_checks import check_estimator

from xbayes.classifier.blocks import CHUNK
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import Recipe
from xbayes.estimators import AlphaBayesClassifier
from xbayes.estimators.alpha_plan import inner_folds
from xbayes.infer.select_penalty import PENALTIES
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.types import Features, Labels, Names

CLASSES = np.array(["AGN", "CV", "star", "XRB"])


@pytest.fixture
def rows():
    """100 sources with 3 features, one often missing; 4 classes of 43 to 8 members."""
    rng = np.random.default_rng(3)
    truth = rng.choice(4, 100, p=[0.45, 0.3, 0.15, 0.1])
    X = rng.normal(size=(100, 3)) + np.array([[0, 0, 0], [2, -1, 1], [-2, 1, 1], [1, 2, -1]])[truth]
    X[rng.random(100) < np.array([0.1, 0.2, 0.7, 0.4])[truth], 2] = np.nan
    return X, CLASSES[truth]


@pytest.mark.slow
def test_check_estimator():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skipped checks warn
        check_estimator(AlphaBayesClassifier())


def direct(X, y):
    """Products, classifier and report by the functions of the package, without padding."""
    classes, truth = np.unique(y, return_inverse=True)
    n, n_features = X.shape
    seed = int(check_random_state(7).randint(np.iinfo(np.int32).max))
    fold, n_folds = inner_folds(truth, np.arange(n), 5, seed)
    names = tuple(map(str, range(n_features)))
    bounds = np.tile([-np.inf, np.inf], (n_features, 1))
    recipe = Recipe(
        density=smooth_density(bounds, np.ones(n_features, bool), len(classes)),
        model=naive_bayes(range(n_features), len(classes), "matrix"),
        names=Names(
            features=names,
            categories=names,
            category=tuple(range(n_features)),
            classes=tuple(classes),
        ),
        penalties=PENALTIES,
        n_starts=4,
        n_folds=n_folds,
    )
    measured = ~np.isnan(X)
    features = Features(
        value=np.where(measured, X, 0.0),
        measured=measured,
        available=np.ones_like(measured),
        weight=np.ones_like(X),
        error=np.zeros_like(X),
    )
    labels = Labels(truth, np.arange(n))
    classifier, report = fit_classifier(recipe, features, labels, fold, jax.random.key(seed))
    return classify(recipe, classifier, features), classifier, report


def test_the_numbers_are_those_of_the_package_without_padding(rows):
    products, classifier, report = direct(*rows)
    fitted = AlphaBayesClassifier(random_state=7).fit(*rows)
    given = {"rtol": 0, "atol": 1e-10}
    np.testing.assert_allclose(fitted.predict_proba(rows[0]), products.posterior, **given)
    np.testing.assert_allclose(fitted.outlier_probability(rows[0]), products.outlier_p, **given)
    np.testing.assert_array_equal(fitted.predict(rows[0]), fitted.classes_[products.prediction])
    np.testing.assert_allclose(fitted.weights_.mixing, classifier.weights.mixing, atol=1e-8)
    assert fitted.penalty_ == report.penalty
    assert fitted.alpha_.shape == (3, 4)


def test_float64_is_used_and_the_global_precision_unchanged(rows, precision):
    X, y = rows
    fitted = AlphaBayesClassifier(random_state=7).fit(X, y)
    assert jax.config.jax_enable_x64 == (precision == "float64")
    many = np.tile(X, (CHUNK // 100 + 1, 1))  # more than a chunk
    got = fitted.predict_proba(many)
    jax.config.update("jax_enable_x64", True)
    np.testing.assert_allclose(got[-100:], direct(X, y)[0].posterior, rtol=0, atol=1e-10)
    assert np.abs(got.sum(1) - 1).max() < 1e-14


@pytest.mark.parametrize(
    ("weights", "missing"),
    [
        ("matrix", "evidence"),
        ("category", "ignore"),
        *(
            pytest.param(weights, missing, marks=pytest.mark.slow)
            for weights in ("category", "property", "property_class", "matrix")
            for missing in ("evidence", "ignore")
            if (weights, missing) not in (("matrix", "evidence"), ("category", "ignore"))
        ),
    ],
)
def test_contributions_sum_to_the_log_odds(missing, weights, rows):
    X, y = rows
    X[4] = np.nan
    given = {"missing": missing, "weights": weights, "penalty": 3.0, "random_state": 0}
    fitted = AlphaBayesClassifier(**given).fit(X, y)
    measured = ((missing == "evidence") | ~np.isnan(X).all(1))[:, None]
    terms = fitted.contributions(X)
    score = np.log(fitted.class_prior_) + fitted.offset_ * measured + terms.sum(1)
    odds = np.diff(np.log(fitted.predict_proba(X)), axis=1)
    np.testing.assert_allclose(np.diff(score, axis=1), odds, rtol=0, atol=1e-9)
    np.testing.assert_allclose(np.diff(fitted.predict_log_proba(X)), odds, rtol=0, atol=1e-9)
    if missing == "ignore":
        assert (terms[np.isnan(X)] == 0).all()
        np.testing.assert_allclose(fitted.predict_proba(X)[4], fitted.class_prior_, rtol=1e-12)


@pytest.mark.slow
def test_nan_is_evidence_or_ignored():
    rng = np.random.default_rng(1)
    y = rng.integers(2, size=400)
    X = rng.normal(size=(400, 2)) + np.stack([y, 0 * y], 1)
    X[rng.random(400) < np.array([0.1, 0.8])[y], 1] = np.nan
    gap = np.array([[0.5, np.nan]])
    evidence = AlphaBayesClassifier(offsets=False, random_state=0).fit(X, y)
    ignored = clone(evidence).set_params(missing="ignore").fit(X, y)
    assert evidence.predict_proba(gap)[0, 1] > 0.8
    assert evidence.score(X, y) > ignored.score(X, y) + 0.1
    assert ignored.predict_proba(gap)[0, 1] == pytest.approx(0.5, abs=0.2)
    assert (ignored.contributions(gap)[:, 1] == 0).all()
    assert (evidence.contributions(gap)[:, 1] != 0).all()


@pytest.mark.slow
def test_prior_categories_and_names(rows):
    X, y = rows
    table = pd.DataFrame(X, columns=["hard", "soft", "optical"])
    fitted = AlphaBayesClassifier(penalty=3.0, random_state=0).fit(table, y)
    assert fitted.feature_names_in_.tolist() == fitted.category_names_.tolist() == list(table)
    np.testing.assert_allclose(fitted.class_prior_, np.unique(y, return_counts=True)[1] / 100)
    share = np.array([0.1, 0.2, 0.3, 0.4])
    given = clone(fitted).set_params(prior=share).fit(table, y)
    expected = fitted.predict_proba(table) * share / fitted.class_prior_
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(given.predict_proba(table), expected, atol=1e-12)
    grouped = clone(fitted).set_params(categories=["X", "X", "O"], weights="category").fit(table, y)
    assert grouped.category_names_.tolist() == ["X", "O"]
    np.testing.assert_array_equal(grouped.alpha_[0], grouped.alpha_[1])
    assert grouped.set_params(normalise=True).fit(X, y).alpha_[[0, 2], 0].sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("objective", "density"),
    [("log_loss", "smooth"), pytest.param("f1", "published", marks=pytest.mark.slow)],
)
def test_the_decision_rule_for_the_f1_of_one_class(objective, density, rows):
    X, y = rows
    given = {"objective": objective, "density": density, "penalty": 3.0, "random_state": 0}
    fitted = AlphaBayesClassifier(decision="f1", focus_class="XRB", **given).fit(X, y)
    assert fitted.factor_[fitted.classes_ != "XRB"].tolist() == [1, 1, 1]
    chosen = (fitted.predict_proba(X) * fitted.factor_).argmax(1)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[chosen])
    np.testing.assert_array_equal(fitted.decision_function(X).argmax(1), chosen)


def test_the_threshold_of_largest_expected_f1(rows):
    X, y = rows
    given = {"focus_class": "XRB", "penalty": 3.0, "random_state": 0}
    fitted = AlphaBayesClassifier(decision="expected_f1", **given).fit(X, y)
    p = fitted.predict_proba(X)
    is_focus = fitted.classes_ == "XRB"
    others = np.where(is_focus, -1, p).argmax(1)
    chosen = np.where(p[:, is_focus][:, 0] >= fitted.threshold_, is_focus.argmax(), others)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[chosen])
    np.testing.assert_array_equal(fitted.decision_function(X).argmax(1), chosen)
    assert 0 < fitted.threshold_ < 0.5
    assert (fitted.factor_ == 1).all()
    rare = AlphaBayesClassifier(
        decision="expected_f1", prior=[0.48, 0.48, 0.02, 0.02], **given
    ).fit(X, y)
    assert rare.threshold_ < fitted.threshold_, "a rarer class: a smaller attainable F1"


@pytest.mark.slow
def test_small_classes_have_fewer_folds(rows):
    X, y = rows
    few = np.r_[np.flatnonzero(y != "XRB"), np.flatnonzero(y == "XRB")[:3]]
    one = few[:-2]
    fitted = AlphaBayesClassifier(penalty=3.0, random_state=0).fit(X[few], y[few])
    assert fitted.n_folds_ == 3
    single = AlphaBayesClassifier(penalty=3.0, random_state=0).fit(X[one], y[one])
    assert single.n_folds_ == 5
    assert single.predict_proba(X).shape == (100, 4)
    first = np.unique(y, return_index=True)[1]
    plain = AlphaBayesClassifier(random_state=0).fit(X[first], y[first])
    np.testing.assert_allclose(plain.alpha_, 1.0, atol=1e-5)
    np.testing.assert_allclose(plain.weights_.mixing, 0.0, atol=1e-5)
    np.testing.assert_array_equal(plain.predict(X[first]), y[first])


def test_folds_do_not_split_groups():
    truth, group = np.repeat([0, 1], 50), np.arange(100) // 4
    fold, n_folds = inner_folds(truth, group, 5, seed=0)
    assert n_folds == 5
    assert all(len(set(fold[group == g])) == 1 for g in range(25))
    assert set(fold) == set(range(5))
    with pytest.raises(ValueError, match="at least 2 groups"):
        inner_folds(truth, np.zeros(100, int), 5, seed=0)


def test_pickles_and_clones(rows):
    X, y = rows
    fitted = AlphaBayesClassifier(penalty=3.0, random_state=0).fit(X, y, groups=np.arange(100) // 2)
    pickled = pickle.dumps(fitted)
    jax.config.update("jax_enable_x64", False)
    again = pickle.loads(pickled)
    jax.config.update("jax_enable_x64", True)
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    new = clone(fitted).fit(X, y, groups=[f"field {n // 2}" for n in range(100, 200)])
    np.testing.assert_array_equal(new.predict_proba(X), fitted.predict_proba(X))
    # Parameters that are set after the fit do not change the fitted model.
    np.testing.assert_array_equal(
        fitted.set_params(weights="category").predict_proba(X), again.predict_proba(X)
    )


GIVEN = {"x0": 0.5, "x1": 2.0, "x2": 1.0}


@pytest.mark.parametrize(
    "density", [pytest.param("smooth", marks=pytest.mark.slow), "published", "published_code"]
)
def test_given_weights_are_applied_without_learning(density, rows):
    """Posterior = prior times likelihoods to the power of alpha; what was learned, given again."""
    X, y = rows
    options = {"density": density, "normalise": True, "missing_weight": 0.5, "penalty": 3.0}
    options |= {"weights": "category", "offsets": False, "random_state": 0, "n_folds": 3}
    learned = AlphaBayesClassifier(**options).fit(X, y)
    alpha = dict(zip(["x0", "x1", "x2"], 5 * learned.alpha_[:, 0], strict=True))
    given = AlphaBayesClassifier(**{**options, "alpha": alpha}).fit(X, y)
    np.testing.assert_allclose(given.predict_proba(X), learned.predict_proba(X), rtol=1e-12)
    np.testing.assert_allclose(given.alpha_, learned.alpha_, rtol=1e-12)
    score = np.log(given.class_prior_) + given.contributions(X).sum(1)
    expected = np.exp(score - np.logaddexp.reduce(score, axis=1, keepdims=True))
    np.testing.assert_allclose(given.predict_proba(X), expected, rtol=1e-12)
    assert (given.offset_ == 0).all() and np.isnan(given.penalty_)


def test_given_weights_with_the_default_options(rows):
    X, y = rows
    given = AlphaBayesClassifier(alpha=GIVEN, random_state=0).fit(X, y)
    np.testing.assert_allclose(given.alpha_, np.tile([[0.5], [2.0], [1.0]], 4), rtol=1e-14)
    again = pickle.loads(pickle.dumps(clone(given).fit(X, y)))
    np.testing.assert_array_equal(again.predict_proba(X), given.predict_proba(X))
    named = AlphaBayesClassifier(alpha={"A": 1.0, "B": 0.0}, categories=["A", "A", "B"]).fit(X, y)
    assert (named.contributions(X)[:, 2] == 0).all()


def test_the_exponent_of_non_detections(rows):
    """With exponent 0 a non-detection is no evidence, and the evidence is linear in it."""
    X, y = rows
    missing, terms = np.isnan(X[:, 2]), {}
    for exponent in (0.0, 0.5, 1.0):
        given = AlphaBayesClassifier(alpha=GIVEN, missing_weight=exponent, random_state=0)
        terms[exponent] = given.fit(X, y).contributions(X)[missing, 2]
    assert (terms[0.0] == 0).all() and np.abs(terms[1.0]).max() > 0.1
    np.testing.assert_allclose(2 * terms[0.5], terms[1.0], rtol=1e-9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weights": "alpha"}, r"weights is one of \('category', .*'matrix'\); got 'alpha'"),
        ({"density": "kde"}, "density is one of .*'smooth', 'published'"),
        ({"missing": "drop"}, "missing is one of .*'evidence', 'ignore'"),
        ({"objective": "auc"}, "objective is one of .*'log_loss', 'f1'"),
        ({"decision": None}, "decision is one of .*'argmax', 'f1'"),
        ({"normalise": "yes"}, "normalise is True or False"),
        ({"normalise": True}, "normalise=True needs weights=\"category\"; got 'matrix'"),
        ({"n_starts": 0}, "n_starts is a whole number, at least 1; got 0"),
        ({"n_folds": 1}, "n_folds is a whole number, at least 2; got 1"),
        ({"n_folds": 2.5}, "n_folds is a whole number"),
        ({"penalty": 0.0}, 'penalty is "auto" or a number above 0; got 0.0'),
        ({"penalty": "strong"}, 'penalty is "auto"'),
        ({"prior": "even"}, 'prior is "training" or 4 proportions .*AGN'),
        ({"prior": [0.5, 0.5]}, "4 proportions above 0 that sum to 1"),
        ({"prior": [0.5, 0.5, 0.5, 0.5]}, "sum to 1"),
        ({"prior": [1.0, 0.0, 0.0, 0.0]}, "above 0"),
        ({"categories": ["X"]}, "one label for each of the 3 columns"),
        ({"categories": "XXO"}, "one label for each of the 3 columns"),
        ({"decision": "f1"}, "needs focus_class"),
        ({"decision": "expected_f1"}, 'decision="expected_f1" needs focus_class'),
        ({"alpha": {"x0": 1.0}}, "alpha is None or a dict with a number of at least 0 for each"),
        ({"alpha": {"x0": 1, "x1": 1, "x3": 1}}, r"category of \['x0', 'x1', 'x2'\]; got"),
        ({"alpha": {"x0": 1, "x1": 1, "x2": -1}}, "a number of at least 0"),
        ({"alpha": {"x0": 1, "x1": 1, "x2": "1"}}, "a number of at least 0"),
        ({"alpha": [1.0, 1.0, 1.0]}, "alpha is None or a dict"),
        ({"alpha": {"x0": 0, "x1": 0, "x2": 0}, "normalise": True}, "one above 0"),
        ({"alpha": GIVEN, "weights": "property"}, 'alpha needs weights="category"; got \'prop'),
        ({"alpha": GIVEN, "objective": "f1", "focus_class": "XRB"}, "leave objective at"),
        ({"missing_weight": 2}, "missing_weight is a number from 0 to 1; got 2"),
        ({"missing_weight": "auto"}, "missing_weight is a number from 0 to 1; got 'auto'"),
        ({"density": "published_code"}, 'needs weights="category", normalise=True and missing'),
        ({"focus_class": "QSO"}, "focus_class is one of .*'XRB'.*; got 'QSO'"),
    ],
)
def test_wrong_parameters_are_refused(given, message, rows):
    with pytest.raises(ValueError, match=message):
        AlphaBayesClassifier(**given).fit(*rows)


@pytest.mark.parametrize("missing", ["evidence", "ignore"])
@pytest.mark.parametrize("density", ["smooth", "published"])
def test_constant_and_missing_features(density, missing, rows):
    X, y = rows
    X[:, 1], X[:, 2] = 7.0, np.nan
    given = {"density": density, "missing": missing, "penalty": 3.0, "random_state": 0}
    fitted = AlphaBayesClassifier(**given).fit(X, y)
    assert np.isfinite(fitted.predict_log_proba(1e6 * X)).all()
    np.testing.assert_allclose(fitted.contributions(X)[:, 2], 0.0, atol=0.3)


def test_wrong_data_are_refused(rows):
    X, y = rows
    with pytest.raises(ValueError, match="infinity"):
        AlphaBayesClassifier().fit(np.where(X > 2, np.inf, X), y)
    with pytest.raises(ValueError, match="beyond 1e"):
        AlphaBayesClassifier().fit(1e307 * X, y)
    with pytest.raises(ValueError, match="at least 2 classes; y has 1 class, 'AGN'"):
        AlphaBayesClassifier().fit(X, np.full(100, "AGN"))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        AlphaBayesClassifier().fit(X, y, groups=[1, 2])
    with pytest.raises(TypeError, match="sample_weight"):
        AlphaBayesClassifier().fit(X, y, sample_weight=np.ones(100))
