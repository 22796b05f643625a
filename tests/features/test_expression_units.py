import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from xbayes.catalog.columns import parse_unit
from xbayes.catalog.units import factor_between
from xbayes.errors import InputError
from xbayes.features.expression import parse
from xbayes.features.expression_units import to_declared_unit

FLUX_UNITS = ["erg/s/cm2", "W/m2", "mW/m2", "keV/s/cm2", "1e-15 erg/s/cm2"]
IN_ERG = {unit: factor_between(parse_unit("erg/s/cm2"), parse_unit(unit)) for unit in FLUX_UNITS}
SOFT, HARD = np.array([1e-15, 3e-14, 2e-13]), np.array([2e-15, 1e-14, 5e-13])


def table(**columns):
    """A table of columns, each a pair of values and unit."""
    made = {name: MaskedColumn(v, unit=parse_unit(unit)) for name, (v, unit) in columns.items()}
    return Table(made, masked=True)


def fluxes(first, second):
    return table(a=(SOFT * IN_ERG[first], first), b=(HARD * IN_ERG[second], second))


@pytest.mark.parametrize(
    ("text", "expected", "unit"),
    [
        ("a + b", SOFT + HARD, "erg/s/cm2"),
        ("a - b", SOFT - HARD, "erg/s/cm2"),
        ("min(a, b)", np.minimum(SOFT, HARD), "erg/s/cm2"),
        ("max(a, b, 0)", np.maximum(SOFT, HARD), "erg/s/cm2"),
        ("coalesce(a, b)", SOFT, "erg/s/cm2"),
        ("clip(a, 0, b)", np.minimum(SOFT, HARD), "erg/s/cm2"),
        ("where(a < b, a, b)", np.minimum(SOFT, HARD), "erg/s/cm2"),
        ("hardness(a, b)", (HARD - SOFT) / (HARD + SOFT), None),
        ("a / b", SOFT / HARD, None),
        ("(a + b) / b", (SOFT + HARD) / HARD, None),
        ("sqrt(a**2 + b**2)", np.hypot(SOFT, HARD), "erg/s/cm2"),
        ("a < b", (SOFT < HARD).astype(float), None),
        ("-abs(a - b)", -np.abs(SOFT - HARD), "erg/s/cm2"),
    ],
)
@given(first=st.sampled_from(FLUX_UNITS), second=st.sampled_from(FLUX_UNITS))
@settings(max_examples=15, deadline=None)
def test_columns_are_combined_in_one_unit(text, expected, unit, first, second):
    result = parse(text).evaluate(fluxes(first, second))
    values = to_declared_unit(result.unit, unit or "").of(result.value)
    np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "text", ["a + b", "hardness(a, b)", "max(a, b)", "a > b", "where(a > 0, a, b)", "clip(a, b, b)"]
)
@pytest.mark.parametrize(("first", "second"), [("erg/s/cm2", "ct/s"), ("mag", "Jy"), ("deg", "pc")])
def test_units_that_do_not_convert_are_refused(text, first, second):
    rows = table(a=([1.0], first), b=([2.0], second))
    with pytest.raises(InputError, match=r"'a' is in .*, but 'b' is in .* do not convert"):
        parse(text).evaluate(rows)


def test_numbers_and_columns_without_units_combine_with_anything():
    rows = table(a=([1.0], "mag"), b=([2.0], ""), f=([1e-14], "erg/s/cm2"))
    for text in ("a + 1", "a - b", "a < 20", "log10(f) + a / 2.5", "f + 0", "where(f > 0, a, 30)"):
        parse(text).evaluate(rows)


@pytest.mark.parametrize("unit", ["deg", "rad", "hourangle", "hr", "arcmin", "arcsec", "mas", ""])
def test_galactic_coordinates_take_any_angle(unit):
    ra, dec = np.array([83.6, 266.4]), np.array([22.0, -29.0])
    scale = {"hourangle": 1 / 15, "hr": 1 / 15, "rad": np.pi / 180, "arcmin": 60, "arcsec": 3600}
    factor = scale.get(unit, 3.6e6 if unit == "mas" else 1.0)
    dec_unit = "deg" if unit in ("hr", "hourangle") else unit
    dec_factor = 1.0 if unit in ("hr", "hourangle") else factor
    rows = table(ra=(ra * factor, unit), dec=(dec * dec_factor, dec_unit))
    in_degrees = table(ra=(ra, "deg"), dec=(dec, "deg"))
    for text in ("galactic_b(ra, dec)", "galactic_l(ra, dec)"):
        expected = parse(text).evaluate(in_degrees)
        np.testing.assert_allclose(parse(text).evaluate(rows).value, expected.value, atol=1e-11)
        assert expected.unit == parse_unit("deg")


def test_an_angle_converted_by_hand_is_not_converted_again():
    rows = table(ra=(np.deg2rad([83.6]), "rad"), dec=(np.deg2rad([22.0]), "rad"))
    by_hand = parse("galactic_b(ra * 180 / pi, dec * 180 / pi)").evaluate(rows)
    np.testing.assert_allclose(
        by_hand.value, parse("galactic_b(ra, dec)").evaluate(rows).value, rtol=1e-12
    )


def test_what_is_no_angle_has_no_galactic_latitude():
    rows = table(ra=([83.6], "mag"), dec=([22.0], "deg"), hours=([2.0], "h"))
    with pytest.raises(InputError, match="a right ascension is an angle or hours"):
        parse("galactic_b(ra, dec)").evaluate(rows)
    with pytest.raises(InputError, match="a declination is an angle"):
        parse("galactic_b(dec, hours)").evaluate(rows)


def test_the_sky_columns_are_those_that_the_functions_take():
    expression = parse("abs(galactic_b(a, d)) + galactic_l(a, c) + e")
    assert expression.sky_columns() == ({"a"}, {"c", "d"})


@pytest.mark.parametrize("declared", ["erg/s/cm2", "dex(erg/s/cm2)"])
def test_a_logarithm_is_converted_to_the_declared_unit_of_its_quantity(declared):
    for unit in FLUX_UNITS:
        result = parse("log10(a + b)").evaluate(fluxes(unit, "W/m2"))
        values = to_declared_unit(result.unit, declared).of(result.value)
        np.testing.assert_allclose(values, np.log10(SOFT + HARD), rtol=1e-12)


def test_a_declared_unit_that_does_not_convert_is_refused():
    result = parse("a + b").evaluate(fluxes("W/m2", "W/m2"))
    with pytest.raises(InputError, match="declared in mag, but its expression is in W / m2"):
        to_declared_unit(result.unit, "mag")


def test_labels_that_are_no_units_convert_nothing():
    result = parse("log10(a) + 0").evaluate(fluxes("W/m2", "W/m2"))
    for declared in ("", "dex", "arbitrary", "erg/s/cm2"):
        values = to_declared_unit(result.unit, declared).of(result.value)
        np.testing.assert_array_equal(values, result.value)


def test_errors_follow_the_expression():
    conversion = to_declared_unit(parse_unit("W/m2"), "erg/s/cm2")
    errors = np.array([1e-18])
    np.testing.assert_allclose(conversion.of_error(errors, parse_unit("W/m2")), 1e-15)
    np.testing.assert_allclose(conversion.of_error(errors, None), 1e-15)
    np.testing.assert_allclose(conversion.of_error(errors, parse_unit("erg/s/cm2")), 1e-18)
    with pytest.raises(InputError, match="the error is in mag"):
        conversion.of_error(errors, parse_unit("mag"))
