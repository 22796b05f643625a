"""Scores of the well-characterised sources: in the metrics and the report of a run."""

import json

import numpy as np

from xbayes.catalog.read import read_catalog


def test_well_characterised_sources_are_scored_separately(small):
    table = read_catalog(small.catalog)
    scores = json.loads((small.folder / "metrics.json").read_text())["well_characterised"]
    known = ~np.ma.getmaskarray(np.ma.masked_invalid(table["z"])) | (np.asarray(table["flag"]) > 0)
    assert scores["n_sources"] == known.sum() == sum(scores["members"].values())
    assert scores["members"]["AGN"] == 0 and scores["f1"]["AGN"]["value"] is None
    assert scores["f1"]["XRB"]["value"] > 0.3
    page = (small.folder / "report.html").read_text()
    assert "Well-characterised sources" in page
    assert f"On the {known.sum()} well-characterised sources" in page


def test_wrong_conditions_are_refused_before_the_run(small, tmp_path, refused):
    options = ("--catalog", small.catalog, "--out", tmp_path / "none")
    for name, old, new, says in (
        ("column", "flag > 0.5", "d", ["well_characterised.of.2", "'d'"]),
        ("number", "at_least: 2", "at_least: 4", ["at_least", "4 of 3 conditions"]),
    ):
        config = tmp_path / f"{name}.yaml"
        config.write_text(small.config.read_text().replace(old, new))
        refused("run", config, *options, says=says)
    assert not (tmp_path / "none").exists()
