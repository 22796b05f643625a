"""Cones as people type them, and cells that cover a region once."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st
from mocpy import MOC

from xbayes.enhance.regions import Cell, Cone, Region, parse_cone
from xbayes.errors import InputError

NAMES = {"M31": (10.6847, 41.269), "M 31": (10.6847, 41.269), "47 Tuc": (6.02, -72.08)}


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("M31 0.5deg", (10.6847, 41.269, 0.5)),
        ("M 31 30arcmin", (10.6847, 41.269, 0.5)),
        ("47 Tuc 0.1", (6.02, -72.08, 0.1)),
        ("M31 0.5 deg", (10.6847, 41.269, 0.5)),
        ("10.5 41.25 0.5", (10.5, 41.25, 0.5)),
        ("10.5 -41.25 1800arcsec", (10.5, -41.25, 0.5)),
        ("00:42:44.3 +41:16:09 0.5deg", (10.684583, 41.269167, 0.5)),
        ("00h42m44.3s +41d16m09s 0.5d", (10.684583, 41.269167, 0.5)),
        ("0 42 44.3 +41 16 9 0.5", (10.684583, 41.269167, 0.5)),
        ("360 -90 90", (0.0, -90.0, 90.0)),
    ],
)
def test_a_cone_is_a_name_or_a_position_and_a_radius(text, right):
    assert parse_cone(text, NAMES.__getitem__) == pytest.approx(right, abs=1e-5)


def test_a_position_asks_nobody():
    def resolve(name):
        raise AssertionError(name)

    for text in ("10.5 41.25 0.5", "00:42:44.3 +41:16:09 1arcmin"):
        parse_cone(text, resolve)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("M31", "a name or a position, and a radius"),
        ("", "a name or a position, and a radius"),
        ("10.5 41.25", "is no radius|a radius|no object"),
        ("M31 half", "'half' is no radius"),
        ("M31 0", "above 0"),
        ("M31 91deg", "up to 90"),
        ("41.25 100.5 0.5", "swapped"),
        ("400 0 0.5", "right ascension goes from 0 to 360"),
    ],
)
def test_what_is_no_cone_is_refused(text, says):
    def resolve(name):
        raise InputError("no object")

    with pytest.raises(InputError, match=says):
        parse_cone(text, resolve)


def sky(n, rng):
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


@settings(max_examples=8, deadline=None)
@given(
    st.floats(0, 360), st.floats(-90, 90), st.floats(0.001, 60), st.integers(0, 2**32 - 1)
)  # fmt: skip
def test_every_position_in_a_cone_is_in_one_cell_and_its_circle(ra, dec, radius, seed):
    region = Region(cone=Cone(ra, dec, radius))
    rng = np.random.default_rng(seed)
    centre = SkyCoord(ra * u.deg, dec * u.deg)
    place = centre.directional_offset_by(
        rng.uniform(0, 360, 50) * u.deg, radius * np.sqrt(rng.uniform(0, 1, 50)) * u.deg
    )
    cells = region.cells()
    assert len(cells) < 250
    cells += cells[0].split()  # and deeper ones
    inside = [cell.contains(place.ra.deg, place.dec.deg) for cell in cells[:-4]]
    np.testing.assert_array_equal(np.sum(inside, axis=0), 1)
    for cell, found in zip(cells, inside, strict=False):
        if not found.any():
            continue
        circle = cell.circle()
        separation = SkyCoord(circle.ra * u.deg, circle.dec * u.deg).separation(place[found])
        assert np.all(separation.deg <= circle.radius)
        assert region.overlaps(cell)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_the_children_of_a_cell_are_the_cell(order):
    rng = np.random.default_rng(order)
    ra, dec = sky(3000, rng)
    for pixel in (0, 5, 12 * 4**order - 1):
        cell = Cell(order, pixel)
        children = np.sum([child.contains(ra, dec) for child in cell.split()], axis=0)
        np.testing.assert_array_equal(children, cell.contains(ra, dec))


def test_a_moc_is_covered_by_its_cells_and_nothing_far_from_it():
    moc = MOC.from_string("5/10-12 7/4000")
    region = Region(moc=moc)
    ra, dec = sky(50_000, np.random.default_rng(0))
    inside = region.contains(ra, dec)
    covered = np.sum([cell.contains(ra, dec) for cell in region.cells()], axis=0)
    assert inside.any() and np.all(covered[inside] == 1)
    assert covered.mean() < 4 * moc.sky_fraction
    far = Cell(5, 900)
    assert not region.overlaps(far)


def test_the_whole_sky_is_in_48_cells():
    region = Region()
    ra, dec = sky(1000, np.random.default_rng(0))
    cells = region.cells()
    assert len(cells) == 48 and region.overlaps(cells[7])
    np.testing.assert_array_equal(np.sum([c.contains(ra, dec) for c in cells], axis=0), 1)
