"""Round trips through every format; a failed write leaves no file."""

import gzip
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from astropy.time import Time
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xbayes.catalog import write
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import check_output, write_catalog
from xbayes.errors import InputError

ENDINGS = [".fits", ".fits.gz", ".vot", ".xml", ".ecsv", ".csv", ".parquet"]
UNITS = [None, "deg", "erg / (s cm2)", "mag", "1 / yr", "keV", "mag(AB)", "furlongs_per_night"]
PRINTABLE = [chr(code) for code in range(32, 127)]
FLOATS = st.one_of(st.none(), st.floats(allow_nan=False))
INTEGERS = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
SMALL = st.one_of(st.none(), st.integers(0, 255))
BOOLS = st.one_of(st.none(), st.booleans())
# The letter in front keeps text from looking like a number or a date, which CSV would read.
ASCII = st.one_of(st.none(), st.text(PRINTABLE, max_size=8).map(lambda t: ("s" + t).rstrip()))
ANY_TEXT = st.one_of(st.none(), st.text(max_size=5).map(lambda t: "é" + t.replace("\0", "")))
# FITS keywords change a quote before a slash, and & in a long text: see the test below.
DESCRIPTIONS = st.text(PRINTABLE, max_size=30).map(
    lambda text: " ".join(text.replace("'", "' ").replace("/", "- ").split())[:30].strip()
)


def column(cells, dtype, **attributes):
    blank = np.zeros(1, dtype)[0]
    values = np.array([blank if cell is None else cell for cell in cells], dtype=dtype)
    return MaskedColumn(values, mask=[cell is None for cell in cells], **attributes)


@st.composite
def tables(draw, texts=ASCII):
    n = draw(st.integers(1, 6))
    kinds = {
        "float": (FLOATS, "f8"),
        "integer": (INTEGERS, "i8"),
        "small": (SMALL, "u1"),
        "truth": (BOOLS, "?"),
        "text": (texts, "U7"),
    }
    table = Table(masked=True)
    for name in draw(st.lists(st.sampled_from(list(kinds)), min_size=1, unique=True)):
        cells, dtype = kinds[name]
        drawn = draw(st.lists(cells, min_size=n, max_size=n))
        table[name] = column(
            drawn,
            dtype if name != "text" else str,
            unit=draw(st.sampled_from(UNITS)) and u.Unit(draw_unit(draw), parse_strict="silent"),
            description=draw(DESCRIPTIONS) or None,
            meta={"ucd": "phot.flux;em.X-ray"} if draw(st.booleans()) else None,
        )
    table.meta["classes"] = ["AGN", "XRB"]
    table.meta["resolution"] = draw(st.floats(0, 1))
    table.meta["note"] = draw(st.text(max_size=100))
    return table


def draw_unit(draw):
    return draw(st.sampled_from(UNITS[1:]))


def same_values(found, expected):
    """The same cells are missing, and the others are equal."""
    assert found.colnames == expected.colnames
    for name in expected.colnames:
        np.testing.assert_array_equal(found[name].mask, expected[name].mask, err_msg=name)
        assert found[name].tolist() == expected[name].tolist(), name


def same_attributes(found, expected):
    for name in expected.colnames:
        assert found[name].unit == expected[name].unit
        assert found[name].description == expected[name].description
        assert found[name].meta.get("ucd") == expected[name].meta.get("ucd")
    assert found.meta == expected.meta


def written_and_read(table, ending):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"table{ending}"
        write_catalog(table, path)
        found = read_catalog(path)
        assert [file.name for file in Path(folder).iterdir()] == [path.name]
    return found


ONE_EMPTY_CELL = Table({"text": column([None, "s", None], str)}, masked=True)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
@given(table=tables())
@example(table=ONE_EMPTY_CELL)
@settings(deadline=None, max_examples=25)
def test_round_trip(ending, table):
    found = written_and_read(table, ending)
    same_values(found, table)
    if ending != ".csv":
        same_attributes(found, table)


@pytest.mark.parametrize("ending", [".vot", ".csv", ".parquet"])
@given(table=tables(texts=ANY_TEXT))
@settings(deadline=None, max_examples=25)
def test_any_text_round_trips(ending, table):
    same_values(written_and_read(table, ending), table)


