"""Columns that nobody needs, of any kind, never stop the work; one-element arrays are scalars."""

import gzip
import os
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from pyarrow import parquet

from tests.catalog.cards import renamed, table_with_cards, votable
from xbayes.catalog.inputs import as_table, origin_of
from xbayes.catalog.read import open_chunks, read_catalog
from xbayes.errors import InputError, XbayesWarning
from xbayes.features.values import read_column

ROWS = 3


def ragged(*lengths):
    cells = np.empty(len(lengths), object)
    cells[:] = [np.arange(length, dtype=float) for length in lengths]
    return cells


def some_columns():
    """Columns of every kind that FITS has, and what each is read as: shape and kind of type."""
    three = np.arange(3)
    return {
        "vector": (fits.Column("c", "2D", array=np.arange(6.0).reshape(3, 2)), (3, 2), "f"),
        "image": (
            fits.Column("c", "4I", dim="(2,2)", array=np.arange(12).reshape(3, 2, 2)),
            (3, 2, 2),
            "i",
        ),
        "one": (fits.Column("c", "1D", array=three + 0.5), (3,), "f"),
        "one_by_one": (
            fits.Column("c", "1J", dim="(1,1)", array=three.reshape(3, 1, 1)),
            (3,),
            "i",
        ),
        "bits": (fits.Column("c", "3X", array=np.ones((3, 3), bool)), (3, 3), "b"),
        "bit": (fits.Column("c", "1X", array=np.ones((3, 1), bool)), (3,), "b"),
        "complex": (fits.Column("c", "C", array=three + 1j), (3,), "c"),
        "complexes": (fits.Column("c", "2M", array=np.ones((3, 2), complex)), (3, 2), "c"),
        "truths": (fits.Column("c", "2L", array=np.ones((3, 2), bool)), (3, 2), "b"),
        "ragged": (fits.Column("c", "PD()", array=ragged(1, 2, 0)), (3,), "O"),
        "long_ragged": (fits.Column("c", "QJ()", array=ragged(1, 2, 0)), (3,), "O"),
        "single": (fits.Column("c", "PD()", array=ragged(1, 1, 0)), (3,), "f"),
        "nothing": (fits.Column("c", "PD()", array=ragged(0, 0, 0)), (3,), "f"),
        "bytes": (fits.Column("c", "3A", array=np.array([b"\xe9", b"a", b""])), (3,), "U"),
    }


@pytest.mark.parametrize("kind", list(some_columns()))
def test_fits_columns_of_every_kind(tmp_path, kind):
    column, shape, letter = some_columns()[kind]
    needed = fits.Column("x", "D", array=np.arange(3.0))
    fits.BinTableHDU.from_columns([column, needed]).writeto(tmp_path / "a.fits")
    table = read_catalog(tmp_path / "a.fits")
    assert table["x"].tolist() == [0, 1, 2]
    assert table["c"].shape == shape and table["c"].dtype.kind == letter
    if kind == "single":
        assert table["c"].tolist() == [0, 0, None]
    if kind == "one":
        assert table["c"].tolist() == [0.5, 1.5, 2.5]


@pytest.mark.parametrize("form", ["0A", "0D", "0J", "0L", "0X", "0C"])
def test_fits_columns_without_width_are_empty(tmp_path, form):
    """Numpy shows whatever lies in memory in a column of zero bytes."""
    for attempt in range(3):
        table_with_cards(tmp_path / f"{attempt}.fits", {"TFORM2": form}, columns=("x", "c"))
        junk = [np.full(50, b"junk") for _ in range(attempt)]  # other memory each time
        table = read_catalog(tmp_path / f"{attempt}.fits")
        del junk
        assert table["c"].shape == (ROWS,) and table["c"].mask.all()
        assert np.ma.getdata(table["c"]).astype(str).tolist() in ([""] * 3, ["nan"] * 3)
        assert table["x"].tolist() == [0, 1, 2]


def test_fits_text_ends_at_a_zero_byte(tmp_path):
    """What follows is whatever lay in the memory of the program that wrote it."""
    cells = np.array([b"ab\0junk", b"\0junk", b"abcd", b"a  \0x"], "S8")
    fits.BinTableHDU.from_columns([fits.Column("c", "8A", array=cells)]).writeto(
        tmp_path / "a.fits"
    )
    assert b"junk" in (tmp_path / "a.fits").read_bytes()
    assert read_catalog(tmp_path / "a.fits")["c"].tolist() == ["ab", None, "abcd", "a"]


