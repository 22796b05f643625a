"""Host galaxies: ellipses at D25, distances, luminosities, and the flag of ULX."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

from xbayes.config.enhance import EnhanceCatalogConfig
from xbayes.config.enhance_flux import HostsConfig
from xbayes.enhance.hosts import (
    FindHosts,
    Galaxies,
    enclosing_circle,
    hosts_of,
    luminosity,
    radius_ratio,
    read_galaxies,
)
from xbayes.enhance.pairs import Positions, find_pairs
from xbayes.errors import InputError

COLUMNS = {
    **{"name": "NAME", "ra": "RA", "dec": "DEC", "semi_major": "R1", "semi_minor": "R2"},
    **{"position_angle": "PA", "distance": "D", "log_mass": "logM", "log_sfr": "logSFR"},
}


def galaxies(*rows):
    """Galaxies (right ascension, declination, semi-axes in arcmin, position angle, distance)."""
    columns = [np.array(each, float) for each in zip(*rows, strict=True)]
    n = len(rows)
    return Galaxies(
        name=np.array([f"G{i}" for i in range(n)]), place=Positions(ra=columns[0], dec=columns[1]),
        major=columns[2], minor=columns[3], angle=columns[4], distance=columns[5],
        log_mass=np.full(n, 10.0), log_sfr=np.zeros(n),
    )  # fmt: skip


def test_the_ratio_on_the_axes_of_an_ellipse():
    # Semi-axes 6 and 2 arcmin; the major axis points north-east (45 degrees).
    galaxy = galaxies((30.0, 0.0, 6.0, 2.0, 45.0, 10.0))
    centre = SkyCoord(30 * u.deg, 0 * u.deg)
    for angle, distance, right in (
        (45, 6, 1),
        (225, 3, 0.5),
        (135, 2, 1),
        (315, 4, 2),
        (0, 1, None),
    ):
        at = centre.directional_offset_by(angle * u.deg, distance * u.arcmin)
        place = Positions(ra=np.array([at.ra.deg]), dec=np.array([at.dec.deg]))
        found = radius_ratio(galaxy, np.array([0]), place, np.array([float(distance)]))
        if right is None:  # at 45 degrees from both axes: x = y = 1 / sqrt 2
            right = np.sqrt(0.5 / 36 + 0.5 / 4)
        assert found[0] == pytest.approx(right, rel=1e-6)


@pytest.mark.parametrize("dec", [0.0, 75.0, 89.99])
def test_hosts_agree_with_brute_force(dec):
    rng = np.random.default_rng(3)
    n = 40
    centre = SkyCoord(0 * u.deg, dec * u.deg)

    def scattered(number):
        return centre.directional_offset_by(
            rng.uniform(0, 360, number) * u.deg, 1.0 * np.sqrt(rng.random(number)) * u.deg
        )

    at, sources = scattered(n), scattered(500)
    major = rng.uniform(1, 15, n)
    given = Galaxies(
        name=np.arange(n).astype(str), place=Positions(ra=at.ra.deg, dec=at.dec.deg), major=major,
        minor=major * rng.uniform(0.2, 1, n),
        angle=np.where(np.arange(n) % 7, rng.uniform(0, 180, n), np.nan),
        distance=np.ones(n), log_mass=np.ones(n), log_sfr=np.ones(n),
    )  # fmt: skip
    place = Positions(ra=sources.ra.deg, dec=sources.dec.deg)
    host, ratio, number = hosts_of(place, given, 1.26)
    assert 50 < (host >= 0).sum() < 500
    for row, source in enumerate(sources):
        separation = at.separation(source).arcmin
        angle = at.position_angle(source).rad - np.deg2rad(given.angle)
        x, y = separation * np.cos(angle), separation * np.sin(angle)
        each = np.hypot(x / given.major, y / given.minor)
        circle = separation / np.sqrt(given.major * given.minor)
        each = np.where(np.isfinite(given.angle), each, circle)
        inside = each <= 1.26
        assert number[row] == inside.sum()
        assert host[row] == (np.argmin(each) if inside.any() else -1)
        if inside.any():
            assert ratio[row] == pytest.approx(each.min(), rel=1e-9)


def test_a_luminosity_by_hand():
    # 1e-14 erg/s/cm2 at 10 Mpc: 4 pi (3.0857e25 cm)^2 1e-14 = 1.1965e38 erg/s.
    np.testing.assert_allclose(
        luminosity(np.array([1e-14, 0.0, np.nan]), np.full(3, 10.0)),
        [1.19649e38, np.nan, np.nan], rtol=1e-4,
    )  # fmt: skip


def file_of(tmp_path, **changes):
    table = Table(
        {
            "NAME": ["near", "far", "unknown"],
            "RA": [10.0, 20.0, 30.0],
            "DEC": [0.0, 0.0, 0.0],
            "R1": [3.0, 3.0, 3.0],
            "R2": [1.5, np.nan, 3.0],
            "PA": [0.0, np.nan, 0.0],
            "D": [5.0, 50.0, np.nan],
            "logM": [10.0, 11.0, 9.0],
            "logSFR": [0.5, np.nan, 0.0],
        },
        masked=True,
    )
    for name, values in changes.items():
        table[name] = values
    path = tmp_path / "galaxies.ecsv"
    table.write(path, overwrite=True)
    return str(path)


def run(settings, table, services=None):
    step = FindHosts(
        HostsConfig.model_validate({**COLUMNS, "flux": "flux", **settings}),
        EnhanceCatalogConfig.model_validate({"error": "err"}),
    )
    made = step.run(Table(table, masked=True), services)
    assert list(made.columns) == [added.name for added in step.columns()]
    return made


def sources():
    """North, east, at the centre, in the far galaxy, in the one of unknown distance, nowhere."""
    arcmin = 1 / 60
    return {
        "ra": np.ma.masked_array(
            [10.0, 10 + 1.7 * arcmin, 10.0, 20 + 1 * arcmin, 30 + arcmin, 100.0, 0.0],
            [False] * 6 + [True],
        ),
        "dec": [3 * arcmin, 0.0, 1 / 3600, 0.0, 0.0, 0.0, 0.0],
        "flux": [1e-12, 1e-12, 1e-12, 1e-14, 1e-12, 1e-12, 1e-12],
        "err": [0.5] * 7,
    }


def test_columns_of_hosts(tmp_path):
    made = run({"file": file_of(tmp_path)}, sources())
    columns = made.columns
    right = ["near", "near", "near", "far", "unknown", "", ""]
    assert columns["host_name"].filled("").tolist() == right
    assert columns["host_n"].filled(-1).tolist() == [1, 1, 1, 1, 1, 0, -1]
    ratios = [1.0, 1.7 / 1.5, 1 / 180, 1 / 3, 1 / 3, -1, -1]
    np.testing.assert_allclose(columns["host_radius_ratio"].filled(-1), ratios, rtol=1e-6)
    separations = [3.0, 1.7, 1 / 60, 1, 1, -1, -1]
    np.testing.assert_allclose(columns["host_separation"].filled(-1), separations, rtol=1e-6)
    np.testing.assert_allclose(columns["host_distance"].filled(-1), [5, 5, 5, 50, -1, -1, -1])
    np.testing.assert_allclose(columns["host_log_sfr"].filled(-9), [0.5, 0.5, 0.5, -9, 0, -9, -9])
    np.testing.assert_allclose(
        columns["host_luminosity"].filled(-1),
        [2.99121e39, 2.99121e39, 2.99121e39, 2.99121e39, -1, -1, -1], rtol=1e-4,
    )  # fmt: skip
    ulx = columns["host_ulx"]
    # The third is in the nucleus; of the fifth nothing is known; the sixth is in no galaxy.
    assert ulx.tolist() == [True, True, False, True, None, False, None]
    assert str(columns["host_luminosity"].unit) == "erg / s"
    assert made.notes == ("5 of 6 positions are inside a galaxy",)


def test_the_scale_limits_the_ratio(tmp_path):
    made = run({"file": file_of(tmp_path), "scale": 1.1}, sources())
    assert made.columns["host_name"].filled("").tolist()[:3] == ["near", "", "near"]


def test_the_nucleus_grows_with_the_position_error(tmp_path):
    table = sources()
    table["err"][0] = 70.0  # 3 errors are 3.5 arcmin
    assert run({"file": file_of(tmp_path)}, table).columns["host_ulx"].tolist()[:2] == [False, True]


def test_without_flux_there_is_no_luminosity(tmp_path):
    names = list(run({"file": file_of(tmp_path), "flux": None}, sources()).columns)
    assert "host_luminosity" not in names and "host_ulx" not in names


@pytest.mark.parametrize(
    ("axes", "major", "minor"),
    [
        ("semi", [3.0], [1.5]),
        ("full", [6.0], [3.0]),
        ("log_full", [np.log10(60.0)], [np.log10(2.0)]),  # 6 arcmin = 60 x 0.1; axis ratio 2
    ],
)
def test_forms_of_axes(axes, major, minor):
    settings = HostsConfig.model_validate({**COLUMNS, "file": "x", "axes": axes})
    table = Table({"NAME": ["a"], "RA": [1.0], "DEC": [2.0], "R1": major, "R2": minor, "PA": [3.0],
                   "D": [4.0], "logM": [5.0], "logSFR": [6.0]})  # fmt: skip
    found = read_galaxies(table, settings)
    assert (found.major[0], found.minor[0]) == (pytest.approx(3.0), pytest.approx(1.5))
    table["R1"].unit = "" if axes == "log_full" else "deg"
    if axes != "log_full":
        assert read_galaxies(table, settings).major[0] == pytest.approx(180.0)


def test_galaxies_of_vizier_around_the_positions(archive, services, tmp_path):
    table = Table.read(file_of(tmp_path))
    table.remove_columns(["NAME", "logSFR"])
    table["PGC"] = [1, 2, 3]
    archive.services["vizier"]["J/X/hecate"] = table
    settings = {"catalogue": "J/X/hecate", "name": ["NAME", "PGC"], "log_sfr": None}
    near = {name: values[:3] for name, values in sources().items()}
    made = run(settings, near, services())
    assert made.columns["host_name"].tolist() == ["1", "1", "1"]
    assert any("CONTAINS" in asked.form.get("QUERY", "") for asked in archive.requests)
    with pytest.raises(InputError, match="VizieR has no table 'J/Y'"):
        run({**settings, "catalogue": "J/Y"}, near, services())


@pytest.mark.parametrize("spread", [0.1, 30.0, 89.0])
def test_the_enclosing_circle_holds_all_positions(spread):
    rng = np.random.default_rng(2)
    centre = SkyCoord(350 * u.deg, 80 * u.deg)
    at = centre.directional_offset_by(
        rng.uniform(0, 360, 200) * u.deg, spread * np.sqrt(rng.random(200)) * u.deg
    )
    (ra, dec), radius = enclosing_circle(Positions(ra=at.ra.deg, dec=at.dec.deg))
    assert SkyCoord(ra * u.deg, dec * u.deg).separation(at).deg.max() <= radius + 1e-9
    assert radius < 1.3 * spread
    opposite = Positions(ra=np.array([0.0, 180.0]), dec=np.zeros(2))
    assert enclosing_circle(opposite)[1] == 180


def test_a_large_galaxy_is_found_from_far():
    galaxy = galaxies((10.68, 41.27, 95.0, 30.0, 35.0, 0.77))
    at = SkyCoord(10.68 * u.deg, 41.27 * u.deg).directional_offset_by(35 * u.deg, 90 * u.arcmin)
    host, ratio, _ = hosts_of(
        Positions(ra=np.array([at.ra.deg]), dec=np.array([at.dec.deg])), galaxy, 1.26
    )
    assert host[0] == 0 and ratio[0] == pytest.approx(90 / 95, rel=1e-6)
    assert len(find_pairs(galaxy.place, galaxy.place, 1.0).first) == 1
