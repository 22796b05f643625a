import astropy.units as u
import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given
from hypothesis import strategies as st

from xbayes.catalog.columns import masked_column, parse_unit
from xbayes.catalog.units import (
    convert_units,
    factor_between,
    in_degrees,
    state_unit,
    state_units,
    unit_warnings,
    units_of,
)
from xbayes.errors import InputError

ANGLES = ["deg", "rad", "hourangle", "h", "min", "arcmin", "arcsec", "mas", "uas"]


def table(values, unit=None, name="x"):
    return Table({name: MaskedColumn(values, unit=unit)}, masked=True)


def test_other_units_are_converted_and_equal_units_are_not():
    trained = units_of(table([1.0], "erg / (s cm2)"), ["x"])
    converted = convert_units(table([2.0], "W / m2"), trained)
    np.testing.assert_allclose(converted["x"], 2000.0)
    np.testing.assert_array_equal(convert_units(table([2.0], "erg / (s cm2)"), trained)["x"], 2.0)


def test_a_column_without_unit_is_taken_to_be_in_that_of_the_run():
    converted = convert_units(table([2.0]), {"x": "mag"})
    np.testing.assert_array_equal(converted["x"], 2.0)
    assert units_of(converted, ["x"]) == {"x": "mag"}
    assert units_of(table([2.0]), ["x"]) == {}


def test_a_unit_that_the_run_does_not_know_is_dropped():
    given_table = table([2.0], "Jy")
    assert units_of(convert_units(given_table, {}, ["x"]), ["x"]) == {}
    assert units_of(given_table, ["x"]) == {"x": "Jy"}


def test_units_that_do_not_convert_are_refused():
    with pytest.raises(InputError, match=r"trained on mag.*--units x=mag"):
        convert_units(table([2.0], "Jy"), {"x": "mag"})


def test_a_factor_may_be_part_of_the_unit():
    converted = convert_units(table([2.0], parse_unit("1e-15 erg/s/cm2")), {"x": "erg / (s cm2)"})
    np.testing.assert_allclose(converted["x"], 2e-15)


@given(st.sampled_from(ANGLES), st.sampled_from(ANGLES), st.floats(1e-9, 1))
def test_angles_and_hours_convert_there_and_back(one, other, share):
    there = factor_between(parse_unit(one), parse_unit(other))
    back = factor_between(parse_unit(other), parse_unit(one))
    assert there is not None and back is not None
    np.testing.assert_allclose(share * there * back, share, rtol=1e-14)
    # The whole circle is 360 degrees, 24 hours, 2 pi.
    circle = {"deg": 360, "rad": 2 * np.pi, "hourangle": 24, "h": 24, "min": 1440}
    if one in circle and other in circle:
        np.testing.assert_allclose(circle[one] * there, circle[other], rtol=1e-14)


@pytest.mark.parametrize(
    ("unit", "ra", "dec"),
    [
        ("rad", np.deg2rad([83.5, 266.25]), np.deg2rad([22.0, -29.0])),
        ("arcmin", [83.5 * 60, 266.25 * 60], [22.0 * 60, -29.0 * 60]),
        ("mas", [83.5 * 3.6e6, 266.25 * 3.6e6], [22.0 * 3.6e6, -29.0 * 3.6e6]),
        ("deg", [83.5, 266.25], [22.0, -29.0]),
        (None, [83.5, 266.25], [22.0, -29.0]),
    ],
)
def test_coordinates_become_degrees(unit, ra, dec):
    rows = Table({"a": MaskedColumn(ra, unit=unit), "d": MaskedColumn(dec, unit=unit)}, masked=True)
    degrees = in_degrees(rows, "a", "d")
    np.testing.assert_allclose(degrees["a"], [83.5, 266.25], rtol=1e-14)
    np.testing.assert_allclose(degrees["d"], [22.0, -29.0], rtol=1e-14)


@pytest.mark.parametrize("unit", ["h", "hr", "hourangle"])
def test_hours_are_a_right_ascension_and_no_declination(unit):
    degrees = in_degrees(table([5.5, 23.0], parse_unit(unit)), "x", None)
    np.testing.assert_allclose(degrees["x"], [82.5, 345.0])
    if unit != "hourangle":
        with pytest.raises(InputError, match="must be in a unit of an angle"):
            in_degrees(table([5.5], parse_unit(unit)), None, "x")


def test_a_unit_that_is_no_angle_is_refused():
    with pytest.raises(InputError, match=r"an angle or hours; its unit is mag.*--units x=deg"):
        in_degrees(table([5.5], "mag"), "x", None)


def sexagesimal(cells, form):
    rows = Table({"x": MaskedColumn(cells)}, masked=True)
    state_unit(masked_column(rows, "x"), form)
    return rows


