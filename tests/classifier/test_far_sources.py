"""Sources unlike all training sources: a wide posterior and a small outlier p-value."""

import jax
import numpy as np
import pytest

from xbayes.classifier import fit
from xbayes.classifier.decision import by_class_weight
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import PosteriorOptions, Recipe
from xbayes.evaluate.cross_validate import inner_folds
from xbayes.infer.select_terms import TermPlan
from xbayes.models import smooth_density as smooth_density_module
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import TAILS, smooth_density
from xbayes.types import Features, Labels, Names

pytestmark = pytest.mark.usefixtures("few_rounds")

N, F = 500, 6
PRIOR = np.array([0.5, 0.3, 0.2])
NAMES = Names(
    features=tuple("abcdef"),
    categories=("x", "y"),
    category=(0, 0, 0, 1, 1, 1),
    classes=("A", "B", "C"),
)
POSTERIOR = PosteriorOptions(
    method="laplace",
    chains=1,
    warmup=50,
    draws=50,
    thin=1,
    samples=20,
    densities=True,
    weights="matrix",
    offsets=True,
)


def recipe_of(tails=TAILS, **fields):
    density = smooth_density(np.full((F, 2), np.nan), np.zeros(F, bool), 3, tails=tails)
    return Recipe(
        density=density,
        model=naive_bayes(NAMES.category, 3, "matrix"),
        names=NAMES,
        penalties=(3.0,),
        n_starts=1,
        n_folds=3,
        **fields,
    )


RECIPES = {
    "densities": recipe_of(shrinks_outliers=True),
    "terms": recipe_of(shrinks_outliers=True, terms=TermPlan(depth=2, share=0.5)),
    "draws": recipe_of(shrinks_outliers=True, posterior=POSTERIOR),
}


@pytest.fixture(scope="module")
def sources():
    """Classes with different centres and widths, so that their tails differ."""
    rng = np.random.default_rng(1)
    truth = rng.choice(3, N, p=PRIOR)
    centre, width = rng.normal(scale=1.5, size=(3, F)), rng.uniform(0.5, 2, (3, F))
    return features_of(centre[truth] + width[truth] * rng.normal(size=(N, F))), truth


def features_of(value):
    measured = np.ones_like(value, bool)
    return Features(
        value=value,
        measured=measured,
        available=measured,
        weight=np.ones_like(value),
        error=np.zeros_like(value),
    )


def fitted(recipe, sources):
    features, truth = sources
    labels = Labels(truth, np.arange(N))
    inner = inner_folds(truth, labels.group, np.ones(N, bool), 3, 0)
    return fit_classifier(recipe, features, labels, inner, jax.random.key(0))[0]


@pytest.fixture(
    scope="module",
    params=["densities", *(pytest.param(r, marks=pytest.mark.slow) for r in ("terms", "draws"))],
)
def learned(request, sources):
    recipe = RECIPES[request.param]
    return recipe, fitted(recipe, sources)


@pytest.fixture(scope="module", params=["densities", pytest.param("terms", marks=pytest.mark.slow)])
def explicit(request, sources):
    """A classifier whose scores are sums of contributions."""
    recipe = RECIPES[request.param]
    return recipe, fitted(recipe, sources)


def far_from(sources, n_features, distance):
    """Sources with some features shifted by `distance` standard deviations, up or down."""
    value = sources[0].value
    rng = np.random.default_rng(2)
    moved = rng.random(value.shape).argsort(1) < n_features
    sign = rng.choice([-1.0, 1.0], value.shape)
    return features_of(value + moved * sign * distance * value.std(0))


@pytest.mark.parametrize("distance", [10, 100, 1e4])
@pytest.mark.parametrize("n_features", [4, F])
def test_far_sources_have_no_certain_class(learned, sources, n_features, distance):
    recipe, classifier = learned
    products = classify(recipe, classifier, far_from(sources, n_features, distance))
    largest = products.posterior.max(1)
    assert np.median(largest) < 0.65 and np.quantile(largest, 0.95) < 0.85  # that of the prior: 0.5
    assert np.median(products.outlier_p) < 0.02 and np.quantile(products.outlier_p, 0.95) < 0.05


