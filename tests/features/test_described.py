"""Units and descriptions that the catalogue gives and the config does not."""

import numpy as np
import pytest
from astropy import units as u

from xbayes.catalog.columns import FileColumn, parse_unit, to_table
from xbayes.config.reader import parse_config
from xbayes.features.build import build_features
from xbayes.features.described import described

TEXT = """
name: x
catalog: {id: name, label: Class}
taxonomy: {classes: {A: [A], B: [B]}}
features:
  plain: {expression: " flux ", category: one}
  own: {expression: flux, category: one, unit: "erg/s/cm2", description: mine}
  made: {expression: flux * 2, category: one}
  bare: {expression: count, category: one}
"""


@pytest.fixture
def table():
    known = np.zeros(3, bool)
    values = np.array([1.0, 2.0, 3.0])
    flux = FileColumn(
        name="flux",
        values=values,
        missing=known,
        unit="1e-15 erg/s/cm2",
        description=" X-ray\n flux ",
    )
    return to_table([flux, FileColumn(name="count", values=values, missing=known)], {})


def test_only_what_is_lacking_is_taken_from_the_column(table):
    config = parse_config(TEXT)
    features = described(config, table).features
    assert features["plain"].description == "X-ray flux"
    unit = parse_unit(features["plain"].unit)
    assert unit is not None and unit == 1e-15 * u.erg / u.s / u.cm**2
    assert features["own"] == config.features["own"]
    assert features["made"] == config.features["made"]
    assert features["bare"] == config.features["bare"]


def test_the_values_stay_the_same(table):
    config = parse_config(TEXT)
    before, _ = build_features(table, config)
    after, _ = build_features(table, described(config, table))
    np.testing.assert_array_equal(before.value, after.value)
