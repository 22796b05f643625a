"""Joint densities through the commands: run, classify, one row, explain, select-k."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table

from tests.small_sky import small_sky
from xbayes.catalog.read import parse_row, read_catalog, row_table
from xbayes.catalog.write import write_catalog
from xbayes.classifier.explain import explain
from xbayes.classifier.fitted_model import load_fitted_model
from xbayes.classifier.predict import classify
from xbayes.classifier.store import load_model
from xbayes.features.build import build_features, needed_columns
from xbayes.tasks.classify import classify_table
from xbayes.types import Features

VARIANTS = {
    "clusters": ("model.density=clusters", "model.weights=assignment"),
    "bayesian": (
        "model.density=clusters",
        "model.clusters={components: 5, steps: 5, mixture: stick_breaking, concentration: 0.5}",
        "model.weights=none",
    ),
    "joint": ("categories={one: {likelihood: mixture}}",),
    "published": ("model.density=published_clusters", "model.weights=none", "model.offsets=false"),
}


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    path = tmp_path_factory.mktemp("sky") / "sky.parquet"
    write_catalog(small_sky(200, 4, missing=0.1), path)
    return path


@pytest.fixture(scope="module")
def config(sky, small_config):
    path = sky.with_name("config.yaml")
    path.write_text(small_config)
    return path


@pytest.fixture(scope="module", params=VARIANTS)
def run(exit_code, request, config, sky, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / request.param
    settings = [a for s in VARIANTS[request.param] for a in ("--set", s)]
    assert exit_code("run", config, "--catalog", sky, "--out", out, *settings) == 0
    return out


@pytest.mark.slow
def test_classifying_again_gives_the_same(xbayes, run, sky, tmp_path):
    code, _, err = xbayes("classify", run, sky, "--out", tmp_path / "again.parquet")
    assert code == 0, err
    again, first = read_catalog(tmp_path / "again.parquet"), read_catalog(run / "catalog.parquet")
    for name in ("p_AGN", "p_XRB", "outlier_p", "prediction"):
        assert np.array_equal(np.asarray(again[name]), np.asarray(first[name]))
    assert np.isfinite(np.asarray(first["p_XRB"])).all()


@pytest.mark.slow
def test_a_row_with_missing_columns_gives_the_same_from_shell_and_python(xbayes, run):
    given = ["a=0.4", "c=-1.1"]
    code, out, err = xbayes("classify", run, "--row", *given)
    assert code == 0, err
    row, (config, *_) = row_table(parse_row(given)), load_model(run)
    absent = frozenset(needed_columns(config)) - set(row.colnames)
    table = classify_table(load_fitted_model(run), row, not_available=absent)
    posterior = [float(table[f"p_{c}"][0]) for c in ("AGN", "Star", "XRB")]
    shown = re.search(r"all[ │]+([\d. │]+)", out)
    numbers = [float(text) for text in re.findall(r"\d\.\d+", shown[1])]
    np.testing.assert_allclose(numbers, posterior, atol=6e-5)


@pytest.mark.slow
def test_the_track_of_a_joint_density_sums_to_the_log_odds(run, sky):
    config, recipe, classifier, _ = load_model(run)
    features, _ = build_features(read_catalog(sky)[:50], config)
    terms = explain(recipe, classifier, Features(*map(jnp.asarray, features)))
    score = terms.log_prior + terms.offset + terms.contribution.sum(1)
    log_odds = np.log(np.maximum(classify(recipe, classifier, features).posterior, 1e-300))
    finite = log_odds.min(1) > -500
    total = (score - score[:, :1])[finite]
    np.testing.assert_allclose(total, (log_odds - log_odds[:, :1])[finite], atol=1e-6)


@pytest.mark.slow
def test_the_report_shows_the_clusters(run):
    page = (run / "report.html").read_text()
    assert 'id="clusters"' in page
    assert list((run / "figures").glob("assignment*.png"))
    assert list((run / "figures").glob("cluster_sky*.png"))


def test_select_k(xbayes, config, sky, tmp_path):
    outs = ("--out", tmp_path / "bic.png", "--out", tmp_path / "bic.csv")
    arguments = ("select-k", config, "--catalog", sky, "--largest", "3", "--runs", "2", *outs)
    code, out, err = xbayes(*arguments)
    assert code == 0, err
    assert re.search(r"K = [23]: ", out)
    table = Table.read(tmp_path / "bic.csv")
    assert list(table["n_components"]) == [2, 3]
    assert (tmp_path / "bic.png").stat().st_size > 10_000


def test_select_k_refuses_invalid_input(xbayes, config, sky, tmp_path):
    few = tmp_path / "few.parquet"
    table = read_catalog(sky)
    names = np.asarray(table["Class"]).astype(str)
    rows = [i for c in np.unique(names) for i in np.flatnonzero(names == c)[:12]]
    write_catalog(table[rows], few)
    for settings, message in (
        (("--largest", "2"), "must be at least 3; found 2"),
        (("--runs", "0"), "number of runs must be at least 1; found 0"),
        (("--catalog", few, "--largest", "60"), "60 components need more rows than that"),
    ):
        catalog = () if "--catalog" in settings else ("--catalog", sky)
        code, _, err = xbayes("select-k", config, *catalog, *settings)
        assert code == 2, err
        assert message in err
