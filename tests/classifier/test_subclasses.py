"""Subclasses: a class is the sum of its subclasses; its score is still a sum of terms."""

import jax
import numpy as np
import pytest
from astropy.table import MaskedColumn

from xbayes.catalog.taxonomy import subclass_indices, subclasses_of
from xbayes.classifier.decision import Decision
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.probabilities import class_posterior, with_prior
from xbayes.classifier.recipe import PosteriorOptions, Recipe
from xbayes.classifier.subclasses import (
    class_scores,
    log_shares,
    most_probable_subclass,
    prior_of_subclasses,
    responsibilities,
    subclass_term,
)
from xbayes.config.reader import parse_config
from xbayes.config.taxonomy import TaxonomyConfig
from xbayes.errors import InputError
from xbayes.evaluate.cross_validate import inner_folds
from xbayes.infer.select_terms import TermPlan
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.types import Features, Labels, Names

pytestmark = pytest.mark.usefixtures("few_rounds")

N = 800
CENTRES = np.array([[-2, -2], [2, 2], [-2, 2], [2, -2]])
CLASS_OF = (0, 0, 1)
NAMES = Names(
    features=("a", "b"),
    categories=("x", "y"),
    category=(0, 1),
    classes=("A", "B"),
    subclasses=("low", "high", "B"),
    subclass_of=CLASS_OF,
)
PLAIN = NAMES._replace(subclasses=(), subclass_of=())
POSTERIOR = PosteriorOptions(
    method="laplace",
    chains=1,
    warmup=50,
    draws=50,
    thin=1,
    samples=20,
    densities=True,
    weights="property",
    offsets=True,
)


def recipe_of(names=NAMES, **fields):
    n = len(names.modelled)
    return Recipe(
        density=smooth_density(np.full((2, 2), np.nan), np.zeros(2, bool), n),
        model=naive_bayes((0, 1), n, "property"),
        names=names,
        penalties=(3.0,),
        n_starts=1,
        n_folds=3,
        **fields,
    )


RECIPES = {
    "densities": recipe_of(
        calibration="temperature", shrinks_outliers=True, decision=Decision(kind="f1"), focus=1
    ),
    "terms": recipe_of(terms=TermPlan(depth=2, share=0.5)),
    "draws": recipe_of(posterior=POSTERIOR),
    "average": recipe_of(posterior=POSTERIOR._replace(average="log_odds")),
}


def simulate(seed, n=N):
    """A is low-low or high-high, B is low-high or high-low: no single feature separates them."""
    rng = np.random.default_rng(seed)
    component = rng.choice(4, n, p=[0.3, 0.2, 0.25, 0.25])
    value = CENTRES[component] + rng.normal(size=(n, 2))
    measured = np.ones((n, 2), bool)
    measured[0] = False
    features = Features(
        value=np.where(measured, value, 0.0),
        measured=measured,
        available=measured,
        weight=np.ones((n, 2)),
        error=0 * value,
    )
    labels = Labels(
        class_index=component // 2, group=np.arange(n), subclass=np.minimum(component, 2)
    )
    return features, labels


def fit(recipe, features, labels):
    inner = inner_folds(labels.class_index, labels.group, np.ones(N, bool), 3, 0)
    return fit_classifier(recipe, features, labels, inner, jax.random.key(0))[0]


@pytest.fixture(
    scope="module",
    params=[
        name if name == "densities" else pytest.param(name, marks=pytest.mark.slow)
        for name in RECIPES
    ],
)
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
    responsibility = np.asarray(responsibilities(score, class_of))
    np.testing.assert_allclose(responsibility[:, 1:4], p[:, 1:4] / expected[:, [1]], rtol=1e-12)
    np.testing.assert_array_equal(responsibility[:, [0, 4]], 1.0)
    best = np.asarray(most_probable_subclass(score, np.full(7, 1), class_of))
    np.testing.assert_array_equal(best, 1 + score[:, 1:4].argmax(1))


def test_a_class_score_is_the_mean_of_its_terms_plus_the_subclass_term():
    """The identity of the module docstring, against explicit sums."""
    rng = np.random.default_rng(1)
    class_of, prior = (0, 0, 1), np.log([0.1, 0.3, 0.6])
    evidence = rng.normal(scale=3, size=(9, 3))
    joint = prior + evidence
    score = np.asarray(class_scores(joint, class_of))
    np.testing.assert_allclose(score[:, 0], np.log(np.exp(joint)[:, :2].sum(1)), rtol=1e-12)
    responsibility = np.asarray(responsibilities(joint, class_of))
    share = np.array([0.25, 0.75])
    term = np.asarray(subclass_term(responsibility, log_shares(prior, class_of), class_of))
    divergence = (responsibility[:, :2] * np.log(responsibility[:, :2] / share)).sum(1)
    np.testing.assert_allclose(term, np.stack([-divergence, 0 * divergence], 1), atol=1e-12)
    total = np.log(0.4) + (responsibility * evidence)[:, :2].sum(1) + term[:, 0]
    np.testing.assert_allclose(total, score[:, 0], rtol=1e-10)


