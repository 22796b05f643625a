"""Catalogues whose columns differ from those of the run, and single sources, as users type them."""

import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import typer

import xbayes as api
from xbayes.catalog.read import parse_row, read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.cli.app import app
from xbayes.errors import InputError

ROOT = Path(__file__).parents[2]
CLASSES = ("AGN", "Star", "XRB", "CV")
NAMES = {"name": "srcid", "ra": "RAJ2000", "g_mag": "Gmag", "j_mag": "Jmag"}
OPTIONS = [f"--map={new}={old}" for new, old in NAMES.items() if new != "name"]
OPTIONS += ["--id", "srcid", "--optional", "w1_mag", "--missing-values", "gamma=-99"]


@pytest.fixture(scope="module")
def fit(demo):
    return api.load(demo.folder)


@pytest.fixture(scope="module")
def plain(demo):
    """100 sources with the names of the run; w1_mag is not available."""
    table = read_catalog(demo.catalog)[:100]
    table.remove_column("w1_mag")
    return table


@pytest.fixture(scope="module")
def other(plain, tmp_path_factory):
    """The same sources under other names, in a file."""
    table = plain.copy()
    for name, own in NAMES.items():
        table.rename_column(name, own)
    table["gamma"] = np.where(np.ma.getmaskarray(plain["gamma"]), -99.0, plain["gamma"].data)
    path = tmp_path_factory.mktemp("other") / "other.parquet"
    write_catalog(table, path)
    return path


def posteriors(table):
    return np.stack([np.asarray(table[f"p_{c}"]) for c in CLASSES])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::xbayes.XbayesWarning")
def test_the_same_sources_under_other_names_get_the_same_posteriors(
    fit, plain, other, tmp_path, done, monkeypatch
):
    """From the command, streamed, and from Python; the output has the names of the catalogue."""
    expected = fit.classify(plain, optional=["w1_mag"])
    monkeypatch.setattr("xbayes.tasks.fitted_run.CHUNK_IN_MEMORY", 32)
    done("classify", fit.folder, other, "--out", tmp_path / "o.parquet", *OPTIONS)
    made = read_catalog(tmp_path / "o.parquet")
    np.testing.assert_allclose(posteriors(made), posteriors(expected), rtol=0, atol=1e-12)
    assert made.colnames[: len(plain.colnames)] == [NAMES.get(n, n) for n in plain.colnames]
    assert made["srcid"].tolist() == plain["name"].tolist()
    measured = [option.replace("missing", "measured") for option in OPTIONS]  # control
    done("classify", fit.folder, other, "--out", tmp_path / "wrong.parquet", *measured)
    wrong = posteriors(read_catalog(tmp_path / "wrong.parquet"))
    assert np.abs(wrong - posteriors(expected)).max() > 0.01


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::xbayes.XbayesWarning")
def test_explain_and_counts_take_the_same_options(fit, plain, other, xbayes, tmp_path):
    given = {"map": {n: o for n, o in NAMES.items() if n != "name"}, "id": "srcid"}
    given |= {"optional": ["w1_mag"], "missing_values": {"gamma": [-99]}}
    name = str(plain["name"][7])
    explained = fit.explain(other, name, **given).track.posterior
    expected = fit.explain(plain, name, optional="w1_mag").track.posterior
    np.testing.assert_allclose(explained, expected, rtol=0, atol=1e-12)
    counted = fit.counts(other, all=True, **given)["predicted"].tolist()
    assert counted == fit.counts(plain, all=True, optional="w1_mag")["predicted"].tolist()
    code, out, err = xbayes("explain", fit.folder, other, name, *OPTIONS)
    assert code == 0 and name in out, err
    code, out, err = xbayes("counts", fit.folder, other, "--all", *OPTIONS)
    assert code == 0 and "100 sources" in out, err


def test_the_advice_of_the_message_works(fit, other, refused, done, tmp_path):
    """One message names all lacking columns; its options, copied, classify the catalogue."""
    says = ["'name'", "--id srcid", "--map g_mag=Gmag", "--map j_mag=Jmag", "--map ra=RAJ2000"]
    says += ["--optional w1_mag", "map={'ra': 'RAJ2000'", "optional=['w1_mag']", "--id row"]
    out = tmp_path / "o.fits"
    message = refused("classify", fit.folder, other, "--out", out, says=says)
    assert message.count("\n") == 1 and "catalog." not in message
    copied = re.findall(r"--(?:id|map|optional) [^\s;,]+", message.replace("--id row", ""))
    more = refused("classify", fit.folder, other, "--out", out, *" ".join(copied).split())
    copied += re.findall(r"--missing-values [^\s;,]+", more)  # each message leads on
    done("classify", fit.folder, other, "--out", out, *" ".join(copied).split())
    assert len(read_catalog(out)) == 100


def test_rows_without_ids_are_numbered(fit, other, done, tmp_path, monkeypatch):
    monkeypatch.setattr("xbayes.tasks.fitted_run.CHUNK_IN_MEMORY", 32)
    options = [option if option != "srcid" else "row" for option in OPTIONS]
    done("classify", fit.folder, other, "--out", tmp_path / "o.parquet", *options)
    made = read_catalog(tmp_path / "o.parquet")
    assert made["row"].tolist() == [f"row {n}" for n in range(1, 101)]
    assert "srcid" in made.colnames and "name" not in made.colnames


