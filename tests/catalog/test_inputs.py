"""Tables of astropy as users hand them over: columns that are no plain columns."""

import astropy.units as u
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
