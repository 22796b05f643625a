"""One source under an assumption equals what `classify` and `explain` give for it."""

import shutil
import threading
from functools import partial

import jax
import numpy as np
import pytest
from astropy.table import Table

import xbayes
from xbayes.catalog.read import read_catalog
from xbayes.errors import InputError
from xbayes.features.build import needed_columns
from xbayes.tasks.assumed_distance import at_distance
from xbayes.tasks.feature_densities import unscaled

PRIOR = {"AGN": 0.1, "Star": 0.2, "XRB": 0.6, "CV": 0.1}


@pytest.fixture(scope="module")
def fit(demo):
    return xbayes.load(demo.folder)


@pytest.fixture(scope="module")
def sky(demo):
    return read_catalog(demo.catalog)


def row_of(fit, table: Table, n: int, without=()) -> dict:
    """One row of a catalogue as a mapping."""
    roles = fit.config.catalog
    names = {roles.id, roles.block, *needed_columns(fit.config)} - {None, *without}
    cells = {name: table[name][n] for name in names if name in table.colnames}
    return {k: None if v is np.ma.masked else v.item() for k, v in cells.items()}


def assert_columns(products, classified, n: int) -> None:
    """Every output column of a row."""
    for name, value in products.items():
        expected = classified[name][n]
        if isinstance(value, float):
            assert value == pytest.approx(expected, rel=1e-12, abs=1e-12), name
        else:
            assert value is None if expected is np.ma.masked else value == expected, name


def assert_tracks(made, expected) -> None:
    for name, value in expected._asdict().items():
        found = getattr(made, name)
        if isinstance(value, np.ndarray | float):
            np.testing.assert_allclose(found, value, rtol=1e-12, atol=1e-12, err_msg=name)
        else:
            assert found == value, name


def assert_same_posteriors(track, classified, classes) -> None:
    found = np.array([float(classified[f"p_{c}"][0]) for c in classes])
    np.testing.assert_allclose(track.posterior, found, rtol=1e-12, atol=1e-12)
    assert track.classes[track.prediction] == classified["prediction"][0]
    assert track.outlier_p == pytest.approx(classified["outlier_p"][0], abs=1e-12)


@pytest.mark.parametrize("prior", [None, PRIOR])
def test_a_source_equals_its_row_of_the_catalogue(fit, sky, prior):
    classified = fit.classify(sky[:40], prior=prior)
    for n in range(0, 40, 7):
        found = fit.track(row_of(fit, sky, n), prior=prior)
        assert_columns(found.products, classified, n)
        assert_tracks(found.track, fit.explain(sky, str(sky["name"][n]), prior=prior).track)


def test_scaled_values_are_those_of_the_track(fit, sky):
    found = fit.track(row_of(fit, sky, 3))
    for f, feature in enumerate(fit.config.features.values()):
        value = unscaled(found.scaled_value[[f]], feature.scale)[0]
        np.testing.assert_allclose(value, found.track.value[f], rtol=1e-12)
    assert (found.scaled_error >= 0).all()


def test_it_compiles_nothing_after_the_first_source(fit, sky, caplog):
    fit.track(row_of(fit, sky, 0), prior=PRIOR)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        for n in range(1, 4):
            row = row_of(fit, sky, n)
            fit.track(row)
            fit.what_if(row, prior=PRIOR, changes={"g_mag": 15.0})
    assert "ompil" not in caplog.text


