"""Runs on several files: what they learn, write and say."""

import json

import numpy as np
import pytest
from astropy import units as u

import xbayes
from tests.small_sky import small_sky
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.config.reader import load_config, parse_config
from xbayes.errors import InputError, XbayesWarning
from xbayes.tasks.training import load_training

FILES = """
catalog:
  files:
    - {file: old.fits, release: 2022, columns: {a: a_mag, Class: kind}, units: {b: mJy}}
    - {file: new.csv, release: 2023, missing_values: {b: [-99]}}
"""


def releases():
    """An old release without c, under other names and units, and a new one with a marker."""
    old, new = small_sky(150, 1), small_sky(250, 2)
    old["name"] = [f"o{k}" for k in range(len(old))]
    old["b"] = 1000 * old["b"]  # mJy
    old.rename_columns(["a", "Class"], ["a_mag", "kind"])
    old.remove_column("c")
    new["b"] = np.where(np.arange(250) % 50 == 0, -99.0, new["b"])
    return old, new


@pytest.fixture
def folder(tmp_path, small_config):
    old, new = releases()
    write_catalog(old, tmp_path / "old.fits")
    write_catalog(new, tmp_path / "new.csv")
    text = small_config.replace("c, category: two", "c, category: two, missing: evidence")
    text = text.replace("{id: name, ", "{id: name, units: {b: Jy}, ")
    (tmp_path / "base.yaml").write_text(text)
    (tmp_path / "both.yaml").write_text(f"extends: base.yaml\nname: both\n{FILES}")
    return tmp_path


def test_each_file_is_read_with_its_own_names_units_and_markers(folder):
    old, _ = releases()
    training = load_training(load_config(folder / "both.yaml"), _paths(folder))
    value, measured = training.features.value, training.features.measured
    np.testing.assert_allclose(value[:150, 0], old["a_mag"])
    np.testing.assert_allclose(value[:150, 1], old["b"] / 1000)
    np.testing.assert_array_equal(measured[150:, 1], np.arange(250) % 50 != 0)
    # The old release lacks c, which is evidence elsewhere: there it is not available.
    assert not training.features.available[:150, 2].any()
    assert training.features.available[150:, 2].all()
    assert training.releases == ("2022", "2023") and training.config.catalog.block == "release"
    np.testing.assert_array_equal(training.labels.release, np.repeat([0, 1], [150, 250]))
    (warning,) = [w for w in training.warnings if "has no column" in w]
    assert "old.fits (release 2022)" in warning and "'c'" in warning


def _paths(folder):
    return {"2022": folder / "old.fits", "2023": folder / "new.csv"}


@pytest.mark.parametrize("n", [5, 25])
def test_a_lacking_column_of_a_small_file_is_no_non_detection(folder, small_config, n):
    """Blocks of few rows never show that a column is unavailable; that a file lacks it does."""
    old, new = releases()
    text = small_config.replace("c, category: two", "c, category: two, missing: evidence")
    old.rename_columns(["a_mag", "kind"], ["a", "Class"])
    few = old[:n]
    made = load_training(parse_config(text), {"few": few, "many": new})
    assert not made.features.available[:n, 2].any() and made.features.available[n:, 2].all()
    few["c"] = np.nan  # the control: the file has the column, and nothing was detected
    made = load_training(parse_config(text), {"few": few, "many": new})
    assert made.features.available[:n, 2].all() == (n < 20)


def test_a_source_in_two_files_is_in_one_fold(folder, small_config):
    old, new = small_sky(150, 1), small_sky(250, 2)
    new["name"] = [f"n{k}" for k in range(250)]
    new["ra"][:30], new["dec"][:30] = old["ra"][:30], old["dec"][:30] + 0.5 / 3600
    tables = {"old": old, "new": new}
    made = load_training(parse_config(small_config), tables)
    group = made.labels.group
    np.testing.assert_array_equal(group[:30], group[150:180])
    assert len(np.unique(group)) == 370
    assert any(w.startswith("30 sources are in more than one file") for w in made.warnings)
    far = load_training(parse_config(small_config, overrides=["catalog.same_source=0.1"]), tables)
    assert len(np.unique(far.labels.group)) == 400
    # Groups of the files themselves are kept too: a field of the old one is joined to its partners.
    grouped = small_config.replace("label: Class", "label: Class, source: star, group: field")
    for table, mark in ((old, "o"), (new, "n")):
        table["star"] = [f"{mark}{star}" for star in table["star"]]
        table["field"] = [f"{mark}{field}" for field in table["field"]]
    group = load_training(parse_config(grouped), tables).labels.group
    for name, table, rows in (("o", old, slice(0, 150)), ("n", new, slice(150, 400))):
        for field in np.unique(table["field"]):
            assert len(np.unique(group[rows][np.asarray(table["field"]) == field])) == 1, name
    np.testing.assert_array_equal(group[:30], group[150:180])


def test_a_dry_run_shows_the_files(folder):
    shown = str(xbayes.plan(folder / "both.yaml", out=folder / "run"))
    assert "400 sources of old.fits (2022), new.csv (2023)" in shown
    labelled = [line for line in shown.splitlines() if line.startswith("  202")]
    assert labelled[0].startswith("  2022: old.fits, 150 sources, labelled: ")
    planned = xbayes.plan(folder / "both.yaml", out=folder / "run")
    assert [sum(one.labelled.values()) for one in planned.releases] == [150, 250]
    assert planned.harder == "none" and "harder folds: none" in shown
    planned = xbayes.plan(folder / "both.yaml", set=["validation.harder=auto"], out=folder / "run")
    assert planned.harder == "release"


