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
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.classifier.decision import Decision, decide, threshold_for
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


DECISIONS = ("argmax", "f1", "expected_f1", {"precision": 0.8}, "catalogue")


@pytest.mark.parametrize("decision", DECISIONS, ids=str)
def test_another_decision_rule_changes_only_what_follows_from_the_prediction(fit, decision):
    table, found = sky(200, 11), []
    plain = fit.classify(table)
    made = fit.classify(table, decision=decision, decided=found.append)
    for name in ("p_AGN", "p_XRB", "margin", "entropy"):
        np.testing.assert_array_equal(made[name], plain[name])
    posterior = np.stack([np.asarray(made[f"p_{c}"]) for c in fit.classes], axis=1)
    expected = np.array(fit.classes)[decide(posterior, jax.tree.map(np.asarray, found[0].rule))]
    np.testing.assert_array_equal(made["prediction"], expected)
    pairs = zip(made["prediction"], made["prediction_set"], strict=True)
    assert all(str(one) in str(several).split(" or ") for one, several in pairs)
    assert made.meta["DECISION"] == found[0].text
    if decision == "argmax":
        np.testing.assert_array_equal(expected, np.array(fit.classes)[posterior.argmax(1)])
    if found[0].expected is not None:
        chosen = posterior[np.asarray(made["prediction"]) == "XRB", 2]
        assert chosen.min() >= float(found[0].rule.threshold)


def test_the_rule_of_a_run_is_learned_on_its_held_out_posteriors_and_stored(fit):
    classifier, record = xbayes.load(fit.folder).model.classifier, fit.metrics["decision"]
    p = np.asarray(classifier.held_out.posterior)[:, 2]
    threshold = threshold_for(Decision(kind="expected_f1"), p)
    assert record["threshold"] == float(classifier.rule.threshold) == threshold
    assert record["expected"]["f1"] == pytest.approx(2 * threshold)
    assert len(record["threshold_of_fold"]) == fit.config.validation.folds
    assert len(set(record["threshold_of_fold"])) > 1, "each fold learns its own"
    predictions = fit.predictions
    for k, of_fold in enumerate(record["threshold_of_fold"]):
        rows = predictions[np.asarray(predictions["fold"]) == k]
        chosen = np.asarray(rows["prediction"]) == "XRB"
        np.testing.assert_array_equal(chosen, np.asarray(rows["p_XRB"]) >= of_fold)
    assert "out-of-fold posteriors of the run" in record["rule"]


def test_only_a_rule_of_the_catalogue_depends_on_other_rows(fit):
    table = sky(200, 12)
    some = table[:40]
    for decision in (None, "expected_f1", {"precision": 0.8}):
        whole, part = (fit.classify(each, decision=decision) for each in (table, some))
        assert part["prediction"].tolist() == whole["prediction"][:40].tolist()
    found = []
    for each in (table, some):
        made = fit.classify(each, decision="catalogue", decided=found.append)
        threshold = threshold_for(Decision(kind="expected_f1"), np.asarray(made["p_XRB"]))
        assert float(found[-1].rule.threshold) == pytest.approx(threshold, rel=1e-12)
        assert "learned on the posteriors of this catalogue" in made.meta["DECISION"]
    assert found[0].rule.threshold != found[1].rule.threshold


def test_the_threshold_follows_another_prior(fit):
    """More XRB: a larger F1 can be reached, so the threshold of half of it is larger."""
    table, found = sky(40, 13), []
    for prior in (None, {"AGN": 0.2, "Star": 0.1, "XRB": 0.7}):
        fit.classify(table, prior=prior, decided=found.append)
    assert found[1].rule.threshold > found[0].rule.threshold + 0.02
    assert found[1].expected.f1 == pytest.approx(2 * float(found[1].rule.threshold), rel=1e-9)


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        ("best", "decision must be argmax, .*; found 'best'"),
        ({"precision": 1.5}, r"above 0 and below 1 .*found \{'precision': 1.5\}"),
        ({"recall": 0.5}, "found .*recall"),
        ("catalogue", "needs a catalogue; one source"),
    ],
)
def test_a_wrong_decision_is_refused(fit, decision, message):
    with pytest.raises(xbayes.InputError, match=message):
        fit.classify({"a": 1.0, "b": 0.0, "c": 0.0}, decision=decision)


def test_a_run_that_names_no_class_has_no_rule_for_one(fit):
    recipe = fit.model.recipe._replace(focus=-1, decision=Decision())
    nameless = xbayes.load(fit.folder)
    nameless.model = nameless.model._replace(recipe=recipe)
    for decision in ("expected_f1", "f1", {"precision": 0.8}, "catalogue"):
        with pytest.raises(xbayes.InputError, match=r"run names none: it has no f1_class.*XRB"):
            nameless.classify(sky(20, 14), decision=decision)


def test_the_command_says_the_rule_and_the_file_keeps_it(fit, done, tmp_path):
    write_catalog(sky(60, 15), tmp_path / "new.fits")
    out = tmp_path / "out.fits"
    said = done(
        "classify", fit.folder, tmp_path / "new.fits", "--out", out, "--decision", "catalogue"
    )
    assert "decision rule: XRB if p_XRB >= " in said
    made = read_catalog(out)
    assert "threshold of largest expected F1" in made.meta["DECISION"]
    done(
        "classify", fit.folder, tmp_path / "new.fits", "--out", out, "--overwrite",
        "--decision", "precision=0.9",
    )  # fmt: skip
    assert "expected precision 0.9" in read_catalog(out).meta["DECISION"]


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
