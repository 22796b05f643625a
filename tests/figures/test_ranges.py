"""Ranges of axes: nothing absurd decides them, and nothing usual is cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbayes.figures.labels import value_text
from xbayes.figures.ranges import robust_range, with_margin


def test_stand_ins_do_not_stretch_the_range():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(18, 2, 980), np.full(20, -999.0), [np.nan, np.inf]])
    low, high = robust_range(values)
    assert 5 < low < 13 and 23 < high < 31


def test_usual_values_are_all_but_a_few_inside():
    rng = np.random.default_rng(1)
    for values in (rng.normal(size=5000), rng.exponential(size=5000), rng.uniform(size=5000)):
        low, high = robust_range(values)
        assert np.mean((values >= low) & (values <= high)) >= 0.99
        assert values.min() <= low < high <= values.max()


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=30))
def test_the_range_is_finite_and_not_empty(values):
    low, high = robust_range(np.array(values, float))
    assert np.isfinite([low, high]).all() and low < high


def test_the_margin_is_a_share_of_the_width():
    assert with_margin(0.0, 10.0, 0.1) == (-1.0, 11.0)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (142.9, "1e-15 erg/s/cm2", "1.429e-13 erg/s/cm2"),
        (142.9, "10-15 erg/s", "1.429e-13 erg/s"),
        (142.9, "10**-15 erg/s", "1.429e-13 erg/s"),
        (5.0, "10^-14 erg", "5e-14 erg"),
        (1.5, "1e-14*erg/cm2", "1.5e-14 erg/cm2"),
        (7.0, "100 km/s", "700 km/s"),
        (4.0, "2MASS counts", "4 2MASS counts"),
        (18.25, "mag", "18.25 mag"),
        (0.5, "", "0.5"),
    ],
)
def test_a_number_in_front_of_a_unit_is_part_of_the_value(value, unit, text):
    assert value_text(value, unit) == text
