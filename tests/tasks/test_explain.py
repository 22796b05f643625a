"""`xbayes explain` as a user types it, and the sums that it promises."""

import numpy as np
import pytest

import xbayes as xbayes_api
from xbayes.catalog.read import read_catalog
from xbayes.figures.track_record import ln_odds, state_of

CLASSES = ("AGN", "Star", "XRB", "CV")
PRIOR = {"AGN": 0.1, "Star": 0.2, "XRB": 0.6, "CV": 0.1}
NAME = "SIM 000007"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("explain")


@pytest.fixture
def run(demo):
    return demo.folder


@pytest.fixture
def sky(demo):
    return demo.catalog


@pytest.mark.parametrize("prior", [None, PRIOR])
def test_terms_sum_to_the_posterior_that_classify_gives(
    prior, run, sky, folder, xbayes, check_sums
):
    option = ["--prior", ",".join(f"{c}={p}" for c, p in prior.items())] if prior else []
    out = folder / f"classified-{bool(prior)}.parquet"
    assert xbayes("classify", run, sky, "--out", out, *option)[0] == 0
    classified, table = read_catalog(out), read_catalog(sky)
    # Near a posterior of a third the threshold for XRB decides, which changes with the prior.
    undecided = np.argsort(np.abs(classified["p_XRB"] - 1 / 3))[:4]
    fit = xbayes_api.load(run)
    for row in (0, 6, 2999, *undecided, *range(1000, 1010)):
        track = fit.explain(table, str(table["name"][row]), prior=prior).track
        # One row is compiled for another size than a catalogue: the last digits may differ.
        given = [classified[f"p_{c}"][row] for c in CLASSES]
        np.testing.assert_allclose(track.posterior, given, rtol=1e-13, atol=0)
        assert track.classes[track.prediction] == classified["prediction"][row]
        assert track.outlier_p == classified["outlier_p"][row]
        check_sums(track)


def test_values_that_were_not_detected_contribute(run, sky):
    table = read_catalog(sky)
    rows = np.flatnonzero(np.ma.getmaskarray(table["g_mag"]))
    track = xbayes_api.load(run).explain(table, str(table["name"][rows[0]])).track
    f = list(track.features).index("fx_g")
    assert state_of(track.value_texts[f]) == "not detected" and np.isnan(track.share_below[f]).all()
    assert np.abs(ln_odds(track).feature[f]).max() > 0  # this is evidence
    seen = [state_of(value) == "measured" for value in track.value_texts]
    assert ((track.share_below[seen] >= 0) & (track.share_below[seen] <= 1)).all()


def test_figure_and_table_are_written_and_the_track_is_printed(run, sky, folder, xbayes, refused):
    outs = [folder / f"track.{ending}" for ending in ("png", "pdf", "svg", "csv", "fits")]
    options = [word for out in outs for word in ("--out", out)]
    code, shown, err = xbayes("explain", run, sky, NAME, *options)
    assert code == 0, err
    for word in (NAME, "posterior", "alternative", "outlier_p", "spectrum", "total", "below"):
        assert word in shown
    assert "…" not in "".join(line for line in shown.splitlines() if "total" in line)
    heads = [out.read_bytes()[:8] for out in outs[:3]]
    assert [heads[0][1:4], heads[1][:4], heads[2][:5]] == [b"PNG", b"%PDF", b"<?xml"]
    for out in outs[3:]:
        table = read_catalog(out)
        assert {"category", "property", "value", "unit", "state"} < set(table.colnames)
        assert all(
            f"{part}_{c}" in table.colnames for part in ("ln_odds", "below") for c in CLASSES
        )
    refused("explain", run, sky, NAME, *options, says=["exists", "--overwrite"])
    assert xbayes("explain", run, sky, NAME, "--out", outs[3], "--overwrite")[0] == 0


def test_ids_may_be_numbers(run, sky, folder, xbayes, refused):
    table = read_catalog(sky)
    table["name"] = np.arange(len(table))
    table.write(folder / "numbers.fits")
    code, shown, err = xbayes("explain", run, folder / "numbers.fits", "7")
    assert code == 0, err
    assert shown.startswith("7: ") and "--out" in err
    refused("explain", run, folder / "numbers.fits", "seven", says=["'seven'"])


def test_unknown_and_repeated_names_are_refused(run, sky, folder, refused):
    refused("explain", run, sky, "SIM-000007", says=["SIM-000007", "nearest", NAME])
    table = read_catalog(sky)
    table["name"][11] = NAME
    table.write(folder / "twice.ecsv", format="ascii.ecsv")
    first = int(np.flatnonzero(np.asarray(table["name"]) == NAME)[0]) + 1
    says = [NAME, f"rows {first}, 12"]
    refused("explain", run, folder / "twice.ecsv", NAME, says=says)


def test_wrong_input_is_refused(run, sky, folder, tmp_path, refused):
    refused("explain", tmp_path, sky, NAME, says=["no finished run"])
    refused("explain", tmp_path / "no", sky, NAME, says=["not exist"])
    (tmp_path / "model").mkdir()
    refused("explain", tmp_path, sky, NAME, says=["no finished run", "model.json"])
    wrong = tmp_path / "t.jpg"
    refused("explain", run, sky, NAME, "--out", wrong, says=[".jpg", ".pdf", ".csv"])
    table = read_catalog(sky)
    table.remove_column("g_mag")
    table.write(tmp_path / "lacks.fits")
    refused("explain", run, tmp_path / "lacks.fits", NAME, says=["g_mag"])
    refused("explain", run, sky, NAME, "--prior", "AGN=2", says=["Star"])
    assert not list(tmp_path.glob("t.*"))
