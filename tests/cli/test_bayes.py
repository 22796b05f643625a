"""Whole commands with `variant: bayes` on a small sky; NUTS only where chains are tested."""

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Table

from xbayes.catalog.read import open_chunks, read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.classifier.store import load_model, save_model
from xbayes.output.posterior_file import LEAST_ESS
from xbayes.tasks.classify import classify_chunks
from xbayes.tasks.fitted_run import load

pytestmark = pytest.mark.optimised

CLASSES = ("AGN", "Star", "XRB")
CONFIG = """
name: small
catalog: {id: name, label: Class, keep: [ra, dec]}
taxonomy: {classes: {AGN: [AGN], Star: [Star], XRB: [XRB]}}
features:
  a: {expression: a, category: one}
  b: {expression: b, category: one}
  c: {expression: c, category: two}
model: {weights: property, penalty: 10, starts: 1, calibration: temperature}
variant: bayes
posterior: {method: laplace, samples: 20}
validation: {folds: 2, inner_folds: 2, bootstrap: 20}
"""
SHORT_CHAINS = ["posterior.method=nuts", "posterior.chains=2", "posterior.warmup=50"]


def sky(n=150, seed=0):
    rng, kind = np.random.default_rng(seed), np.random.default_rng(seed + 1).integers(0, 3, n)
    centre = np.array([[0, 0, 0], [2.5, 0, 1], [0, 2.5, -1]])
    value = centre[kind] + rng.normal(size=(n, 3))
    value[rng.random((n, 3)) < 0.1] = np.nan
    value[:2] = np.nan
    table = Table(dict(zip("abc", value.T, strict=True)))
    table["name"] = [f"s{i}" for i in range(n)]
    table["ra"], table["dec"] = rng.uniform(0, 360, n), rng.uniform(-80, 80, n)
    table["Class"] = np.array(CLASSES)[kind]
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bayes")
    (folder / "config.yaml").write_text(CONFIG)
    write_catalog(sky(), folder / "sky.parquet")
    write_catalog(sky(90, 5)["name", "a", "b", "c"], folder / "new.parquet")
    return folder


def asked(folder, out, *settings):
    options = [word for s in settings for word in ("--set", s)]
    config, catalog = folder / "config.yaml", folder / "sky.parquet"
    return ("run", config, "--catalog", catalog, "--out", out, *options)


@pytest.fixture(scope="module")
def run(exit_code, folder):
    """With --strict, which has nothing against an approximation: it has no chains."""
    assert exit_code(*asked(folder, folder / "run"), "--strict") == 0
    return folder / "run"


def columns(table, end="", prefix="p_"):
    return np.column_stack([np.asarray(table[f"{prefix}{c}{end}"]) for c in CLASSES])


def check_intervals(table):
    low, p, high = (columns(table, end) for end in ("_lo", "", "_hi"))
    np.testing.assert_allclose(p.sum(1), 1.0, rtol=1e-6)
    assert (low >= 0).all() and (high <= 1).all()
    # Nothing measured is the prior exactly, to the single precision of draws.
    nothing = np.asarray(table["n_missing"]) == 3
    assert (low < high)[~nothing].all() and nothing.any()
    np.testing.assert_allclose(low[nothing], p[nothing], rtol=1e-6)
    np.testing.assert_allclose(high[nothing], p[nothing], rtol=1e-6)
    # The mean of skewed draws may lie outside their middle 90 %, but rarely and by little.
    assert ((low <= p) & (p <= high)).mean() > 0.9
    width = np.asarray(table["outlier_hi"]) - np.asarray(table["outlier_lo"])
    assert (width[~nothing] > 0).all() and (np.abs(width[nothing]) < 1e-6).all()
    for name in set(np.asarray(table["prediction_set"]).tolist()):
        assert name == " or ".join(c for c in CLASSES if c in name.split(" or "))


def test_every_table_has_intervals_and_sets(run):
    for name in ("catalog.parquet", "catalog.fits", "predictions.parquet"):
        check_intervals(read_catalog(run / name))
    assert (run / "posterior.nc").is_file()
    drawn = {path.name for path in (run / "figures").iterdir()}
    assert {"posterior_weights.png", "posterior_intervals.png"} <= drawn


def test_widths_in_the_metrics_are_those_of_the_table_and_the_report_tells_them(run):
    table = read_catalog(run / "predictions.parquet")
    given = np.asarray(table["prediction"])
    width = [row[f"p_{c}_hi"] - row[f"p_{c}_lo"] for row, c in zip(table, given, strict=True)]
    told = json.loads((run / "metrics.json").read_text())["cross_validated"]["interval_width"]
    assert told["median"] == pytest.approx(np.median(width))
    for c in CLASSES:
        own = np.median(np.array(width)[given == c])
        assert told["by_prediction"][c] == pytest.approx(own)
    report = (run / "report.html").read_text()
    assert "The median width of the 90 % interval" in report
    assert "Posterior of the weights" in report