def test_one_catalogue_replaces_all_files(folder):
    _, new = releases()
    new["b"][new["b"] == -99] = np.nan
    config = load_config(folder / "both.yaml")
    made = load_training(config, new)
    (warning,) = [w for w in made.warnings if "replaces all of catalog.files" in w]
    assert "'2022', '2023'" in warning and "the rows have no releases" in warning
    assert made.config.catalog.files == () and made.config.catalog.block is None
    assert made.labels.release is None and "release" not in made.table.colnames
    new["release"] = np.where(np.arange(250) < 100, "x", "y")
    made = load_training(config, new)
    assert made.releases == ("x", "y") and made.config.catalog.block == "release"
    with pytest.raises(InputError, match="the mapping of releases is empty"):
        load_training(config, {})


def test_tables_in_memory_may_replace_the_files_of_a_config(folder):
    old, new = releases()
    new["name"] = [f"n{k}" for k in range(250)]
    config = load_config(folder / "both.yaml")
    made = load_training(config, {"2022": old.to_pandas(), "2023": folder / "new.csv"})
    files = made.config.catalog.files
    assert [file.release_name for file in files] == ["2022", "2023"]
    assert files[0].file is None and files[0].columns == {"a": "a_mag", "Class": "kind"}
    assert files[1].file == str(folder / "new.csv")
    assert not [w for w in made.warnings if "replace" in w]
    new["b"][new["b"] == -99] = 0.5
    made = load_training(config, {"2022": old, "2024": new})
    assert [w for w in made.warnings if w.startswith("the releases '2022', '2024' replace all")]


def test_a_mapping_that_does_not_fit_the_config_is_refused(folder, small_config):
    tables = {"old": small_sky(60, 1), "new": small_sky(60, 2)}
    config = parse_config(small_config, overrides=["catalog.block=field"])
    with pytest.raises(InputError, match=r"catalog.block: must be 'release'.* found 'field'"):
        load_training(config, tables)
    with pytest.raises(InputError, match="two releases have the same name as text: 1, '1'"):
        load_training(load_config(folder / "both.yaml"), {1: tables["old"], "1": tables["new"]})


def test_files_that_are_not_there_are_named(folder):
    (folder / "new.csv").unlink()
    with pytest.raises(InputError, match=r"no file .*new.csv.*catalog.files\[1\].file"):
        xbayes.plan(folder / "both.yaml", out=folder / "run")


def test_the_release_is_refused_as_a_feature(folder):
    config = load_config(folder / "both.yaml", ["catalog.release=b"])
    with pytest.raises(InputError, match="a feature reads the column 'b', which is made of"):
        load_training(config, _paths(folder))


@pytest.mark.slow
def test_a_run_on_two_files_from_end_to_end(folder):
    with pytest.warns(XbayesWarning, match=r"old.fits \(release 2022\) has no column 'c'"):
        fit = xbayes.run(folder / "both.yaml", set=["validation.harder=auto"], out=folder / "run")
    files = fit.provenance["catalog_files"]
    assert list(files) == ["2022", "2023"] and files["2022"]["file"] == "old.fits"
    assert all(len(file["sha256"]) == 64 for file in files.values())
    for name in ("predictions", "catalog"):
        made = read_catalog(fit.folder / f"{name}.fits")
        assert np.asarray(made["release"]).tolist() == ["2022"] * 150 + ["2023"] * 250
    block = json.loads((fit.folder / "metrics.json").read_text())["harder"]
    assert block == fit.metrics["harder"] and list(block["releases"]) == ["2022", "2023"]
    report = (fit.folder / "report.html").read_text()
    assert "For another catalogue" in report and "whole releases held out" in report
    assert f"xbayes run {fit.folder / 'config.yaml'}<" in report
    # The stored config is the whole config of the run.
    again = xbayes.run(fit.folder / "config.yaml", out=folder / "again")
    first, second = (run.predictions["p_AGN"] for run in (fit, again))
    np.testing.assert_array_equal(first, second)
    assert again.report() is not None
    # Rows of a known release have the state that training learned.
    old, _ = releases()
    old.rename_columns(["a_mag", "kind"], ["a", "Class"])
    old["b"].unit = u.mJy
    old["c"], old["release"] = np.nan, "2022"
    made = fit.classify(old, map={})
    catalog = read_catalog(fit.folder / "catalog.fits")
    np.testing.assert_allclose(made["p_AGN"], catalog["p_AGN"][:150], atol=1e-9)


@pytest.mark.slow
def test_releases_held_out_are_the_folds_of_a_run(folder):
    fit = xbayes.run(folder / "both.yaml", set=["validation.split=release"], out=folder / "run")
    made = fit.predictions
    release, fold = np.asarray(made["release"]), np.asarray(made["fold"])
    np.testing.assert_array_equal(fold, (release == "2023").astype(int))
    assert "harder" not in fit.metrics and fit.metrics["prior_weighted"]["log_loss"]["value"] > 0


@pytest.mark.slow
def test_variants_are_compared_on_the_files_of_a_config(folder):
    one = ["validation.split=release"]
    other = folder / "other.yaml"
    other.write_text("extends: both.yaml\nname: other\nmodel: {weights: category}\n")
    fit = xbayes.run(folder / "both.yaml", set=one, out=folder / "run")
    run_and_config = (folder / "run", other)
    made = xbayes.compare(*run_and_config, set=one, peer=["random_forest"], out=folder / "compared")
    provenance = made.numbers["provenance"]
    assert provenance["catalog"] == "old.fits, new.csv"
    assert provenance["catalog_sha256"] == fit.provenance["catalog_sha256"]
    predictions = read_catalog(made.folder / "predictions.parquet")
    assert len(predictions) == 400
