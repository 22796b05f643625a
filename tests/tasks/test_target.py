"""`xbayes run --target`: a run for a catalogue that lacks columns, and its importance weights."""

import json

import numpy as np
import pytest
from astropy.table import Table

from xbayes.catalog.read import read_catalog
from xbayes.classifier.store import load_model
from xbayes.config.reader import load_config, parse_config
from xbayes.tasks.training import load_training
from xbayes.types import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small_config):
    folder = tmp_path_factory.mktemp("target")
    rng = np.random.default_rng(0)
    n = 240
    truth = rng.choice(3, n, p=[0.4, 0.4, 0.2])
    table = Table({"name": [f"s{i}" for i in range(n)], "ra": rng.uniform(0, 360, n)})
    table["dec"], table["Class"] = rng.uniform(-60, 60, n), np.array(["AGN", "Star", "XRB"])[truth]
    for f, name in enumerate("abc"):
        table[name] = rng.normal(size=n) + 1.5 * (truth == f)
    table.write(folder / "sky.fits")
    other = table[:100].copy()
    other["a"] += 1.0
    other.remove_columns(["Class", "c"])
    other["b"] = np.full(100, np.nan)
    other.write(folder / "other.fits")
    (folder / "small.yaml").write_text(small_config)
    return folder


def test_what_the_target_never_measured_is_left_out(folder, numbers_only, done):
    run = folder / "run"
    words = ("--catalog", folder / "sky.fits", "--target", folder / "other.fits", "--out", run)
    assert numbers_only("run", folder / "small.yaml", *words) == 0
    config, *_ = load_model(run)
    assert list(config.features) == ["a"]
    warnings = json.loads((run / "provenance.json").read_text())["warnings"]
    left_out = [w for w in warnings if "never measured in the target" in w]
    assert len(left_out) == 2 and "'b'" in left_out[0] and "'c'" in left_out[1]
    done("classify", run, folder / "other.fits", "--out", folder / "classified.fits")
    classified = read_catalog(folder / "classified.fits")
    assert len(classified) == 100 and np.ptp(np.asarray(classified["p_AGN"])) > 0.1


def test_classifying_what_lacks_columns_advises_it(folder, numbers_only, exit_code, capsys):
    run, lacking = folder / "plain", read_catalog(folder / "other.fits")
    words = ("--catalog", folder / "sky.fits", "--out", run)
    assert numbers_only("run", folder / "small.yaml", *words) == 0
    lacking["c"] = np.full(100, np.nan)
    lacking.write(folder / "lacking.fits")
    assert exit_code("classify", run, folder / "lacking.fits", "--out", folder / "l.fits") == 0
    told = capsys.readouterr().err
    assert "2 of 3 features were never measured" in told and "--target FILE" in told
    assert exit_code("classify", run, folder / "sky.fits", "--out", folder / "s.fits") == 0
    assert "--target" not in capsys.readouterr().err


def test_importance_weights_favour_sources_like_the_target(folder):
    asked = [f"target.file={folder}/other.fits", "target.importance=1"]
    training = load_training(load_config(folder / "small.yaml", asked), folder / "sky.fits")
    assert training.row_weight is not None
    assert np.corrcoef(training.row_weight, training.features.value[:, 0])[0, 1] > 0.4
    assert any("the worth of" in told for told in training.warnings)
    plain = load_training(load_config(folder / "small.yaml", asked[:1]), folder / "sky.fits")
    assert plain.row_weight is None


def test_importance_changes_the_run(folder, numbers_only):
    asked = ("--set", "model.terms=single", "--set", "model.terms_share=0.5")
    words = (*asked, "--catalog", folder / "sky.fits", "--target", folder / "other.fits")
    weights = {}
    for power in (0, 1):
        run = folder / f"power{power}"
        more = ("--set", f"target.importance={power}", "--out", run)
        assert numbers_only("run", folder / "small.yaml", *words, *more) == 0
        weights[power] = load_model(run)[2]
    assert not np.array_equal(weights[0].density.log_density, weights[1].density.log_density)
    assert not np.array_equal(weights[0].weights.raw_property, weights[1].weights.raw_property)
    assert not np.array_equal(weights[0].terms.main, weights[1].terms.main)


def test_a_target_that_fits_nothing_is_refused(folder, refused):
    Table({"name": ["x", "y"], "other": [1.0, 2.0]}).write(folder / "none.fits")
    words = ("run", folder / "small.yaml", "--catalog", folder / "sky.fits", "--out", folder / "no")
    refused(*words, "--target", folder / "none.fits", says=["no column that any property needs"])
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
def test_what_cannot_be_is_refused(small_config, overrides, message):
    with pytest.raises(InputError, match=message):
        parse_config(small_config, overrides=overrides)


def test_the_default_of_the_config_is_that_of_the_density(small_config):
    from xbayes.models.smooth_density import TAILS

    assert parse_config(small_config).model.tails == TAILS
