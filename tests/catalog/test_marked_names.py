"""Names of sources and groups that stand for no name."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from xbayes.catalog.marked_names import marked_name_warnings, pooled_name_warning


def told(names, role="source"):
    table = Table({"src": MaskedColumn(names)}, masked=True)
    columns = {"source": None, "group": None} | {role: "src"}
    return marked_name_warnings(table, **columns)


@pytest.mark.parametrize(
    ("names", "marker", "count"),
    [
        ([*range(1, 100), *[-99] * 300], "-99", 300),
        ([*np.repeat(np.arange(1, 50), 3), -1, -1], "-1", 2),
        ([*range(1, 100), *[0] * 20], "0", 20),
        ([*map(float, range(1, 100)), *[-999.0] * 9], "-999", 9),
        ([*range(5853498713190525697, 5853498713190525797), *[2**63 - 1] * 20], str(2**63 - 1), 20),
        ([*(f"J{k}" for k in range(50)), "null", "null"], '"null"', 2),
        ([*(f"J{k}" for k in range(50)), *["-99"] * 9], "-99", 9),
        ([*(f"J{k}" for k in range(50)), *["--"] * 9], '"--"', 9),
    ],
)
@pytest.mark.parametrize("role", ["source", "group"])
def test_a_name_that_stands_for_no_name_is_told(names, marker, count, role):
    (message,) = told(names, role)
    assert f"column 'src' (catalog.{role}) holds " in message and f"in {count} rows" in message
    assert f"count as one {role}" in message and f"missing_values: {{src: [{marker}]}}" in message
    table = Table({"src": MaskedColumn(names)}, masked=True)
    assert "pooled as one source" in str(pooled_name_warning(table, "src"))


@pytest.mark.parametrize(
    "names",
    [
        np.repeat(np.arange(1000), 3),  # 0, 99 and 999 are three rows as any other
        np.repeat(np.arange(-5, 5), 4),
        [*np.repeat(["A", "B", "C"], 40), *["D"] * 400],  # a large source
        ["N/A Cen", "null field"] * 4,
        [*range(1, 50), 99],
    ],
)
def test_ordinary_names_are_not_told(names):
    assert told(names) == []


def test_a_listed_marker_is_not_told():
    names = np.array([*range(1, 100), *[-99] * 300])
    table = Table({"src": MaskedColumn(names, mask=names == -99)}, masked=True)
    assert marked_name_warnings(table, source="src", group=None) == []
    assert pooled_name_warning(table, "other") is None