def test_another_prior_keeps_the_shares_within_a_class():
    trained = np.log([0.1, 0.3, 0.6])
    found = np.exp(prior_of_subclasses(np.log([0.8, 0.2]), trained, (0, 0, 1)))
    np.testing.assert_allclose(found, [0.2, 0.6, 0.2], rtol=1e-12)
    same = prior_of_subclasses(np.log([0.8, 0.2]), np.log([0.4, 0.6]), (0, 1))
    np.testing.assert_array_equal(same, np.log([0.8, 0.2]))


@pytest.mark.slow
def test_subclasses_separate_classes_that_no_single_feature_separates():
    features, labels = simulate(2)
    loss = {}
    for name, recipe in (("with", recipe_of()), ("without", recipe_of(PLAIN))):
        training, known = simulate(1)
        known = known if name == "with" else known._replace(subclass=None)
        posterior = classify(recipe, fit(recipe, training, known), features).posterior
        loss[name] = -np.log(posterior[np.arange(N), labels.class_index]).mean()
    score = -0.5 * ((np.asarray(features.value)[:, None] - CENTRES) ** 2).sum(-1)
    score += np.log([0.3, 0.2, 0.25, 0.25])
    true = class_posterior(np.asarray(class_scores(score, (0, 0, 1, 1))))
    least = -np.log(true[np.arange(N), labels.class_index]).mean()
    assert loss["without"] > 0.6
    assert loss["with"] < loss["without"] - 0.3
    assert loss["with"] < least + 0.25  # the model has a single subclass for B


def test_terms_sum_to_the_log_odds(learned, explained_in_sum):
    recipe, classifier = learned
    features = simulate(3)[0].rows(slice(60))
    if recipe.posterior is not None and recipe.posterior.average != "log_odds":
        pytest.skip("a mean of probabilities is not a sum of contributions")
    for prior in (None, np.log([0.2, 0.8])):
        explained = explained_in_sum(recipe, classifier, features, prior)
    assert explained.subclass_term.min() < -0.1 and not explained.subclass_term[:, 1].any()
    assert not explained.offset[0].any()  # no measured feature
    np.testing.assert_allclose(explained.responsibility[:, :2].sum(1), 1.0, atol=1e-9)


def test_another_prior_is_exact(learned):
    recipe, classifier = learned
    features, new = simulate(3)[0], np.array([0.3, 0.7])
    found = classify(recipe, classifier, features, np.log(new)).posterior
    trained = classify(recipe, classifier, features)
    old = trained.posterior[0]  # without measured features
    np.testing.assert_allclose(old, [0.5, 0.5], atol=0.06)
    if recipe.posterior is None:
        np.testing.assert_allclose(found, with_prior(trained.posterior, old, new), atol=1e-9)


def test_products_are_of_classes_and_outlier_p_of_the_predicted_subclass(learned):
    recipe, classifier = learned
    features, labels = simulate(4)
    products = classify(recipe, classifier, features)
    assert products.posterior.shape == products.prediction_set.shape == (N, 2)
    assert products.track.shape == (N, 2, 2)
    class_of = np.array(CLASS_OF)
    np.testing.assert_array_equal(class_of[products.subclass], products.prediction)
    right = products.prediction == labels.class_index
    assert (products.subclass[right] == labels.subclass[right]).mean() > 0.9
    every = np.arange(N)
    assert products.prediction_set[every, products.prediction].all()
    covered = products.prediction_set[every, labels.class_index]
    assert covered.mean() >= max(0.85, right.mean())
    # The mean of A is far from both of its subclasses; a density of the whole class peaks there.
    middle = features.rows(slice(1, 2))._replace(value=np.zeros((1, 2)))
    assert classify(recipe, classifier, middle).outlier_p[0] < 0.2


TAXONOMY = {"classes": {"Star": ["M", "O", "T"], "XRB": ["L", "H"], "AGN": ["Q"]}}


def test_unlisted_labels_of_a_class_form_one_more_subclass():
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
    ("subclasses", "message"),
    [
        ("young: [TT]", "subclasses.young[0]: raw label 'TT' is in no class"),
        ("one: [AGN, HMXB]", "raw label 'HMXB' is of class XRB, but 'AGN' of AGN"),
        ("one: [HMXB], two: [HMXB]", "raw label 'HMXB' is listed twice, first in one; keep one"),
        ("one: []", "a subclass needs at least one raw label; found none"),
        ("AGN: [HMXB]", "is also the name of a class, which has other labels than these"),
    ],
)
def test_messages_about_wrong_subclasses_name_the_line(subclasses, message, tmp_path):
    text = CONFIG.format(subclasses=f"{{{subclasses}}}", more="")
    with pytest.raises(InputError) as error:
        parse_config(text, "my.yaml")
    assert message in str(error.value) and "my.yaml:" in str(error.value)


def test_f1_with_subclasses_is_refused():
    text = CONFIG.format(subclasses="{HMXB: [HMXB]}", more="  objective: f1")
    with pytest.raises(InputError, match="must be log_loss if there are taxonomy"):
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