@pytest.mark.filterwarnings("ignore::xbayes.XbayesWarning")
def test_a_declared_unit_is_converted(fit, plain):
    """Fluxes in W/m2 are a thousandth of those in erg/s/cm2."""
    table = plain.copy()
    names = ("flux_soft", "flux_medium", "flux_hard")
    for name in names:
        table[name] = np.ma.asarray(table[name]) * 1e-3
        table[name].unit = None
    units = dict.fromkeys(names, "W/m2")
    expected = posteriors(fit.classify(plain, optional="w1_mag"))
    made = posteriors(fit.classify(table, optional="w1_mag", units=units))
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-9)
    assert np.abs(posteriors(fit.classify(table, optional="w1_mag")) - expected).max() > 0.1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--map", "g_mag"], ["--map needs NEW=OLD", "'g_mag'"]),
        (["--map", "a=b", "--map", "a=c"], ["--map names a column twice"]),
        (["--units", "g_mag="], ["--units needs COLUMN=UNIT"]),
        (["--missing-values", "=9"], ["--missing-values needs COLUMN=VALUE"]),
        (["--map", "gmag=Gmag"], ["uses no column 'gmag'", "did you mean 'g_mag'"]),
    ],
)
def test_wrong_options(options, says, fit, other, tmp_path, refused):
    refused("classify", fit.folder, other, "--out", tmp_path / "o.fits", *options, says=says)
    assert not list(tmp_path.iterdir())


def written_rows() -> list[str]:
    """The source of every `--row` example in the help, the pages and README.md."""
    command = typer.main.get_command(app).commands["classify"]
    texts = [command.help, *(p.help for p in command.params if p.help)]
    pages = [ROOT / "docs" / "tutorial.md", *(ROOT / "docs" / "howto").glob("*.md")]
    texts += [path.read_text() for path in (*pages, ROOT / "README.md")]
    found = []
    for text in texts:
        for example in re.findall(r"--row ((?:\w+=\S*\s*)+)", text.replace("\\\n", " ")):
            found.append(" ".join(example.replace("`", " ").split()))
    return sorted({row for row in found if "COLUMN=" not in row})


@pytest.mark.parametrize("row", written_rows())
def test_every_value_of_the_written_examples_counts(row, fit):
    """No warning (warnings are errors here), and no posterior like the prior."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = posteriors(fit.classify(parse_row(shlex.split(row))))[:, 0]
    prior = np.exp(fit.model.applied_log_prior)
    assert np.abs(made - prior).max() > 0.1


def test_the_examples_are_found():
    """The control of the test above."""
    assert len(written_rows()) >= 2


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (["flux_hard=2e-13"], "'flux_hard' changes nothing: feature hr_hm is without flux_medium;"),
        (["flux_hard=2e-13"], "feature fx_g is without flux_medium, flux_soft, g_mag"),
        (["gamma=1.7", "g_mag=15"], "'g_mag' changes nothing: .* feature g_j is without j_mag"),
        (["gamma=1.7", "w1_mag=", "w2_mag=12"], None),  # a non-detection that is evidence
        (
            ["j_mag=12", "k_mag="],
            r"'k_mag' .*: feature j_k is without a value, .*\(missing: ignore",
        ),
        (["name=s1", "flux_soft=1e-14"], r"'flux_soft' changes nothing"),
    ],
)
def test_a_value_that_changes_nothing_is_told(row, says, fit, xbayes):
    code, _, err = xbayes("classify", fit.folder, "--row", *row)
    assert code == 0, err
    if says is None:
        assert err == ""
    else:
        assert re.search(says, err), err
        assert "not available in 1 rows" not in err and "'name'" not in err


def test_a_row_is_mapped_too(fit):
    row = {"ra": 266.4, "dec": -29.0, "flux_soft": 1e-15, "flux_medium": 5e-15, "flux_hard": 2e-13}
    renamed = {**row, "S": row["flux_soft"] * 1e-3}
    del renamed["flux_soft"]
    options = {"map": {"flux_soft": "S", "g_mag": "G"}, "units": {"S": "W/m2"}}
    made = fit.classify(renamed, **options)
    np.testing.assert_allclose(posteriors(made), posteriors(fit.classify(row)), atol=1e-9)
    assert "S" in made.colnames
    with pytest.raises(InputError, match="no feature needs a column 'S'"):
        fit.classify(renamed)


@pytest.mark.slow
def test_one_row_needs_no_slow_library(demo):
    """Neither figures nor fits: they would double the time of the command.

    The first row without these features fits the weights again, once for the run.
    """
    code = (
        "import sys; from xbayes.cli.app import main\n"
        f"main(['classify', {str(demo.folder)!r}, '--row', 'ra=10', 'dec=5'])\n"
    )
    heavy = ("matplotlib", "optax", "pandas", "sklearn", "scipy.stats", "astropy.coordinates")
    loaded = f"print([m for m in {heavy} if m in sys.modules])"
    check = f"import atexit, sys\natexit.register(lambda: {loaded})\n"
    command = [sys.executable, "-c", check + code]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout
