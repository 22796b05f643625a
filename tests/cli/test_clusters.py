"""The commands with clusters and mixtures, on catalogues with many awkward values."""

import json
import re

import numpy as np
import pytest
from astropy.table import Table

from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog

MORE = """
extends: small.yaml
features:
  d: {expression: d, category: two, missing: evidence}
  flat: {expression: flat, category: two}
"""
SIMPLY = "model.calibration=temperature"
# "clusters" also tests sources without a label and every kind of calibration.
KINDS = {
    "clusters": ["model.density=clusters", "model.weights=assignment"],
    "mixture": [SIMPLY, "categories={one: {likelihood: mixture}, two: {likelihood: mixture}}"],
    "published": [SIMPLY, "model.density=published_clusters"],
}
LABELLED = {"clusters": 100, "mixture": 120, "published": 120}
CLASSES = np.array(["AGN", "Star", "XRB"])
GAPS = {"a", "b", "c", "d"}  # columns that pass through with their missing values


def sky(n):
    rng, kind = np.random.default_rng(0), np.arange(n) % 3
    centre = np.array([[0, 0, 0, 0], [3, 0, 1, 0], [0, 3, -1, 1]])
    table = Table(dict(zip("abcd", (rng.normal(size=(n, 4)) + centre[kind]).T, strict=True)))
    table["b"] = 2 * table["a"] + 1  # collinear
    table["flat"] = 1.0
    table["name"] = [f"s{i}" for i in range(n)]
    table["ra"], table["dec"] = rng.uniform(0, 360, n), rng.uniform(-80, 80, n)
    return table, kind


def awkward(labelled):
    """Collinear, constant, repeated, infinite; empty rows; a class without any value of d."""
    table, kind = sky(120)
    for name in "abcd":
        table[name][:4] = np.nan
        table[name][60:63] = table[name][63:66]
    table["c"][4:7], table["c"][7] = np.inf, -np.inf
    table["d"][kind == 2] = np.nan
    table["Class"] = np.where(np.arange(120) < labelled, CLASSES[kind], "")
    return table


def far():
    """An empty row, an infinite value, and values far outside the training sample."""
    table, _ = sky(12)
    for name in "abcd":
        table[name][0] = np.nan
        table[name][4] = 1e8
    table["c"][1], table["a"][2], table["a"][3] = np.inf, 1e100, -1e30
    return table


def without(*names):
    table, _ = sky(12)
    for name in names:
        table[name] = np.nan
    return table


NEW = {"far": far(), "one": far()[:1], "two missing": without("a", "d"), "empty": without(*GAPS)}


def finite_posteriors(path):
    """Every number is finite, except missing values of the catalogue; probabilities sum to 1."""
    table = read_catalog(path)
    for name in set(table.colnames) - GAPS - {"true_class"}:
        column = np.ma.asarray(table[name])
        assert not np.ma.getmaskarray(column).any() or column.dtype.kind in "OSU", name
        if column.dtype.kind == "f":
            assert np.isfinite(np.ma.getdata(column)).all(), name
    total = sum(np.asarray(table[f"p_{name}"]) for name in CLASSES)
    np.testing.assert_allclose(total, 1.0, atol=1e-6)
    return table


def numbers(tree):
    """All numbers of a JSON record, and None, which stands for NaN."""
    if isinstance(tree, dict | list):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from numbers(part)
    elif not isinstance(tree, str):
        yield tree


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("clusters", "mixture")]


@pytest.fixture(scope="module", params=["published", *SLOW])
def run(exit_code, small_config, request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    (folder / "small.yaml").write_text(small_config)
    (folder / "config.yaml").write_text(MORE)
    write_catalog(awkward(LABELLED[request.param]), folder / "sky.parquet")
    options = [word for s in KINDS[request.param] for word in ("--set", s)]
    arguments = ("run", folder / "config.yaml", "--catalog", folder / "sky.parquet")
    assert exit_code(*arguments, "--out", folder / "run", *options) == 0
    return folder / "run"


def test_an_awkward_catalogue_runs_and_reports_finite_numbers(run):
    learned = finite_posteriors(run / "predictions.parquet")
    whole = finite_posteriors(run / "catalog.parquet")
    assert len(whole) == 120
    assert len(learned) == (~np.ma.getmaskarray(np.ma.asarray(whole["true_class"]))).sum() >= 100
    found = json.loads((run / "metrics.json").read_text())
    assert all(value is not None and np.isfinite(value) for value in numbers(found))
    text = re.sub(r"<(script|style).*?</\1>", "", (run / "report.html").read_text(), flags=re.S)
    assert "flat" in text  # the features that were left out are named
    assert not re.search(r">\s*[-+]?(nan|inf)\b", text, flags=re.I)


@pytest.mark.parametrize("kind", NEW)
def test_classifying_awkward_rows_gives_posteriors(run, kind, done, tmp_path):
    write_catalog(NEW[kind], tmp_path / "new.parquet")
    out = tmp_path / "out.parquet"
    done("classify", run, tmp_path / "new.parquet", "--out", out)
    table = finite_posteriors(out)
    assert len(table) == len(NEW[kind])
    empty = [all(not np.isfinite(row[name]) for name in GAPS) for row in NEW[kind]]
    probability = np.asarray(table["p_AGN"])[np.array(empty)]
    assert np.ptp(probability) < 1e-9 if probability.size else True


def test_an_infinite_value_in_a_single_row_is_missing(run, xbayes):
    shown = [xbayes("classify", run, "--row", *given, "b=1") for given in (["a=inf"], ["a=nan"])]
    assert shown[0] == shown[1]
    assert shown[0][0] == 0
    assert "3 features without a value" in shown[0][1]
