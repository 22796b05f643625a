"""Simulated catalogues: possible values, published counts, positions, detections."""

from itertools import pairwise

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.errors import InputError
from xbayes.simulate import catalog as simulate
from xbayes.simulate.catalog import PRESETS, simulate_catalog, simulate_detections
from xbayes.simulate.sky import Place, draw_places, equatorial, extinction
from xbayes.simulate.spectra import Brightness, draw_brightness, draw_spectra
from xbayes.simulate.subclasses import (
    CLASS_OF_SUBCLASS,
    CLASSES,
    NAMES,
    draw_subclasses,
    stream,
)

MAGNITUDES = {
    "g_mag": 21.0,
    "j_mag": 16.5,
    "h_mag": 15.8,
    "k_mag": 15.2,
    "w1_mag": 17.7,
    "w2_mag": 16.7,
    "w3_mag": 12.4,
}


def numbers(table, name):
    return np.asarray(table[name].filled(np.nan))


def latitude(table):
    place = SkyCoord(numbers(table, "ra") * u.deg, numbers(table, "dec") * u.deg)
    return place.galactic.b.deg


def of_class(table):
    return {name: np.asarray(table["Class"]) == name for name in CLASSES}


@pytest.fixture(scope="module")
def table():
    return simulate_catalog(20_000, 1)


def test_proportions_and_missing_values(table):
    share = [mask.mean() for mask in of_class(table).values()]
    np.testing.assert_allclose(share, [0.62, 0.28, 0.07, 0.03], atol=0.01)
    assert len(np.unique(table["name"])) == 20_000 and table["name"][0] == "SIM 000001"
    first = np.asarray(table["release"]) == 1
    missing = table["var_inter_prob"].mask
    assert missing[first].all() and 0.3 < missing[~first].mean() < 0.5
    once = np.asarray(table["n_detections"]) == 1
    np.testing.assert_array_equal(missing, first | once)
    # Without a magnitude there is no parallax; faint sources may have a magnitude only.
    assert table["parallax_snr"].mask[table["g_mag"].mask].all()
    np.testing.assert_array_equal(table["parallax_snr"].mask, table["pm"].mask)
    of = of_class(table)
    assert table["w1_mag"].mask[of["XRB"]].mean() > table["w1_mag"].mask[of["AGN"]].mean() + 0.2
    in_no_survey = np.logical_and.reduce([table[name].mask for name in MAGNITUDES])
    np.testing.assert_array_equal(numbers(table, "p_any") == 0, in_no_survey)


def test_magnitudes_end_at_the_survey_limits(table):
    for name, limit in MAGNITUDES.items():
        values = table[name].compressed()
        if name in ("g_mag", "w3_mag"):  # other bands are listed together with a neighbouring band
            assert values.max() < limit + 2
        assert np.mean(values > limit + 0.5) < 0.06
    for one, other in (("j_mag", "k_mag"), ("w1_mag", "w2_mag")):
        np.testing.assert_array_equal(table[one].mask, table[other].mask)


def test_every_value_is_possible(table):
    for name in table.colnames:
        column = table[name]
        assert column.description and column.meta["ucd"]
        if column.dtype.kind == "f":
            assert np.isfinite(column.compressed()).all()
    for name in ("flux_soft", "flux_medium", "flux_hard", "e_flux_soft", "e_flux_hard"):
        assert np.all(table[name] > 0) and str(table[name].unit) == "erg / (s cm2)"
    for name in ("var_intra_prob", "var_inter_prob", "p_any"):
        values = table[name].compressed()
        assert np.all((values >= 0) & (values <= 1))
    for name in ("pm", "distance", "e_pos", "e_gamma", "significance"):
        assert np.all(table[name].compressed() > 0)
    assert np.all(np.abs(table["dec"]) <= 90) and np.all((table["ra"] >= 0) & (table["ra"] < 360))


def test_equatorial_coordinates_agree_with_astropy():
    rng = np.random.default_rng(1)
    place = Place(rng.uniform(0, 360, 500), rng.uniform(-90, 90, 500), np.ones(500))
    ra, dec = equatorial(place)
    expected = SkyCoord(place.longitude * u.deg, place.latitude * u.deg, frame="galactic").icrs
    assert SkyCoord(ra * u.deg, dec * u.deg).separation(expected).arcsec.max() < 0.1


