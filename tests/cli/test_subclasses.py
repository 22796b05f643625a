"""`taxonomy.subclasses` in the commands run, classify and explain, and in their files."""

import json

import numpy as np
import pytest

from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.classifier.probabilities import with_prior
from xbayes.simulate.catalog import simulate_catalog

CLASSES = {"AGN": ["AGN"], "Star": ["giant", "dwarf"], "XRB": ["XRB"], "CV": ["CV"]}
SETTINGS = (
    f"taxonomy.classes={json.dumps(CLASSES)}",
    "taxonomy.subclasses={giant: [giant], dwarf: [dwarf]}",
    *("validation.folds=3", "validation.inner_folds=3", "validation.bootstrap=20"),
)
DEMO = "configs/demo.yaml"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    """Stars are labelled giants or dwarfs by their magnitude."""
    table = simulate_catalog(900, 3)
    far = np.asarray(table["g_mag"].filled(20.0), float) < 14.5
    star = np.asarray(table["Class"]) == "Star"
    table["Class"] = np.where(star, np.where(far, "giant", "dwarf"), table["Class"])
    path = tmp_path_factory.mktemp("subclasses") / "sky.fits"
    write_catalog(table, path)
    return path


@pytest.fixture(scope="module")
def run(catalog, exit_code):
    out = catalog.parent / "run"
    settings = [word for key in SETTINGS for word in ("--set", key)]
    assert exit_code("run", DEMO, "--catalog", catalog, *settings, "--out", out) == 0
    return out


@pytest.mark.slow
def test_a_run_names_subclasses_and_scores_classes(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["classes"] == ["AGN", "Star", "XRB", "CV"]
    table = read_catalog(run / "predictions.parquet")
    assert "p_giant" not in table.colnames
    subclass = np.asarray(table["subclass"]).astype(str)
    star = np.asarray(table["prediction"]) == "Star"
    assert set(subclass[star]) == {"giant", "dwarf"}
    np.testing.assert_array_equal(subclass[~star], np.asarray(table["prediction"])[~star])
    total = sum(np.asarray(table[f"p_{c}"]) for c in CLASSES)
    np.testing.assert_allclose(total, 1.0, atol=1e-12)
    assert "resolution AGN" in table["outlier_p"].description
    assert "giant" in table["outlier_p"].description
    assert "Star consists of giant (" in (run / "report.html").read_text()


@pytest.mark.slow
def test_a_loaded_run_classifies_as_before_and_takes_a_prior_of_classes(run, catalog, exit_code):
    own, other = catalog.parent / "own.fits", catalog.parent / "other.fits"
    assert exit_code("classify", run, catalog, "--out", own) == 0
    prior = "AGN=0.5,Star=0.2,XRB=0.2,CV=0.1"
    assert exit_code("classify", run, catalog, "--out", other, "--prior", prior) == 0
    made, first, second = map(read_catalog, (run / "catalog.fits", own, other))
    p, q, r = (
        np.stack([np.asarray(t[f"p_{c}"]) for c in CLASSES], 1) for t in (made, first, second)
    )
    np.testing.assert_allclose(p, q, atol=1e-12)
    old = np.array(first.meta["PRIOR"])
    np.testing.assert_allclose(r, with_prior(q, old, np.array([0.5, 0.2, 0.2, 0.1])), atol=1e-9)


@pytest.mark.slow
def test_a_track_names_the_subclasses_and_sums_to_the_log_odds(run, catalog, exit_code, capsys):
    table = read_catalog(run / "catalog.fits")
    star = np.flatnonzero(np.asarray(table["prediction"]) == "Star")
    name, out = str(table["name"][star[0]]), catalog.parent / "track.ecsv"
    figure = out.with_suffix(".png")
    assert exit_code("explain", run, catalog, name, "--out", out, "--out", figure) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("subclasses", "giant", "dwarf"))
    track = read_catalog(out)
    assert "subclasses" in list(track["property"])
    for c in CLASSES:
        reported = np.log(table[f"p_{c}"][star[0]] / table["p_Star"][star[0]])
        np.testing.assert_allclose(np.sum(track[f"ln_odds_{c}"]), reported, atol=1e-6)


def test_a_column_of_that_name_is_refused(catalog, exit_code, capsys):
    table = read_catalog(catalog)
    table["subclass"] = "?"
    path, out = catalog.parent / "clash.fits", catalog.parent / "clash"
    write_catalog(table, path)
    settings = [*SETTINGS, "catalog.keep=[subclass]"]
    words = [word for key in settings for word in ("--set", key)]
    assert exit_code("run", DEMO, "--catalog", path, *words, "--out", out) == 2
    assert "'subclass', which is also a column of the output" in capsys.readouterr().err
    assert not out.exists()
