"""Well-characterised rows: those that satisfy enough conditions."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from xbayes.config.reader import parse_config
from xbayes.config.validation import WellCharacterised
from xbayes.errors import InputError
from xbayes.features.conditions import (
    condition_columns,
    conditions_of_classes,
    number_columns,
    text_columns,
    well_characterised,
)

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


CLASSES = """
name: a
catalog: {id: id, file: a.csv, block: release, optional: [flux]}
taxonomy: {classes: {A: {labels: [x], where: WHERE}, B: [B]}}
features: {f: {expression: sep, category: k}}
"""
N = 24  # rows of a release, enough to show that it lacks a column
HOSTS = Table(
    {
        "release": ["1"] * N + ["2"] * N,
        "host": MaskedColumn(["M31"] * N + [""] * N, mask=[False] * (N - 1) + [True] * (N + 1)),
        "sep": [0.5, np.nan] * N,
        "flux": MaskedColumn([1.0] * (2 * N), mask=[False, True] * N),
    }
)


def states(where: str, table: Table = HOSTS, **options) -> str:
    """Of the first, second and last row of release 1, and the first of 2: true, false, unknown."""
    config = parse_config(CLASSES.replace("WHERE", where))
    found = conditions_of_classes(table, config, **options)["A"]
    text = np.where(~found.known, "?", np.where(found.holds, "y", "n"))
    return "".join(text[[0, 1, N - 1, N]])


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        # The last row of release 1 has no host; release 2 lacks the column.
        ("detected(host)", "yyn?"),
        ("not detected(host)", "nny?"),
        ("observed(host)", "yynn"),
        # An optional column: an empty cell cannot be told from an absent column.
        ("detected(flux)", "y??y"),
        # A column that is neither: an empty cell is not detected.
        ("detected(sep)", "ynny"),
        # An unknown part leaves the whole open, unless the rest decides.
        ("detected(host) or sep > 0", "yy?y"),
        ("detected(host) and sep > 1", "n?nn"),
        # Unknown, because flux is not available; and because host is not.
        ("not detected(host) and detected(flux)", "nn??"),
        ("detected(sep / 2)", "ynny"),
    ],
)
def test_the_three_states_of_a_condition(where, expected):
    assert states(where) == expected


def test_a_condition_of_a_column_that_the_table_lacks_is_unknown():
    assert states("detected(other)", lacked_by={}) == "????"
    assert states("detected(other) or sep < 1", lacked_by={}) == "y??y"


def test_blocks_that_the_run_has_learned_and_own_names():
    part = HOSTS[[0, 1, *[N - 1] * (N - 2), N]]
    assert states("detected(host)", part, lacked_by={"host": ("2",)}) == "yyn?"
    renamed = HOSTS.copy()
    renamed.rename_column("host", "galaxy")
    learned = {"lacked_by": {"host": ("2",)}, "own_names": {"host": "galaxy"}}
    assert states("detected(host)", renamed, **learned) == "yyn?"


@pytest.mark.parametrize(
    ("where", "says"),
    [("sep", "must be a condition"), ("detected(", "not an expression"), ("sep > 'a'", "text")],
)
def test_wrong_conditions_name_their_class(where, says):
    with pytest.raises(InputError, match=says) as error:
        states(f'"{where}"')
    assert "taxonomy.classes.A.where" in str(error.value)


def test_the_columns_of_conditions_are_read_as_they_are_compared():
    config = parse_config(CLASSES.replace("WHERE", "kind == 'x' and sep > 1 and detected(host)"))
    assert condition_columns(config) == {"kind", "sep", "host"}
    assert "kind" in text_columns(config) and "sep" in number_columns(config)
