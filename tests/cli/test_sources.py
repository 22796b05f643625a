"""`xbayes sources` as a user types it, on detections of the small sky."""

import numpy as np
import pytest

from tests.small_sky import CLASSES, small_sky
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.output.source_table import AMBIGUOUS, UNIQUE


@pytest.fixture
def refused(refused):
    """The same for `xbayes sources`, which leaves no table behind."""

    def call(out, *arguments, says=()):
        refused("sources", *arguments, "--out", out, says=says)
        assert not out.exists()

    return call


@pytest.fixture(scope="module")
def folder(small, exit_code, tmp_path_factory):
    """New detections, and the same classified by the small run."""
    folder = tmp_path_factory.mktemp("detections")
    table = small_sky(600, 2)
    table.remove_column("Class")
    write_catalog(table, folder / "new.parquet")
    for ending in ("fits", "csv"):
        out = ("--out", folder / f"classified.{ending}")
        assert exit_code("classify", small.folder, folder / "new.parquet", *out) == 0
    return folder


def test_detections_to_sources(folder, small, tmp_path, done):
    arguments = ("sources", folder / "classified.fits", "--by", "star", "--run", small.folder)
    err = done(*arguments, "--out", tmp_path / "sources.fits")
    assert "held out in the run" in err
    table = read_catalog(tmp_path / "sources.fits")
    detections = read_catalog(folder / "classified.fits")
    assert len(table) == len(np.unique(detections["star"]))
    assert 0.2 < table.meta["RHO"] < 0.8  # detections of a star have a correlation of 0.5
    assert set(table["vote"]) == {UNIQUE, AMBIGUOUS}
    assert np.sum(table["n_detections"]) == len(detections)
    rows = np.asarray(detections["star"]) == table["star"][7]
    for label in CLASSES:
        assert table[f"p_{label}"][7] == pytest.approx(np.mean(detections[f"p_{label}"][rows]))
    single = np.asarray(table["n_detections"]) == 1
    for label in CLASSES:
        one = np.asarray(table[f"p_{label}"])[single]
        np.testing.assert_allclose(table[f"combined_{label}"][single], one, rtol=1e-9)
    total = sum(np.asarray(table[f"combined_{label}"]) for label in CLASSES)
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv", "csv", "parquet"])
def test_the_prior_comes_from_the_file_or_for_csv_from_options(
    folder, small, tmp_path, ending, done
):
    prior = "AGN=0.4,Star=0.4,XRB=0.2"
    given = tmp_path / f"given.{ending}"
    done("classify", small.folder, folder / "new.parquet", "--out", given,
         "--prior", prior)  # fmt: skip
    options = ["--run", small.folder, "--prior", prior] if ending == "csv" else []
    out = tmp_path / f"out.{ending}"
    done("sources", given, "--by", "star", "--rho", 0, "--out", out, *options)
    detections, table = read_catalog(given), read_catalog(out)
    rows = np.asarray(detections["star"]) == table["star"][3]
    odds = [
        p * np.prod(np.asarray(detections[f"p_{c}"])[rows] / p)
        for c, p in zip(CLASSES, (0.4, 0.4, 0.2), strict=True)
    ]
    for label, odd in zip(CLASSES, odds, strict=True):
        assert table[f"combined_{label}"][3] == pytest.approx(odd / sum(odds), rel=1e-6)


def test_rho_is_learned_from_labels_in_the_catalogue(small, tmp_path, done):
    predictions = small.folder / "predictions.parquet"
    err = done("sources", predictions, "--by", "star", "--out", tmp_path / "s.csv")
    assert "labelled sources of the catalogue" in err


def test_without_labels_rho_has_its_default(folder, tmp_path, done):
    arguments = ("sources", folder / "classified.fits", "--by", "star")
    err = done(*arguments, "--out", tmp_path / "s.csv")
    assert "rho = 1, the default" in err
    assert "--rho NUMBER" in err


def test_pooling_by_groups_that_may_be_made_from_labels_is_refused(
    folder, small, tmp_path, refused
):
    out, run = tmp_path / "s.fits", ("--run", small.folder)
    catalog, csv = folder / "classified.fits", folder / "classified.csv"
    says = ["may be made from labels", "catalog.group"]
    for column in ("field", "Class"):
        refused(out, catalog, "--by", column, says=says)
        refused(out, catalog, "--by", column, *run, "--rho", "0.5", says=says)
        refused(out, csv, "--by", column, *run, says=says)


def test_wrong_use(folder, small, tmp_path, xbayes, done, refused):
    out, catalog = tmp_path / "s.fits", folder / "classified.fits"
    by = ("--by", "star")
    for rho in ("-0.1", "1.5", "nan", "much"):
        refused(out, catalog, *by, f"--rho={rho}", says=["--rho", rho])
    refused(out, catalog, "--by", "satr", says=["did you mean 'star'"])
    refused(out, catalog, *by, "--prior", "AGN=1", says=["Star"])
    refused(out, catalog, *by, "--run", tmp_path / "no", says=["not exist"])
    refused(out, folder / "new.parquet", *by, says=["does not name its classes"])
    refused(out, folder / "new.parquet", *by, "--run", small.folder, says=["lacks p_AGN"])
    refused(tmp_path / "s.txt", catalog, *by, says=[".txt"])
    kept = tmp_path / "kept.csv"
    kept.write_text("precious")
    code, _, err = xbayes("sources", catalog, *by, "--out", kept)
    assert (code, kept.read_text()) == (2, "precious")
    assert "--overwrite" in err
    done("sources", catalog, *by, "--out", kept, "--overwrite")
    assert not list(tmp_path.glob(".xbayes*"))
