"""The public API: `import xbayes` and what a user reaches from there."""

import subprocess
import sys

import jax
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.table import Table
from ruamel.yaml import YAML

import xbayes
from xbayes.catalog.inputs import as_table
from xbayes.catalog.write import write_catalog
from xbayes.classifier.fitted_model import load_fitted_model
from xbayes.classifier.predict import classify
from xbayes.features.build import build_features
from xbayes.figures.style import figure_of


def sky(n_rows: int, seed: int) -> Table:
    """Three overlapping classes in three features, one of them sometimes missing."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, n_rows, p=[0.5, 0.3, 0.2])
    value = rng.normal(size=(n_rows, 3)) + np.array([[0, 0, 0], [2, -1, 0], [-1, 2, 1]])[truth]
    value[rng.random(n_rows) < 0.2, 2] = np.nan
    columns = {
        "name": [f"S{n}" for n in range(n_rows)],
        "ra": rng.uniform(0, 360, n_rows),
        "dec": rng.uniform(-90, 90, n_rows),
        "Class": np.array(["AGN", "Star", "XRB"])[truth],
    }
    return Table(columns | dict(zip("abc", value.T, strict=True)))


@pytest.fixture(scope="module")
def fit(tmp_path_factory, small_config):
    """A run made from a mapping and a data frame, without a file."""
    config = YAML(typ="safe").load(small_config)
    frame = sky(150, 1).to_pandas()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xbayes.tasks.run.write_figures_and_report", lambda *_: None)
        return xbayes.run(config, catalog=frame, out=tmp_path_factory.mktemp("face") / "run")


def test_a_run_is_what_load_gives(fit):
    again = xbayes.load(str(fit.folder))
    assert again.classes == fit.classes == ("AGN", "Star", "XRB")
    assert again.config == fit.config
    assert again.posterior is None
    assert len(again.predictions) == 150
    assert again.metrics["classes"] == list(fit.classes)
    assert fit.provenance["catalog"] == "table in memory"
    assert repr(fit).startswith("<FittedRun small: AGN, Star, XRB")


def test_every_kind_of_table_gives_the_same_posteriors(fit, tmp_path):
    table = sky(40, 2)
    table.remove_column("Class")
    write_catalog(table, tmp_path / "new.parquet")
    frame = table.to_pandas()
    kinds = (table, frame, pa.Table.from_pandas(frame), tmp_path / "new.parquet")
    first, *others = (fit.classify(kind) for kind in kinds)
    assert isinstance(first, Table) and first["p_XRB"].description
    np.testing.assert_allclose(sum(first[f"p_{c}"] for c in fit.classes), 1, atol=1e-12)
    for other in others:
        for name in ("p_AGN", "p_Star", "p_XRB", "outlier_p"):
            np.testing.assert_array_equal(other[name], first[name])
        assert other["prediction"].tolist() == first["prediction"].tolist()
    assert fit.classify_file(frame, tmp_path / "out.parquet") == 40
    written = pd.read_parquet(tmp_path / "out.parquet")
    np.testing.assert_array_equal(written["p_XRB"], first["p_XRB"])


def test_the_table_handed_over_is_not_altered(fit):
    table = sky(30, 3)
    before = table.copy()
    fit.classify(table, prior="estimate")
    assert table.colnames == before.colnames
    np.testing.assert_array_equal(table["c"], before["c"])


def test_one_source_is_a_mapping(fit):
    """A column that is not given is not available, None is not detected: the two differ."""
    given = {"a": 2.0, "b": -1.0, "c": 0.1}
    whole = fit.classify(given)
    assert whole["name"].tolist() == ["row 1"]
    assert whole["n_missing"][0] == 0
    assert fit.classify({"a": 2.0, "b": -1.0})["n_missing"][0] == 1
    with pytest.raises(xbayes.InputError, match=r"no feature needs a column 'aa'.*'a'"):
        fit.classify({"aa": 2.0})


def test_another_prior_moves_the_odds_by_its_ratio(fit):
    table = sky(30, 4)
    own, other = (
        fit.classify(table),
        fit.classify(table, prior={"AGN": 0.2, "Star": 0.2, "XRB": 0.6}),
    )
    change = np.log(other["p_XRB"] / other["p_AGN"]) - np.log(own["p_XRB"] / own["p_AGN"])
    np.testing.assert_allclose(change, change[0], atol=1e-9)
    estimates = []
    table = fit.classify(table, prior="estimate", estimated=estimates.append)
    np.testing.assert_allclose(table.meta["PRIOR"], estimates[0].proportions, atol=1e-12)
    with pytest.raises(xbayes.InputError, match="'estimate'; found 'guess'"):
        fit.classify(table[["name", "a", "b", "c"]], prior="guess")


def test_an_explanation_is_a_table_and_a_figure(fit):
    table = sky(30, 5)
    explained = fit.explain(table, "S7")
    made = fit.classify(table)
    p = [float(made[f"p_{c}"][7]) for c in fit.classes]
    sums = [np.sum(explained.table[f"ln_odds_{c}"]) for c in fit.classes]
    np.testing.assert_allclose(sums, np.log(p) - np.log(max(p)), atol=1e-9)
    assert figure_of(explained.plot()).axes
    assert "S7" in repr(explained)


def test_counts_and_suggestions(fit):
    counts = fit.counts(sky(60, 6), all=True)
    assert counts["predicted"].sum() == 60
    assert (counts["by_posterior_lo"] <= counts["by_posterior_hi"]).all()
    with pytest.raises(xbayes.InputError, match="variant=bayes"):
        fit.suggest(sky(30, 7), n=3)


@pytest.mark.parametrize("before", [True, False])
def test_the_precision_is_that_of_the_run_and_jax_gets_its_own_back(fit, before):
    jax.config.update("jax_enable_x64", before)
    try:
        made = xbayes.load(fit.folder).classify(sky(20, 8))
        assert jax.config.read("jax_enable_x64") is before
    finally:
        jax.config.update("jax_enable_x64", True)
    np.testing.assert_allclose(made["p_AGN"], fit.classify(sky(20, 8))["p_AGN"], rtol=1e-12)


def test_threads_compute_in_the_precision_of_their_caller(fit):
    features, _ = build_features(as_table(sky(100, 8)), fit.config)
    jax.config.update("jax_enable_x64", False)
    try:
        with jax.enable_x64(True):
            model = load_fitted_model(fit.folder)
            parts = [classify(model.recipe, model.classifier, features, size=s) for s in (16, 128)]
    finally:
        jax.config.update("jax_enable_x64", True)
    np.testing.assert_allclose(parts[0].posterior, parts[1].posterior, rtol=1e-12)


def test_a_command_loads_its_run_and_its_catalogue_once(fit, tmp_path, monkeypatch, done):
    from xbayes.catalog import inputs, read
    from xbayes.classifier import fitted_model

    write_catalog(sky(40, 9), tmp_path / "new.fits")
    calls = []

    def counted(module, name):
        function = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *given, **more: calls.append(name) or function(*given, **more)
        )

    counted(fitted_model, "load_model")
    for module in (inputs, read):
        counted(module, "read_catalog")
    counted(read, "read_fits")
    new, out = tmp_path / "new.fits", tmp_path / "out.fits"
    for command in (
        ("classify", fit.folder, new, "--out", out, "--prior", "estimate"),
        ("explain", fit.folder, new, "S3"),
        ("counts", fit.folder, new, "--all"),
    ):
        calls.clear()
        done(*command)
        assert calls.count("load_model") == 1, command
        assert calls.count("read_fits") == 1, command


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([1, 2], "found list"),
        (pd.DataFrame({"name": []}), "no rows"),
        (pd.DataFrame({"name": ["a"], "x": [1.0]}), "lacks columns 'a', 'b', 'c'"),
        ("nowhere.fits", "no file nowhere.fits"),
    ],
)
def test_a_wrong_catalogue_is_refused(fit, wrong, message):
    with pytest.raises(xbayes.InputError, match=message):
        fit.classify(wrong)


def test_a_wrong_config_and_run_are_refused(tmp_path, small_config):
    with pytest.raises(xbayes.InputError, match="taxonomy"):
        xbayes.run({"name": "x"}, catalog=sky(30, 1))
    with pytest.raises(xbayes.InputError, match="does not exist"):
        xbayes.load(tmp_path / "none")
    assert issubclass(xbayes.InputError, ValueError)
    assert not list(tmp_path.iterdir())


def test_importing_loads_nothing_heavy():
    heavy = "{'jax', 'numpy', 'astropy', 'pandas', 'matplotlib', 'typer'}"
    code = f"import sys, xbayes; print({heavy} & set(sys.modules)); xbayes.InputError"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "set()"


def test_everything_public_is_there():
    for name in xbayes.__all__:
        assert callable(getattr(xbayes, name)), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        xbayes.nothing  # noqa: B018
