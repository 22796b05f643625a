"""`xbayes counts` from a run to a table: against a catalogue of other proportions."""

import numpy as np
import pytest
from astropy.table import Table

from xbayes.catalog.read import open_chunks, read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.classifier.fitted_model import load_fitted_model
from xbayes.output.table import GROUP
from xbayes.tasks.count_classes import _disagreements, count_classes

CLASSES = np.array(["AGN", "Star", "XRB"])
CENTRE = np.array([[0, 0, 0], [1.6, 0, 1], [0, 1.6, -1]])


def sky(n, share, seed):
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, n, p=share)
    value = CENTRE[kind] + rng.normal(size=(n, 3))
    table = Table(dict(zip("abc", value.T, strict=True)))
    table["name"] = [f"s{i}" for i in range(n)]
    table["ra"], table["dec"] = rng.uniform(0, 360, n), rng.uniform(-80, 80, n)
    table["Class"], table["truth"] = CLASSES[kind], kind
    table["field"] = np.arange(n) // 2
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small_config, numbers_only):
    folder = tmp_path_factory.mktemp("population")
    (folder / "small.yaml").write_text(small_config)
    write_catalog(sky(600, [0.4, 0.35, 0.25], 0), folder / "sky.parquet")
    options = ("--catalog", folder / "sky.parquet", "--out", folder / "run")
    assert numbers_only("run", folder / "small.yaml", *options) == 0
    return folder


def new(folder, name, table):
    write_catalog(table, folder / name, overwrite=True)
    return folder / name


def test_corrected_counts_hold_the_truth_where_raw_ones_are_off(folder, xbayes):
    table = sky(3000, [0.7, 0.2, 0.1], 2)
    catalog = new(folder, "new.parquet", table["name", "ra", "dec", "a", "b", "c"])
    code, told, err = xbayes("counts", folder / "run", catalog, "--out", folder / "counts.csv")
    assert code == 0, err
    assert "3,000 sources without a label" in told
    found = read_catalog(folder / "counts.csv")
    truth = np.bincount(table["truth"], minlength=3)
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


def test_only_sources_without_a_label_count(folder, refused, done):
    table = sky(40, [0.4, 0.3, 0.3], 3)
    table["Class"][:25] = ""
    catalog = new(folder, "some.parquet", table)
    chunks = open_chunks(catalog, 32, text=["name"])
    assert count_classes(load_fitted_model(folder / "run"), chunks).predicted.sum() == 25
    assert (
        count_classes(load_fitted_model(folder / "run"), chunks, everything=True).predicted.sum()
        == 40
    )
    catalog = new(folder, "all.parquet", sky(40, [0.4, 0.3, 0.3], 3))
    refused("counts", folder / "run", catalog, says=["every source", "--all"])


def test_groups_are_kept_and_widen_the_intervals(folder, exit_code):
    settings = ("--set", "catalog.group=field", "--out", folder / "grouped")
    catalog = ("--catalog", folder / "sky.parquet")
    assert exit_code("run", folder / "small.yaml", *catalog, *settings) == 0
    held_out = read_catalog(folder / "grouped" / "predictions.parquet")
    assert len(np.unique(held_out[GROUP])) == 300
    assert GROUP in held_out.meta["NOPOOL"]
    assert GROUP not in read_catalog(folder / "run" / "predictions.parquet").colnames


def test_what_a_run_lacks_is_said(folder, tmp_path, refused):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    (run / "predictions.parquet").unlink()
    catalog = new(folder, "new2.parquet", sky(30, [0.4, 0.3, 0.3], 3))
    refused("counts", run, catalog, "--all", says=["predictions.parquet", "xbayes run"])
