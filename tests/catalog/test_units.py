import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from xbayes.catalog.units import convert_units, stand_in_warnings, units_of
from xbayes.types import InputError


def table(values, unit=None):
    return Table({"x": MaskedColumn(np.asarray(values, float), unit=unit)}, masked=True)


def test_warns_of_minus_99_at_the_end_of_the_range():
    (warning,) = stand_in_warnings(table([-99, -99, -99, 14.2, 15.0, 16.1]), ["x"])
    assert "-99 in 3 rows" in warning
    assert "missing_values" in warning


@pytest.mark.parametrize("values", [[-99, 14, 15], [99, 99, 99, 120], [-98.9] * 5 + [1.0]])
def test_does_not_warn_of_measured_values(values):
    assert stand_in_warnings(table(values), ["x"]) == []


def test_other_units_are_converted_and_equal_units_are_not():
    trained = units_of(table([1.0], "erg / (s cm2)"), ["x"])
    converted = convert_units(table([2.0], "W / m2"), trained)
    np.testing.assert_allclose(converted["x"], 2000.0)
    np.testing.assert_array_equal(convert_units(table([2.0], "erg / (s cm2)"), trained)["x"], 2.0)


def test_a_column_without_unit_is_not_converted():
    np.testing.assert_array_equal(convert_units(table([2.0]), {"x": "mag"})["x"], 2.0)
    assert units_of(table([2.0]), ["x"]) == {}


def test_units_that_do_not_convert_are_refused():
    with pytest.raises(InputError, match="trained on mag"):
        convert_units(table([2.0], "Jy"), {"x": "mag"})