@pytest.mark.parametrize(
    ("cells", "form", "degrees"),
    [
        (["05:34:31.94", "17:45:40.04"], "h:m:s", [83.63308333, 266.41683333]),
        (["+22:00:52.2", "-00:30:00"], "d:m:s", [22.0145, -0.5]),
        (["05 34 31.94", "05h34m31.94s"], "h:m:s", [83.63308333, 83.63308333]),
    ],
)
def test_sexagesimal_text_with_a_stated_form_becomes_degrees(cells, form, degrees):
    converted = in_degrees(sexagesimal(cells, form), "x", None)
    np.testing.assert_allclose(converted["x"], degrees, atol=1e-8)
    assert units_of(converted, ["x"]) == {"x": "deg"}
    run = convert_units(sexagesimal(cells, form), {"x": "rad"})
    np.testing.assert_allclose(run["x"], np.deg2rad(degrees), atol=1e-9)


def test_an_empty_cell_of_sexagesimal_text_is_missing():
    rows = Table({"x": MaskedColumn(["05:00:00", ""], mask=[False, True])}, masked=True)
    state_units(rows, {"x": "h:m:s"})
    column = masked_column(in_degrees(rows, "x", None), "x")
    assert column.mask.tolist() == [False, True]
    np.testing.assert_allclose(column[0], 75.0)


def test_text_without_a_stated_form_is_refused_with_the_form_to_write():
    rows = Table({"x": MaskedColumn(["05:34:31.9"])}, masked=True)
    with pytest.raises(InputError, match=r'catalog.units: {x: "h:m:s"} \(or --units x=h:m:s\)'):
        in_degrees(rows, "x", None)


def test_text_that_is_no_angle_names_the_cell():
    with pytest.raises(InputError, match="'unknown' is no angle of the form h:m:s"):
        in_degrees(sexagesimal(["05:34:31.9", "unknown"], "h:m:s"), "x", None)


def test_the_unit_of_the_file_wins_over_the_config():
    rows = Table({"a": MaskedColumn([1.0], unit="Jy"), "b": MaskedColumn([1.0])}, masked=True)
    state_units(rows, {"a": "mJy", "b": "mJy"})
    assert units_of(rows, ["a", "b"]) == {"a": "Jy", "b": "mJy"}


def test_an_unknown_unit_is_refused():
    with pytest.raises(InputError, match=r"catalog.units.x: no unit 'bogus' is known"):
        state_units(table([1.0]), {"x": "bogus"})


def test_warnings_where_only_one_of_catalogue_and_run_has_units():
    assert unit_warnings({"a": "Jy"}, {"a": "mJy"}, ["a"]) == []
    (lacking,) = unit_warnings({}, {"a": "mJy", "b": "mag"}, ["a"])
    assert "no unit for 'a' [mJy]" in lacking and "--units a=UNIT" in lacking
    (unknown,) = unit_warnings({"a": "Jy"}, {}, ["a", "b"])
    assert "trained without units for 'a' [Jy]" in unknown
    assert "catalog.units: {a: Jy}" in unknown


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *(("DEG", "deg"), ("Degrees", "deg"), ("ERG/CM**2/S", "erg/s/cm2"), ("MAG", "mag")),
        *(("Counts/s", "ct/s"), ("MAS/YR", "mas/yr"), ("ergs/cm**2/s", "erg/s/cm2")),
        # Small letters would mean something else: a milliparsec, and nothing at all.
        *(("MPC", None), ("JY", None), ("MJY", None)),
    ],
)
def test_units_in_capitals_are_known_where_they_mean_one_thing(written, meant):
    unit = parse_unit(written)
    if meant is None:
        assert not isinstance(unit, u.UnitBase) or isinstance(unit, u.UnrecognizedUnit)
        assert str(unit) == written
    else:
        assert unit == parse_unit(meant)


def test_capitals_are_converted_and_spelled_as_the_standard_does():
    degrees = in_degrees(table([90.0], parse_unit("ARCMIN")), None, "x")
    np.testing.assert_allclose(degrees["x"], 1.5)
    assert str(parse_unit("ERG/CM**2/S")) == "erg / (s cm2)"


@pytest.mark.parametrize("written", ["h:m:s", '"h:m:s"', "'h:m:s'"])
def test_sexagesimal_text_whose_form_the_file_names_as_its_unit(written):
    degrees = in_degrees(table(["01:30:00", "12:00:30"], parse_unit(written)), "x", None)
    np.testing.assert_allclose(degrees["x"], [22.5, 180.125])
    with pytest.raises(InputError, match="name its form"):
        in_degrees(table(["01:30:00"], parse_unit("hms or so")), "x", None)
