"""From the detections of three missions to a table of sources, by the commands that users type."""

import json

import numpy as np
import pytest
from astropy.table import Table

import xbayes
from tests.enhance.bare_list import with_ucds
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.simulate.catalog import simulate_detections

CLASSES = ("AGN", "Star", "XRB")
N_OF_CLASS = 80
MISSIONS = {"Chandra": 0.4, "XMM": 1.0, "Swift": 1.8}  # standard error per axis, arcsec
ENHANCE = {
    "name": "three",
    "catalog": {"id": "detection_id", "source": "name", "error": "err"},
    "positions": {},
    "identifications": {
        "references": {c: {"label": c, "catalogue": f"J/X/{c}"} for c in CLASSES},
        "simbad": None,
    },
    "counterparts": {"catalogues": ["gaia", "allwise"], "flux": "flux", "shifted": 1000},
    "coverage": {"surveys": {"gaia": {"moc": "allsky"}, "allwise": {"moc": "allsky"}}},
    "variability": {
        "own": {"flux": "flux", "flux_error": "e_flux", "band": [0.5, 7.0], "start": "mjd"},
    },
}
RUN = """
name: three
catalog: {id: detection_id, source: name, ra: ra, dec: dec, label: identified_class, keep: [name]}
taxonomy: {classes: {AGN: [AGN], Star: [Star], XRB: [XRB]}, groups: {stellar: [Star, XRB]}}
features:
  hs: {expression: hard_hs, category: spectrum}
  fx_g: {expression: log_fx_fopt, category: counterparts, missing: evidence, measured: covered_gaia}
  w1_w2:
    expression: allwise_w1_mag - allwise_w2_mag
    category: counterparts
    missing: evidence
    measured: covered_allwise
  ratio: {expression: log10(lt_ratio), category: variability}
model: {weights: property, penalty: 10, starts: 1}
validation: {folds: 2, inner_folds: 2, bootstrap: 20, harder: none}
"""


def simulated() -> tuple[Table, Table]:
    """Sources of known class, and a list of their detections by three missions."""
    sources = xbayes.simulate(n=6000, seed=5)
    kind = np.asarray(sources["Class"])
    sources = sources[np.concatenate([np.flatnonzero(kind == c)[:N_OF_CLASS] for c in CLASSES])]
    rows = simulate_detections(sources, 5)["detection_id", "name", "flux", "e_flux", "hard_hs"]
    rng = np.random.default_rng(5)
    index = {name: n for n, name in enumerate(sources["name"])}
    of = sources[[index[name] for name in rows["name"]]]
    rows["mission"] = rng.choice([*MISSIONS], len(rows))
    rows["err"] = [MISSIONS[mission] for mission in rows["mission"]]
    shift = rng.normal(0, 1, (2, len(rows))) * rows["err"] / 3600
    rows["ra"] = of["ra"] + shift[0] / np.cos(np.deg2rad(of["dec"]))
    rows["dec"] = of["dec"] + shift[1]
    rows["mjd"] = rng.uniform(52000, 58000, len(rows))
    return sources, rows


def archives(sources: Table) -> dict[str, Table]:
    """Tables of VizieR: a reference for each class with half of its sources, Gaia and AllWISE."""
    tables = {}
    for c in CLASSES:
        known = sources[np.asarray(sources["Class"]) == c][::2]
        tables[f"J/X/{c}/table1"] = Table({"RAJ2000": known["ra"], "DEJ2000": known["dec"]})
    for name, (ra, dec), columns in (
        ("I/355/gaiadr3", ("RA_ICRS", "DE_ICRS"), {"Gmag": "g_mag"}),
        ("II/328/allwise", ("RAJ2000", "DEJ2000"), {"W1mag": "w1_mag", "W2mag": "w2_mag"}),
    ):
        first = next(iter(columns.values()))
        listed = sources[~np.ma.getmaskarray(sources[first])]
        table = Table({ra: listed["ra"], dec: listed["dec"]}, masked=True)
        for column, own in columns.items():
            table[column] = listed[own]
        tables[name] = table
    gaia = tables["I/355/gaiadr3"]
    gaia["Source"] = np.arange(len(gaia))
    gaia["BPmag"], gaia["RPmag"] = gaia["Gmag"] + 0.5, gaia["Gmag"] - 0.5
    distances = Table({"RA_ICRS": [0.0], "DE_ICRS": [-89.0], "Source": [0]})
    for column in ("rgeo", "b_rgeo", "B_rgeo"):
        distances[column] = 1000.0
    return {k: with_ucds(t) for k, t in {**tables, "I/352/gedr3dis": distances}.items()}


@pytest.mark.slow
def test_detections_of_three_missions_become_a_table_of_sources(
    archive, tmp_path, monkeypatch, exit_code, numbers_only
):
    monkeypatch.chdir(tmp_path)
    sources, rows = simulated()
    archive.services["vizier"] = archives(sources)
    write_catalog(rows, "detections.fits")
    config = {**ENHANCE, "services": archive.endpoints}
    (tmp_path / "enhance.yaml").write_text(json.dumps(config))
    (tmp_path / "run.yaml").write_text(RUN)
    enhance = ("enhance", "detections.fits", "--config", "enhance.yaml", "--cache", "answers")
    assert exit_code(*enhance, "--out", "rich.fits") == 0
    assert numbers_only("run", "run.yaml", "--catalog", "rich.fits", "--out", "run") == 0
    assert exit_code("classify", "run", "rich.fits", "--out", "classified.fits") == 0
    pool = ("sources", "classified.fits", "--by", "name", "--run", "run")
    assert exit_code(*pool, "--out", "sources.fits") == 0

    rich, pooled = read_catalog("rich.fits"), read_catalog("sources.fits")
    assert len(rich) == len(rows) and len(pooled) == len(sources) > 200
    n_missions = [len({*rows["mission"][rows["name"] == name]}) for name in sources["name"][:50]]
    assert max(n_missions) == 3
    # The light curves hold the fluxes of all missions of a source.
    several = np.asarray(rich["lt_n"]) > 1
    assert several.mean() > 0.5 and (np.asarray(rich["lt_ratio"])[several] >= 1).all()
    truth = dict(zip(sources["name"], sources["Class"], strict=True))
    labelled = rich[~rich["identified_class"].mask]
    assert all(truth[row["name"]] == row["identified_class"] for row in labelled)
    new = pooled[~np.isin(pooled["name"], labelled["name"])]
    right = np.mean([truth[row["name"]] == row["combined_class"] for row in new])
    assert 0.3 * len(sources) < len(new) < 0.7 * len(sources)
    assert right > 0.75  # chance: 1/3
    both = new["combined_Star"] + new["combined_XRB"]
    np.testing.assert_allclose(new["combined_stellar"], both, atol=1e-6)
