"""A source unlike all training sources: a wide posterior and a small outlier_p, no sure class."""

import jax
import numpy as np
import pytest

from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import PosteriorOptions, Recipe
from xbayes.evaluate.cross_validate import inner_folds
from xbayes.infer.select_terms import TermPlan
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import TAILS, smooth_density
from xbayes.types import Features, Labels, Names

pytestmark = pytest.mark.usefixtures("few_rounds")

N, F = 500, 6
PRIOR = np.array([0.5, 0.3, 0.2])
PROPERTIES = Names(tuple("abcdef"), ("x", "y"), (0, 0, 0, 1, 1, 1), ("A", "B", "C"))
DRAWS = PosteriorOptions("laplace", 1, 50, 50, 1, 20, True, "matrix", True)


def recipe_of(tails=TAILS, **fields):
    density = smooth_density(np.full((F, 2), np.nan), np.zeros(F, bool), 3, tails=tails)
    weighting = naive_bayes(PROPERTIES.category, 3, "matrix")
    return Recipe(density, weighting, PROPERTIES, (3.0,), 1, 3, **fields)


RECIPES = {
    "densities": recipe_of(shrinks=True),
    "terms": recipe_of(shrinks=True, terms=TermPlan(2, 0.5)),
    "draws": recipe_of(shrinks=True, posterior=DRAWS),
}


@pytest.fixture(scope="module")
def sources():
    """Classes apart in place and in width, so that their tails differ."""
    rng = np.random.default_rng(1)
    truth = rng.choice(3, N, p=PRIOR)
    centre, width = rng.normal(scale=1.5, size=(3, F)), rng.uniform(0.5, 2, (3, F))
    return features_of(centre[truth] + width[truth] * rng.normal(size=(N, F))), truth


def features_of(value):
    there = np.ones_like(value, bool)
    return Features(value, there, there, np.ones_like(value), 0 * value)


def fitted(recipe, sources):
    features, truth = sources
    labels = Labels(truth, np.arange(N))
    inner = inner_folds(truth, labels.group, np.ones(N, bool), 3, 0)
    return fit_classifier(recipe, features, labels, inner, jax.random.key(0))[0]


@pytest.fixture(scope="module", params=RECIPES)
def learned(request, sources):
    recipe = RECIPES[request.param]
    return recipe, fitted(recipe, sources)


def far_from(sources, n_features, distance):
    """Some properties of each source moved out by so many standard deviations, up or down."""
    value = sources[0].value
    rng = np.random.default_rng(2)
    moved = rng.random(value.shape).argsort(1) < n_features
    sign = rng.choice([-1.0, 1.0], value.shape)
    return features_of(value + moved * sign * distance * value.std(0))


@pytest.mark.parametrize("distance", [10, 100, 1e4])
@pytest.mark.parametrize("n_features", [4, F])
def test_no_sure_class(learned, sources, n_features, distance):
    recipe, classifier = learned
    found = classify(recipe, classifier, far_from(sources, n_features, distance))
    surest = found.posterior.max(1)
    assert np.median(surest) < 0.65 and np.quantile(surest, 0.95) < 0.85  # the prior's is 0.5
    assert np.median(found.outlier_p) < 0.02 and np.quantile(found.outlier_p, 0.95) < 0.05


def test_the_farther_the_nearer_to_the_prior(learned, sources):
    recipe, classifier = learned
    prior = np.exp(np.asarray(classifier.weights.log_prior))
    away = [
        np.abs(classify(recipe, classifier, far_from(sources, F, d)).posterior - prior).max()
        for d in (10, 100, 1e4)
    ]
    assert away[0] > away[2] and away[2] < 0.02


def test_ordinary_sources_keep_what_they_tell(learned, sources):
    recipe, classifier = learned
    shrunk, whole = (
        classify(one, classifier, sources[0]).posterior
        for one in (recipe, recipe._replace(shrinks=False))
    )
    change = np.abs(shrunk - whole).max(1)
    assert np.quantile(change, 0.9) < 0.01 and np.median(shrunk.max(1)) > 0.9


def test_without_tails_and_shrinking_the_farther_the_surer(sources):
    """The control: what far values told before."""
    recipe = recipe_of(tails=0.0)
    found = classify(recipe, fitted(recipe, sources), far_from(sources, F, 1e4))
    assert np.quantile(found.posterior.max(1), 0.05) > 0.99


@pytest.mark.parametrize("distance", [0, 3, 100])
def test_shrunk_contributions_sum_to_the_shrunk_log_odds(sources, distance, explained_in_sum):
    recipe = RECIPES["terms"]
    classifier, features = fitted(recipe, sources), far_from(sources, 3, distance).rows(slice(60))
    for prior in (None, np.log([0.1, 0.1, 0.8])):
        explained_in_sum(recipe, classifier, features, prior)
