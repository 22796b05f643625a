"""A catalogue under the names of a run, and back under its own."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given
from hypothesis import strategies as st

from xbayes.catalog.match import column_options, match_columns, match_table, only_given
from xbayes.catalog.read import table_chunks
from xbayes.errors import InputError

KNOWN = ["name", "a", "b", "c"]


def sky():
    columns = {
        "srcid": ["x", "y", "z"],
        "a": [1, 2, 3],
        "B": [4.0, 5.0, 6.0],
        "note": ["", "n", ""],
    }
    table = Table(columns, masked=True)
    table["B"].unit = "mag"
    return table


def matched(table=None, size=2, **options):
    table = sky() if table is None else table
    return match_columns(table_chunks(table, size), column_options(**options), "name", KNOWN)


def test_without_options_nothing_changes():
    chunks = table_chunks(sky(), 2)
    found = match_columns(chunks, column_options(), "name", KNOWN)
    assert found.chunks is chunks
    table = sky()
    assert found.own_names(table) is table


def test_columns_are_renamed_and_named_back():
    found = matched(id="srcid", map={"b": "B"})
    assert found.chunks.colnames == ("name", "a", "b", "note")
    first, second = found.chunks.read(None)
    assert first["name"].tolist() == ["x", "y"] and second["b"].tolist() == [6.0]
    assert first["b"].unit == "mag"
    assert found.own_names(first).colnames == sky().colnames
    (only,) = matched(size=3, map={"b": "B"}).chunks.read(["b"])
    assert only.colnames == ["b"]


def test_a_column_may_serve_twice_and_another_may_lose_its_name():
    """Columns c and b are both B; the catalogue's own a passes, but the run reads srcid as a."""
    (table,) = matched(size=3, map={"b": "B", "c": "B", "a": "srcid"}).chunks.read(None)
    assert table["b"].tolist() == table["c"].tolist() == [4.0, 5.0, 6.0]
    assert table["a"].tolist() == ["x", "y", "z"]
    found = matched(size=3, map={"b": "B", "c": "B", "a": "srcid"})
    output = found.own_names(table[[*found.own]])
    assert output.colnames == sky().colnames
    assert output["a"].tolist() == [1, 2, 3] and output["srcid"].tolist() == ["x", "y", "z"]


@given(st.permutations(["srcid", "a", "B", "note"]), st.integers(1, 4))
def test_any_renaming_comes_back(owners, size):
    """Whatever is mapped to what, swaps included, values and names of the output are the file's."""
    mapping = dict(zip(KNOWN, owners, strict=True))
    found = matched(size=size, map=mapping)
    for part, own in zip(
        found.chunks.read(None), table_chunks(sky(), size).read(None), strict=True
    ):
        for name, owner in mapping.items():
            assert part[name].tolist() == own[owner].tolist()
        back = found.own_names(part[[*found.own]])
        assert back.colnames == own.colnames
        assert all(back[name].tolist() == own[name].tolist() for name in own.colnames)


def test_rows_are_numbered_over_all_chunks():
    found = matched(id="row")
    names = [name for chunk in found.chunks.read(None) for name in chunk["name"]]
    assert names == ["row 1", "row 2", "row 3"]
    assert found.own_names(next(found.chunks.read(None))).colnames[0] == "row"
    table = sky()
    table.rename_column("srcid", "row")  # a column of this name is the id
    assert next(matched(table, id="row").chunks.read(None))["name"].tolist() == ["x", "y"]


def test_a_unit_is_declared_for_either_name_and_the_table_of_the_user_is_not_altered():
    table = sky()
    for name in ("b", "B"):
        found, _ = match_table(
            table, column_options(map={"b": "B"}, units={name: "Jy"}), "name", KNOWN
        )
        assert found["b"].unit == "Jy" and table["B"].unit == "mag"
    assert isinstance(found["b"], MaskedColumn)


def test_columns_not_to_pool_by_are_named_as_in_the_catalogue():
    found = matched(map={"c": "note"})
    table = Table({"c": [1], "p": [0.5]}, meta={"NOPOOL": ["c", "field"]})
    assert found.own_names(table).meta["NOPOOL"] == ["field", "note"]


def test_messages_name_the_column_of_the_catalogue():
    found = matched(map={"b": "B"})
    assert found.explained("column 'b' is wrong") == (
        "column 'b' is wrong ('b' is 'B' in the catalogue)"
    )
    assert found.explained("'a' is wrong") == "'a' is wrong"
    with pytest.raises(InputError, match=r"'b' is bad \('b' is 'B'"), found.explaining_errors():
        raise InputError("'b' is bad")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"map": {"bb": "B"}}, r"map \(--map\): the run uses no column 'bb' \(did you mean 'b'"),
        ({"map": {"b": "BB"}}, r"--map b=BB\): the catalogue has no column 'BB' .*mean 'B'"),
        ({"id": "srcids"}, r"id \(--id srcids\): .* no column 'srcids' \(did you mean 'srcid'"),
        ({"optional": ["x"]}, r"optional \(--optional\): the run uses no column 'x'; it uses name"),
        ({"missing_values": {"x": [-9]}}, r"\(--missing-values\): the run uses no column 'x'"),
        ({"units": {"BB": "mag"}}, r"--units BB=mag\): the catalogue has no column 'BB'"),
        ({"units": {"B": "bogus"}}, r"no unit 'bogus' is known \(units, --units B=bogus\); write"),
        ({"units": {"B": ""}}, "no unit ''"),
    ],
)
def test_options_that_name_what_nobody_has(options, says):
    with pytest.raises(InputError, match=says):
        matched(**options)


def test_options_may_be_short():
    assert column_options(optional="a").optional == ("a",)
    assert column_options(missing_values={"a": -99}).missing_values == {"a": (-99,)}
    options = column_options(id="srcid", map={"b": "B", "c": "C"}, units={"C": "mag", "b": "mag"})
    kept = only_given(options, ["B"])
    assert kept.id is None and kept.map == {"b": "B"} and kept.units == {"b": "mag"}
    assert np.all([getattr(column_options(), name) in (None, (), {}) for name in options._fields])
