"""The commands as a user types them, on the demo run and its catalogue."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy.stats import binomtest

from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.config.reader import load_config
from xbayes.simulate.catalog import simulate_catalog
from xbayes.tasks.training import load_training

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
QUICK = ["--set", "validation.bootstrap=50"]
CLASSES = ("AGN", "Star", "XRB", "CV")
N = 3000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture
def run(demo):
    return demo.folder


@pytest.fixture
def sky(demo):
    return demo.catalog


@pytest.fixture(scope="module")
def faulty(folder):
    """`faulty(change)`: the path of a small catalogue after a change."""

    def call(change, path):
        table = simulate_catalog(300, 3)
        change(table)
        write_catalog(table, path)
        return path

    return call


def test_a_run_directory_is_complete(run):
    names = {p.name for p in run.iterdir()}
    assert names == {
        "config.yaml", "provenance.json", "metrics.json", "predictions.fits", "predictions.parquet",
        "catalog.fits", "catalog.parquet", "model", "figures", "report.html", "report",
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
    for level, share in metrics["outlier"].items():
        alarms = binomtest(round(share["value"] * share["n"]), share["n"], float(level))
        assert alarms.pvalue > 1e-3
    # The reweighted confusion matrix has the proportions of the config.
    rows = np.array(metrics["prior_weighted"]["confusion"]).sum(1)
    np.testing.assert_allclose(rows / rows.sum(), [0.66, 0.25, 0.07, 0.02], atol=1e-6)


def columns(table, prefix):
    return np.column_stack([np.asarray(table[f"{prefix}{c}"]) for c in CLASSES])


def check_decisions(posterior, table):
    """XRB from a threshold of its fold, else the most probable other class (the default rule)."""
    prediction, xrb = np.asarray(table["prediction"]), CLASSES.index("XRB")
    others = np.where(np.arange(len(CLASSES)) == xrb, -1, posterior).argmax(1)
    chosen, p = prediction == "XRB", posterior[:, xrb]
    np.testing.assert_array_equal(np.array(CLASSES)[others][~chosen], prediction[~chosen])
    fold = np.asarray(table["fold"]) if "fold" in table.colnames else np.zeros(len(table))
    for k in np.unique(fold):
        assert p[chosen & (fold == k)].min() > p[~chosen & (fold == k)].max()
    assert (prediction != np.array(CLASSES)[posterior.argmax(1)]).any()


def check_products(table):
    posterior = columns(table, "p_")
    np.testing.assert_allclose(posterior.sum(1), 1.0, rtol=1e-12)
    check_decisions(posterior, table)
    np.testing.assert_allclose(np.asarray(table["margin"]), 2 * posterior.max(1) - 1)
    assert ((table["outlier_p"] > 0) & (table["outlier_p"] <= 1)).all()
    for category in ("location", "spectrum", "counterparts", "variability"):
        track = columns(table, f"p_{category}_")
        np.testing.assert_allclose(track.sum(1), 1.0, rtol=1e-12)


def test_tables(run):
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


def numbers_in(tree):
    """All numbers of a JSON record, in order; a missing number is NaN."""
    if isinstance(tree, dict | list):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from numbers_in(part)
    elif not isinstance(tree, str):
        yield np.nan if tree is None else float(tree)


def check_same_numbers(first, second, classes):
    """To 9 digits: the number of threads changes the order of sums, and may decide ties."""
    scores = [
        list(numbers_in(json.loads((run / "metrics.json").read_text()))) for run in (first, second)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-9, atol=1e-12)
    assert (first / "config.yaml").read_text() == (second / "config.yaml").read_text()
    a, b = (read_catalog(run / "catalog.parquet") for run in (first, second))
    for name in classes:
        np.testing.assert_allclose(a[f"p_{name}"], b[f"p_{name}"], rtol=1e-9, atol=1e-15)
    two = np.sort(np.column_stack([np.asarray(a[f"p_{name}"]) for name in classes]), axis=1)[:, -2:]
    clear = two[:, 1] - two[:, 0] > 1e-9
    np.testing.assert_array_equal(a["prediction"][clear], b["prediction"][clear])


def test_the_same_config_and_catalogue_give_the_same_numbers(small, tmp_path, numbers_only):
    again = ("--catalog", small.catalog, "--out", tmp_path / "again")
    assert numbers_only("run", small.config, *again) == 0
    check_same_numbers(small.folder, tmp_path / "again", ("AGN", "Star", "XRB"))


@pytest.mark.slow
@pytest.mark.usefixtures("full_optimisation")
def test_the_demo_as_a_user_gets_it(demo, tmp_path, xbayes, monkeypatch):
    """With all tracks and fully optimised code it has the same numbers."""
    monkeypatch.setattr("xbayes.report.source_sections.N_TRACKS", 10)
    code, _, err = xbayes("demo", "--out", tmp_path / "demo")
    assert code == 0, err
    check_same_numbers(demo.folder, tmp_path / "demo", CLASSES)
    report, quick = ((f / "report.html").stat().st_size for f in (tmp_path / "demo", demo.folder))
    assert report > quick  # ten tracks of a kind, not two


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv", "csv", "parquet"])
def test_classify_needs_no_label_and_passes_columns_through(run, sky, folder, ending, done):
    table = read_catalog(sky)[:200]
    table.remove_columns(["Class"])
    table["extra"] = np.arange(200) * 1.5
    source, out = folder / f"new.{ending}", folder / f"classified.{ending}"
    write_catalog(table, source)
    done("classify", run, source, "--out", out)
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
    """For a catalogue with a tenth of the AGN the estimated proportions improve the log loss."""
    table = simulate_catalog(2000, 9)
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
        p_truth = [classified[f"p_{c}"][n] for n, c in enumerate(truth)]
        losses.append(-np.mean(np.log(np.maximum(p_truth, 1e-6))))
    assert "class proportions estimated" in err and "AGN" in err
    actual = [np.mean(truth == c) for c in CLASSES]
    np.testing.assert_allclose(classified.meta["PRIOR"], actual, atol=0.06)
    assert losses[1] < losses[0]
    code, _, err = xbayes("classify", run, "--row", "ra=1", "dec=2", "--prior", "estimate")
    assert code == 2
    assert "needs a catalogue" in err


def test_one_row(run, folder, xbayes):
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
    assert row["p_counterparts_XRB"] == pytest.approx(0.07, abs=0.02)  # not available: the prior


def test_nothing_measured_gives_the_prior(run, sky, folder, xbayes):
    xbayes("classify", run, "--row", "name=void", "--out", folder / "void.ecsv", "--overwrite")
    row = read_catalog(folder / "void.ecsv")[0]
    for c in CLASSES:
        share = np.mean(read_catalog(sky)["Class"] == c)
        assert row[f"p_{c}"] == pytest.approx(share, rel=1e-9)


def test_not_detected_is_evidence_and_not_available_is_none(run, folder, xbayes):
    """Stars rarely lack a counterpart."""
    p_star = []
    for pairs in (
        ["flux_hard=1e-13"],
        ["flux_hard=1e-13", "flux_soft=1e-14", "flux_medium=1e-14", "g_mag="],
    ):
        xbayes("classify", run, "--row", *pairs, "--out", folder / "n.csv", "--overwrite")
        p_star.append(read_catalog(folder / "n.csv")[0]["p_counterparts_Star"])
    assert p_star[1] < 0.8 * p_star[0]


def test_demo_prints_results_and_the_report(demo):
    assert "F1 of XRB" in demo.out
    assert str(demo.folder / "report.html") in demo.out.replace("\n", "")
    assert "outer fold 1 of 3" in demo.err  # plain lines without a terminal


@pytest.mark.slow
@pytest.mark.usefixtures("full_optimisation")
def test_float32_gives_nearly_the_same(run, sky, folder, done):
    """The command restores JAX's own precision."""
    import jax

    done("run", CONFIG, "--catalog", sky, "--out", folder / "single", *QUICK,
         "--set", "precision=float32")  # fmt: skip
    assert jax.config.read("jax_enable_x64")
    single, double = (read_catalog(f / "catalog.parquet") for f in (folder / "single", run))
    check_products(single)
    np.testing.assert_allclose(columns(single, "p_"), columns(double, "p_"), atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["decision=f1", "model.objective=f1"])
