"""`xbayes sources` as a user would type it, on simulated detections."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.output.source_table import AMBIGUOUS, UNIQUE

CONFIG = Path(__file__).parents[2] / "experiments/detections_to_sources/config.yaml"
CLASSES = ("AGN", "Star", "XRB", "CV")


@pytest.fixture
def refused(refused):
    """The same for `xbayes sources`, which leaves no table behind."""

    def call(out, *arguments, says=()):
        refused("sources", *arguments, "--out", out, says=says)
        assert not out.exists()

    return call


@pytest.fixture(scope="module")
def folder(numbers_only, tmp_path_factory):
    """Detections, a run trained on them, and other detections classified by it."""
    folder = tmp_path_factory.mktemp("detections")
    commands = [
        ["run", CONFIG, "--catalog", folder / "train.parquet", "--out", folder / "run"],
        ["classify", folder / "run", folder / "new.parquet", "--out", folder / "classified.fits"],
    ]
    for name, seed in (("train", 1), ("new", 2)):
        both = ["--out", folder / "sky.fits", "--detections", folder / f"{name}.parquet"]
        commands.insert(0, ["simulate", "-n", 1500, "--seed", seed, "--overwrite", *both])
    for command in commands:
        assert numbers_only(*command) == 0
    return folder


def test_detections_to_sources(folder, tmp_path, done):
    arguments = ("sources", folder / "classified.fits", "--by", "name", "--run", folder / "run")
    err = done(*arguments, "--out", tmp_path / "sources.fits")
    assert "held out in the run" in err
    table = read_catalog(tmp_path / "sources.fits")
    assert len(table) == 1500
    assert 0.2 < table.meta["RHO"] < 1
    assert set(table["vote"]) == {UNIQUE, AMBIGUOUS}
    detections = read_catalog(folder / "classified.fits")
    assert np.sum(table["n_detections"]) == len(detections)
    mine = np.asarray(detections["name"]) == table["name"][7]
    for label in CLASSES:
        assert table[f"p_{label}"][7] == pytest.approx(np.mean(detections[f"p_{label}"][mine]))
    single = np.asarray(table["n_detections"]) == 1
    for label in CLASSES:
        one = np.asarray(table[f"p_{label}"])[single]
        np.testing.assert_allclose(table[f"combined_{label}"][single], one, rtol=1e-9)
    total = sum(np.asarray(table[f"combined_{label}"]) for label in CLASSES)
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv", "csv", "parquet"])
def test_formats_tell_the_prior_or_the_run_does(folder, tmp_path, ending, done):
    """Under another prior too, which CSV cannot tell."""
    prior = "AGN=0.25,Star=0.25,XRB=0.25,CV=0.25"
    given = tmp_path / f"given.{ending}"
    done("classify", folder / "run", folder / "new.parquet", "--out", given,
         "--prior", prior)  # fmt: skip
    told = ["--run", folder / "run", "--prior", prior] if ending == "csv" else []
    out = tmp_path / f"out.{ending}"
    done("sources", given, "--by", "name", "--rho", 0, "--out", out, *told)
    detections, table = read_catalog(given), read_catalog(out)
    mine = np.asarray(detections["name"]) == table["name"][3]
    odds = [np.prod(np.asarray(detections[f"p_{c}"])[mine] / 0.25) for c in CLASSES]
    for label, odd in zip(CLASSES, odds, strict=True):
        assert table[f"combined_{label}"][3] == pytest.approx(odd / sum(odds), rel=1e-6)


def test_held_out_predictions_of_the_run_itself(folder, tmp_path, done):
    predictions = folder / "run" / "predictions.parquet"
    err = done("sources", predictions, "--by", "name", "--out", tmp_path / "s.csv")
    assert "labelled sources of the catalogue" in err


def test_without_labels_the_default_is_told(folder, tmp_path, done):
    arguments = ("sources", folder / "classified.fits", "--by", "name")
    err = done(*arguments, "--out", tmp_path / "s.csv")
    assert "rho = 1, the default" in err
    assert "--rho NUMBER" in err


def grouped(folder, tmp_path, done):
    """A run whose groups, as in shared catalogues, are made of neighbours with one label."""
    table = Table(read_catalog(folder / "train.parquet"))
    label = np.asarray(table["Class"])
    table["group_id"] = np.cumsum(np.append(True, label[1:] != label[:-1]))
    write_catalog(table, tmp_path / "grouped.parquet")
    run = tmp_path / "run"
    done("run", CONFIG, "--catalog", tmp_path / "grouped.parquet", "--out", run,
         "--set", "catalog.group=group_id")  # fmt: skip
    out = tmp_path / "classified"
    for ending in (".fits", ".csv"):
        new = out.with_suffix(ending)
        done("classify", run, tmp_path / "grouped.parquet", "--out", new)
    return run, out


def test_pooling_by_groups_made_from_labels_is_refused(folder, tmp_path, done, refused):
    run, classified = grouped(folder, tmp_path, done)
    out = tmp_path / "s.fits"
    fits, csv = classified.with_suffix(".fits"), classified.with_suffix(".csv")
    says = ["may be made from labels", "catalog.group"]
    for column in ("group_id", "Class"):
        refused(out, fits, "--by", column, says=says)
        refused(out, fits, "--by", column, "--run", run, "--rho", "0.5", says=says)
        refused(out, csv, "--by", column, "--run", run, says=says)
    done("sources", fits, "--by", "name", "--run", run, "--out", out)
    plain = read_catalog(folder / "train.parquet")
    assert len(read_catalog(out)) == len(np.unique(plain["name"]))


def test_wrong_use(folder, tmp_path, xbayes, done, refused):
    out, catalog = tmp_path / "s.fits", folder / "classified.fits"
    by = ("--by", "name")
    for rho in ("-0.1", "1.5", "nan", "much"):
        refused(out, catalog, *by, f"--rho={rho}", says=["--rho", rho])
    refused(out, catalog, "--by", "nmae", says=["did you mean 'name'"])
    refused(out, catalog, *by, "--prior", "AGN=1", says=["Star"])
    refused(out, catalog, *by, "--run", tmp_path / "no", says=["not exist"])
    refused(out, folder / "new.parquet", *by, says=["does not say its classes"])
    refused(out, folder / "new.parquet", *by, "--run", folder / "run", says=["lacks p_AGN"])
    refused(tmp_path / "s.txt", catalog, *by, says=[".txt"])
    kept = tmp_path / "kept.csv"
    kept.write_text("precious")
    code, _, err = xbayes("sources", catalog, *by, "--out", kept)
    assert (code, kept.read_text()) == (2, "precious")
    assert "--overwrite" in err
    done("sources", catalog, *by, "--out", kept, "--overwrite")
    assert not list(tmp_path.glob(".xbayes*"))