@pytest.mark.parametrize("ending", ENDINGS)
def test_nan_and_empty_text_come_back_missing(ending):
    table = Table({"f": [1.5, np.nan, np.inf], "s": ["a", "", "b"], "n": [1, 2, 3]})
    found = written_and_read(table, ending)
    assert found["f"].tolist() == [1.5, None, np.inf]
    assert found["s"].tolist() == ["a", None, "b"]
    assert np.isnan(np.ma.getdata(found["f"])[1])
    assert found["f"].fill_value is not None and np.isnan(found["f"].fill_value)
    assert np.ma.getdata(found["s"]).tolist() == ["a", "", "b"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u1", "u2", "u4", "u8", "f2", "f4", ">f8"])
def test_every_width_of_number(ending, dtype):
    table = Table({"n": np.array([0, 100, 7], dtype)})
    if dtype != "f2":  # of which astropy makes no masked column
        table = Table(table, masked=True)
        table["n"].mask[2] = True
    assert written_and_read(table, ending)["n"].tolist() == [0, 100, 7 if dtype == "f2" else None]


def test_fits_finds_an_integer_that_stands_for_missing():
    taken = [-(2**63), -(2**63) + 1, None, 2**63 - 1]
    table = Table({"n": column(taken, "i8")})
    assert written_and_read(table, ".fits")["n"].tolist() == taken


def test_fits_has_the_keywords_topcat_reads(tmp_path):
    table = Table({"ra": MaskedColumn([1.0], unit="deg", description="right ascension")})
    table["ra"].meta["ucd"] = "pos.eq.ra;meta.main"
    write_catalog(table, tmp_path / "a.fits")
    header = fits.getheader(tmp_path / "a.fits", 1)
    assert header["TUNIT1"] == "deg"
    assert header["TCOMM1"] == "right ascension"
    assert header["TUCD1"] == "pos.eq.ra;meta.main"


def test_fits_descriptions_that_astropy_would_misread():
    table = Table(
        {"a": MaskedColumn([1], description="the source's' / ratio & more" + " text" * 30)}
    )
    table.meta["note"] = "it's '/ & " * 40
    found = written_and_read(table, ".fits")
    assert found["a"].description == "the source's\" / ratio + more" + " text" * 30
    assert found.meta == table.meta


def test_other_readers_agree(tmp_path):
    """What astropy and pandas read is what was written."""
    pandas = pytest.importorskip("pandas")
    table = Table({"f": column([1.5, None], "f8", unit="mag"), "s": column(["é", None], str)})
    write_catalog(table, tmp_path / "a.parquet")
    frame = pandas.read_parquet(tmp_path / "a.parquet")
    assert frame.columns.tolist() == ["f", "s"]
    assert frame["f"].isna().tolist() == [False, True]
    assert frame["s"].tolist() == ["é", ""]  # astropy would read a null as the text None
    write_catalog(table, tmp_path / "a.vot")
    from astropy.io.votable import parse_single_table

    field = parse_single_table(tmp_path / "a.vot", verify="exception").fields[0]
    assert (field.name, str(field.unit)) == ("f", "mag")


def test_compressed_fits_is_compressed(tmp_path):
    write_catalog(Table({"a": np.zeros(1000)}), tmp_path / "a.fits.gz")
    assert gzip.decompress((tmp_path / "a.fits.gz").read_bytes()).startswith(b"SIMPLE  =")


def test_the_same_table_gives_the_same_bytes(tmp_path):
    table = Table({"a": column([1.0, None], "f8"), "s": ["x", "y"]})
    for ending in ENDINGS:
        for name in ("one", "two"):
            write_catalog(table, tmp_path / f"{name}{ending}")
        one, two = (tmp_path / f"{name}{ending}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_the_table_is_not_changed():
    table = Table({"a": MaskedColumn([1.0, np.nan], mask=[1, 0]), "s": ["", "b"]})
    written_and_read(table, ".fits")
    assert table["a"].mask.tolist() == [True, False]
    assert np.ma.getdata(table["a"])[0] == 1.0


def test_existing_output_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("mine")
    with pytest.raises(InputError, match=r"a\.csv exists; give another name or --overwrite"):
        write_catalog(Table({"a": [1]}), path)
    assert path.read_text() == "mine"
    write_catalog(Table({"a": [1]}), path, overwrite=True)
    assert read_catalog(path)["a"].tolist() == [1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere/a.csv", "no folder .*nowhere; make it first"),
        ("folder.csv", "is a folder"),
        ("a.txt", r"'\.txt' is none of \.fits, .*\.parquet"),
        ("a", "'no ending' is none of"),
    ],
)
def test_impossible_outputs(tmp_path, name, message):
    (tmp_path / "folder.csv").mkdir()
    for refuse in (lambda path: write_catalog(Table({"a": [1]}), path), check_output):
        with pytest.raises(InputError, match=message):
            refuse(tmp_path / name)


@pytest.mark.parametrize(
    ("values", "ending", "message"),
    [
        (np.zeros((2, 3)), ".csv", r"none of the columns: 'a' \(arrays of shape \(3,\)\)"),
        (
            np.array([[1], {2: 3}], dtype=object),
            ".fits",
            r"none of the columns: 'a' \(cells of several",
        ),
        (Time([2000, 2001], format="jyear"), ".ecsv", "is a Time; a catalogue holds plain"),
    ],
)
def test_tables_that_no_file_can_hold(tmp_path, values, ending, message):
    with pytest.raises(InputError, match=message):
        write_catalog(Table({"a": values}), tmp_path / f"table{ending}")
    assert list(tmp_path.iterdir()) == []


def test_a_table_without_columns(tmp_path):
    with pytest.raises(InputError, match="without columns"):
        write_catalog(Table(), tmp_path / "a.csv")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, ending):
    path = tmp_path / f"a{ending}"
    write_catalog(Table({"a": [1]}), path)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(InputError, match=r"cannot write .*No space left"):
        write_catalog(Table({"a": [2]}), path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert read_catalog(path)["a"].tolist() == [1]


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(columns, meta, handle):
        handle.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setitem(write._WRITERS, "CSV", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_catalog(Table({"a": [1]}), tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_million_rows_are_written_and_read_in_seconds(tmp_path):
    values = np.random.default_rng(1).random((15, 1_000_000))
    table = Table({f"c{index}": row for index, row in enumerate(values)})
    start = time.perf_counter()
    write_catalog(table, tmp_path / "a.parquet")
    found = read_catalog(tmp_path / "a.parquet")
    assert time.perf_counter() - start < 20
    np.testing.assert_array_equal(np.asarray(found["c7"]), values[7])
