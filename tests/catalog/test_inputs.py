"""Tables of astropy as users hand them over: columns that are no plain columns."""

import warnings

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.time import Time

from xbayes.catalog.inputs import as_table


def test_times_and_coordinates_become_text_and_quantities_numbers_with_a_unit():
    table = Table({"name": ["a", "b"], "d": [1, 2] * u.km})
    table["t"] = Time(["2020-01-01", "2020-01-02"])
    table["c"] = SkyCoord([1, 2] * u.deg, [3, 4] * u.deg)
    read = as_table(table)
    assert list(read["d"]) == [1.0, 2.0] and str(read["d"].unit) == "km"
    assert list(read["t"]) == ["2020-01-01 00:00:00.000", "2020-01-02 00:00:00.000"]
    assert read["c"].dtype.kind == "U" and "ICRS" in read["c"][0]


@pytest.mark.parametrize("kind", ["pandas", "astropy"])
@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([5853498713190525697.0, np.nan, 5853498713190525825.0], "too large for every digit"),
        ([12.0, np.nan, 14.0], "an id is written as 12.0"),
        ([1.5, np.nan, 14.0], None),
        ([1, 2, 3], None),
    ],
)
def test_integers_of_an_id_column_that_became_floats_are_told(kind, ids, says):
    cells = {"gaia_id": ids, "flux": [5e18, 1.0, 2.0]}
    table = pd.DataFrame(cells) if kind == "pandas" else Table(cells)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        as_table(table)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == (says is not None)
    if says:
        assert says in messages[0] and "'gaia_id'" in messages[0] and "'Int64'" in messages[0]


def test_integers_of_pandas_with_gaps_keep_every_digit_and_are_not_told():
    ids = pd.array([5853498713190525697, None, 5853498713190525698], dtype="Int64")
    table = as_table(pd.DataFrame({"gaia_id": ids}))
    assert table["gaia_id"].tolist() == [5853498713190525697, None, 5853498713190525698]
