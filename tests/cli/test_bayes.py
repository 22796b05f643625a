"""The commands on a run with `variant: bayes`: intervals, prediction sets, chains."""

import json
import shutil

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table

from xbayes.catalog.read import open_chunks, read_catalog
from xbayes.classifier.store import load_model, save_model
from xbayes.output.posterior_file import LEAST_ESS
from xbayes.tasks.classify import classify_chunks
from xbayes.tasks.fitted_run import load

CLASSES = ("AGN", "Star", "XRB")
ENDS = ("lo", "hi")


@pytest.fixture
def run(bayes):
    return bayes.folder


def run_command(bayes, out, *settings):
    options = [word for s in settings for word in ("--set", s)]
    return ("run", bayes.config, "--catalog", bayes.catalog, "--out", out, *options)


def columns(table, end="", prefix="p_"):
    return np.column_stack([np.asarray(table[f"{prefix}{c}{end}"]) for c in CLASSES])


def check_intervals(table):
    low, p, high = (columns(table, end) for end in ("_lo", "", "_hi"))
    np.testing.assert_allclose(p.sum(1), 1.0, rtol=1e-6)
    assert (low >= 0).all() and (high <= 1).all()
    # Without any measured feature the posterior is the prior, in the float32 of the samples.
    nothing = np.asarray(table["n_missing"]) == 3
    assert (low < high)[~nothing].all() and nothing.any()
    np.testing.assert_allclose(low[nothing], p[nothing], rtol=1e-6)
    np.testing.assert_allclose(high[nothing], p[nothing], rtol=1e-6)
    assert ((low <= p) & (p <= high)).all()
    outlier, ends = np.asarray(table["outlier"]), [np.asarray(table[f"outlier_{e}"]) for e in ENDS]
    assert ((ends[0] <= outlier) & (outlier <= ends[1])).all()
    width = np.asarray(table["outlier_hi"]) - np.asarray(table["outlier_lo"])
    assert (width[~nothing] > 0).all() and (np.abs(width[nothing]) < 1e-6).all()
    for row in table:
        members = row["prediction_set"].split(" or ")
        assert row["prediction"] in members and members == [c for c in CLASSES if c in members]
        assert len(members) == 1 or not row["set_flag"]


def test_every_table_has_intervals_and_sets(run):
    for name in ("catalog.parquet", "catalog.fits", "predictions.parquet"):
        check_intervals(read_catalog(run / name))
    assert (run / "posterior.nc").is_file()
    drawn = {path.name for path in (run / "figures").iterdir()}
    assert {"posterior_weights.png", "posterior_intervals.png"} <= drawn


def test_the_widths_in_the_metrics_are_those_of_the_table_and_in_the_report(run):
    table = read_catalog(run / "predictions.parquet")
    prediction = np.asarray(table["prediction"])
    width = [row[f"p_{c}_hi"] - row[f"p_{c}_lo"] for row, c in zip(table, prediction, strict=True)]
    scores = json.loads((run / "metrics.json").read_text())["cross_validated"]
    assert scores["interval_width"]["median"] == pytest.approx(np.median(width))
    for c in CLASSES:
        median = np.median(np.array(width)[prediction == c])
        assert scores["interval_width"]["by_prediction"][c] == pytest.approx(median)
    report = (run / "report.html").read_text()
    assert "The median width of the 90 % interval" in report
    assert "Posterior of the weights" in report