def test_fits_and_votable_say_what_the_intervals_are(run, folder, tmp_path, done):
    for ending in ("fits", "vot"):
        done("classify", run, folder / "new.parquet", "--out", tmp_path / f"out.{ending}")
    header = fits.getheader(tmp_path / "out.fits", 1)
    cards = {header[f"TTYPE{i}"]: i for i in range(1, header["TFIELDS"] + 1)}
    fields = {f.name: f for f in parse_single_table(str(tmp_path / "out.vot")).fields}
    expected = {
        "p_XRB_lo": ("lower end of the 90 % interval of p_XRB", "stat.confidenceLevel"),
        "p_XRB_hi": ("upper end of the 90 % interval of p_XRB", "stat.confidenceLevel"),
        "outlier_lo": ("lower end of the 90 % interval of the measure", "stat.confidenceLevel"),
        "outlier_hi": ("upper end of the 90 % interval of the measure", "stat.confidenceLevel"),
        "prediction_set": ("classes not excluded at 10 %", "meta.code.class"),
    }
    for name, (text, ucd) in expected.items():
        assert text in header[f"TCOMM{cards[name]}"] and text in fields[name].description
        assert header[f"TUCD{cards[name]}"].startswith(ucd)
        assert fields[name].ucd.startswith(ucd)
        assert f"TUNIT{cards[name]}" not in header and fields[name].unit is None  # dimensionless
    both = [read_catalog(tmp_path / f"out.{ending}") for ending in ("fits", "vot")]
    for name in expected:
        np.testing.assert_array_equal(*(np.asarray(t[name]).astype(str) for t in both))


def test_a_model_with_draws_is_stored_whole(run, folder, tmp_path):
    """What is loaded classifies as what was fitted, to the last bit; draws are stored in single."""
    config, _, classifier, units = load_model(run)
    assert classifier.draws is not None and classifier.draws.density is not None
    save_model(tmp_path / "again" / "model", config, classifier, units)
    table = read_catalog(folder / "new.parquet")
    first, again = (load(path).classify(table) for path in (run, tmp_path / "again"))
    for name in first.colnames:
        np.testing.assert_array_equal(np.asarray(first[name]), np.asarray(again[name]))
    fitted = read_catalog(run / "catalog.parquet")
    loaded = load(run).classify(sky())
    for name in [n for n in fitted.colnames if n.startswith(("p_", "outlier"))]:
        np.testing.assert_array_equal(np.asarray(fitted[name]), np.asarray(loaded[name]), name)
    with np.load(run / "model" / "arrays.npz") as arrays:
        drawn = {n: arrays[n] for n in arrays.files if n.startswith("draws.")}
    assert {a.dtype for a in drawn.values()} == {np.dtype("float32")}
    assert {len(a) for a in drawn.values()} == {20}


def test_chunks_with_draws_are_the_whole(run, folder):
    whole = load(run).classify(folder / "new.parquet")
    parts = list(classify_chunks(load(run).model, open_chunks(folder / "new.parquet", 32)))
    assert [len(part) for part in parts] == [32, 32, 26]
    for name in whole.colnames:
        joined = np.concatenate([np.asarray(part[name]) for part in parts])
        if joined.dtype.kind == "f":
            np.testing.assert_allclose(joined, np.asarray(whole[name]), rtol=1e-12, atol=1e-12)
        else:
            np.testing.assert_array_equal(joined.astype(str), np.asarray(whole[name]).astype(str))


def test_another_prior_moves_every_draw(run, folder, tmp_path, done):
    """A rare class: its probability and both ends fall, and the sets stay as they are."""
    options = {"plain": [], "rare": ["--prior", "AGN=0.49,Star=0.49,XRB=0.02"]}
    options["own"] = ["--prior", "estimate"]
    told = {
        name: done("classify", run, folder / "new.parquet", "--out", tmp_path / name, *option)
        for name, option in ((f"{name}.parquet", option) for name, option in options.items())
    }
    plain, rare, own = (read_catalog(tmp_path / name) for name in told)
    for table in (plain, rare, own):
        check_intervals(table)
    for end in ("_lo", "", "_hi"):  # of those with nothing measured too
        assert (np.asarray(rare[f"p_XRB{end}"]) < np.asarray(plain[f"p_XRB{end}"])).all()
    np.testing.assert_array_equal(rare["prediction_set"], plain["prediction_set"])
    assert "class proportions estimated" in told["own.parquet"]
    share = np.mean(read_catalog(folder / "sky.parquet")["Class"] == "XRB")
    assert own.meta["PRIOR"][2] == pytest.approx(share, abs=0.12)


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


def test_strict_refuses_chains_that_did_not_converge_and_keeps_the_run(
    folder, tmp_path, xbayes, monkeypatch
):
    """100 draws are too few, whatever their R-hat. They are of the weights only, to be quick."""
    out, short = (
        tmp_path / "run",
        [*SHORT_CHAINS, "posterior.draws=50", "posterior.densities=false"],
    )
    assert LEAST_ESS > 2 * 50
    code, _, err = xbayes(*asked(folder, out, *short), "--strict")
    assert code == 2 and "Traceback" not in err
    assert "the chains did not converge" in err and f"(the run is in {out})" in err
    names = {p.name for p in out.iterdir()}
    assert {"model", "posterior.nc", "report.html", "catalog.fits", "metrics.json"} <= names
    check_intervals(read_catalog(out / "catalog.parquet"))
    _, _, classifier, _ = load_model(out)
    assert classifier.draws is not None and classifier.draws.density is None
    told = json.loads((out / "provenance.json").read_text())["warnings"]
    assert "the chains did not converge" in told[0]
    metrics = json.loads((out / "metrics.json").read_text())["posterior"]
    assert metrics["warnings"] == told[:1] and metrics["draws"] == 100
    assert "the chains did not converge" in (out / "report.html").read_text()
    # The same run, not asked to be strict: the doubt is a warning.
    monkeypatch.setattr("xbayes.tasks.run.run_experiment", lambda *_, **__: out)
    code, _, err = xbayes(*asked(folder, out, *short))
    assert code == 0 and "warning: the chains did not converge" in err
    assert xbayes(*asked(folder, out, *short), "--strict")[0] == 2
