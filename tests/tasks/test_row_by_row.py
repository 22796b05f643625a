"""The posterior of a row is a function of the row and the run, not of the rest of its catalogue."""

import shutil

import numpy as np
import pytest
from astropy.table import Table, vstack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import xbayes
from xbayes.catalog.read import read_catalog, table_chunks
from xbayes.catalog.write import write_catalog
from xbayes.classifier.fitted_model import load_fitted_model
from xbayes.classifier.patterns import joined_groups
from xbayes.simulate.catalog import simulate_catalog
from xbayes.tasks import absent_features
from xbayes.tasks.classify import classify_chunks

CLASSES = ("AGN", "Star", "XRB", "CV")


@pytest.fixture(scope="module")
def model(demo):
    return load_fitted_model(demo.folder)


@pytest.fixture(scope="module")
def sky():
    """60 rows, some of them with many empty cells."""
    table, rng = simulate_catalog(60, 5), np.random.default_rng(1)
    for name in ("g_mag", "w1_mag", "gamma"):
        table[name] = np.ma.array(table[name], mask=rng.random(60) < 0.4)
    return table


def posteriors(model, table: Table, size: int = 100_000) -> np.ndarray:
    parts = list(classify_chunks(model, table_chunks(table, size)))
    return np.concatenate([np.stack([part[f"p_{c}"] for c in CLASSES], 1) for part in parts])


def assert_same(found, expected):
    # The size of a block may change the order of sums.
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@settings(
    max_examples=5,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 60), chunk=st.integers(1, 61))
def test_shuffles_splits_concatenations_and_chunks(model, sky, seed, size, chunk):
    """Also where a column is empty in all rows that come along, or in none of them."""
    rng = np.random.default_rng(seed)
    rows, expected = rng.permutation(60)[:size], posteriors(model, sky)
    part = sky[rows]
    assert_same(posteriors(model, part, chunk), expected[rows])
    others = simulate_catalog(30, seed)
    others[model.config.catalog.id] = [f"other {k}" for k in range(30)]
    others = others[part.colnames]
    for name in rng.choice(["g_mag", "w1_mag", "gamma"], 2, replace=False):
        others[name].mask = True
    assert_same(posteriors(model, vstack([others, part]))[30:], expected[rows])


@pytest.mark.parametrize("ending", ["fits", "csv", "parquet", "vot"])
def test_formats(model, sky, ending, tmp_path):
    write_catalog(sky, tmp_path / f"a.{ending}")
    assert_same(posteriors(model, read_catalog(tmp_path / f"a.{ending}")), posteriors(model, sky))


@pytest.fixture
def run(small, tmp_path):
    """A run of its own, because the weights fitted again are kept in the run directory."""
    return shutil.copytree(small.folder, tmp_path / "run")


def test_weights_are_fitted_again_for_absent_features_once(run, small, monkeypatch):
    fit, table = xbayes.load(run), read_catalog(small.catalog)[:40]
    told = []
    monkeypatch.setattr("warnings.warn", lambda text, *rest, **more: told.append(str(text)))
    whole = fit.classify(table)
    lacking = table.copy()
    lacking.remove_column("c")
    found = fit.classify(lacking, optional=["c"])
    assert any("without c" in text for text in told)
    # As a run that was trained without the feature, on the same folds.
    assert np.abs(found["p_XRB"] - whole["p_XRB"]).max() > 1e-3
    assert (found["n_not_available"] == 1).all()
    monkeypatch.setattr(absent_features, "fit_rows", lambda *given: pytest.fail("fitted again"))
    assert_same(
        np.asarray(xbayes.load(run).classify(lacking, optional=["c"])["p_XRB"]), found["p_XRB"]
    )
    # Beside rows that have the column.
    mixed = table.copy()
    mixed["c"].mask[:20] = True
    both = fit.classify(mixed, optional=["c"])
    assert_same(np.asarray(both["p_XRB"][:20]), found["p_XRB"][:20])
    assert_same(np.asarray(both["p_XRB"][~mixed["c"].mask]), whole["p_XRB"][~mixed["c"].mask])
    # The posterior is still a sum of contributions.
    track = fit.explain(lacking, str(table["name"][3]), optional=["c"]).track
    score = track.log_prior + track.offset + track.contribution.sum(0)
    p = np.exp(score - score.max())
    np.testing.assert_allclose(p / p.sum(), track.posterior, atol=1e-6)


@pytest.mark.slow
def test_the_catalogue_of_a_run_is_what_classify_gives(small, tmp_path):
    """Also for labelled and unlabelled rows without a feature that few training sources lack."""
    table = read_catalog(small.catalog)[:300]
    table["c"] = np.ma.array(table["c"], mask=np.arange(300) % 40 == 3)
    fit = xbayes.run(
        small.config, catalog=table, out=tmp_path / "run", set=["catalog.optional=[c]"]
    )
    made, own = fit.classify(table), read_catalog(tmp_path / "run" / "catalog.parquet")
    for name in ("p_AGN", "p_Star", "p_XRB", "outlier_p"):
        assert_same(np.asarray(made[name]), np.asarray(own[name]))
    assert made["prediction"].tolist() == own["prediction"].tolist()
    assert len(list((tmp_path / "run" / "model" / "patterns").iterdir())) == 1


def test_a_run_directory_that_cannot_be_written_costs_time_only(run, small, monkeypatch):
    def refused(*given, **more):
        raise OSError("read-only")

    monkeypatch.setattr(absent_features, "save_model", refused)
    lacking = read_catalog(small.catalog)[:3]
    lacking.remove_column("c")
    fit = xbayes.load(run)
    with pytest.warns(xbayes.XbayesWarning, match="fitted again without these features"):
        fit.classify(lacking, optional=["c"])
    assert not (run / "model" / "patterns" / "1").exists()


def test_groups_of_features():
    names = [("g",), ("g", "j"), ("j",), (), ("survey: x",), ("survey: x",)]
    groups = joined_groups(names, [0, 0, 0, 1, 1, 1]).astype(int).tolist()
    assert sorted(groups) == [[0, 0, 0, 0, 1, 1], [0, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]]
    many = joined_groups([(str(k),) for k in range(20)], [k % 2 for k in range(20)])
    assert many.shape == (2, 20) and (many.sum(0) == 1).all()
