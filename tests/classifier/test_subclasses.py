"""Subclasses: classes are sums of kinds of source, and their scores still sums of named terms."""

import jax
import numpy as np
import pytest
from astropy.table import MaskedColumn

from xbayes.catalog.taxonomy import subclass_indices, subclasses_of
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.probabilities import class_posterior, with_prior
from xbayes.classifier.recipe import PosteriorOptions, Recipe
from xbayes.classifier.subclasses import (
    class_scores,
    likeliest,
    log_shares,
    prior_of_subclasses,
    responsibilities,
    told_apart,
)
from xbayes.config.catalog import TaxonomyConfig
from xbayes.config.reader import parse_config
from xbayes.evaluate.cross_validate import inner_folds
from xbayes.infer.select_terms import TermPlan
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.types import Features, InputError, Labels, Names

pytestmark = pytest.mark.usefixtures("few_rounds")

N = 800
CLASS_OF = (0, 0, 1)
PROPERTIES = Names(("a", "b"), ("x", "y"), (0, 1), ("A", "B"), ("low", "high", "B"), CLASS_OF)
PLAIN = PROPERTIES._replace(subclasses=(), subclass_of=())
DRAWS = PosteriorOptions("laplace", 1, 50, 50, 1, 20, True, "property", True)


def recipe_of(properties=PROPERTIES, **fields):
    n = len(properties.modelled)
    density = smooth_density(np.full((2, 2), np.nan), np.zeros(2, bool), n)
    weighting = naive_bayes((0, 1), n, "property")
    return Recipe(density, weighting, properties, (3.0,), 1, 3, **fields)


RECIPES = {
    "densities": recipe_of(calibration="temperature", shrinks=True, decision="f1", focus=1),
    "terms": recipe_of(terms=TermPlan(2, 0.5)),
    "draws": recipe_of(posterior=DRAWS),
    "average": recipe_of(posterior=DRAWS._replace(average="log_odds")),
}