def test_zero_width_in_the_cases():
    path = Path(__file__).parents[3] / "shared" / "cases" / "zero_width_column.fits"
    if not path.is_file():
        pytest.skip("../shared/cases is not there")
    assert read_catalog(path)["note"].mask.all()


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (["x", "a", "a"], ["x", "a", "a_2"]),
        (["x", "a", ""], ["x", "a", "column_3"]),
        (["x", " a ", "b"], ["x", "a", "b"]),
        (["x", "R", "r"], ["x", "R", "r"]),
        (["x", "a b", "a'b"], ["x", "a b", "a'b"]),
        (["x", "a", "a", "a"], ["x", "a", "a_2", "a_3"]),
    ],
)
@pytest.mark.parametrize("ending", [".fits", ".vot", ".csv", ".parquet"])
def test_names_are_made_distinct_and_told_once(tmp_path, ending, names, read):
    path = tmp_path / f"a{ending}"
    if ending == ".fits":
        cards = {f"TTYPE{i}": name for i, name in enumerate(names, start=1)}
        table_with_cards(path, cards, columns=[f"c{i}" for i in range(len(names))])
    elif ending == ".vot":
        path.write_bytes(
            votable([f'name="{n}" datatype="double"' for n in names], [["1"] * len(names)])
        )
    elif ending == ".csv":
        path.write_text(",".join(names) + "\n" + ",".join(["1"] * len(names)) + "\n")
    else:
        arrays = [pa.array([1.0, 2.0, 3.0, 4.0])] * len(names)
        parquet.write_table(pa.Table.from_arrays(arrays, names=names), path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = read_catalog(path)
    told = [str(w.message) for w in caught if w.category is XbayesWarning]
    # The readers of FITS and CSV have a name of their own for a column without one.
    expected = [n if n != "column_3" else table.colnames[2] for n in read]
    assert table.colnames == expected and len(set(table.colnames)) == len(names)
    changed = [n for n, new in zip(names, table.colnames, strict=True) if n != new]
    by_reader = ending in (".fits", ".csv") and all(n.strip() in ("", *read) for n in changed)
    if len(set(names)) < len(names) or (changed and not by_reader):
        assert len(told) == 1 and "is read as" in told[0]


def test_streamed_parquet_with_repeated_names(tmp_path):
    arrays = [pa.array(np.arange(5.0) + k) for k in range(3)]
    parquet.write_table(pa.Table.from_arrays(arrays, names=["x", "a", "a"]), tmp_path / "a.parquet")
    chunks = open_chunks(tmp_path / "a.parquet", 2)
    assert chunks.colnames == ("x", "a", "a_2")
    assert [c["a_2"].tolist() for c in chunks.read(["a_2", "x"])] == [[2, 3], [4, 5], [6]]
    assert next(c.colnames for c in chunks.read(["a_2", "x"])) == ["x", "a_2"]


def test_votable_columns_of_every_kind(tmp_path):
    fields = {
        'name="one" datatype="double" arraysize="1"': "1.5",
        'name="ones" datatype="int" arraysize="1*"': "4",
        'name="vector" datatype="double" arraysize="2"': "1 2",
        'name="ragged" datatype="double" arraysize="*"': "1 2 3",
        'name="bits" datatype="bit" arraysize="3"': "101",
        'name="bit" datatype="bit"': "1",
        'name="complex" datatype="doubleComplex"': "1 2",
        'name="texts" datatype="char" arraysize="3x2"': "abcdef",
        'name="many" arraysize="3x*" datatype="char"': "abcdef",
        'name="none" datatype="char" arraysize="0"': "",
        'name="letter" datatype="char" arraysize="1"': "x",
        'name="café" datatype="unicodeChar" arraysize="*"': "é",
        'name="id" datatype="long"': "5853498713190525697",
    }
    (tmp_path / "a.vot").write_bytes(
        votable(list(fields), [list(fields.values()), [""] * 4 + ["000"] + ["0"] + [""] * 7])
    )
    table = read_catalog(tmp_path / "a.vot")
    assert table["one"].tolist() == [1.5, None] and table["ones"].tolist() == [4, None]
    assert table["vector"].shape == (2, 2) and table["bits"].shape == (2, 3)
    assert table["complex"][0] == 1 + 2j and table["ragged"].dtype == object
    assert table["texts"][0] == "abcdef" and table["many"][0] == "abcdef"
    assert table["none"].mask.all() and table["letter"].tolist() == ["x", None]
    assert table["café"][0] == "é" and table["id"].tolist() == [5853498713190525697, None]


def odd_arrow():
    text = ["a", "b", None, "d"]
    return {
        "fixed1": (pa.array([[1.5], [2.5], None, [4.5]], pa.list_(pa.float64(), 1)), (4,), "f"),
        "fixed2": (
            pa.array([[1, 2], [3, None], None, [5, 6]], pa.list_(pa.int32(), 2)),
            (4, 2),
            "i",
        ),
        "cube": (
            pa.array([[[1, 2]], [[3, 4]], None, [[5, 6]]], pa.list_(pa.list_(pa.int8(), 2), 1)),
            (4, 1, 2),
            "i",
        ),
        "list1": (pa.array([[GAIA], [], None, [4]], pa.list_(pa.int64())), (4,), "i"),
        "list": (pa.array([[1], [1, 2], None, []], pa.large_list(pa.float32())), (4,), "O"),
        "struct": (pa.array([{"a": 1}, None, {"a": 2}, {"a": 3}]), (4,), "O"),
        "map": (pa.array([[("a", 1)], None, [], []], pa.map_(pa.string(), pa.int8())), (4,), "O"),
        "binary": (pa.array([b"\xe9", b"b", None, b""]), (4,), "U"),
        "half": (pa.array(np.array([1, 2, 3, 4], np.float16)), (4,), "f"),
        "when": (pa.array([0, 1, None, 3], pa.timestamp("us", "UTC")), (4,), "U"),
        "lasts": (pa.array([0, 1, None, 3], pa.duration("s")), (4,), "U"),
        "kinds": (pa.array(text).dictionary_encode(), (4,), "U"),
        "view": (pa.array(text, pa.string_view()), (4,), "U"),
        "null": (pa.nulls(4), (4,), "f"),
        "decimal": (pa.array([1, 2, None, 3], pa.decimal128(9, 3)), (4,), "f"),
    }


GAIA = 5853498713190525697


@pytest.mark.parametrize("kind", list(odd_arrow()))
def test_arrow_columns_of_every_kind_whole_and_streamed(tmp_path, kind):
    array, shape, letter = odd_arrow()[kind]
    table = pa.table({"c": array, "x": [1.0, 2.0, 3.0, 4.0]})
    found = [as_table(table)]
    try:
        parquet.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        pytest.skip("no Parquet type")
    found.append(read_catalog(tmp_path / "a.parquet"))
    chunks = list(open_chunks(tmp_path / "a.parquet", 3).read(None))
    for made in found:
        assert made["c"].shape == shape and made["c"].dtype.kind == letter
        assert made["x"].tolist() == [1, 2, 3, 4]
    assert len({(chunk["c"].dtype.kind, chunk["c"].shape[1:]) for chunk in chunks}) == 1
    cells = [cell for chunk in chunks for cell in chunk["c"].tolist()]
    assert str(cells) == str(found[1]["c"].tolist())
    if kind == "list1":
        assert cells == [GAIA, None, None, 4]
    if kind == "fixed2":
        assert cells == [[1, 2], [3, None], [None, None], [5, 6]]
    assert origin_of(table).sha256


def test_odd_columns_of_pandas_and_astropy():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "x": [1.0, 2.0],
            "mixed": pandas.Series(["a", 2], dtype=object),
            "complex": [1j, 2],
            "lists": pandas.Series([[1, 2], [3]], dtype=object),
            "ones": pandas.Series([np.array([1.5]), None], dtype=object),
            5: [1, 2],
        }
    )
    table = as_table(frame)
    assert table["mixed"].tolist() == ["a", "2"] and table["complex"].dtype.kind == "c"
    assert table["lists"].dtype == object and table["ones"].tolist() == [1.5, None]
    assert table["5"].tolist() == [1, 2] and origin_of(frame).sha256
    twice = pandas.DataFrame([[1, 2], [3, 4]], columns=["a", "a"])
    with pytest.warns(XbayesWarning, match="column 2, named 'a', is read as 'a_2'"):
        assert as_table(twice)["a_2"].tolist() == [2, 4]
    own = Table({"x": [1.0, 2.0], "v": np.ones((2, 1)), "w": np.ones((2, 3)), "z": [1j, 2]})
    own["o"] = MaskedColumn(ragged(1, 2))
    table = as_table(own)
    assert table["v"].shape == (2,) and table["w"].shape == (2, 3) and origin_of(own).sha256
    assert as_table(Table({"a": [1]}))["a"].tolist() == [1]


