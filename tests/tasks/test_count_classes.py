"""`xbayes counts`: corrected counts of a catalogue with other class proportions."""

import shutil

import numpy as np
import pytest

from tests.small_sky import CLASSES, small_sky
from xbayes.catalog.read import open_chunks, read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.classifier.fitted_model import load_fitted_model
from xbayes.output.table import GROUP
from xbayes.tasks.count_classes import _classified_rows, _disagreements


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("counts")


def written(folder, name, table):
    write_catalog(table, folder / name)
    return folder / name


def test_corrected_counts_are_nearer_to_the_truth(folder, small, xbayes):
    table = small_sky(3000, 2, [0.7, 0.2, 0.1])
    catalog = written(folder, "new.parquet", table["name", "ra", "dec", "a", "b", "c"])
    code, out, err = xbayes("counts", small.folder, catalog, "--out", folder / "counts.csv")
    assert code == 0, err
    assert "3,000 sources without a label" in out
    found = read_catalog(folder / "counts.csv")
    truth = np.array([np.sum(table["Class"] == name) for name in CLASSES])
    half = (found["by_confusion_hi"] - found["by_confusion_lo"]) / 2
    assert np.all(np.abs(found["by_confusion"] - truth) < 2 * half)
    for name in ("by_confusion", "by_posterior"):
        assert np.all(np.abs(found[name] - truth) < np.abs(found["predicted"] - truth))
        assert np.all((found[f"{name}_lo"] <= found[name]) & (found[name] <= found[f"{name}_hi"]))
    assert found["predicted"][2] > 1.4 * truth[2]
    assert "differ by more than their errors" not in err


def test_classes_on_which_the_corrections_differ_are_named():
    assert _disagreements(("AGN", "Star"), np.array([1.9, -1.9])) == []
    (text,) = _disagreements(("AGN", "Star"), np.array([0.3, -2.5]))
    assert "for Star (-2.5 sigma)" in text


def test_only_sources_without_a_label_are_counted(folder, small, refused):
    table = small_sky(40, 3)
    catalog = written(folder, "all.parquet", table)
    refused("counts", small.folder, catalog, says=["every source", "--all"])
    table["Class"][:25] = ""
    chunks = open_chunks(written(folder, "some.parquet", table), 32, text=["name"])
    model = load_fitted_model(small.folder)
    for everything, n_rows in ((False, 25), (True, 40)):
        posterior, predicted = _classified_rows(model, chunks, everything, print)
        assert len(posterior) == predicted.sum() == n_rows


def test_the_predictions_of_a_run_hold_its_groups(small, demo):
    held_out, table = (
        read_catalog(path) for path in (small.folder / "predictions.parquet", small.catalog)
    )
    pairs = set(zip(held_out[GROUP].tolist(), table["field"].tolist(), strict=True))
    assert len(pairs) == len(np.unique(held_out[GROUP])) == len(np.unique(table["field"]))
    assert GROUP in held_out.meta["NOPOOL"]
    assert GROUP not in read_catalog(demo.folder / "predictions.parquet").colnames


def test_a_run_without_predictions_is_refused(folder, small, tmp_path, refused):
    run = tmp_path / "run"
    shutil.copytree(small.folder, run)
    (run / "predictions.parquet").unlink()
    catalog = written(folder, "new2.parquet", small_sky(30, 3))
    refused("counts", run, catalog, "--all", says=["predictions.parquet", "xbayes run"])
