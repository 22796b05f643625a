"""Galactic coordinates, frames, and flags of doubtful positions."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import FK4, FK5, Galactic, SkyCoord
from astropy.table import MaskedColumn, Table
from astropy.time import Time
from mocpy import MOC

from xbayes.config.enhance import EnhanceCatalogConfig, MocConfig, PositionsConfig
from xbayes.enhance.check_positions import CheckPositions, sources_at
from xbayes.enhance.pairs import Positions
from xbayes.errors import InputError

RNG = np.random.default_rng(5)
RA, DEC = RNG.uniform(0, 360, 50), np.rad2deg(np.arcsin(RNG.uniform(-1, 1, 50)))


def checked(table, settings=None, services=None, **catalog):
    step = CheckPositions(
        PositionsConfig(**(settings or {})), EnhanceCatalogConfig.model_validate(catalog)
    )
    made = step.run(Table(table, masked=True), services)
    assert list(made.columns) == [added.name for added in step.columns()]
    return made


def test_galactic_coordinates_of_known_places():
    # The centre of the Galaxy as IAU defined it, and the north Galactic pole (J2000).
    made = checked({"ra": [266.40499625, 192.85948], "dec": [-28.93617242, 27.12825]})
    np.testing.assert_allclose(made.columns["gal_b"], [0, 90], atol=1e-4)
    assert min(made.columns["gal_l"][0], 360 - made.columns["gal_l"][0]) < 1e-4
    assert made.columns["gal_l"].meta["ucd"] == "pos.galactic.lon"
    assert made.columns["gal_l"].unit == u.deg


@pytest.mark.parametrize(
    ("frame", "catalog"),
    [
        (Galactic(), {"frame": "galactic"}),
        (FK4(equinox=Time("B1950")), {"frame": "fk4"}),
        (FK5(equinox=Time("J1975")), {"frame": "fk5", "equinox": 1975}),
        (FK5(equinox=Time("J2000")), {"frame": "fk5"}),
    ],
)
def test_other_frames_are_converted(frame, catalog):
    there = SkyCoord(RA * u.deg, DEC * u.deg).transform_to(frame)
    made = checked(
        {"x": there.spherical.lon.deg, "y": there.spherical.lat.deg}, ra="x", dec="y", **catalog
    )
    back = SkyCoord(made.columns["icrs_ra"], made.columns["icrs_dec"], unit="deg")
    assert back.separation(SkyCoord(RA * u.deg, DEC * u.deg)).arcsec.max() < 1e-3


def test_b1950_moves_by_precession():
    made = checked({"x": [0.0], "y": [0.0]}, ra="x", dec="y", frame="fk4")
    # In 50 years by 50 * 46.1 arcsec in right ascension and 50 * 20.04 arcsec in declination.
    assert made.columns["icrs_ra"][0] == pytest.approx(50 * 46.1 / 3600, abs=1e-3)
    assert made.columns["icrs_dec"][0] == pytest.approx(50 * 20.04 / 3600, abs=1e-3)


@pytest.mark.parametrize(
    ("columns", "frame", "message"),
    [
        (("glon", "glat"), "icrs", "looks galactic.*set catalog.frame: galactic"),
        (("l", "b"), "fk5", "looks galactic"),
        (("RAB1950", "DEB1950"), "icrs", "looks fk4.*set catalog.frame: fk4"),
    ],
)
def test_columns_that_speak_of_another_frame_are_refused(columns, frame, message):
    table = {columns[0]: [10.0], columns[1]: [20.0]}
    with pytest.raises(InputError, match=message):
        checked(table, ra=columns[0], dec=columns[1], frame=frame)


def test_the_ucd_says_the_frame():
    x = MaskedColumn([10.0], name="x", meta={"ucd": "pos.galactic.lon"})
    y = MaskedColumn([20.0], name="y", meta={"ucd": "pos.galactic.lat"})
    with pytest.raises(InputError, match=r"UCD pos.galactic.lon.*looks galactic"):
        checked([x, y], ra="x", dec="y")
    assert "icrs_ra" in checked([x, y], ra="x", dec="y", frame="galactic").columns


def test_units_of_the_file_are_converted():
    made = checked([MaskedColumn(np.deg2rad([100.0]), name="ra", unit="rad"),
                    MaskedColumn([-600.0], name="dec", unit="arcmin")])  # fmt: skip
    right = SkyCoord(100 * u.deg, -10 * u.deg).galactic
    assert made.columns["gal_b"][0] == pytest.approx(right.b.deg, abs=1e-9)


def test_rows_without_a_position_are_flagged_and_empty():
    ra = np.ma.masked_array([10.0, 20.0, np.nan, np.inf], [False, True, False, False])
    made = checked({"ra": ra, "dec": [1.0, 2.0, 3.0, 4.0]})
    np.testing.assert_array_equal(made.columns["position_flag"], [0, 1, 1, 1])
    np.testing.assert_array_equal(made.columns["gal_b"].mask, [False, True, True, True])
    assert "3 rows without a position" in made.notes


def test_no_position_at_all_is_refused():
    with pytest.raises(InputError, match="no row has a position"):
        checked({"ra": [np.nan], "dec": [1.0]})


def test_swapped_coordinates_are_refused():
    with pytest.raises(InputError, match="swapped"):
        checked({"ra": [10.0, -20.0], "dec": [200.0, 300.0]})


def test_a_survey_finds_swapped_coordinates_that_are_in_range(tmp_path):
    path = tmp_path / "survey.fits"
    MOC.from_cone(lon=80 * u.deg, lat=10 * u.deg, radius=3 * u.deg, max_depth=9).save(path)
    survey = {"survey": MocConfig(file=str(path))}
    table = {"ra": [80.0, 81.0, 80.5, 0.0], "dec": [10.0, 9.5, 10.2, 0.0]}
    made = checked(table, survey)
    np.testing.assert_array_equal(made.columns["position_flag"], [0, 0, 0, 4])
    assert "1 rows outside the survey" in made.notes
    three = {name: values[:3] for name, values in table.items()}
    with pytest.raises(InputError, match=r"swap them: catalog: \{ra: dec, dec: ra\}"):
        checked({"ra": three["dec"], "dec": three["ra"]}, survey)


@pytest.mark.parametrize("radius", [0.0, 0.5, 4000.0])
def test_sources_at_a_position_agree_with_brute_force(radius):
    ra = np.concatenate([RA[:20], RA[:5], [0.0, 360.0, 7.0, 9.0, np.nan]])
    dec = np.concatenate([DEC[:20], DEC[:5] + 0.4 / 3600, [1.0, 1.0, 90.0, 90.0, 3.0]])
    source = np.arange(len(ra))
    source[21] = source[1]  # a second detection of one source
    position = Positions(ra=np.where(ra == 360, 0.0, ra), dec=dec)
    sky = SkyCoord(ra * u.deg, dec * u.deg)
    near = sky[:, None].separation(sky).arcsec <= max(radius, 1e-7)
    right = [len(set(source[row])) for row in near]
    right[-1] = 0
    np.testing.assert_array_equal(sources_at(position, source, radius), right)


def test_detections_of_one_source_are_no_duplicates():
    table = {"ra": [1.0, 1.0, 1.0, 2.0], "dec": [2.0] * 4, "name": ["a", "a", "b", "b"]}
    flags = checked(table, source="name").columns["position_flag"]
    np.testing.assert_array_equal(flags, [2, 2, 2, 0])
    table["name"][2] = "a"
    np.testing.assert_array_equal(checked(table, source="name").columns["position_flag"], 0)


@pytest.mark.parametrize(
    "times", [[2010.5, 2020.0], [55379.625, 58849.5], [2455380.125, 2458850.0]]
)
def test_epochs_are_years_or_julian_dates(times):
    made = checked({"ra": [1.0, 2.0], "dec": [1.0, 2.0], "t": times}, epoch="t")
    np.testing.assert_allclose(made.columns["epoch_yr"], [2010.5, 2020.0], rtol=0, atol=1e-9)


def test_epochs_as_text():
    table = {"ra": [1.0, 2.0], "dec": [1.0, 2.0], "t": ["2000-01-01T12:00:00", ""]}
    made = checked(table, epoch="t")
    assert made.columns["epoch_yr"][0] == pytest.approx(2000, abs=1e-5)
    assert made.columns["epoch_yr"].mask[1]


def test_impossible_epochs_are_refused():
    with pytest.raises(InputError, match=r"such as the year 11\.0 in row 2"):
        checked({"ra": [1.0, 2.0], "dec": [1.0, 2.0], "t": [55378.0, 3001.0 - 2990]}, epoch="t")


def test_a_missing_position_error_is_told():
    table = {"ra": [1.0, 2.0], "dec": [1.0, 2.0], "e": [np.nan, 2.0]}
    assert (
        "1 rows without a position error: 1.5 arcsec per axis" in checked(table, error="e").notes[0]
    )
    assert "2 rows without a position error" in checked(table).notes[0]


def test_an_absent_column_is_refused_with_what_to_do():
    with pytest.raises(InputError, match=r"no column 'RA' or 'alpha'.*--set catalog.ra=NAME"):
        checked({"ra": [1.0], "dec": [1.0]}, ra=["RA", "alpha"])