def test_agn_are_isotropic_and_other_classes_lie_in_the_plane(table):
    sine, of = np.abs(np.sin(np.radians(latitude(table)))), of_class(table)
    agn = np.sort(sine[of["AGN"]])
    uniform = np.arange(1, len(agn) + 1) / len(agn)
    assert np.abs(agn - uniform).max() < 1.95 / np.sqrt(len(agn))  # Kolmogorov, p about 0.001
    for name in ("Star", "XRB", "CV"):
        assert np.median(sine[of[name]]) < 0.35
    star = np.sort(sine[of["Star"]])
    assert np.abs(star - np.arange(1, len(star) + 1) / len(star)).max() > 0.2


def test_dust_hides_counterparts_of_agn_in_the_plane(table):
    depth, missing = np.abs(latitude(table)), table["g_mag"].mask
    agn = of_class(table)["AGN"]
    assert missing[agn & (depth < 5)].mean() > 0.5
    assert missing[agn & (depth > 40)].mean() < 0.3
    away = Place(np.zeros(2), np.array([90.0, 1.0]), np.full(2, 1e5))
    high, low = extinction(away)
    assert 0 < high < 0.2 and low > 2


def test_xray_binaries_at_the_place_of_m31_belong_to_the_nearby_subclass():
    size = 3000
    label = np.full(size, CLASSES.index("XRB"))
    subclass = draw_subclasses(label, 3)
    place = draw_places(subclass, np.full(size, -14.0), 3)
    near = subclass == NAMES.index("nearby")
    m31 = np.hypot(place.longitude - 121.17, place.latitude + 21.57) < 2
    assert near[m31].mean() > 0.9 and m31.sum() > 50


@pytest.mark.parametrize("name", ["agn", "coronal", "hmxb"])
def test_number_counts(name):
    """Below the break, the flux over the survey limit falls with the slope of the power law."""
    brightness = draw_brightness(np.full(100_000, NAMES.index(name)), 1)
    ratio = brightness.log_flux - brightness.log_limit
    assert ratio.min() >= 0
    faint = brightness.log_flux < -13.3
    slope = {"agn": 0.53, "coronal": 1.0, "hmxb": 0.2}[name]
    counts = np.array([np.sum(faint & (ratio < r)) for r in (0.1, 0.2)])
    # Far from the break, a share 1 - 10^(-slope r) lies between ratio 0 and r.
    expected = (1 - 10 ** (-slope * 0.2)) / (1 - 10 ** (-slope * 0.1))
    assert counts[1] / counts[0] == pytest.approx(expected, rel=0.1)


def test_a_new_quantity_does_not_change_the_others(monkeypatch):
    before = simulate_catalog(100, 5)
    real = simulate.draw_variability
    monkeypatch.setattr(
        simulate,
        "draw_variability",
        lambda *given: (stream(5, "a new quantity").random(7), real(*given))[1],
    )
    after = simulate_catalog(100, 5)
    for name in before.colnames:
        assert before[name].tolist() == after[name].tolist()
    assert stream(5, "a").random() != stream(5, "b").random() != stream(6, "b").random()


def test_subclasses_belong_to_their_class():
    label = np.repeat(np.arange(4), 1000)
    subclass = draw_subclasses(label, 1)
    np.testing.assert_array_equal(CLASS_OF_SUBCLASS[subclass], label)
    assert set(subclass) == set(range(len(NAMES)))


def test_the_seed_determines_the_table():
    one, same, other = (simulate_catalog(200, seed) for seed in (1, 1, 2))
    assert one["g_mag"].tolist() == same["g_mag"].tolist() != other["g_mag"].tolist()


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_have_the_published_counts(preset):
    table = simulate_catalog(seed=1, preset=preset)
    counts = [int(mask.sum()) for mask in of_class(table).values()]
    assert (
        counts
        == {
            "4xmm": [18380, 6295, 535, 250],
            "2sxps": [20115, 5078, 347, 319],
            "csc": [1197, 965, 74, 34],
        }[preset]
    )
    assert len(set(table["Class"][:20])) > 1  # shuffled