def test_the_posterior_approaches_the_prior_with_distance(learned, sources):
    recipe, classifier = learned
    prior = np.exp(np.asarray(classifier.weights.log_prior))
    difference = [
        np.abs(classify(recipe, classifier, far_from(sources, F, d)).posterior - prior).max()
        for d in (10, 100, 1e4)
    ]
    assert difference[0] > difference[2] and difference[2] < 0.02


def test_ordinary_sources_are_hardly_shrunk(learned, sources):
    recipe, classifier = learned
    shrunk, whole = (
        classify(one, classifier, sources[0]).posterior
        for one in (recipe, recipe._replace(shrinks_outliers=False))
    )
    change = np.abs(shrunk - whole).max(1)
    assert np.quantile(change, 0.9) < 0.01 and np.median(shrunk.max(1)) > 0.9


def test_the_prediction_is_in_its_set_under_any_prior_and_rule(learned, sources):
    recipe, classifier = learned
    rows = [sources[0], *(far_from(sources, 3, distance) for distance in (1, 3, 100))]
    features = Features(*(np.concatenate(columns) for columns in zip(*rows, strict=True)))
    plain = classify(recipe, classifier, features)
    every = np.arange(len(plain.prediction))
    moved = False
    for weight in ([1.0, 1.0, 1.0], [1.0, 1.0, 8.0]):
        other = classifier._replace(rule=by_class_weight(np.array(weight)))
        for prior in (None, np.log([0.05, 0.05, 0.9])):
            products = classify(recipe, other, features, prior)
            changed = products.prediction != plain.prediction
            moved |= changed.mean() > 0.02
            assert products.prediction_set[every, products.prediction].all()
            np.testing.assert_array_equal(products.set_flag, plain.set_flag)
            assert (products.prediction_set.sum(1)[products.set_flag] == 1).all()
            np.testing.assert_array_equal(
                products.prediction_set[~changed], plain.prediction_set[~changed]
            )
            if products.posterior_interval.shape[-1]:
                low, high = np.moveaxis(products.posterior_interval, -1, 0)
                assert ((low >= 0) & (low <= products.posterior)).all()
                assert ((products.posterior <= high) & (high <= 1)).all()
    assert moved and plain.set_flag.any()


def test_sets_and_rule_are_fitted_on_scores_shrunk_like_those_of_classify(sources, monkeypatch):
    """Log-odds of held-out outliers are multiplied by one factor below 1; of others, by 1."""
    captured: list[np.ndarray] = []
    original = fit.fit_conformal

    def capture(posterior, truth):
        captured.append(np.asarray(posterior))
        return original(posterior, truth)

    monkeypatch.setattr(fit, "fit_conformal", capture)
    value = sources[0].value.copy()
    strange = np.flatnonzero(sources[1] == 0)[:2]  # fewer than 1 % of their class
    value[strange] += 12.0
    part = features_of(value), sources[1]
    for shrinks in (False, True):
        classifier = fitted(recipe_of(shrinks_outliers=shrinks), part)
    whole, shrunk = (np.log(p) - np.asarray(classifier.weights.log_prior) for p in captured)
    whole, shrunk = (z - z.mean(1, keepdims=True) for z in (whole, shrunk))
    factor = (shrunk * whole).sum(1) / (whole**2).sum(1)
    np.testing.assert_allclose(shrunk, factor[:, None] * whole, atol=1e-6)
    assert (factor <= 1 + 1e-9).all() and np.median(factor) > 0.999
    assert (factor[strange] < 0.9).all() and (factor < 0.99).mean() < 0.05


def test_without_the_end_of_evidence_tails_and_shrinkage_far_sources_look_certain(
    sources, monkeypatch
):
    """Negative control: densities that follow from their pseudo-sources beyond all values."""
    monkeypatch.setattr(smooth_density_module, "FADE", 1e6)
    recipe = recipe_of(tails=0.0)
    products = classify(recipe, fitted(recipe, sources), far_from(sources, F, 1e4))
    assert np.median(products.posterior.max(1)) > 0.95


def test_shrunk_contributions_sum_to_the_shrunk_log_odds(explicit, sources, explained_in_sum):
    recipe, classifier = explicit
    parts = [far_from(sources, 3, distance).rows(slice(60)) for distance in (0, 3, 100)]
    features = jax.tree.map(lambda *each: np.concatenate(each), *parts)
    for prior in (None, np.log([0.1, 0.1, 0.8])):
        explained_in_sum(recipe, classifier, features, prior)
