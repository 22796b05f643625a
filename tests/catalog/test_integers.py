"""Integers keep every digit, in every format, with gaps, and beyond 64 bits as text."""

import warnings
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from xbayes.catalog.inputs import as_table
from xbayes.catalog.read import open_chunks, read_catalog, row_table
from xbayes.catalog.roles import check_catalog
from xbayes.catalog.taxonomy import group_indices, label_texts
from xbayes.catalog.write import write_catalog
from xbayes.config.schema import CatalogConfig
from xbayes.errors import InputError

ENDINGS = [".fits", ".fits.gz", ".fit", ".vot", ".ecsv", ".csv", ".csv.gz", ".parquet"]
GAIA = [5853498713190525697, 5853498713190525698, 5853498713190525699]  # equal as floats
LARGE = [2**53 + 1, 2**63 - 1, -(2**63), 0, None]
BEYOND = [2**63, 2**64 - 1, 2**63 + 1, 1, None]
INTEGERS = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
UNSIGNED = st.one_of(st.none(), st.integers(0, 2**64 - 1))


def masked(cells, dtype):
    values = np.array([0 if cell is None else cell for cell in cells], dtype)
    return MaskedColumn(values, mask=[cell is None for cell in cells])


def digits(column):
    return [None if cell is None else str(cell) for cell in column.tolist()]


def expected(cells):
    return [None if cell is None else str(cell) for cell in cells]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("cells", "dtype"), [(LARGE, "i8"), (BEYOND, "u8"), (GAIA, "i8")])
def test_integers_are_written_and_read_with_every_digit(tmp_path, ending, cells, dtype):
    table = Table({"n": masked(cells, dtype), "x": np.arange(len(cells)) + 0.5})
    write_catalog(table, tmp_path / f"a{ending}")
    found = read_catalog(tmp_path / f"a{ending}")
    assert digits(found["n"]) == expected(cells)
    assert found["x"].dtype.kind == "f"


@pytest.mark.parametrize("ending", [".fits", ".vot", ".ecsv", ".csv", ".parquet"])
@settings(deadline=None, max_examples=30)
@given(cells=st.lists(INTEGERS, min_size=1, max_size=5), unsigned=st.lists(UNSIGNED, min_size=5))
@example(cells=[None, 0, -(2**63)], unsigned=[0] * 5)
def test_any_integers_come_back(tmp_path_factory, ending, cells, unsigned):
    path = tmp_path_factory.mktemp("integers") / f"a{ending}"
    n = len(cells)
    table = Table({"n": masked(cells, "i8"), "u": masked(unsigned[:n], "u8"), "x": np.ones(n)})
    write_catalog(table, path)
    found = read_catalog(path)
    assert digits(found["n"]) == expected(cells)
    assert digits(found["u"]) == expected(unsigned[:n])


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        (pa.decimal128(20, 0), "i"),
        (pa.decimal128(18, 0), "i"),
        (pa.decimal256(40, 0), "i"),
        # As a database exports every number.
        (pa.decimal128(38, 10), "i"),
        (pa.decimal256(60, 4), "i"),
        (pa.int64(), "i"),
        (pa.uint64(), "u"),
    ],
)
def test_parquet_ids_of_every_type_whole_and_streamed(tmp_path, type_, kind):
    cells = [*(GAIA if type_ != pa.decimal128(18, 0) else [10**17 + 1, 10**17 + 2, 7]), None]
    values = [cell if cell is None or "int" in str(type_) else Decimal(cell) for cell in cells]
    table = pa.table({"n": pa.array(values, type_), "x": [1.0, 2.0, 3.0, 4.0]})
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    whole, memory = read_catalog(tmp_path / "a.parquet"), as_table(table)
    chunks = list(open_chunks(tmp_path / "a.parquet", 3).read(["n"]))
    assert [len(chunk) for chunk in chunks] == [3, 1]
    for found in (whole["n"], memory["n"]):
        assert found.dtype.kind == kind and digits(found) == expected(cells)
    assert [cell for chunk in chunks for cell in digits(chunk["n"])] == expected(cells)
    assert {chunk["n"].dtype for chunk in chunks} == {whole["n"].dtype}


@pytest.mark.parametrize(
    ("cells", "kind"), [([1, 2**63], "u"), ([-1, 2**63], "U"), ([1, 10**19 * 9], "U")]
)
def test_decimals_beyond_int64_have_one_type_in_all_chunks(tmp_path, cells, kind):
    cells = [*cells, None, 3]
    table = pa.table({"n": pa.array([c and Decimal(c) for c in cells], pa.decimal128(20, 0))})
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=1)
    chunks = [chunk["n"] for chunk in open_chunks(tmp_path / "a.parquet", 1).read(None)]
    assert {chunk.dtype.kind for chunk in chunks} == {kind}
    assert [cell for chunk in chunks for cell in digits(chunk)] == expected(cells)
    assert digits(read_catalog(tmp_path / "a.parquet")["n"]) == expected(cells)


@pytest.mark.parametrize("cells", [["1.5", "12345678901234567"], ["1", "2"], [None, None]])
def test_decimals_with_places_are_floats_unless_a_float_loses_digits(tmp_path, cells):
    values = pa.array([cell and Decimal(cell) for cell in cells], pa.decimal128(38, 10))
    parquet.write_table(pa.table({"n": values, "x": [1.0, 2.0]}), tmp_path / "a.parquet")
    found = read_catalog(tmp_path / "a.parquet")["n"]
    assert found.dtype == np.float64
    wanted = [np.nan if cell is None else float(cell) for cell in cells]
    np.testing.assert_array_equal(found.filled(np.nan), wanted)


@pytest.mark.parametrize("zero", [2**63, 5, -(2**40), 10**18])
@pytest.mark.parametrize("null", [None, 3])
def test_fits_integers_with_an_offset(tmp_path, zero, null):
    """TZERO makes floats of integers in astropy, other than 2**63."""
    stored = np.array([2**53 + 1, 3, 7], ">i8")
    hdu = fits.BinTableHDU.from_columns([fits.Column("n", "K", array=stored, null=null)])
    hdu.writeto(tmp_path / "plain.fits")
    with fits.open(tmp_path / "plain.fits", mode="update") as hdus:
        hdus[1].header["TZERO1"], hdus[1].header["TSCAL1"] = zero, 1
    data = (tmp_path / "plain.fits").read_bytes()
    assert b"TZERO1" in data
    found = read_catalog(tmp_path / "plain.fits")["n"]
    wanted = [int(cell) + zero for cell in stored]
    assert digits(found) == expected([None if c == 3 + zero and null else c for c in wanted])


def test_ids_in_tables_in_memory():
    pandas = pytest.importorskip("pandas")
    table = Table({"a": masked([*GAIA, None], "i8"), "o": np.array([*GAIA, None], object)})
    table["big"] = np.array([2**70, 1, None, 2], object)
    found = as_table(table)
    assert digits(found["a"]) == digits(found["o"]) == expected([*GAIA, None])
    assert digits(found["big"]) == expected([2**70, 1, None, 2])
    frame = pandas.DataFrame(
        {
            "n": pandas.array([*GAIA, None], dtype="Int64"),
            "u": pandas.array([2**64 - 1, 1, None, 2], dtype="UInt64"),
            "o": pandas.Series([2**70, 1, None, 2], dtype=object),
            "d": pandas.Series([Decimal(GAIA[0]), Decimal(1), None, Decimal(2)], dtype=object),
        }
    )
    found = as_table(frame)
    assert digits(found["n"]) == expected([*GAIA, None])
    assert digits(found["u"]) == expected([2**64 - 1, 1, None, 2])
    assert digits(found["o"]) == expected([2**70, 1, None, 2])
    assert digits(found["d"]) == expected([GAIA[0], 1, None, 2])


ROLES = {"id": "id", "source": "s", "group": "g", "label": "c"}


@pytest.mark.parametrize("role", list(ROLES))
@pytest.mark.parametrize(("dtype", "first"), [("f8", 2**53 + 2), ("f4", 2**24 + 2)])
def test_names_that_became_floats_are_refused(role, dtype, first):
    """598 sources must not fall into 78 groups because an id became a float."""
    names = {"id": ["a", "b"], "s": ["a", "b"], "g": ["a", "b"], "c": ["AGN", "Star"]}
    names[ROLES[role]] = np.array([first, 1], dtype)
    config = CatalogConfig(**ROLES)
    with pytest.raises(InputError, match=rf"{ROLES[role]}.* \(catalog.{role}\).*lost their last"):
        check_catalog(Table(names), config, [], "train")
    names[ROLES[role]] = np.array([first // 4, 1], dtype)
    check_catalog(Table(names), config, [], "train")


@pytest.mark.parametrize("dtype", ["i8", "u8", "i2"])
def test_a_marker_of_integers_is_compared_with_every_digit(dtype):
    cells = {"i8": [2**63 - 1, 2**63 - 2, 5], "u8": [2**64 - 1, 2**64 - 2, 5], "i2": [7, 8, 5]}[
        dtype
    ]
    table = Table({"id": ["a", "b", "c"], "n": np.array(cells, dtype)})
    for marker in (cells[0], str(cells[0])):
        config = CatalogConfig(id="id", missing_values={"n": [marker, "--", "1e300"]})
        found = check_catalog(table, config, ["n"], "train")["n"].tolist()
        assert found == [None, *cells[1:]]
    config = CatalogConfig(id="id", missing_values={"n": ["5.0", 5.5]})
    assert check_catalog(table, config, [], "train")["n"].tolist() == [*cells[:2], None]


def test_groups_of_large_integers_stay_apart(tmp_path):
    lines = [f"{k},{GAIA[0] + k // 2},1" for k in range(596)]
    (tmp_path / "a.csv").write_text("id,g,x\n" + "\n".join([*lines, "596,,1", "597,NaN,1"]) + "\n")
    table = read_catalog(tmp_path / "a.csv", text=["id"], numbers=["x"])
    groups = group_indices(table, CatalogConfig(id="id", group="g"))
    assert len(np.unique(groups)) == 298 + 2


# -- CSV: columns that are no features are read as they stand

AS_IT_STANDS = [
    ["007", "1"],
    ["1e5", "2e5"],
    ["1.50", "2.25"],
    ["+5", "6"],
    ["0x10", "1"],
    ["TRUE", "FALSE"],
    ["2020-01-01", "2021-01-01"],
    ["9223372036854775808", "1"],
    ["123456789012345678901234567890", "5"],
    ["-0", "5"],
    [" 5", "6 "],
]


@pytest.mark.parametrize("cells", AS_IT_STANDS)
def test_csv_columns_that_are_no_features_are_read_as_they_stand(tmp_path, cells):
    text = "x,n,y\n" + "".join(f"1.50,{cell},007\n" for cell in cells)
    (tmp_path / "a.csv").write_text(text)
    table = read_catalog(tmp_path / "a.csv", numbers=["x", "y"])
    assert table["n"].tolist() == cells and table["n"].dtype.kind == "U"
    assert table["x"].tolist() == [1.5, 1.5] and table["y"].tolist() == [7, 7]
    write_catalog(table, tmp_path / "b.csv")
    assert read_catalog(tmp_path / "b.csv", numbers=["x", "y"])["n"].tolist() == cells


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        (["5", ""], "i8"),
        (["5", "NaN"], "i8"),
        (["0.5", "NaN"], "f8"),
        (["-7", "12"], "i8"),
        (["true", "false"], "?"),
    ],
)
def test_csv_numbers_that_lose_nothing_are_numbers(tmp_path, cells, dtype):
    (tmp_path / "a.csv").write_text("x,n\n" + "".join(f"1,{cell}\n" for cell in cells))
    column = read_catalog(tmp_path / "a.csv", numbers=["x"])["n"]
    assert column.dtype == np.dtype(dtype)
    assert column.mask.tolist() == [cell in ("", "NaN") for cell in cells]


