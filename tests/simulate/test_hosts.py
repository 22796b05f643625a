"""Nearby galaxies of the simulated sky, and the sources inside them."""

import numpy as np
import pytest
from scipy.integrate import quad

import xbayes
from xbayes.catalog.columns import masked_column
from xbayes.simulate.catalog import simulate_catalog
from xbayes.simulate.hosts import (
    REACH,
    agn_per_square_degree,
    draw_galaxies,
    draw_host_sources,
    host_columns,
    number_densities,
)
from xbayes.simulate.sky import Place


@pytest.fixture(scope="module")
def sky():
    return simulate_catalog(2000, 3, hosts=True)


def test_without_hosts_the_same_seed_gives_the_same_rows(sky):
    plain = simulate_catalog(2000, 3)
    assert "host" not in plain.colnames and len(sky) > 2000
    for name in plain.colnames[1:]:
        old, new = masked_column(plain, name), masked_column(sky, name)[:2000]
        assert np.array_equal(old.mask, new.mask)
        assert np.array_equal(np.asarray(old[~old.mask]), np.asarray(new[~new.mask]))


def test_the_agn_are_the_derivative_of_the_published_counts():
    def counts(flux):
        s = 0.75 * flux
        return 5300 * 2e-15**1.57 / (s**1.57 + 4.5e-15**1.13 * s**0.44)

    for flux in (1e-15, 2e-14, 3e-13):
        at = quad(lambda x: agn_per_square_degree(np.exp([x]))[0], np.log(flux), np.log(1e-7))
        integral = at[0]
        assert integral == pytest.approx(counts(flux), rel=1e-3)


def test_sources_follow_the_number_densities():
    """Numbers and populations in the galaxies, against the expected numbers, within 4 sigma."""
    galaxies = draw_galaxies(300, 1)
    drawn = draw_host_sources(galaxies, 0, 1)
    flux, of_each = 10**drawn.log_flux, {}
    host = host_columns(galaxies, drawn.place, flux)
    bright = drawn.log_flux > -13.3  # above the limits of nearly all galaxies
    grid = np.linspace(-13.3, -11, 200)
    expected = np.zeros(3)
    for h in range(len(galaxies.name)):
        values = (galaxies.distance, galaxies.area, galaxies.log_mass, galaxies.star_formation)
        density = number_densities(10**grid, *(np.full(200, v[h]) for v in values))
        expected += np.trapezoid(density, grid * np.log(10), axis=0) * (h >= 7)
    others = np.char.startswith(host["host"].astype(str), "HOST")
    for k, label in enumerate(("AGN", "XRB", "Soft")):
        of_each[label] = int((bright & others & (drawn.label == label)).sum())
        if label == "AGN":  # without the nuclei
            of_each[label] -= int((bright & others & (host["host_sep"] < 0.03)).sum())
        assert abs(of_each[label] - expected[k]) < 4 * np.sqrt(expected[k]) + 3, label


def test_sources_lie_in_the_ellipse_of_their_host(sky):
    inside = ~masked_column(sky, "host").mask
    separation = np.asarray(sky["host_sep"])[inside]
    assert (separation < REACH).all() and 0.3 < np.median(separation) < 1.1
    flux = sum(np.asarray(sky[f"flux_{band}"]) for band in ("soft", "medium", "hard"))
    distance = np.asarray(sky["host_distance"])[inside]
    area = 4 * np.pi * (distance * 3.0857e24) ** 2
    np.testing.assert_allclose(
        np.asarray(sky["host_log_lx"])[inside], np.log10(flux[inside] * area), rtol=1e-10
    )
    for name in ("host_sep", "host_distance", "host_area", "host_sfr", "host_log_mass"):
        assert np.array_equal(masked_column(sky, name).mask, ~inside)


def test_a_source_just_outside_the_ellipse_has_no_host():
    galaxies = draw_galaxies(0, 1)
    at = [REACH * galaxies.semi_major[0] * f for f in (0.99, 1.01)]
    north = [np.cos(galaxies.angle[0]) * r for r in at]
    east = [np.sin(galaxies.angle[0]) * r for r in at]
    flat = np.cos(np.radians(galaxies.latitude[0]))
    place = Place(
        longitude=galaxies.longitude[0] + np.array(east) / flat,
        latitude=galaxies.latitude[0] + np.array(north),
        distance=np.ones(2),
    )
    found = host_columns(galaxies, place, np.ones(2))
    assert found["host"].tolist() == [galaxies.name[0], ""]
    assert found["host_sep"][0] == pytest.approx(0.99 * REACH)


def test_classes_of_the_sky_with_hosts(sky):
    labels, counts = np.unique(np.asarray(sky["Class"]), return_counts=True)
    assert set(labels) == {"AGN", "CV", "Extended", "Soft", "Star", "XRB"} and counts.min() >= 10
    extended = np.asarray(sky["Class"]) == "Extended"
    assert np.array_equal(np.asarray(sky["extent"]) > 0, extended)
    again = xbayes.simulate(2000, seed=3, hosts=True)
    assert np.array_equal(np.asarray(again["ra"]), np.asarray(sky["ra"]))
