"""Configs that ask for the same functions share a recipe, so that JAX compiles once."""

from pathlib import Path

import pytest

from xbayes.classifier.blocks import CHUNK, SMALLEST_CHUNK, padded_size
from xbayes.classifier.recipe import build_recipe
from xbayes.config.reader import load_config

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
DECISION = ("f1_class=CV", "decision=f1", "precision=float32", "variant=bayes")
OTHERS = (
    *("model.density=clusters", "model.weights=category", "model.offsets=false"),
    *("model.penalty=3", "model.calibration=none", "validation.inner_folds=2"),
    *("features.g_j.missing=evidence", "features.var_intra.bounds=[0, 2]", *DECISION),
)


def recipe(*settings):
    return build_recipe(load_config(CONFIG, list(settings)))


@pytest.mark.parametrize(
    "setting", ["name=other", "seed=7", "validation.bootstrap=20", "catalog.file=a.fits"]
)
def test_settings_without_effect_on_functions_share_the_recipe(setting):
    assert recipe(setting) is recipe()


@pytest.mark.parametrize("setting", OTHERS)
def test_other_settings_have_a_recipe_of_their_own(setting):
    assert recipe(setting) is not recipe()
    assert recipe(setting) is recipe(setting)


def test_the_order_of_classes_changes_the_recipe():
    config = load_config(CONFIG, [])
    reordered = dict(reversed(config.taxonomy.classes.items()))
    taxonomy = config.taxonomy.model_copy(update={"classes": reordered})
    other = build_recipe(config.model_copy(update={"taxonomy": taxonomy}))
    assert other.names.classes == recipe().names.classes[::-1]


def test_the_fits_of_a_cross_validation_sample_by_laplace_unless_asked():
    assert recipe().for_folds is recipe()
    chains = recipe("variant=bayes")
    assert chains.posterior.method == "nuts"
    assert chains.for_folds.posterior == chains.posterior._replace(method="laplace")
    assert chains.for_folds._replace(posterior=None) == chains._replace(posterior=None)
    same = recipe("variant=bayes", "posterior.folds=same")
    assert same.for_folds.posterior.method == "nuts"


def test_recipes_share_equal_densities_and_models():
    first, second = recipe("model.penalty=3"), recipe("model.penalty=7")
    assert first is not second
    assert first.density is second.density and first.model is second.model
    assert recipe("model.missing_weight=0.5").density is not recipe().density
    assert recipe("features.g_j.missing=evidence").density is not recipe().density
    assert recipe("features.gamma.bounds=[-9, 9]").density is not recipe().density
    assert recipe("model.weights=category").model is not recipe().model


def test_scoring_does_not_depend_on_how_the_classifier_is_learned():
    assert recipe("model.penalty=3").scoring == recipe("decision=f1").scoring
    for setting in ("model.weights=category", "model.density=published"):
        assert recipe(setting).scoring != recipe().scoring


def test_rows_are_padded_to_few_sizes():
    assert padded_size(1) == padded_size(SMALLEST_CHUNK) == SMALLEST_CHUNK
    assert padded_size(SMALLEST_CHUNK + 1) == 2 * SMALLEST_CHUNK
    assert padded_size(10 * CHUNK) == CHUNK