def test_the_precision_holds_in_every_thread(fit, sky):
    """Without the setting of the process, which other requests would change."""
    row, found = row_of(fit, sky, 1), {}
    expected = fit.what_if(row).posterior
    jax.config.update("jax_enable_x64", False)
    try:
        threads = [
            threading.Thread(target=lambda k=k: found.update({k: fit.what_if(row).posterior}))
            for k in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        jax.config.update("jax_enable_x64", True)
    for posterior in found.values():
        assert posterior.dtype == np.float64
        np.testing.assert_allclose(posterior, expected, rtol=1e-12)


def test_changed_values(fit, sky):
    row = row_of(fit, sky, 5)
    for changes in ({"flux_soft": 3e-13}, {"g_mag": None}):
        made = fit.what_if(row, changes=changes)
        assert_same_posteriors(made, fit.classify({**row, **changes}), fit.classes)
    assert fit.track(row, changes={"gamma": 2.5}).given["gamma"] == 2.5


@pytest.fixture
def run(small, tmp_path):
    """A run of its own, because weights fitted again are kept in the run directory."""
    return xbayes.load(shutil.copytree(small.folder, tmp_path / "run"))


def test_what_is_left_out_equals_a_catalogue_without_its_columns(run, small, monkeypatch):
    sky = read_catalog(small.catalog)
    row = row_of(run, sky, 4)
    lacking = {name: cell for name, cell in row.items() if name != "c"}
    expected = run.classify(lacking)
    whole = run.what_if(row)
    for name in ("two", "c"):  # the category, and its only feature
        made = run.what_if(row, without=[name])
        assert_same_posteriors(made, expected, run.classes)
        assert made.value_texts[2] == "not available"
        assert not np.allclose(made.posterior, whole.posterior, atol=1e-3)
    # Once for a run, wherever it is asked for.
    monkeypatch.setattr("xbayes.tasks.absent_features.fit_rows", None)
    assert_same_posteriors(run.what_if(row, without=["c"]), expected, run.classes)
    monkeypatch.setattr("xbayes.tasks.absent_features.load_model", None)
    assert_same_posteriors(run.what_if(row, without=["two"]), expected, run.classes)


def test_a_column_that_is_left_out(fit, sky):
    row = row_of(fit, sky, 5)
    expected = fit.classify({name: cell for name, cell in row.items() if name != "gamma"})
    assert_same_posteriors(fit.what_if(row, without=["gamma"]), expected, fit.classes)


def test_posterior_samples_and_intervals(bayes):
    fit, table = xbayes.load(bayes.folder), read_catalog(bayes.catalog)
    classified = fit.classify(table[:20])
    assert "p_XRB_lo" in classified.colnames
    for n in (0, 5, 11):
        assert_columns(fit.track(row_of(fit, table, n)).products, classified, n)


def test_warnings_come_with_the_source(small):
    found = xbayes.load(small.folder).track({"a": 0.5, "b": None, "c": 1.0})
    assert any("'b' changes nothing" in text for text in found.warnings)
    assert found.track.name == "row 1"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"without": ["gama"]}, "gama"),
        ({"changes": {"fluxx": 1.0}}, "fluxx"),
        ({"changes": {"gamma": "soft"}}, "gamma"),
        ({"prior": {"AGN": 2.0}}, "Star"),
        ({"distance": 100.0}, "no feature of this run depends on a distance"),
    ],
)
def test_what_cannot_be_assumed_is_refused(fit, sky, asked, says):
    with pytest.raises(InputError, match=says):
        fit.what_if(row_of(fit, sky, 0), **asked)


UNITS = {"d": "kpc", "lum": "erg/s", "e_d": "kpc", "wave": "nm"}


class TestDistance:
    """An assumed distance on a made-up run that reads distances and a luminosity."""

    @pytest.fixture
    def at(self, fit):
        plain = fit.config.features["gamma"].model_copy(update={"error": None, "measured": None})
        features = {
            "dist": plain.model_copy(update={"expression": "d + wave", "error": "e_d"}),
            "lx": plain.model_copy(update={"expression": "log10(lum)"}),
            "m": plain.model_copy(update={"expression": "5 * log10(rgeo)"}),
        }
        config = fit.config.model_copy(update={"features": features})
        return partial(at_distance, config, UNITS)

    def test_columns_follow_by_their_units(self, at):
        row = {"d": 2.0, "lum": "1e33", "e_d": 0.1, "wave": 500.0, "rgeo": None}
        made = at(row, 4000.0)
        assert made == pytest.approx({"d": 4.0, "rgeo": 4000.0, "lum": 4e33})
        assert at({"d": None, "lum": None}, 50.0)["d"] == pytest.approx(0.05)

    def test_a_luminosity_needs_the_old_distance(self, at):
        with pytest.raises(InputError, match="'lum' is a luminosity"):
            at({"d": None, "lum": 1e33}, 100.0)
        for wrong in (0.0, -1.0, float("nan")):
            with pytest.raises(InputError, match="above 0"):
                at({"d": 1.0}, wrong)


@pytest.mark.slow
def test_the_distance_of_a_ready_made_model():
    """As `classify` of the row with that distance."""
    fit = xbayes.load("xmm")
    row = {
        "ra": 266.0, "dec": -29.0, "EP_2_FLUX": 1e-14, "EP_3_FLUX": 3e-14, "EP_4_FLUX": 4e-14,
        "EP_5_FLUX": 9e-14, "Gmag": 17.0, "rgeo": 800.0, "PM": 0.01,
    }  # fmt: skip
    made = fit.what_if(row, distance=8000.0)
    assert_same_posteriors(made, fit.classify({**row, "rgeo": 8000.0}), fit.classes)
    f = list(made.features).index("luminosity")
    assert made.value[f] == pytest.approx(100 * fit.what_if(row).value[f])
