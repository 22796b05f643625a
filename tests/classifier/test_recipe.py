"""One recipe for all configs that ask for the same functions, so that JAX compiles once."""

from pathlib import Path

import pytest

from xbayes.classifier.predict import CHUNK, LEAST, padded_size
from xbayes.classifier.recipe import build_recipe, scoring
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
def test_what_no_function_depends_on_shares_the_recipe(setting):
    assert recipe(setting) is recipe()


@pytest.mark.parametrize("setting", OTHERS)
def test_anything_else_has_its_own(setting):
    assert recipe(setting) is not recipe()
    assert recipe(setting) is recipe(setting)


def test_the_order_of_classes_counts():
    """The same mapping, but other places on the class axis."""
    config = load_config(CONFIG, [])
    turned = dict(reversed(config.taxonomy.classes.items()))
    taxonomy = config.taxonomy.model_copy(update={"classes": turned})
    other = build_recipe(config.model_copy(update={"taxonomy": taxonomy}))
    assert other.names.classes == recipe().names.classes[::-1]


def test_recipes_of_equal_parts_share_them():
    """The penalty is in neither, bounds are in the density, the kind of weights in the model."""
    first, second = recipe("model.penalty=3"), recipe("model.penalty=7")
    assert first is not second
    assert first.density is second.density and first.model is second.model
    assert recipe("model.missing_weight=0.5").density is not recipe().density
    assert recipe("features.g_j.missing=evidence").density is not recipe().density
    assert recipe("features.gamma.bounds=[-9, 9]").density is not recipe().density
    assert recipe("model.weights=category").model is not recipe().model


def test_to_score_is_the_same_however_it_was_learned():
    assert scoring(recipe("model.penalty=3")) == scoring(recipe("decision=f1"))
    for setting in ("model.weights=category", "model.density=published"):
        assert scoring(recipe(setting)) != scoring(recipe())


def test_few_rows_are_filled_up_to_one_size():
    assert padded_size(1) == padded_size(LEAST) == LEAST
    assert padded_size(LEAST + 1) == 2 * LEAST
    assert padded_size(10 * CHUNK) == CHUNK
