"""The commands as a user would type them, on the demo config."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from xbayes.catalog.read import read_catalog

pytestmark = pytest.mark.optimised

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
QUICK = ["--set", "validation.bootstrap=50"]
CLASSES = ("AGN", "Star", "XRB", "CV")
N = 3000  # as many as the demo has: JAX compiles once for both


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sky")


@pytest.fixture(scope="module")
def sky(exit_code, folder):
    assert exit_code("simulate", "--out", folder / "sky.fits", "-n", N, "--seed", 3) == 0
    return folder / "sky.fits"


@pytest.fixture(scope="module")
def run(exit_code, folder, sky):
    out = folder / "run"
    assert exit_code("run", CONFIG, "--catalog", sky, "--out", out, *QUICK) == 0
    return folder / "run"


def test_run_directory_holds_what_the_design_names(run):
    names = {p.name for p in run.iterdir()}
    assert names == {
        "config.yaml", "provenance.json", "metrics.json", "predictions.parquet", "catalog.fits",
        "catalog.parquet", "model", "figures", "report.html",
    }  # fmt: skip
    assert not list(run.parent.glob(".*partial*"))
    assert {p.suffix for p in (run / "model").iterdir()} <= {".json", ".npz", ""}


def test_metrics(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["classes"] == list(CLASSES)
    for block in ("in_sample", "cross_validated", "prior_weighted"):
        scores = metrics[block]
        assert np.array(scores["confusion"]).shape == (4, 4)
        for name in ("macro_f1", "log_loss", "brier", "ece"):
            assert (
                scores[name]["lo"] <= scores[name]["value"] <= scores[name]["hi"] or name == "ece"
            )
    assert metrics["cross_validated"]["log_loss"]["value"] < 0.5
    assert (
        metrics["in_sample"]["log_loss"]["value"] < metrics["cross_validated"]["log_loss"]["value"]
    )
    assert set(metrics["outlier"]) == {"0.05", "0.01"}
    for share in metrics["outlier"].values():
        assert share["lo"] <= share["value"] <= share["hi"]
    # Re-weighted confusion follows the proportions asked for.
    rows = np.array(metrics["prior_weighted"]["confusion"]).sum(1)
    np.testing.assert_allclose(rows / rows.sum(), [0.66, 0.25, 0.07, 0.02], atol=1e-6)


def columns(table, prefix):
    return np.column_stack([np.asarray(table[f"{prefix}{c}"]) for c in CLASSES])


def check_products(table):
    posterior = columns(table, "p_")
    np.testing.assert_allclose(posterior.sum(1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(
        np.array(CLASSES)[posterior.argmax(1)], np.asarray(table["prediction"])
    )
    np.testing.assert_allclose(np.asarray(table["margin"]), 2 * posterior.max(1) - 1)
    assert ((table["outlier_p"] > 0) & (table["outlier_p"] <= 1)).all()
    for category in ("location", "spectrum", "counterparts", "variability"):
        track = columns(table, f"p_{category}_")
        np.testing.assert_allclose(track.sum(1), 1.0, rtol=1e-12)


def test_tables(run, sky):
    whole, held_out = (
        read_catalog(run / "catalog.parquet"),
        read_catalog(run / "predictions.parquet"),
    )
    for table in (whole, held_out):
        assert len(table) == N
        assert {"name", "ra", "dec", "true_class", "alternative", "n_missing"} <= set(
            table.colnames
        )
        check_products(table)
    np.testing.assert_array_equal(whole["p_XRB"], read_catalog(run / "catalog.fits")["p_XRB"])
    assert not np.array_equal(whole["p_XRB"], held_out["p_XRB"])


def test_fits_columns_have_units_descriptions_and_ucds(run):
    header = fits.getheader(run / "catalog.fits", 1)
    number = next(i for i in range(1, 99) if header[f"TTYPE{i}"] == "p_XRB")
    assert "posterior" in header[f"TCOMM{number}"]
    assert header[f"TUCD{number}"].startswith("stat.probability")
    number = next(i for i in range(1, 99) if header[f"TTYPE{i}"] == "ra")
    assert header[f"TUNIT{number}"] == "deg"


def test_same_config_same_catalogue_same_numbers(run, sky, folder, numbers_only):
    again = ("--catalog", sky, "--out", folder / "again", *QUICK)
    assert numbers_only("run", CONFIG, *again) == 0
    for name in ("metrics.json", "config.yaml"):
        assert (run / name).read_text() == (folder / "again" / name).read_text()
    a, b = (read_catalog(f / "catalog.parquet")["p_XRB"] for f in (run, folder / "again"))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv", "csv", "parquet"])
def test_classify_needs_no_label_and_passes_columns_through(run, sky, folder, ending, xbayes):
    table = read_catalog(sky)[:200]
    table.remove_columns(["Class"])
    table["extra"] = np.arange(200) * 1.5
    source, out = folder / f"new.{ending}", folder / f"classified.{ending}"
    from xbayes.catalog.write import write_catalog

    write_catalog(table, source, overwrite=True)
    code, _, err = xbayes("classify", run, source, "--out", out, "--overwrite")
    assert code == 0, err
    classified = read_catalog(out)
    check_products(classified)
    np.testing.assert_array_equal(classified["extra"], table["extra"])
    reference = read_catalog(run / "catalog.parquet")[:200]
    np.testing.assert_allclose(classified["p_XRB"], reference["p_XRB"], rtol=1e-9)


def test_prior_replaces_only_the_prior(run, sky, folder, xbayes):
    prior = "AGN=0.1,Star=0.1,XRB=0.7,CV=0.1"
    for name, option in (("plain", []), ("xrb", ["--prior", prior])):
        xbayes("classify", run, sky, "--out", folder / f"{name}.fits", *option)
    plain, given = (read_catalog(folder / f"{n}.fits") for n in ("plain", "xrb"))
    old = np.array([np.mean(read_catalog(sky)["Class"] == c) for c in CLASSES])
    odds = columns(plain, "p_") / old * [0.1, 0.1, 0.7, 0.1]
    expected = odds / odds.sum(1, keepdims=True)
    np.testing.assert_allclose(given["p_XRB"], expected[:, 2], rtol=1e-6, atol=1e-12)


def test_the_prior_of_another_sky_is_estimated(run, folder, xbayes):
    """A catalogue with a tenth of the AGN: its own proportions are found and used."""
    xbayes("simulate", "--out", folder / "other.fits", "-n", 2000, "--seed", 9)
    table = read_catalog(folder / "other.fits")
    truth = np.asarray(table["Class"])
    table = table[(truth != "AGN") | (np.arange(2000) % 10 == 0)]
    truth = np.asarray(table["Class"])
    table.write(folder / "shifted.fits")
    losses = []
    for name, option in (("as_trained", []), ("shifted", ["--prior", "estimate"])):
        out = folder / f"{name}_classified.fits"
        code, _, err = xbayes("classify", run, folder / "shifted.fits", "--out", out, *option)
        assert code == 0, err
        classified = read_catalog(out)
        own = [classified[f"p_{c}"][n] for n, c in enumerate(truth)]
        losses.append(-np.mean(np.log(np.maximum(own, 1e-6))))
    assert "class proportions estimated" in err and "AGN" in err
    actual = [np.mean(truth == c) for c in CLASSES]
    np.testing.assert_allclose(classified.meta["PRIOR"], actual, atol=0.06)
    assert losses[1] < losses[0]
    code, _, err = xbayes("classify", run, "--row", "ra=1", "dec=2", "--prior", "estimate")
    assert code == 2
    assert "needs a catalogue" in err


def test_one_row_by_hand_is_the_same_as_in_a_table(run, folder, xbayes):
    given = {
        "ra": 266.4,
        "dec": -29.0,
        "flux_soft": 1e-15,
        "flux_medium": 5e-15,
        "flux_hard": 2e-13,
    }
    pairs = [f"{k}={v}" for k, v in given.items()]
    code, out, _ = xbayes(
        "classify", run, "--row", *pairs, "--out", folder / "row.csv", "--overwrite"
    )
    assert code == 0
    assert "XRB" in out
    row = read_catalog(folder / "row.csv")[0]
    assert row["n_missing"] == 13 - 4  # latitude, two hardness ratios and the flux are known
    assert sum(row[f"p_{c}"] for c in CLASSES) == pytest.approx(1.0)
    assert row["p_counterparts_XRB"] == pytest.approx(0.07, abs=0.02)  # nobody looked: the prior


def test_nothing_measured_gives_the_prior(run, sky, folder, xbayes):
    xbayes("classify", run, "--row", "name=void", "--out", folder / "void.ecsv", "--overwrite")
    row = read_catalog(folder / "void.ecsv")[0]
    for c in CLASSES:
        share = np.mean(read_catalog(sky)["Class"] == c)
        assert row[f"p_{c}"] == pytest.approx(share, rel=1e-9)


def test_looked_and_found_nothing_is_not_the_same_as_not_looked(run, folder, xbayes):
    got = []
    for pairs in (
        ["flux_hard=1e-13"],
        ["flux_hard=1e-13", "flux_soft=1e-14", "flux_medium=1e-14", "g_mag="],
    ):
        xbayes("classify", run, "--row", *pairs, "--out", folder / "n.csv", "--overwrite")
        got.append(read_catalog(folder / "n.csv")[0]["p_counterparts_XRB"])
    assert got[1] > got[0] + 0.01


def test_demo_prints_results_and_the_report(tmp_path, xbayes, monkeypatch):
    monkeypatch.setattr("xbayes.report.source_sections.N_TRACKS", 10)  # as a user gets it
    code, out, err = xbayes("demo", "--out", tmp_path / "demo")
    assert code == 0, err
    assert "F1 of XRB" in out
    assert str(tmp_path / "demo" / "report.html") in out.replace("\n", "")
    assert "outer fold 1 of 3" in err  # plain lines where there is no terminal


def test_float32_gives_nearly_the_same(run, sky, folder, xbayes):
    setting = ["--set", "precision=float32"]
    try:
        code, _, err = xbayes(
            "run", CONFIG, "--catalog", sky, "--out", folder / "single", *QUICK, *setting
        )
    finally:
        jax.config.update("jax_enable_x64", True)
    assert code == 0, err
    single, double = (read_catalog(folder / n / "catalog.parquet") for n in ("single", "run"))
    check_products(single)
    np.testing.assert_allclose(columns(single, "p_"), columns(double, "p_"), atol=0.02)


@pytest.mark.parametrize("setting", ["decision=f1", "model.objective=f1"])
def test_the_f1_rule_and_objective(setting, run, sky, folder, xbayes):
    """Sharper for one class: the posterior stays a probability, and the rule leaves it alone."""
    out = folder / setting
    code, _, err = xbayes("run", CONFIG, "--catalog", sky, "--out", out, *QUICK, "--set", setting)
    assert code == 0, err
    plain, tuned = (read_catalog(f / "predictions.parquet") for f in (run, out))
    same = np.array_equal(columns(plain, "p_"), columns(tuned, "p_"))
    assert same == (setting == "decision=f1")
    np.testing.assert_allclose(columns(tuned, "p_").sum(1), 1.0, rtol=1e-12)
    assert (np.asarray(plain["prediction"]) != np.asarray(tuned["prediction"])).any()


def test_simulate_a_preset(tmp_path, xbayes, refused):
    out = tmp_path / "sky.parquet"
    assert xbayes("simulate", "--out", out, "--preset", "csc")[0] == 0
    label = np.asarray(read_catalog(out)["Class"])
    assert [int((label == name).sum()) for name in CLASSES] == [1197, 965, 74, 34]
    other = ["simulate", "--out", tmp_path / "a.csv", "--preset"]
    refused(*other, "csc", "-n", 5, says=["give one of the two"])
    refused(*other, "2sxp", says=["did you mean '2sxps'"])
    assert not (tmp_path / "a.csv").exists()


def test_simulate_writes_detections_too(tmp_path, xbayes):
    code, _, _ = xbayes(
        "simulate",
        "--out",
        tmp_path / "a.parquet",
        "-n",
        50,
        "--detections",
        tmp_path / "d.fits",
    )
    assert code == 0
    assert len(read_catalog(tmp_path / "d.fits")) >= 50


# Bad input: one clear message, exit code 2, nothing left behind.


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: None, ["no file"]),
        (lambda p: p.mkdir(), ["folder"]),
        (lambda p: p.write_bytes(b""), ["empty"]),
        (lambda p: p.write_text("name,ra\n"), []),
        (lambda p: p.write_bytes(b"PAR1 this is no FITS file"), ["Parquet"]),
    ],
    ids=["missing", "folder", "empty", "header", "format"],
)
def test_catalogues_that_are_none(make, says, tmp_path, refused):
    make(tmp_path / "sky.fits")
    before = sorted(tmp_path.iterdir())
    refused(
        "run",
        CONFIG,
        "--catalog",
        tmp_path / "sky.fits",
        "--out",
        tmp_path / "run",
        says=says,
    )
    assert sorted(tmp_path.iterdir()) == before


def damaged(sky, change, tmp_path):
    table = read_catalog(sky)
    change(table)
    table.write(tmp_path / "bad.ecsv", format="ascii.ecsv")
    return tmp_path / "bad.ecsv"


def set_cell(column, row, value):
    def change(table):
        table[column][row] = value

    return change


def replace(column, values):
    def change(table):
        table[column] = values(table)

    return change


def three_xrb(table):
    classes = np.asarray(table["Class"])
    return np.where((classes == "XRB") & (np.cumsum(classes == "XRB") > 3), "AGN", classes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.rename_column("g_mag", "gmag"), ["g_mag", "gmag"]),
        (replace("w1_mag", lambda t: ["bright"] * len(t)), ["text", "w1_mag", "bright"]),
        (set_cell("name", 1, "SIM 000001"), ["SIM 000001", "repeats"]),
        (set_cell("dec", 2, 95.0), ["dec", "95"]),
        (replace("Class", lambda t: ["Star"] * (len(t) - 1) + ["Galaxy"]), ["Galaxy"]),
        (replace("Class", lambda t: np.ma.masked_all(len(t), "U4")), ["label"]),
        (
            replace("Class", three_xrb),
            ["XRB", "has 3", "at least 5"],
        ),
    ],
    ids=["column", "text", "duplicate", "coordinate", "label", "unlabelled", "members"],
)
def test_catalogues_with_a_fault(change, says, sky, tmp_path, refused):
    path = damaged(sky, change, tmp_path)
    refused("run", CONFIG, "--catalog", path, "--out", tmp_path / "run", says=says)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.ecsv"]


def test_a_constant_or_missing_feature_is_left_out_with_a_warning(sky, tmp_path, xbayes):
    def change(table):
        table["gamma"] = 2.0
        table["var_intra_prob"] = np.ma.masked_all(len(table))

    path = damaged(sky, change, tmp_path)
    code, _, err = xbayes("run", CONFIG, "--catalog", path, "--out", tmp_path / "run", *QUICK)
    assert code == 0, err
    report = (tmp_path / "run" / "report.html").read_text()
    for name in ("gamma", "var_intra"):
        assert name in err
        assert name in report
        assert f"\n  {name}:" not in (tmp_path / "run" / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("model.wieghts=matrix", ["model.wieghts", "weights"]),
        ("model.weights=matrx", ["model.weights"]),
        ("model.prior={AGN: 0.5, Star: 0.5, XRB: 0.5, CV: 0.1}", ["1.6"]),
        ("model.prior={AGN: 0.5, Stars: 0.5}", ["Stars"]),
        ("validation.folds=1", ["validation.folds"]),
        ("validation.folds=700", ["700"]),
        ("features.abs_b.expression=abs(galactic_bb(ra, dec))", ["galactic_bb", "galactic_b"]),
        ("features.abs_b.expression=__import__('os')", ["abs_b"]),
        ("nonsense", ["key=value"]),
        ("f1_class=XBR", ["f1_class", "XRB"]),
        ("f1_class=[XRB, CV]", ["f1_class"]),
    ],
)
def test_wrong_settings(setting, says, sky, tmp_path, refused):
    refused(
        "run",
        CONFIG,
        "--catalog",
        sky,
        "--out",
        tmp_path / "run",
        "--set",
        setting,
        says=says,
    )
    assert not list(tmp_path.iterdir())


def test_config_files_that_are_none(tmp_path, refused):
    refused("run", tmp_path / "no.yaml", says=["no.yaml"])
    (tmp_path / "bad.yaml").write_text("name: [unclosed")
    refused("run", tmp_path / "bad.yaml", says=["not YAML"])
    text = CONFIG.read_text().replace("density: smooth", "densty: smooth")
    (tmp_path / "key.yaml").write_text(text)
    line = 1 + text[: text.index("densty")].count("\n")
    refused("run", tmp_path / "key.yaml", says=[f"key.yaml:{line}:3", "did you mean 'density'"])


def test_outputs_that_exist_are_kept(run, sky, folder, refused):
    before = (run / "metrics.json").read_text()
    refused("run", CONFIG, "--catalog", sky, "--out", run, says=["exists", "--overwrite"])
    assert (run / "metrics.json").read_text() == before
    (folder / "kept.fits").write_text("precious")
    for command in (["classify", run, sky], ["simulate"]):
        refused(*command, "--out", folder / "kept.fits", says=["exists"])
    assert (folder / "kept.fits").read_text() == "precious"
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.tex").write_text("years")
    refused(
        "run",
        CONFIG,
        "--catalog",
        sky,
        "--out",
        folder / "mine",
        "--overwrite",
        says=["no run"],
    )
    assert (folder / "mine" / "thesis.tex").exists()


def test_a_name_that_is_also_an_output_column(run, sky, folder, tmp_path, refused):
    def change(table):
        table["p_XRB"] = 0.5

    path = damaged(sky, change, tmp_path)
    refused("classify", run, path, "--out", tmp_path / "o.fits", says=["p_XRB", "rename"])
    assert not (tmp_path / "o.fits").exists()


@pytest.mark.parametrize(
    ("prior", "says"),
    [
        ("AGN=0.5,Star=0.5", ["XRB"]),
        ("AGN=0.5,Star=0.5,XRB=0.5,CV=0.5", ["2"]),
        ("AGN=0.5,Star=0.3,XBR=0.1,CV=0.1", ["XBR"]),
        ("AGN", ["--prior"]),
        ("AGN=1.2,Star=-0.2,XRB=0,CV=0", ["--prior"]),
    ],
)
def test_wrong_priors(prior, says, run, sky, tmp_path, refused):
    out = tmp_path / "o.fits"
    refused("classify", run, sky, "--out", out, "--prior", prior, says=says)
    assert not out.exists()


def test_rows_that_say_nothing_useful(run, refused):
    refused("classify", run, "--row", "flux_sofd=1", says=["flux_sofd", "flux_soft"])
    refused("classify", run, "--row", "flux_soft", says=["flux_soft"])
    refused("classify", run, "--row", "flux_soft=1", "flux_soft=2", says=["flux_soft"])
    refused("classify", run, says=["--row"])


def test_models_that_cannot_be_trusted(run, sky, tmp_path, refused):
    import hashlib
    import shutil

    refused("classify", tmp_path, sky, "--out", tmp_path / "o.fits", says=["no finished run"])
    refused("classify", tmp_path / "no", sky, "--out", tmp_path / "o.fits", says=["not exist"])
    shutil.copytree(run, tmp_path / "copy")
    arrays = tmp_path / "copy" / "model" / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"x")
    refused("classify", tmp_path / "copy", sky, "--out", tmp_path / "o.fits", says=["altered"])
    model = tmp_path / "copy" / "model" / "model.json"
    record = json.loads(model.read_text()) | {"format": 99}
    model.write_text(json.dumps(record))
    refused("classify", tmp_path / "copy", sky, "--out", tmp_path / "o.fits", says=["altered"])
    (model.parent / "SHA256").write_text(hashlib.sha256(model.read_bytes()).hexdigest())
    refused("classify", tmp_path / "copy", sky, "--out", tmp_path / "o.fits", says=["format 99"])
    assert not (tmp_path / "o.fits").exists()


@pytest.mark.parametrize("n", [0, -5, 10**12])
def test_simulations_of_impossible_size(n, tmp_path, refused):
    refused("simulate", "--out", tmp_path / "s.fits", "-n", n)
    assert not list(tmp_path.iterdir())


def test_the_installed_command():
    command = Path(sys.executable).with_name("xbayes")
    shown = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    for name in ("demo", "run", "classify", "simulate"):
        assert name in shown
    wrong = subprocess.run([command, "run", "no.yaml"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


def test_table_type(sky):
    assert isinstance(read_catalog(sky), Table)


@pytest.mark.parametrize("n", ["0", "-5", "1000000000000"])
def test_a_sky_of_no_size_is_refused(refused, tmp_path, n):
    refused("simulate", "-n", n, "--out", tmp_path / "sky.csv", says=("from 1 to", f"found {n}"))
    assert not list(tmp_path.iterdir())


def test_a_catalogue_without_the_f1_class_is_refused(refused, tmp_path, sky):
    table = read_catalog(sky)
    table[np.asarray(table["Class"]) != "XRB"].write(tmp_path / "no_xrb.fits")
    out = tmp_path / "run"
    arguments = ("run", CONFIG, "--catalog", tmp_path / "no_xrb.fits", "--out", out)
    refused(*arguments, says=("class XRB has 0 labelled sources", "leave it out"))
    assert not out.exists()


def test_a_rule_for_two_classes_is_refused(refused, tmp_path, sky):
    arguments = ("run", CONFIG, "--catalog", sky, "--out", tmp_path / "run")
    refused(*arguments, "--set", "f1_class=[XRB, CV]", says=("f1_class: must be text",))


def test_an_interrupted_run_explains_nothing(refused, tmp_path, sky, run):
    """A run directory without its last part, as no command of ours leaves behind."""
    half = tmp_path / "half"
    (half / "model").mkdir(parents=True)
    (half / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    refused("explain", half, sky, "x", says=("is no finished run", "'xbayes run'"))
