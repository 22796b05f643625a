"""Well-characterised rows: those that satisfy enough conditions."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from xbayes.config.reader import parse_config
from xbayes.config.validation import WellCharacterised
from xbayes.features.conditions import number_columns, text_columns, well_characterised
from xbayes.types import InputError

TABLE = Table(
    {
        "snr": [20.0, 3.0, 12.0, np.nan],
        "g": MaskedColumn([15.0, 16.0, 0.0, 0.0], mask=[False, False, True, True]),
        "k": [10.0, np.nan, np.nan, 11.0],
    }
)
OF = ("observed(g)", "observed(k)", "snr > 10")


@pytest.mark.parametrize(
    ("at_least", "expected"),
    [(1, [1, 1, 1, 1]), (2, [1, 0, 0, 0]), (3, [1, 0, 0, 0])],
)
def test_rows_with_enough_true_conditions(at_least, expected):
    rows = well_characterised(TABLE, WellCharacterised(at_least=at_least, of=OF))
    np.testing.assert_array_equal(rows, np.array(expected, bool))


def test_a_missing_condition_does_not_hold():
    rows = well_characterised(TABLE, WellCharacterised(at_least=1, of=("snr > 10", "snr <= 10")))
    np.testing.assert_array_equal(rows, [True, True, True, False])


@pytest.mark.parametrize(
    ("text", "says"),
    [("snr", "must be a condition"), ("nsr > 10", "did you mean 'snr'"), ("snr >", "of.1")],
)
def test_wrong_conditions_are_refused(text, says):
    with pytest.raises(InputError, match=says) as error:
        well_characterised(TABLE, WellCharacterised(at_least=1, of=("snr > 1", text)))
    assert "validation.well_characterised.of.1" in str(error.value)


CONFIG = """
name: a
catalog: {id: id, file: a.csv, units: {u: mJy}}
taxonomy: {classes: {A: [A], B: [B]}}
features:
  a: {expression: 'where(flag == "1" and band != "2", x, y)', category: c}
  b: {expression: 'where(both == "1", both, 0)', category: c, measured: observed(seen) and u == "3"}
  c: {expression: z, category: c, error: e}
validation: {well_characterised: {at_least: 1, of: ['kind == "7"', "observed(seen)"]}}
"""


def test_a_column_that_is_only_compared_with_text_is_text():
    config = parse_config(CONFIG)
    assert text_columns(config) == {"flag", "band", "kind"}
    numbers = number_columns(config)
    assert numbers >= {"x", "y", "both", "seen", "u", "z", "e"} and not numbers & {"flag", "kind"}