def test_the_f1_rule_and_objective(setting, run, sky, folder, done):
    """The rule changes predictions only; the objective changes posteriors if its term has weight.

    The rule is compared to 9 digits: the number of threads changes the order of sums.
    """
    out = folder / setting
    done("run", CONFIG, "--catalog", sky, "--out", out, *QUICK, "--set", setting)
    plain, tuned = (read_catalog(f / "predictions.parquet") for f in (run, out))
    same = np.allclose(columns(plain, "p_"), columns(tuned, "p_"), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(columns(tuned, "p_").sum(1), 1.0, rtol=1e-12)
    chosen = json.loads((out / "metrics.json").read_text()).get("f1_weight", [])
    if setting == "decision=f1":
        assert same
        assert not chosen
        assert (np.asarray(plain["prediction"]) != np.asarray(tuned["prediction"])).any()
    else:
        assert len(chosen) > 1
        assert not (same and any(chosen))
        assert "F1 term" in (out / "report.html").read_text()


def test_simulate_a_preset(tmp_path, xbayes, refused):
    out = tmp_path / "sky.parquet"
    assert xbayes("simulate", "--out", out, "--preset", "csc")[0] == 0
    label = np.asarray(read_catalog(out)["Class"])
    assert [int((label == name).sum()) for name in CLASSES] == [1197, 965, 74, 34]
    other = ["simulate", "--out", tmp_path / "a.csv", "--preset"]
    refused(*other, "csc", "-n", 5, says=["give only one of them"])
    refused(*other, "2sxp", says=["did you mean '2sxps'"])
    assert not (tmp_path / "a.csv").exists()


def test_simulate_writes_detections_too(tmp_path, xbayes):
    both = ("--out", tmp_path / "a.parquet", "--detections", tmp_path / "d.fits")
    assert xbayes("simulate", "-n", 50, *both)[0] == 0
    assert len(read_catalog(tmp_path / "a.parquet")) == 50
    assert len(read_catalog(tmp_path / "d.fits")) >= 50


# Bad input: one clear message, exit code 2, no files left behind.


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
def test_files_that_are_no_catalogue(make, says, tmp_path, refused):
    make(tmp_path / "sky.fits")
    before = sorted(tmp_path.iterdir())
    catalog = ("--catalog", tmp_path / "sky.fits")
    refused("run", CONFIG, *catalog, "--out", tmp_path / "run", says=says)
    assert sorted(tmp_path.iterdir()) == before


def set_cell(column, row, value):
    def change(table):
        table[column][row] = value

    return change


def replace(column, values):
    def change(table):
        table[column] = values(table)

    return change


def with_xrb(n):
    """Labels with only the first n XRB."""

    def labels(table):
        classes = np.asarray(table["Class"])
        return np.where((classes == "XRB") & (np.cumsum(classes == "XRB") > n), "AGN", classes)

    return labels


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.rename_column("g_mag", "gmag"), ["g_mag", "gmag"]),
        (replace("w1_mag", lambda t: ["bright"] * len(t)), ["text", "w1_mag", "bright"]),
        (set_cell("name", 1, "SIM 000001"), ["SIM 000001", "repeats"]),
        (set_cell("dec", 2, 95.0), ["dec", "95"]),
        (replace("Class", lambda t: ["Star"] * (len(t) - 1) + ["Galaxy"]), ["Galaxy"]),
        (replace("Class", lambda t: np.ma.masked_all(len(t), "U4")), ["label"]),
        (replace("Class", with_xrb(3)), ["XRB", "has 3", "at least 5"]),
        (replace("Class", with_xrb(0)), ["class XRB has 0 labelled sources", "leave it out"]),
    ],
    ids=["column", "text", "duplicate", "coordinate", "label", "unlabelled", "members", "empty"],
)
def test_catalogues_with_a_fault(change, says, faulty, tmp_path, refused):
    path = faulty(change, tmp_path / "bad.ecsv")
    refused("run", CONFIG, "--catalog", path, "--out", tmp_path / "run", says=says)
    assert list(tmp_path.iterdir()) == [path]


