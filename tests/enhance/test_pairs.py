"""Pairs of close positions: poles, 0h, radii per row, error ellipses, bad coordinates."""

import time

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord, search_around_sky
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xbayes.enhance.pairs import (
    Covariances,
    Ellipses,
    Positions,
    circles,
    covariances,
    find_pairs,
    moved,
    normalised_separations,
    offsets,
    positions,
    separations_over_error,
)
from xbayes.errors import InputError


def cluster(rng, ra, dec, spread_arcsec, number):
    """Positions around a direction, also over a pole and across 0h, without spherical formulas."""
    centre = SkyCoord(ra * u.deg, dec * u.deg)
    made = centre.directional_offset_by(
        rng.uniform(0, 360, number) * u.deg, spread_arcsec * rng.random(number) * u.arcsec
    )
    return Positions(ra=made.ra.deg, dec=made.dec.deg)


def sky(place):
    return SkyCoord(place.ra * u.deg, place.dec * u.deg)


@settings(max_examples=60, deadline=None)
@given(
    ra=st.sampled_from([0.0, 359.9999, 180.0]) | st.floats(0, 360),
    dec=st.sampled_from([90.0, -90.0, 89.9999, 0.0]) | st.floats(-90, 90),
    radius=st.sampled_from([0.5, 10.0, 3600.0, 200_000.0]),
    seed=st.integers(0, 1000),
)
@example(ra=0.0, dec=90.0, radius=10.0, seed=1)
@example(ra=0.0, dec=0.0, radius=10.0, seed=2)
def test_pairs_are_those_of_astropy(ra, dec, radius, seed):
    rng = np.random.default_rng(seed)
    first = cluster(rng, ra, dec, 3 * radius, 30)
    second = cluster(rng, ra, dec, 3 * radius, 40)
    found = find_pairs(first, second, radius)
    i, j, separation, _ = search_around_sky(sky(first), sky(second), radius * u.arcsec)
    order = np.lexsort((j, i))
    assert found.first.tolist() == i[order].tolist()
    assert found.second.tolist() == j[order].tolist()
    np.testing.assert_allclose(found.separation, separation.arcsec[order], rtol=1e-9, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(dec=st.sampled_from([90.0, -89.9, 0.0, 45.0]), seed=st.integers(0, 1000))
def test_a_radius_per_row_is_kept_to(dec, seed):
    rng = np.random.default_rng(seed)
    first, second = cluster(rng, 0.0, dec, 60, 40), cluster(rng, 0.0, dec, 60, 40)
    radius = 10 ** rng.uniform(-2, 2, 40)
    found = find_pairs(first, second, radius)
    separation = sky(first)[:, None].separation(sky(second)).arcsec
    i, j = np.nonzero(separation <= radius[:, None])
    assert found.first.tolist() == i.tolist() and found.second.tolist() == j.tolist()


@pytest.mark.parametrize("dec", [90.0, -90.0, 89.9995, 0.0, -30.0])
def test_offsets_are_those_of_astropy(dec):
    rng = np.random.default_rng(3)
    first, second = cluster(rng, 0.0, dec, 30, 50), cluster(rng, 0.0, dec, 30, 50)
    east, north = offsets(first, second).T
    distance = sky(first).separation(sky(second)).arcsec
    angle = sky(first).position_angle(sky(second)).rad
    np.testing.assert_allclose(east, distance * np.sin(angle), atol=1e-6)
    np.testing.assert_allclose(north, distance * np.cos(angle), atol=1e-6)


@pytest.mark.parametrize("dec", [90.0, 89.9999, 0.0, -45.0])
def test_moving_is_the_inverse_of_offsets(dec):
    rng = np.random.default_rng(5)
    first, second = cluster(rng, 0.0, dec, 3000, 50), cluster(rng, 0.0, dec, 3000, 50)
    there = moved(first, offsets(first, second))
    assert sky(there).separation(sky(second)).arcsec.max() < 1e-6
    assert sky(moved(first, np.zeros((50, 2)))).separation(sky(first)).arcsec.max() < 1e-9


def test_same_position_has_no_offset_and_opposite_ones_are_found():
    place = Positions(ra=np.array([10.0, 0.0]), dec=np.array([20.0, 0.0]))
    assert np.all(offsets(place, place) == 0)
    other = Positions(ra=np.array([190.0]), dec=np.array([-20.0]))
    found = find_pairs(place, other, 180 * 3600)
    assert found.first.tolist() == [0, 1]
    assert found.separation[0] == pytest.approx(180 * 3600, rel=1e-6)


def ellipse_by_points(ellipse, place, origin):
    """The covariance of points on the 1 sigma ellipse, carried to the sky by astropy."""
    phase = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    major, minor = ellipse.major[0] * np.cos(phase), ellipse.minor[0] * np.sin(phase)
    angle = np.deg2rad(ellipse.angle[0]) + np.arctan2(minor, major)
    points = sky(place)[0].directional_offset_by(angle * u.rad, np.hypot(major, minor) * u.arcsec)
    start = offsets(origin, place)
    count = len(phase)
    origins = Positions(ra=np.repeat(origin.ra, count), dec=np.repeat(origin.dec, count))
    ends = offsets(origins, Positions(ra=points.ra.deg, dec=points.dec.deg))
    away = ends - start
    return 2 * (away[:, :, None] * away[:, None, :]).mean(0)


@settings(max_examples=60, deadline=None)
@given(
    ra=st.floats(0, 359),
    dec=st.sampled_from([89.9999, -89.999, 0.0, 60.0, -45.0]),
    angle=st.floats(-180, 360),
    seed=st.integers(0, 1000),
)
def test_ellipses_are_carried_to_the_plane_of_the_origin(ra, dec, angle, seed):
    rng = np.random.default_rng(seed)
    origin, place = cluster(rng, ra, dec, 20, 1), cluster(rng, ra, dec, 20, 1)
    ellipse = Ellipses(major=np.array([3.0]), minor=np.array([1.0]), angle=np.array([angle]))
    found = covariances(ellipse, place, origin)
    wanted = ellipse_by_points(ellipse, place, origin)
    np.testing.assert_allclose(
        [found.xx[0], found.xy[0], found.yy[0]],
        [wanted[0, 0], wanted[0, 1], wanted[1, 1]],
        atol=2e-3,
    )


def test_an_ellipse_along_the_offset_lowers_the_normalised_separation():
    """8 arcsec north with errors (3, 1) and 1: sqrt(10) and sqrt(2) arcsec in that direction."""
    first = Positions(ra=np.zeros(2), dec=np.array([10.0, 10.0]))
    second = Positions(ra=np.zeros(2), dec=first.dec + 8 / 3600)
    ellipse = Ellipses(
        major=np.array([3.0, 3.0]), minor=np.array([1.0, 1.0]), angle=np.array([0.0, 90.0])
    )
    pairs = find_pairs(first, second, 9.0)
    own = pairs.first == pairs.second
    found = separations_over_error(pairs, first, second, ellipse, circles(np.ones(2)))[own]
    np.testing.assert_allclose(found, [8 / np.sqrt(10), 8 / np.sqrt(2)], rtol=1e-6)


def test_circles_need_no_angle_and_distances_are_mahalanobis():
    errors = Ellipses(major=np.array([2.0]), minor=np.array([2.0]), angle=np.array([np.nan]))
    place = Positions(ra=np.array([5.0]), dec=np.array([80.0]))
    found = covariances(errors, place, place)
    np.testing.assert_allclose([found.xx[0], found.xy[0], found.yy[0]], [4, 0, 4], atol=1e-12)
    rng = np.random.default_rng(0)
    root = rng.normal(size=(2, 2))
    matrix = root @ root.T
    offset = rng.normal(size=(5, 2))
    wanted = np.sqrt(np.einsum("pi,ij,pj->p", offset, np.linalg.inv(matrix), offset))
    one = Covariances(
        xx=np.full(5, matrix[0, 0]), xy=np.full(5, matrix[0, 1]), yy=np.full(5, matrix[1, 1])
    )
    np.testing.assert_allclose(normalised_separations(offset, one), wanted)


def test_duplicate_and_unknown_positions():
    first = Positions(ra=np.array([1.0, 1.0, np.nan]), dec=np.array([2.0, 2.0, 2.0]))
    second = Positions(ra=np.array([1.0, 1.0, 1.0]), dec=np.array([2.0, 2.0, np.nan]))
    found = find_pairs(first, second, 1.0)
    assert list(zip(found.first, found.second, strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert find_pairs(first, second, np.array([np.nan, 1.0, 1.0])).first.tolist() == [1, 1]
    none = Positions(ra=np.zeros(0), dec=np.zeros(0))
    assert len(find_pairs(none, second, 1.0).first) == len(find_pairs(first, none, 1.0).first) == 0


def test_many_rows_at_one_position_are_quick():
    """A tree that splits at medians takes minutes here."""
    same = Positions(ra=np.full(30_000, 10.0), dec=np.full(30_000, 20.0))
    found = find_pairs(Positions(ra=np.array([10.0]), dec=np.array([20.0])), same, 1.0)
    assert len(found.first) == 30_000


@pytest.mark.parametrize("radius", [-1.0, 700_000.0, np.nan, np.array([1.0, 2.0, 3.0])])
def test_a_wrong_radius_is_refused(radius):
    place = Positions(ra=np.zeros(2), dec=np.zeros(2))
    with pytest.raises(InputError, match="radi"):
        find_pairs(place, place, radius)


def test_coordinates_are_checked():
    with pytest.raises(InputError, match="swapped"):
        positions(np.array([10.0, 20.0]), np.array([30.0, 200.0]), name="a.fits")
    with pytest.raises(InputError, match="outside -90 to 90"):
        positions(np.array([100.0]), np.array([200.0]))
    with pytest.raises(InputError, match="not angles"):
        positions(np.array([1e5]), np.array([0.0]))
    with pytest.raises(InputError, match="one of each"):
        positions(np.zeros(2), np.zeros(3))
    place = positions(np.ma.array([1.0, 2.0], mask=[True, False]), np.array([3.0, np.inf]))
    assert np.isnan(place.ra).tolist() == [True, False]
    assert np.isnan(place.dec).tolist() == [False, True]


@pytest.mark.slow
def test_a_million_against_a_million_takes_less_than_30_seconds():
    """A few seconds on an idle core; experiments/bench_match has more cases."""
    rng = np.random.default_rng(0)

    def isotropic():
        dec = np.degrees(np.arcsin(rng.uniform(-1, 1, 1_000_000)))
        return Positions(ra=rng.uniform(0, 360, 1_000_000), dec=dec)

    first, second = isotropic(), isotropic()
    start = time.process_time()
    found = find_pairs(first, second, 10.0)
    assert time.process_time() - start < 30
    # 1e12 pairs times the share of the sphere in a circle of 10 arcsec.
    assert abs(len(found.first) - 1e12 * np.deg2rad(10 / 3600) ** 2 / 4) < 100