def test_csv_of_unknown_use_keeps_leading_zeros_and_digits(tmp_path):
    (tmp_path / "a.csv").write_text("a,b,c,d\n007,1.50,9223372036854775808,1e5\n010,2,5,2\n")
    table = read_catalog(tmp_path / "a.csv")
    assert table["a"].tolist() == ["007", "010"]
    assert table["c"].tolist() == ["9223372036854775808", "5"]
    assert table["b"].tolist() == [1.5, 2] and table["d"].tolist() == [1e5, 2]


def test_csv_numbers_that_a_feature_reads(tmp_path):
    (tmp_path / "a.csv").write_text(
        f"a,b,c,d\n 007,9223372036854775808,TRUE,{GAIA[0]}\n8 ,1,false,NaN\n"
    )
    table = read_catalog(tmp_path / "a.csv", numbers=["a", "b", "c", "d"])
    assert table["a"].tolist() == [7, 8] and table["b"].tolist() == [2**63, 1]
    assert table["c"].tolist() == [True, False] and table["d"].tolist() == [GAIA[0], None]


def test_labels_that_another_program_wrote_as_numbers():
    assert label_texts(MaskedColumn(["3.0", "", "12.0"])).tolist() == ["3", "", "12"]
    assert label_texts(MaskedColumn([3.0, np.nan])).tolist() == ["3", ""]
    assert label_texts(MaskedColumn([3.0, 1e20, np.inf])).tolist() == ["3.0", "1e+20", "inf"]
    assert label_texts(MaskedColumn(["3.0", "AGN"])).tolist() == ["3.0", "AGN"]
    assert label_texts(MaskedColumn(["3.5", "2.0"])).tolist() == ["3.5", "2.0"]


# -- a row given by hand


def test_a_row_keeps_names_as_they_stand():
    cells = {"id": str(GAIA[0]), "n": "007", "x": "1e5", "y": 2**70, "z": GAIA[1], "g": "1.50"}
    row = row_table(cells, numbers=["x"])
    assert row["x"][0] == 1e5
    assert [str(row[name][0]) for name in ["id", "n", "y", "z", "g"]] == [
        *(str(GAIA[0]), "007", str(2**70), str(GAIA[1]), "1.50")
    ]
    unknown = row_table(cells)
    assert str(unknown["id"][0]) == str(GAIA[0]) and unknown["n"][0] == "007"
    assert unknown["g"][0] == 1.5


def test_reading_warns_of_nothing(tmp_path):
    table = Table({"n": masked([*GAIA, None], "i8")})
    for ending in ENDINGS:
        write_catalog(table, tmp_path / f"a{ending}")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert digits(read_catalog(tmp_path / f"a{ending}")["n"]) == expected([*GAIA, None])


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8"])
@pytest.mark.parametrize("ending", [".vot", ".fits", ".ecsv", ".parquet"])
def test_arrays_of_integers_with_gaps_keep_the_extreme_values(tmp_path, dtype, ending):
    """The number that marks a gap must be one that no cell holds."""
    limits = np.iinfo(dtype)
    cells = np.array([[limits.min, limits.min + 1], [limits.max, 5]], dtype)
    column = MaskedColumn(cells, mask=[[False, False], [False, True]])
    write_catalog(Table({"n": column}), tmp_path / f"a{ending}")
    wanted = [[limits.min, limits.min + 1], [limits.max, None]]
    assert read_catalog(tmp_path / f"a{ending}")["n"].tolist() == wanted
    if ending in (".vot", ".ecsv"):
        assert Table.read(tmp_path / f"a{ending}")["n"].tolist() == wanted


def test_arrays_that_use_every_value_of_a_narrow_type_keep_all(tmp_path):
    cells = np.arange(256, dtype="u1").reshape(2, 128)[[0, 1, 1]]
    mask = np.zeros(cells.shape, bool)
    mask[2, 0] = True
    write_catalog(Table({"n": MaskedColumn(cells, mask=mask)}), tmp_path / "a.vot")
    read = read_catalog(tmp_path / "a.vot")["n"]
    np.testing.assert_array_equal(read.mask, mask)
    np.testing.assert_array_equal(read[:2].data, cells[:2])