def test_fits_and_votable_describe_the_intervals(run, bayes, tmp_path, done):
    for ending in ("fits", "vot"):
        done("classify", run, bayes.new, "--out", tmp_path / f"out.{ending}")
    header = fits.getheader(tmp_path / "out.fits", 1)
    cards = {header[f"TTYPE{i}"]: i for i in range(1, header["TFIELDS"] + 1)}
    fields = {f.name: f for f in parse_single_table(str(tmp_path / "out.vot")).fields}
    expected = {
        "p_XRB_lo": ("lower end of the 90 % interval of p_XRB", "stat.confidenceLevel"),
        "p_XRB_hi": ("upper end of the 90 % interval of p_XRB", "stat.confidenceLevel"),
        "outlier_lo": (
            "lower end of the 90 % interval of the outlier measure",
            "stat.confidenceLevel",
        ),
        "outlier_hi": (
            "upper end of the 90 % interval of the outlier measure",
            "stat.confidenceLevel",
        ),
        "prediction_set": ("the prediction and the classes not excluded", "meta.code.class"),
        "set_flag": ("the set is the prediction alone", "meta.code.qual"),
    }
    for name, (text, ucd) in expected.items():
        assert text in header[f"TCOMM{cards[name]}"] and text in fields[name].description
        assert header[f"TUCD{cards[name]}"].startswith(ucd)
        assert fields[name].ucd.startswith(ucd)
        assert f"TUNIT{cards[name]}" not in header and fields[name].unit is None  # dimensionless
    both = [read_catalog(tmp_path / f"out.{ending}") for ending in ("fits", "vot")]
    for name in expected:
        np.testing.assert_array_equal(*(np.asarray(t[name]).astype(str) for t in both))


def check_stored(run, catalog, tmp_path):
    """A loaded model classifies exactly as the fitted one; samples are stored in float32."""
    config, _, classifier, units = load_model(run)
    save_model(tmp_path / "again" / "model", config, classifier, units)
    table = read_catalog(catalog)
    first, again = (load(path).classify(table) for path in (run, tmp_path / "again"))
    for name in first.colnames:
        np.testing.assert_array_equal(np.asarray(first[name]), np.asarray(again[name]))
    fitted = read_catalog(run / "catalog.parquet")
    for name in [n for n in fitted.colnames if n.startswith(("p_", "outlier"))]:
        np.testing.assert_allclose(
            np.asarray(fitted[name]), np.asarray(first[name]), rtol=1e-9, atol=1e-12, err_msg=name
        )
    with np.load(run / "model" / "arrays.npz") as arrays:
        samples = {n: arrays[n] for n in arrays.files if n.startswith("draws.")}
    assert {a.dtype for a in samples.values()} == {np.dtype("float32")}
    assert {len(a) for a in samples.values()} == {20}
    return classifier


def test_a_model_with_posterior_samples_is_stored_completely(bayes, tmp_path):
    classifier = check_stored(bayes.folder, bayes.catalog, tmp_path)
    assert classifier.draws is not None and classifier.draws.density is None


@pytest.mark.slow
def test_posterior_samples_of_densities(bayes, tmp_path, numbers_only):
    """They add to the intervals, are stored, and are applied chunk by chunk."""
    out = tmp_path / "run"
    assert numbers_only(*run_command(bayes, out, "posterior.densities=true")) == 0
    assert check_stored(out, bayes.catalog, tmp_path).draws.density is not None
    table = read_catalog(out / "catalog.parquet")
    check_intervals(table)
    weights_only = read_catalog(bayes.folder / "catalog.parquet")
    width, narrow = (columns(t, "_hi") - columns(t, "_lo") for t in (table, weights_only))
    assert np.median(width) > 1.2 * np.median(narrow)
    check_chunks(out, bayes.new)


def check_chunks(run, catalog):
    whole = load(run).classify(catalog)
    parts = list(classify_chunks(load(run).model, open_chunks(catalog, 32)))
    assert [len(part) for part in parts] == [32, 32, 26]
    for name in whole.colnames:
        joined = np.concatenate([np.asarray(part[name]) for part in parts])
        if joined.dtype.kind == "f":
            np.testing.assert_allclose(joined, np.asarray(whole[name]), rtol=1e-12, atol=1e-12)
        else:
            np.testing.assert_array_equal(joined.astype(str), np.asarray(whole[name]).astype(str))


def test_classified_chunks_equal_the_classified_catalogue(run, bayes):
    check_chunks(run, bayes.new)