@pytest.mark.parametrize("n", [0, -5, 100_000_001, 10**12])
def test_impossible_numbers_are_refused(n):
    with pytest.raises(InputError, match=f"from 1 to 100000000; found {n}"):
        simulate_catalog(n, 1)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"preset": "4xm"}, "unknown preset '4xm'; did you mean '4xmm'. choose one of 4xmm, 2sxps"),
        ({"preset": "#"}, "unknown preset '#'; choose one of 4xmm, 2sxps, csc"),
        ({"preset": "csc", "n": 5}, "has its own number of sources, 2270; found a number of 5"),
        ({}, "give a number of sources or a preset"),
        ({"n": 5, "seed": -1}, "seed must not be negative; found -1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        simulate_catalog(**settings)


def test_a_catalogue_of_one_source():
    table = simulate_catalog(1, 1)
    assert len(table) == 1 and len(simulate_detections(table, 1)) == table["n_detections"][0]


def test_a_catalogue_survives_a_file(tmp_path):
    table = simulate_catalog(50, 1)
    write_catalog(table, tmp_path / "sim.fits")
    read_back = read_catalog(tmp_path / "sim.fits")
    assert read_back.meta == table.meta
    for name in table.colnames:
        assert read_back[name].tolist() == table[name].tolist()
        assert read_back[name].unit == table[name].unit
        assert read_back[name].meta == table[name].meta
    again = simulate_detections(read_back, 1)
    assert again["flux"].tolist() == simulate_detections(table, 1)["flux"].tolist()


def test_detections_belong_to_their_source(table):
    detections = simulate_detections(table, 1)
    assert len(detections) == table["n_detections"].sum()
    assert 2 < len(detections) / len(table) < 3
    names, counts = np.unique(detections["name"], return_counts=True)
    expected = dict(zip(table["name"].tolist(), table["n_detections"].tolist(), strict=True))
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == expected
    label = dict(zip(table["name"].tolist(), table["Class"].tolist(), strict=True))
    assert detections["Class"].tolist() == [label[name] for name in detections["name"].tolist()]
    for name in ("hard_ms", "hard_hm", "hard_hs"):
        assert np.all(np.abs(detections[name]) <= 1)
    assert np.all((detections["var_prob"] >= 0) & (detections["var_prob"] <= 1)) and np.all(
        detections["flux"] > 0
    )


def test_detections_of_one_source_are_correlated(table):
    """They share the spectrum and the offset of their source."""
    detections = simulate_detections(table, 1)
    _, first = np.unique(np.asarray(detections["name"]), return_index=True)
    pairs = [(i, i + 1) for i, j in pairwise(np.sort(first)) if j - i > 1]
    for name in ("hard_hs", "var_prob", "flux"):
        values = np.asarray(detections[name], float)
        values = np.log10(values) if name == "flux" else values
        one, other = values[pairs].T
        assert np.corrcoef(one, other)[0, 1] > 0.6, name
        assert np.std(one - other) > 0


def test_nothing_is_beyond_nature():
    """Bounds that real catalogues keep, on a hundred times as many sources."""
    sky = simulate_catalog(200_000, 5)
    for band in ("soft", "medium", "hard"):
        assert numbers(sky, f"flux_{band}").max() < 1e-8  # ten times the Crab is 2e-7
    flux, error = (
        sum(numbers(sky, f"{name}_{band}") for band in ("soft", "medium", "hard"))
        for name in ("flux", "e_flux")
    )
    # The errors of the bands added up are at least the error of the sum.
    assert (flux / error < 1.2 * numbers(sky, "significance") + 1).all()
    for name, limit in MAGNITUDES.items():
        assert np.nanmax(numbers(sky, name)) < limit + 2.5 + 6 * 0.35
    assert np.nanmax(numbers(sky, "g_mag") + 0.6 * numbers(sky, "bp_rp")) < 22.7
    assert np.nanmin(numbers(sky, "bp_rp")) > -2


def test_an_absorbed_band_has_the_flux_of_its_background():
    """Without source photons the flux is the scatter of the background over the effective area."""
    size = 2_000
    source = np.full(size, NAMES.index("obscured"))
    brightness = Brightness(log_flux=np.full(size, -13.0), log_limit=np.full(size, -14.0))
    columns = draw_spectra(source, brightness, np.full(size, 5_000.0), 3)
    area = 15 * 1.17 / 1e-14  # counts per flux in the soft band
    counts = columns["flux_soft"] * area
    assert counts.min() >= 0 and counts.max() < 10
    variance = (columns["e_flux_soft"] * area) ** 2
    seen = counts > 1
    np.testing.assert_allclose(variance[seen], counts[seen] + 0.8 + 0.75)
    assert set(variance[~seen].round(9)) == {0.75, 1.75}  # no count or one
    # A bright source is observed for less time: a million counts, at the true flux.
    bright = Brightness(log_flux=np.full(size, -8.0), log_limit=np.full(size, -14.0))
    columns = draw_spectra(source, bright, np.zeros(size), 3)
    total = sum(columns[f"flux_{band}"] for band in ("soft", "medium", "hard"))
    np.testing.assert_allclose(total, 1e-8, rtol=0.01)
    assert (columns["flux_hard"] / columns["e_flux_hard"] < 1_010).all()
