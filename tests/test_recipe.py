"""One recipe for all configs that ask for the same functions, so that JAX compiles once."""

from pathlib import Path

import pytest

from xbayes.classifier import build_recipe
from xbayes.config_file import load_config

CONFIG = Path(__file__).parents[1] / "configs" / "demo.yaml"
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
    assert other.properties.classes == recipe().properties.classes[::-1]