def test_a_constant_or_missing_feature_is_left_out_with_a_warning(faulty, tmp_path):
    """That warnings and config reach the files of a run, `test_clusters.py` checks."""

    def change(table):
        table["gamma"] = 2.0
        table["var_intra_prob"] = np.ma.masked_all(len(table))

    training = load_training(load_config(CONFIG), faulty(change, tmp_path / "sky.parquet"))
    for name in ("gamma", "var_intra"):
        assert any(repr(name) in warning for warning in training.warnings)
        assert name not in training.config.features
    assert training.features.value.shape[1] == len(training.config.features) == 11


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
        ("f1_class=[XRB, CV]", ["f1_class: must be text"]),
    ],
)
def test_wrong_settings(setting, says, sky, tmp_path, refused):
    arguments = ("run", CONFIG, "--catalog", sky, "--out", tmp_path / "run")
    refused(*arguments, "--set", setting, says=says)
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_config(tmp_path, refused):
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
    arguments = ("run", CONFIG, "--catalog", sky, "--out", folder / "mine")
    refused(*arguments, "--overwrite", says=["no run"])
    assert (folder / "mine" / "thesis.tex").exists()


def test_a_name_that_is_also_an_output_column(run, faulty, tmp_path, exit_code, capsys):
    path = faulty(lambda table: table.add_column(0.5, name="p_XRB"), tmp_path / "odd.parquet")
    assert exit_code("classify", run, path, "--out", tmp_path / "o.parquet") == 0
    assert "'p_XRB' as 'p_XRB_2'" in capsys.readouterr().err
    made = read_catalog(tmp_path / "o.parquet")
    assert np.all(made["p_XRB_2"] == 0.5) and np.std(made["p_XRB"]) > 0


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


def test_rows_that_cannot_be_parsed(run, refused):
    refused("classify", run, "--row", "flux_sofd=1", says=["flux_sofd", "flux_soft"])
    refused("classify", run, "--row", "flux_soft", says=["flux_soft"])
    refused("classify", run, "--row", "flux_soft=1", "flux_soft=2", says=["flux_soft"])
    refused("classify", run, says=["--row"])


def test_models_that_cannot_be_trusted(run, sky, tmp_path, refused):
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
    says = ("from 1 to", f"found {n}")
    refused("simulate", "--out", tmp_path / "s.fits", "-n", n, says=says)
    assert not list(tmp_path.iterdir())


def test_the_installed_command():
    command = Path(sys.executable).with_name("xbayes")
    shown = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    for name in ("demo", "run", "classify", "simulate"):
        assert name in shown
    wrong = subprocess.run([command, "run", "no.yaml"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


def test_an_incomplete_run_is_refused(refused, tmp_path, sky, run):
    """No command leaves such a run directory behind."""
    half = tmp_path / "half"
    (half / "model").mkdir(parents=True)
    (half / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    refused("explain", half, sky, "x", says=("is no finished run", "'xbayes run'"))
