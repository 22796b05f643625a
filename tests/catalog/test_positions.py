"""Positions as people write them."""

import pytest

from xbayes.catalog.positions import parse_position
from xbayes.errors import InputError

M31 = (10.6846, 41.2692)


@pytest.mark.parametrize(
    "text",
    [
        "10.6846 41.2692",
        "10.6846, +41.2692",
        "10.6846+41.2692",
        "ra=10.6846 dec=41.2692",
        "00:42:44.3 +41:16:09",
        "00 42 44.3 +41 16 09",
        "00 42 44.3 41 16 09",
        "00h42m44.3s +41d16m09s",
        "00h42m44.3s+41d16m09s",
        "00h42m44.3s, 41°16′09″",
        "J004244.3+411609",
        "4XMM J004244.3+411609",
        "2CXOJ004244.3+411609",
        "l=121.1743 b=-21.5733",
        "G121.1743-21.5733",
        "121.1743 -21.5733 galactic",
    ],
)
def test_one_place_in_every_form(text):
    assert parse_position(text) == pytest.approx(M31, abs=1e-3)


def test_southern_declinations_and_less_exact_names():
    assert parse_position("05:35:00 -00:30:00") == pytest.approx((83.75, -0.5))
    assert parse_position("J0535-0030") == pytest.approx((83.75, -0.5))
    assert parse_position("J0535.5-0030") == pytest.approx((83.875, -0.5))
    assert parse_position("-10 5") == pytest.approx((350, 5))


@pytest.mark.parametrize(
    "text", ["", "M31", "HD 12345", "3C 273", "SIM 0000001", "123", "0042+4116", "1 2 3", "5 ."]
)
def test_names_are_no_positions(text):
    assert parse_position(text) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("41 100", "declination must be from -90 to 90 degrees; found 100; right ascension comes"),
        ("400 10", "right ascension must be from 0 to 360"),
        ("00:72:11 +10:00:00", "minutes and seconds must be below 60"),
        ("25:00:00 +10:00:00", "found 375"),
        ("G400-3", "l must be from 0 to 360"),
        ("J996000+100000", "minutes and seconds"),
    ],
)
def test_impossible_places_are_said(text, says):
    with pytest.raises(InputError, match=says):
        parse_position(text)