def test_another_prior_changes_every_sample(run, bayes, tmp_path, done):
    """For a rare class the probability and its interval fall; the prediction sets stay."""
    options = {"plain": [], "rare": ["--prior", "AGN=0.49,Star=0.49,XRB=0.02"]}
    options["estimate"] = ["--prior", "estimate"]
    messages = {
        name: done("classify", run, bayes.new, "--out", tmp_path / name, *option)
        for name, option in ((f"{name}.parquet", option) for name, option in options.items())
    }
    plain, rare, estimated = (read_catalog(tmp_path / name) for name in messages)
    for table in (plain, rare, estimated):
        check_intervals(table)
    for end in ("_lo", "", "_hi"):  # also for rows without any measured feature
        assert (np.asarray(rare[f"p_XRB{end}"]) < np.asarray(plain[f"p_XRB{end}"])).all()
    same = np.asarray(rare["prediction"]) == np.asarray(plain["prediction"])
    for name in ("prediction_set", "set_flag"):
        np.testing.assert_array_equal(rare[name][same], plain[name][same])
    # More than proportions differs, because these rows lack values; so the prior of the run stays.
    assert "prior 'estimate' is declined" in messages["estimate.parquet"]
    assert estimated.meta["PRIOR"] == plain.meta["PRIOR"]
    np.testing.assert_array_equal(estimated["p_XRB"], plain["p_XRB"])


def test_a_row_shows_its_intervals_and_its_set(run, tmp_path, xbayes):
    arguments = ("classify", run, "--row", "a=1.2", "b=1.2", "c=0")
    code, shown, _ = xbayes(*arguments, "--out", tmp_path / "row.parquet")
    assert code == 0
    row = read_catalog(tmp_path / "row.parquet")[0]
    (line,) = [line for line in shown.splitlines() if "90 % interval" in line]
    for c in CLASSES:
        assert f"{row[f'p_{c}_lo']:.3f}-{row[f'p_{c}_hi']:.3f}" in line
    assert f"prediction set (90 %): {row['prediction_set']}" in shown
    assert " or " in row["prediction_set"]  # between the classes
    _, far, _ = xbayes("classify", run, "--row", "a=-9", "b=-9", "c=9")
    assert "prediction set (90 %): " in far


def test_strict_fails_if_the_chains_did_not_converge(bayes, tmp_path, xbayes, monkeypatch):
    """The run is kept. Without --strict the same message is a warning."""
    out, message = tmp_path / "run", "the chains did not converge: R-hat is 2"
    shutil.copytree(bayes.folder, out)
    for name, change in (
        ("metrics.json", lambda record: record["posterior"].update(warnings=[message])),
        ("provenance.json", lambda record: record.update(warnings=[message])),
    ):
        record = json.loads((out / name).read_text())
        change(record)
        (out / name).write_text(json.dumps(record))
    monkeypatch.setattr("xbayes.tasks.run.run_experiment", lambda *_, **__: out)
    code, _, err = xbayes(*run_command(bayes, out))
    assert code == 0 and f"warning: {message}" in err
    code, _, err = xbayes(*run_command(bayes, out), "--strict")
    assert code == 2 and "Traceback" not in err
    assert f"{message} (the run is in {out})" in err
    assert (out / "model").is_dir()


@pytest.mark.slow
def test_short_chains_did_not_converge(bayes, tmp_path, xbayes):
    """100 draws are too few, whatever their R-hat; files and report say so."""
    out, n_draws = tmp_path / "run", 50
    settings = ("method=nuts", "chains=2", "warmup=50", f"draws={n_draws}")
    assert 2 * n_draws < LEAST_ESS
    command = run_command(bayes, out, *(f"posterior.{setting}" for setting in settings))
    code, _, err = xbayes(*command, "--strict")
    assert code == 2 and "Traceback" not in err
    assert "the chains did not converge" in err and f"(the run is in {out})" in err
    names = {p.name for p in out.iterdir()}
    assert {"model", "posterior.nc", "report.html", "catalog.fits", "metrics.json"} <= names
    check_intervals(read_catalog(out / "catalog.parquet"))
    warnings = json.loads((out / "provenance.json").read_text())["warnings"]
    assert "the chains did not converge" in warnings[0]
    metrics = json.loads((out / "metrics.json").read_text())["posterior"]
    assert metrics["warnings"] == warnings[:1] and metrics["draws"] == 2 * n_draws
    assert "the chains did not converge" in (out / "report.html").read_text()
