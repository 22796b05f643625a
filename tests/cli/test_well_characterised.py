"""The sources known well in a whole run: in its metrics, its report and its messages."""

import json

import numpy as np
import pytest
from astropy.table import Table

from xbayes.catalog.write import write_catalog

WELL = "bootstrap: 20, well_characterised: {at_least: 2, of: [a > -9, observed(b), c > 0.5]}}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small_config):
    folder, rng = tmp_path_factory.mktemp("well"), np.random.default_rng(0)
    kind = rng.integers(0, 3, 90)
    value = np.array([[0, 0, -9], [2.5, 0, 1], [0, 2.5, 0]])[kind] + rng.normal(size=(90, 3))
    value[rng.random(90) < 0.4, 1] = np.nan
    value[kind == 0, 1] = np.nan
    table = Table(dict(zip("abc", value.T, strict=True)))
    table["name"], table["Class"] = np.arange(90), np.array(["AGN", "Star", "XRB"])[kind]
    table["ra"], table["dec"] = rng.uniform(0, 360, 90), rng.uniform(-80, 80, 90)
    write_catalog(table, folder / "sky.parquet")
    (folder / "small.yaml").write_text(small_config.replace("bootstrap: 20}", WELL))
    return folder, table


def test_it_is_scored_apart(folder, done):
    folder, table = folder
    options = ("--catalog", folder / "sky.parquet", "--out", folder / "run")
    done("run", folder / "small.yaml", *options)
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    block = metrics["well_characterised"]
    known = np.isfinite(table["b"]) | (np.asarray(table["c"]) > 0.5)
    assert block["n_sources"] == known.sum() == sum(block["members"].values())
    assert block["members"]["AGN"] == 0 and block["f1"]["AGN"]["value"] is None
    assert block["f1"]["XRB"]["value"] > 0.3
    page = (folder / "run" / "report.html").read_text()
    assert "Well-characterised sources" in page
    assert f"On the {known.sum()} well-characterised sources" in page


def test_what_cannot_be_told_is_refused_before_the_work(folder, refused):
    folder, _ = folder
    options = ("--catalog", folder / "sky.parquet", "--out", folder / "none")
    (folder / "wrong.yaml").write_text((folder / "small.yaml").read_text().replace("c > 0.5", "d"))
    refused("run", folder / "wrong.yaml", *options, says=["well_characterised.of.2", "'d'"])
    many = (folder / "small.yaml").read_text().replace("at_least: 2", "at_least: 4")
    (folder / "many.yaml").write_text(many)
    refused("run", folder / "many.yaml", *options, says=["at_least", "4 of 3 conditions"])
    assert not (folder / "none").exists()