def simulate(seed, n=N):
    """A is two kinds, low-low and high-high; B is low-high and high-low, so no property tells."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(4, n, p=[0.3, 0.2, 0.25, 0.25])
    place = np.array([[-2, -2], [2, 2], [-2, 2], [2, -2]])[kind]
    value = place + rng.normal(size=(n, 2))
    there = np.ones((n, 2), bool)
    there[0] = False
    features = Features(np.where(there, value, 0.0), there, there, np.ones((n, 2)), 0 * value)
    return features, Labels(kind // 2, np.arange(n), np.minimum(kind, 2))


def fit(recipe, features, labels):
    inner = inner_folds(labels.class_index, labels.group, np.ones(N, bool), 3, 0)
    return fit_classifier(recipe, features, labels, inner, jax.random.key(0))[0]


@pytest.fixture(scope="module", params=RECIPES)
def learned(request):
    recipe = RECIPES[request.param]
    return recipe, fit(recipe, *simulate(1))


def test_a_class_is_the_sum_of_its_subclasses():
    score = np.random.default_rng(0).normal(scale=4, size=(7, 5))
    class_of = (0, 1, 1, 1, 2)
    p = class_posterior(score)
    expected = np.stack([p[:, 0], p[:, 1:4].sum(1), p[:, 4]], axis=1)
    found = np.asarray(class_scores(score, class_of))
    np.testing.assert_allclose(class_posterior(found), expected, rtol=1e-12)
    own = np.asarray(responsibilities(score, class_of))
    np.testing.assert_allclose(own[:, 1:4], p[:, 1:4] / expected[:, [1]], rtol=1e-12)
    np.testing.assert_array_equal(own[:, [0, 4]], 1.0)
    best = np.asarray(likeliest(score, np.full(7, 1), class_of))
    np.testing.assert_array_equal(best, 1 + score[:, 1:4].argmax(1))


def test_a_score_is_the_mean_of_its_terms_and_what_tells_subclasses_apart():
    """The identity of the docstring, from sums by hand."""
    rng = np.random.default_rng(1)
    class_of, prior = (0, 0, 1), np.log([0.1, 0.3, 0.6])
    told = rng.normal(scale=3, size=(9, 3))
    score = np.asarray(class_scores(prior + told, class_of))
    np.testing.assert_allclose(score[:, 0], np.log(np.exp(prior + told)[:, :2].sum(1)), rtol=1e-12)
    own = np.asarray(responsibilities(prior + told, class_of))
    share = np.array([0.25, 0.75])
    apart = np.asarray(told_apart(own, log_shares(prior, class_of), class_of))
    divergence = (own[:, :2] * np.log(own[:, :2] / share)).sum(1)
    np.testing.assert_allclose(apart, np.stack([-divergence, 0 * divergence], 1), atol=1e-12)
    again = np.log(0.4) + (own * told)[:, :2].sum(1) + apart[:, 0]
    np.testing.assert_allclose(again, score[:, 0], rtol=1e-10)


def test_another_prior_leaves_the_shares_within_a_class():
    trained = np.log([0.1, 0.3, 0.6])
    found = np.exp(prior_of_subclasses(np.log([0.8, 0.2]), trained, (0, 0, 1)))
    np.testing.assert_allclose(found, [0.2, 0.6, 0.2], rtol=1e-12)
    same = prior_of_subclasses(np.log([0.8, 0.2]), np.log([0.4, 0.6]), (0, 1))
    np.testing.assert_array_equal(same, np.log([0.8, 0.2]))


def test_kinds_that_lie_crosswise_are_told_apart():
    """No property by itself tells A from B; with subclasses it comes near to what truth allows."""
    features, labels = simulate(2)
    loss = {}
    for name, recipe in (("with", recipe_of()), ("without", recipe_of(PLAIN))):
        known = simulate(1)[1] if name == "with" else simulate(1)[1]._replace(subclass=None)
        posterior = classify(recipe, fit(recipe, simulate(1)[0], known), features).posterior
        loss[name] = -np.log(posterior[np.arange(N), labels.class_index]).mean()
    places = np.array([[-2, -2], [2, 2], [-2, 2], [2, -2]])
    each = -0.5 * ((np.asarray(features.value)[:, None] - places) ** 2).sum(-1)
    each += np.log([0.3, 0.2, 0.25, 0.25])
    true = class_posterior(np.asarray(class_scores(each, (0, 0, 1, 1))))
    least = -np.log(true[np.arange(N), labels.class_index]).mean()
    assert loss["without"] > 0.6
    assert loss["with"] < loss["without"] - 0.3
    assert loss["with"] < least + 0.25  # B's two kinds are one here


def test_terms_sum_to_the_log_odds(learned, explained_in_sum):
    recipe, classifier = learned
    features = simulate(3)[0].rows(slice(60))
    if recipe.posterior is not None and recipe.posterior.average != "log_odds":
        pytest.skip("the mean of probabilities over draws is no sum of contributions")
    for prior in (None, np.log([0.2, 0.8])):
        explained = explained_in_sum(recipe, classifier, features, prior)
    assert explained.apart.min() < -0.1 and not explained.apart[:, 1].any()
    assert not explained.offset[0].any()  # nothing was measured
    np.testing.assert_allclose(explained.responsibility[:, :2].sum(1), 1.0, atol=1e-9)


def test_another_prior_is_exact(learned):
    recipe, classifier = learned
    features, new = simulate(3)[0], np.array([0.3, 0.7])
    found = classify(recipe, classifier, features, np.log(new)).posterior
    trained = classify(recipe, classifier, features)
    old = trained.posterior[0]  # nothing was measured there
    np.testing.assert_allclose(old, [0.5, 0.5], atol=0.06)
    if recipe.posterior is None:
        np.testing.assert_allclose(found, with_prior(trained.posterior, old, new), atol=1e-9)


def test_products_are_of_classes_and_strangeness_of_the_likeliest_subclass(learned):
    recipe, classifier = learned
    features, labels = simulate(4)
    products = classify(recipe, classifier, features)
    assert products.posterior.shape == products.prediction_set.shape == (N, 2)
    assert products.track.shape == (N, 2, 2)
    class_of = np.array(CLASS_OF)
    np.testing.assert_array_equal(class_of[products.subclass], products.prediction)
    right = products.prediction == labels.class_index
    assert (products.subclass[right] == labels.subclass[right]).mean() > 0.9
    kept = products.prediction_set[np.arange(N), labels.class_index].mean()
    assert 0.85 < kept < 0.95
    # The mean of A is far from both of its kinds, and strange, though a single A would peak there.
    middle = Features(*(a[1:2] for a in features))._replace(value=np.zeros((1, 2)))
    assert classify(recipe, classifier, middle).outlier_p[0] < 0.2


TAXONOMY = {"classes": {"Star": ["M", "O", "T"], "XRB": ["L", "H"], "AGN": ["Q"]}}


def test_labels_that_no_subclass_lists_are_one_more():
    taxonomy = TaxonomyConfig(**TAXONOMY, subclasses={"young": ["T"], "HMXB": ["H"], "LMXB": ["L"]})
    found = subclasses_of(taxonomy)
    assert [(s.name, s.class_index) for s in found] == [
        *[("Star", 0), ("young", 0), ("HMXB", 1), ("LMXB", 1), ("AGN", 2)]
    ]
    assert found[0].labels == ("M", "O")
    labels = MaskedColumn(["M", "O", "T", "L", "H", "Q", ""] * 10, name="kind")
    index = subclass_indices(labels, taxonomy)
    assert index is not None and index[:7].tolist() == [0, 0, 1, 3, 2, 4, -1]
    assert subclass_indices(labels, TaxonomyConfig(**TAXONOMY)) is None


def test_a_small_subclass_is_refused():
    taxonomy = TaxonomyConfig(**TAXONOMY, subclasses={"HMXB": ["H"], "LMXB": ["L"]})
    labels = MaskedColumn(["M", "L", "Q"] * 10 + ["H"] * 3, name="kind")
    with pytest.raises(InputError, match="at least 10 labelled rows: HMXB has 3; join it"):
        subclass_indices(labels, taxonomy)


@pytest.mark.parametrize(
    ("subclasses", "told"),
    [
        ("young: [TT]", "subclasses.young[0]: raw label 'TT' is in no class"),
        ("one: [AGN, HMXB]", "raw label 'HMXB' is of class XRB, but 'AGN' of AGN"),
        ("one: [HMXB], two: [HMXB]", "raw label 'HMXB' is listed twice, first in one; keep one"),
        ("one: []", "a subclass needs at least one raw label; found none"),
        ("AGN: [HMXB]", "is also the name of a class, which has other labels than these"),
    ],
)
def test_wrong_subclasses_are_told_with_their_place(subclasses, told, tmp_path):
    text = CONFIG.format(subclasses=f"{{{subclasses}}}", more="")
    with pytest.raises(InputError) as error:
        parse_config(text, "my.yaml")
    assert told in str(error.value) and "my.yaml:" in str(error.value)


def test_f1_is_not_learned_with_subclasses():
    text = CONFIG.format(subclasses="{HMXB: [HMXB]}", more="  objective: f1")
    with pytest.raises(InputError, match="needs log_loss where taxonomy"):
        parse_config(text, "my.yaml")


CONFIG = """
name: kinds
catalog: {{file: a.csv, id: name, label: kind}}
taxonomy:
  classes: {{AGN: [AGN], XRB: [HMXB, LMXB]}}
  subclasses: {subclasses}
features:
  a: {{expression: a, category: x}}
model:
  density: smooth
{more}
"""
