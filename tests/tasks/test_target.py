"""`xbayes run --target`: a run for a catalogue that lacks columns, and its importance weights."""

import json

import numpy as np
import pytest
from astropy.table import Table

from tests.small_sky import small_sky
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.classifier.store import load_model
from xbayes.config.reader import load_config, parse_config
from xbayes.errors import InputError
from xbayes.models.smooth_density import TAILS
from xbayes.tasks.training import load_training


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small_config):
    """The small sky, and a target with larger values of a, an empty column b and no column c."""
    folder = tmp_path_factory.mktemp("target")
    table = small_sky(240, 0)
    write_catalog(table, folder / "sky.fits")
    target = table[:100].copy()
    target["a"] += 1.0
    target.remove_columns(["Class", "c"])
    target["b"] = np.full(100, np.nan)
    write_catalog(target, folder / "target.fits")
    (folder / "small.yaml").write_text(small_config)
    return folder


def training_for(folder, *settings):
    config = load_config(folder / "small.yaml", [f"target.file={folder}/target.fits", *settings])
    return load_training(config, folder / "sky.fits")


def check_left_out(config, warnings):
    assert list(config.features) == ["a"]
    left_out = [w for w in warnings if "never measured in the target" in w]
    assert len(left_out) == 2 and "'b'" in left_out[0] and "'c'" in left_out[1]


def test_features_that_the_target_lacks_are_left_out(folder):
    training = training_for(folder)
    check_left_out(training.config, training.warnings)
    assert training.features.value.shape == (240, 1)


@pytest.mark.slow
def test_a_run_for_a_target_classifies_it(folder, numbers_only, done):
    run, target = folder / "run", folder / "target.fits"
    words = ("--catalog", folder / "sky.fits", "--target", target, "--out", run)
    assert numbers_only("run", folder / "small.yaml", *words) == 0
    provenance = json.loads((run / "provenance.json").read_text())
    check_left_out(load_model(run)[0], provenance["warnings"])
    done("classify", run, target, "--out", folder / "classified.fits")
    classified = read_catalog(folder / "classified.fits")
    assert len(classified) == 100 and np.ptp(np.asarray(classified["p_AGN"])) > 0.1


def test_classifying_a_catalogue_that_lacks_columns_suggests_a_target(folder, small, done):
    lacking = read_catalog(folder / "target.fits")
    lacking["c"] = np.full(100, np.nan)
    write_catalog(lacking, folder / "lacking.fits")
    err = done("classify", small.folder, folder / "lacking.fits", "--out", folder / "l.fits")
    assert "2 of 3 features are not available anywhere" in err and "--target FILE" in err
    err = done("classify", small.folder, folder / "sky.fits", "--out", folder / "s.fits")
    assert "--target" not in err


def test_importance_weights_favour_sources_like_the_target(folder):
    training = training_for(folder, "target.importance=1")
    assert training.row_weight is not None
    assert np.corrcoef(training.row_weight, training.features.value[:, 0])[0, 1] > 0.4
    assert any("effective sources of 240" in warning for warning in training.warnings)
    assert training_for(folder).row_weight is None


@pytest.mark.slow
def test_importance_changes_the_run(folder, few_rounds, numbers_only):
    terms = ("--set", "model.terms=single", "--set", "model.terms_share=0.5")
    words = (*terms, "--catalog", folder / "sky.fits", "--target", folder / "target.fits")
    fitted = []
    for power in (0, 1):
        run = folder / f"power{power}"
        more = ("--set", f"target.importance={power}", "--out", run)
        assert numbers_only("run", folder / "small.yaml", *words, *more) == 0
        fitted.append(load_model(run)[2])
    without, with_weights = fitted
    assert not np.array_equal(without.density.log_density, with_weights.density.log_density)
    assert not np.array_equal(without.weights.raw_property, with_weights.weights.raw_property)
    assert not np.array_equal(without.terms.main, with_weights.terms.main)


def test_a_target_without_any_needed_column_is_refused(folder, refused):
    Table({"name": ["x", "y"], "other": [1.0, 2.0]}).write(folder / "none.fits")
    words = ("run", folder / "small.yaml", "--catalog", folder / "sky.fits", "--out", folder / "no")
    refused(*words, "--target", folder / "none.fits", says=["no column that any feature needs"])
    refused(*words, "--target", folder / "nowhere.fits", says=["nowhere.fits"])
    assert not (folder / "no").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["target.importance=0.5"], "needs target.file"),
        (["target.file=x.fits", "target.importance=2"], "target.importance"),
        (["target.file=x.fits", "target.importance=1", "variant=bayes"], "needs variant: point"),
        (["model.tails=1"], "model.tails"),
        (["model.tails=0.01", "model.density=published"], "tails: needs density: smooth"),
    ],
)
def test_wrong_settings_are_refused(small_config, overrides, message):
    with pytest.raises(InputError, match=message):
        parse_config(small_config, overrides=overrides)


def test_the_config_has_the_default_tails_of_the_density(small_config):
    assert parse_config(small_config).model.tails == TAILS