@pytest.mark.parametrize("cells", [np.ones((3, 2)), ragged(1, 2, 3), np.array([1j, 2, 3])])
def test_a_feature_that_needs_such_a_column_is_refused(cells):
    table = as_table(Table({"c": cells}))
    with pytest.raises(InputError, match="column 'c' holds"):
        read_column(table, "c")


# -- files that cannot be read


def test_a_broken_link_a_pipe_and_a_truncated_zip(tmp_path):
    (tmp_path / "a.fits").symlink_to(tmp_path / "gone.fits")
    with pytest.raises(InputError, match=r"is a link to .*gone\.fits, which does not exist"):
        read_catalog(tmp_path / "a.fits")
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(InputError, match="is a pipe or a device"):
        read_catalog(tmp_path / "a.csv")
    (tmp_path / "b.csv.gz").write_bytes(
        gzip.compress(b"a,b\n" + os.urandom(900).hex().encode())[:200]
    )
    with pytest.raises(InputError, match="damaged or truncated"):
        read_catalog(tmp_path / "b.csv.gz")
    (tmp_path / "c.csv.gz").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(
        InputError, match=r"named as compressed but looks like text: rename it to c"
    ):
        read_catalog(tmp_path / "c.csv.gz")


def test_endings_of_other_programs(tmp_path):
    renamed(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        assert read_catalog(path)["x"].tolist() == [1.0, 2.0], path
