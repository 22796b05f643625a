"""Columns that a format cannot hold: told and left out; names, text and units: changed and told."""

import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from xbayes.catalog.adapt import _reason, column_messages, distinct_names
from xbayes.catalog.columns import from_table
from xbayes.catalog.formats import FORMATS
from xbayes.catalog.read import read_catalog
from xbayes.catalog.standard_units import standard_unit
from xbayes.catalog.write import catalog_writer, write_catalog
from xbayes.errors import InputError

ENDINGS = [".fits", ".vot", ".ecsv", ".csv", ".parquet"]
# Units as catalogues write them, and the unit that is meant; None: no standard knows it.
NASTY = {
    "erg/s/cm2": "erg / (s cm2)",
    "ergs/cm^2/s": "erg / (s cm2)",
    "1e-15 erg/s/cm2": "1e-15 erg / (s cm2)",
    "10-15erg/s/cm2": "1e-15 erg / (s cm2)",
    "10**-15 erg/s/cm2": "1e-15 erg / (s cm2)",
    "10^22 cm^-2": "1e22 / cm2",
    "3.6e-7 W": "3.6e-7 W",
    "counts": "ct",
    "counts/s": "ct / s",
    "photon/cm2/s": "photon / (s cm2)",
    "Angstroms": "Angstrom",
    "arcsec": "arcsec",
    "mag": "mag",
    "mag(AB)": "mag(AB)",
    "mag/arcsec^2": "mag / arcsec2",
    "dex": "dex",
    "dex(cm/s2)": "dex(cm/s2)",
    "1/yr": "1 / yr",
    "days": "d",
    "%": "%",
    "hourangle": "hourangle",
    "µm": "um",
    "mJy/beam": "mJy / beam",
    "sqrt(Hz)": "Hz(1/2)",
    "nmgy": "nmgy",
    "ct/s": "ct / s",
    "hours": "h",
    "km s-1 Mpc-1": "km / (s Mpc)",
    "ergs cm**(-2) s**(-1)": "erg / (s cm2)",
    "W m-2 Hz-1": "W / (m2 Hz)",
    "Jy": "Jy",
    "Msun": "Msun",
    "uas/yr": "uas / yr",
    "keV": "keV",
    "mag(Vega)": None,
    "deg.": None,
    "unitless": None,
    "log(erg/s)": None,
    "[erg]": None,
    "furlongs_per_night": None,
    "ABmag": None,
    "e-/s": None,
    "--": None,
    "a / b & <c>": None,
}


def with_units():
    table = Table()
    for k, text in enumerate(NASTY):
        table[f"c{k}"] = Column(
            [1.0, 2.0], description="flux", unit=u.Unit(text, parse_strict="silent")
        )
    return table


@pytest.mark.parametrize("ending", [".fits", ".vot", ".ecsv", ".parquet"])
def test_units_are_read_back_by_astropy_without_a_warning(ending, tmp_path):
    """A unit that no reader knows stands in the description; our reader finds all of them."""
    write_catalog(with_units(), tmp_path / f"a{ending}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Table.read(tmp_path / f"a{ending}")
    ours = read_catalog(tmp_path / f"a{ending}")
    for k, (text, meant) in enumerate(NASTY.items()):
        column = found[f"c{k}"]
        assert "UnrecognizedUnit" not in repr(column.unit), text
        if column.unit is None and ending != ".fits":  # astropy reads no descriptions from FITS
            assert column.description == f"flux [unit: {from_table(with_units())[k].unit}]"
        elif column.unit is not None:
            assert column.unit == u.Unit(meant or text, format=None if meant else "cds"), text
        expected = u.Unit(meant or text, parse_strict="silent")
        assert ours[f"c{k}"].description == "flux"
        if not (text == "[erg]" and ending == ".vot"):  # the CDS writes logarithms so
            assert ours[f"c{k}"].unit == expected, text


def test_the_usual_units_are_spelled_as_the_standards_ask(tmp_path):
    assert standard_unit("erg / (s cm2)", "fits") == "erg s-1 cm-2"
    assert standard_unit("erg / (s cm2)", "cds") == "erg.s-1.cm-2"
    assert standard_unit("1e-15 erg/s/cm2", "fits") == "10**-15 erg s-1 cm-2"
    assert standard_unit("counts/s", "fits") == "count s-1"
    assert standard_unit("mag(AB)", "fits") is None


def test_names_that_differ_by_case_only(tmp_path):
    """Cells of `r` are those of `r` in every reader of FITS."""
    table = Table({"R": [1.0], "r": [2.0], "r_2": [3.0], "Rr": [4.0]})
    with pytest.warns(UserWarning, match="'r' as 'r_3'"):
        write_catalog(table, tmp_path / "a.fits")
    found = Table.read(tmp_path / "a.fits")
    assert found.colnames == ["R", "r_3", "r_2", "Rr"]
    assert [found[name][0] for name in found.colnames] == [1, 2, 3, 4]
    header = fits.getheader(tmp_path / "a.fits", 1)
    names = [header[f"TTYPE{k}"].lower() for k in range(1, 5)]
    assert len(set(names)) == 4
    fitsio = pytest.importorskip("fitsio")
    with fitsio.FITS(tmp_path / "a.fits") as hdus:
        assert [hdus[1][name][0] for name in found.colnames] == [1, 2, 3, 4]
    for ending in (".vot", ".ecsv", ".csv", ".parquet"):
        write_catalog(table, tmp_path / f"a{ending}")
        assert read_catalog(tmp_path / f"a{ending}").colnames == table.colnames


NAMES = st.lists(st.text(max_size=6), min_size=1, max_size=6, unique=True)


@given(
    names=NAMES
    | st.lists(
        st.sampled_from(["R", "r", "r_2", "R_2", "é", "e", "_", "α", "β", "", " r"]), unique=True
    )
)
@settings(deadline=None, max_examples=200)
@pytest.mark.parametrize("format_name", ["FITS", "VOTable"])
def test_written_names_are_distinct_and_allowed(format_name, names):
    written = distinct_names(names, format_name)
    lower = [name.lower() if format_name == "FITS" else name for name in written]
    assert len(set(lower)) == len(names)
    for name in written:
        assert name and name == name.strip() and "\n" not in name
        assert format_name != "FITS" or (name.isascii() and name.isprintable())
        assert format_name != "FITS" or name[0].isalnum() or name[0] == "_"  # else astropy warns
    plain = [name for name in names if name.isascii() and name.isalpha()]
    first = {name.lower(): name for name in reversed(plain)}
    for name in first.values():  # the first of these keeps its name
        assert name in written


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.filterwarnings("ignore:columns are written under other names")
def test_odd_names_are_written_and_read(ending, tmp_path):
    table = Table([[1], [2], [3], [4], [5]], names=["g mag", "a\nb", "α", "x" * 80, "n'/d & e"])
    write_catalog(table, tmp_path / f"a{ending}")
    found = read_catalog(tmp_path / f"a{ending}")
    assert [found[name][0] for name in found.colnames] == [1, 2, 3, 4, 5]
    assert found.colnames[0] == "g mag"


def odd_columns():
    rng = np.random.default_rng(0)
    ragged = np.empty(2, object)
    ragged[:] = [[1.0], [2.0, 3.0]]
    return Table(
        {
            "id": ["a", "b"],
            "floats": MaskedColumn(
                rng.normal(size=(2, 3)), mask=[[0, 1, 0], [0, 0, 0]], unit="mag"
            ),
            "image": np.arange(12, dtype="f4").reshape(2, 2, 3),
            "integers": MaskedColumn([[1, 2], [3, 2**53 + 1]], mask=[[0, 1], [0, 0]]),
            "bits": np.array([[True, False], [False, True]]),
            "texts": np.array([["p", "q r"], ["", "s"]]),
            "complex": np.array([1 + 2j, 3j]),
            "ragged": ragged,
            "time": np.array(["2020-01-01T00:00:00", "NaT"], "datetime64[s]"),
            "mixed": np.array([[1.0], {"a": 1}], object),
            "empty": np.zeros((2, 0)),
        }
    )


HELD = {
    ".fits": {"floats", "image", "integers", "bits", "texts", "complex", "ragged"},
    ".vot": {"floats", "image", "integers", "bits", "complex", "ragged"},
    ".ecsv": {"floats", "image", "integers", "bits", "texts", "ragged"},
    ".csv": set(),
    ".parquet": {"floats", "integers", "bits", "texts", "ragged"},
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_columns_pass_where_the_format_holds_them_and_are_told_elsewhere(ending, tmp_path):
    table, path = odd_columns(), tmp_path / f"a{ending}"
    with pytest.warns(UserWarning, match="left out of the .* which cannot hold") as told:
        write_catalog(table, path)
    assert len(told) == 1
    assert [str(w.message) for w in told] == column_messages(table, path)
    found = Table.read(path) if ending != ".parquet" else read_catalog(path)
    assert set(found.colnames) == HELD[ending] | {"id", "time"}
    message = str(told[0].message)
    for name in {*table.colnames} - {*found.colnames}:
        assert f"'{name}' (" in message or "more" in message
    if "ragged" in HELD[ending]:
        assert [np.asarray(cell).tolist() for cell in found["ragged"]] == [[1.0], [2.0, 3.0]]
    for name in HELD[ending] - {"ragged"}:
        expected, cells = table[name], found[name]
        mask = np.ma.getmaskarray(expected)
        values = np.array(cells.tolist()) if cells.dtype.kind in "OS" else np.ma.getdata(cells)
        assert values.shape == expected.shape, name
        assert (values[~mask] == np.ma.getdata(expected)[~mask]).all(), name
    assert found["time"][0] == "2020-01-01T00:00:00"


@pytest.mark.parametrize(
    ("ending", "held"), [(".fits", "text"), (".vot", "text"), (".parquet", "number")]
)
@pytest.mark.filterwarnings("ignore:integers above")
def test_integers_above_the_largest_keep_every_digit(ending, held, tmp_path):
    path, ids = tmp_path / f"a{ending}", [2**64 - 1, 2**63 + 1]
    write_catalog(Table({"id": np.array(ids, "u8"), "n": np.array([1, 2], "u8")}), path)
    found = Table.read(path)
    assert [int(cell) for cell in found["id"]] == ids
    assert (found["id"].dtype.kind == "u") == (held == "number")
    assert found["n"].dtype.kind in "iu"


def test_text_that_fits_cannot_hold_is_escaped_without_a_loss(tmp_path):
    table = Table({"name": ["α Cen", "Señor", "plain", "a\tb"], "x": [1, 2, 3, 4]})
    with pytest.warns(
        UserWarning, match=r"other characters in 'name' are written as escapes, .*\\u03b1"
    ):
        write_catalog(table, tmp_path / "a.fits")
    found = [str(cell) for cell in Table.read(tmp_path / "a.fits")["name"]]
    assert found == [r"\u03b1 Cen", r"Se\xf1or", "plain", r"a\tb"]
    assert [text.encode().decode("unicode_escape") for text in found] == table["name"].tolist()


def test_a_thousand_columns():
    table = Table({f"c{k}": [1] for k in range(990)})
    assert column_messages(table, "a.fits", ["p"] * 9) == []
    with pytest.raises(InputError, match=r"at most 999 columns, here are 1000; write \.parquet"):
        column_messages(table, "a.fits", ["p"] * 10)
    assert column_messages(table, "a.parquet", ["p"] * 10) == []


def products():
    """Columns such as a classified catalogue has."""
    n = 5
    return Table(
        {
            "name": [f"S {k}" for k in range(n)],
            "gaia_id": MaskedColumn([2**62 + k for k in range(n)], mask=[0, 1, 0, 0, 0]),
            "prediction": ["AGN", "Star", "AGN", "XRB", "AGN"],
            "alternative": MaskedColumn(["", "AGN", "", "", ""], mask=[1, 0, 1, 1, 1]),
            "p_AGN": Column(np.linspace(0, 1, n), unit="", description="posterior probability"),
            "flux": MaskedColumn(np.ones(n), mask=[1, 0, 0, 0, 0], unit="erg/s/cm2"),
            "flag": [True, False, True, False, True],
            "n_missing": np.arange(n, dtype="u2"),
        }
    )


def test_parquet_holds_what_the_reader_of_topcat_takes(tmp_path):
    """Its source (starjava, InputColumns.java): plain types and lists of them; VOParquet header."""
    import io

    import pyarrow.parquet as pq
    from astropy.io.votable import parse

    table = products()
    table["v"] = Column([[1.0, 2.0]] * 5, unit="mag", description="a & b")
    table["lists"] = of_lists([[1], [2, 3], None, [4], [5]])
    write_catalog(table, tmp_path / "a.parquet")
    with pq.ParquetFile(tmp_path / "a.parquet") as file:
        group, metadata = file.metadata.row_group(0), file.metadata.metadata
        for k in range(group.num_columns):
            column, kind = group.column(k), file.schema.column(k).logical_type
            assert column.compression in ("SNAPPY", "UNCOMPRESSED", "GZIP")
            assert column.physical_type in ("BOOLEAN", "INT32", "INT64", "DOUBLE", "BYTE_ARRAY")
            assert kind.type in ("NONE", "STRING", "INT"), column.path_in_schema
            assert len(column.path_in_schema.split(".")) in (1, 3)
    assert metadata[b"IVOA.VOTable-Parquet.version"] == b"1.0"
    header = parse(io.BytesIO(metadata[b"IVOA.VOTable-Parquet.content"])).get_first_table()
    fields = {field.name: field for field in header.fields}
    assert [*fields] == table.colnames
    assert fields["flux"].unit == u.Unit("erg / (s cm2)")
    assert fields["p_AGN"].description == "posterior probability"
    assert (fields["v"].datatype, fields["v"].arraysize) == ("double", "2")
    assert fields["lists"].arraysize == "*"


def test_parquet_opens_in_astropy_pandas_and_polars(tmp_path):
    table, path = products(), tmp_path / "a.parquet"
    table.meta["CLASSES"] = "AGN,Star,XRB"
    write_catalog(table, path)
    found = Table.read(path)
    assert found["name"].tolist() == table["name"].tolist()
    assert found["alternative"].tolist() == ["", "AGN", "", "", ""]
    assert found["flux"].unit == u.Unit("erg / (s cm2)")
    assert found["p_AGN"].description == "posterior probability"
    assert found.meta == table.meta
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(path)
    assert frame["p_AGN"].tolist() == table["p_AGN"].tolist()
    assert str(frame["gaia_id"].dtype) == "Int64"  # every digit, though there are gaps
    assert frame["gaia_id"].dropna().tolist() == [2**62 + k for k in (0, 2, 3, 4)]
    polars = pytest.importorskip("polars")
    columns = polars.read_parquet(path)
    assert columns["gaia_id"].to_list() == [2**62, None, 2**62 + 2, 2**62 + 3, 2**62 + 4]
    assert columns["prediction"].to_list() == table["prediction"].tolist()


def of_lists(cells):
    values = np.empty(len(cells), object)
    values[:] = cells
    return values


LISTS = {
    "numbers": [[1.5, None], [2.5], None],
    "integers": [[1, 2**60 + 1], [3], [4, 5, 6]],
    "flags": [[True], [False, True], [False]],
    "names": [["x"], ["y", "longer"], None],
}


@pytest.mark.parametrize("ending", [".fits", ".vot", ".ecsv", ".parquet"])
@pytest.mark.filterwarnings("ignore:left out")
def test_lists_of_different_lengths(ending, tmp_path):
    """Rows of different width before and after them stay in place."""
    table = Table({"id": ["a", "", "longest"], **{n: of_lists(c) for n, c in LISTS.items()}})
    table["last"] = [1, 2, 3]
    path = tmp_path / f"a{ending}"
    write_catalog(table, path)
    held = [name for name in LISTS if name != "names" or ending in (".ecsv", ".parquet")]
    readers = [Table.read, read_catalog]
    if ending == ".parquet":
        readers.append(pytest.importorskip("pandas").read_parquet)
    for read in readers:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = read(path)
        assert [str(cell).strip() for cell in found["id"]][::2] == ["a", "longest"]
        assert [*found["last"]] == [1, 2, 3]
        for name in held:
            for cell, expected in zip(found[name], LISTS[name], strict=True):
                if expected is not None:
                    items = [None if x is None or x != x else x for x in np.asarray(cell).tolist()]
                    assert items == expected, name
        assert set(list(getattr(found, "colnames", found))) == {"id", "last", *held}


def test_lists_of_one_length_are_vectors(tmp_path):
    table = Table({"a": [1, 2], "v": of_lists([[1.0, 2.0], None]), "none": of_lists([None, []])})
    write_catalog(table, tmp_path / "a.fits")
    found = Table.read(tmp_path / "a.fits")
    assert found["v"].shape == (2, 2) and found["v"][0].tolist() == [1, 2]
    assert np.isnan(np.ma.getdata(found["v"])[1]).all()
    assert np.isnan(np.ma.getdata(found["none"]).astype(float)).all()


CHUNKS = {  # a column in two chunks, and the cells in a Parquet file
    "lists": (
        of_lists([[1.0], [2.0, 3.0]]),
        of_lists([[4.0], None]),
        [[1.0], [2.0, 3.0], [4.0], None],
    ),
    "late": (of_lists([None, []]), of_lists([[1.0, 2.0], [3.0]]), [None, None, [1.0, 2.0], [3.0]]),
    "scalars_later": (of_lists([[1], [2, 3]]), [4, 5], [[1], [2, 3], [4], [5]]),
    "wider": ([1, 2], [0.0, 3.0], [1, 2, 0, 3]),
    "text": (["a", "b"], [1, 2], ["a", "b", "1", "2"]),
    "text_lists": (
        of_lists([["a"], ["b"]]),
        of_lists([["long"], []]),
        [["a"], ["b"], ["long"], []],
    ),
}
LOST = {  # the second chunk does not fit the first
    "halves": ([1, 2], [1.5, 2.5]),
    "words": ([1, 2], ["x", "y"]),
    "arrays": ([1, 2], of_lists([[1, 2], [3]])),
    "mixed": ([1.0, 2.0], of_lists([{"a": 1}, [3]])),
    "shape": (np.ones((2, 2)), np.ones((2, 3))),
    "big": (of_lists([[1.0], [2.0, 3.0]]), of_lists([[2**60 + 1], [1, 2]])),
}


def write_chunks(path, parts):
    said = []
    with catalog_writer(path, warn=said.append) as append:
        for k in range(2):
            append(Table({"id": [f"{k}a", f"{k}b"], **{n: p[k] for n, p in parts.items()}}))
    return said


def test_chunks_of_different_types_are_written_as_the_first(tmp_path):
    pandas = pytest.importorskip("pandas")
    assert write_chunks(tmp_path / "a.parquet", CHUNKS) == []
    frame = pandas.read_parquet(tmp_path / "a.parquet")
    for name, (_, _, expected) in CHUNKS.items():
        found = [None if c is None else np.asarray(c).tolist() for c in frame[name]]
        assert found == expected, name


def test_chunks_that_do_not_fit_are_told_and_lose_no_work(tmp_path):
    """The classification is done by then: the other columns are written."""
    said = write_chunks(tmp_path / "a.parquet", LOST)
    assert len(said) == 1 and "are missing in the Parquet file where their type is not" in said[0]
    found = read_catalog(tmp_path / "a.parquet")
    assert found["id"].tolist() == ["0a", "0b", "1a", "1b"]
    for name in LOST:
        gone = np.ma.getmaskarray(found[name]).reshape(4, -1).all(1)
        assert gone.tolist() == [False, False, True, True], name


@pytest.mark.parametrize("ending", [".fits", ".vot", ".ecsv", ".csv"])
def test_chunks_are_joined_whatever_their_types(ending, tmp_path):
    said = write_chunks(tmp_path / f"a{ending}", {**CHUNKS, **LOST})
    assert len(said) <= 1
    assert read_catalog(tmp_path / f"a{ending}")["id"].tolist() == ["0a", "0b", "1a", "1b"]


@pytest.mark.parametrize("ending", [".fits", ".csv", ".parquet"])
def test_what_was_told_before_the_work_is_not_told_again(ending, tmp_path):
    told, table = set(), odd_columns()
    before = column_messages(table, tmp_path / f"a{ending}", told=told)
    assert len(before) == 1
    said = []
    with catalog_writer(tmp_path / f"a{ending}", warn=said.append, told=told) as append:
        append(table)
        append(table)
    assert said == []


def test_long_text_in_a_later_chunk_is_not_cut(tmp_path):
    with catalog_writer(tmp_path / "a.parquet") as append:
        append(Table({"s": ["a"]}))
        append(Table({"s": ["a longer text"]}))
    assert Table.read(tmp_path / "a.parquet")["s"].tolist() == ["a", "a longer text"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "kind"),
    [(".fits", "fits"), (".vot", "votable"), (".csv", "csv"), (".parquet", "parquet")],
)
def test_the_reader_of_topcat(ending, kind, tmp_path):
    """Columns, numbers and units as STILTS reads them."""
    if shutil.which("stilts") is None:
        pytest.skip("the program stilts is not installed")
    path = tmp_path / f"a{ending}"
    write_catalog(products(), path)
    command = [
        "stilts",
        "tpipe",
        f"in={path}",
        f"ifmt={kind}",
        "ofmt=ecsv",
        f"out={tmp_path}/b.ecsv",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No table handler available" in done.stderr:
        pytest.skip(f"this stilts reads no {kind}")
    assert done.returncode == 0, done.stderr
    found, table = Table.read(tmp_path / "b.ecsv"), products()
    assert found.colnames == table.colnames
    assert found["gaia_id"].tolist() == table["gaia_id"].tolist()
    assert found["p_AGN"].tolist() == table["p_AGN"].tolist()
    if ending in (".fits", ".vot"):
        assert found["flux"].unit == u.Unit("erg / (s cm2)")


DTYPES = ["?", "u1", "i2", "i4", "i8", "u2", "u4", "u8", "f4", "f8", "c8", "c16", "U3", "i1"]


@st.composite
def any_tables(draw):
    """Columns of any type and shape, some with masks, with any unit and any name."""
    rows = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    names = draw(st.lists(st.text(max_size=5), min_size=1, max_size=5, unique=True))
    table = Table({"first": np.arange(rows)})
    for name in names:
        dtype = np.dtype(draw(st.sampled_from(DTYPES)))
        shape = (rows, *draw(st.sampled_from([(), (), (2,), (1,), (2, 3)])))
        if dtype.kind == "U":
            values = rng.choice(["a", "b c", "é", ""], shape).astype(dtype)
        elif dtype.kind in "iu":
            info = np.iinfo(dtype)
            values = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
        else:
            values = (rng.normal(size=shape) * 10).astype(dtype)
        mask = rng.random(shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))
        unit = u.Unit(draw(st.sampled_from([*NASTY, ""])), parse_strict="silent")
        if name and name != "first":
            table[name] = MaskedColumn(
                values, mask=mask, unit=unit if dtype.kind in "iuf" else None
            )
    return table


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".fits", ".vot", ".ecsv", ".parquet"])
@given(table=any_tables())
@settings(deadline=None, max_examples=150)
def test_any_table_is_written_and_read_by_astropy_without_a_warning(ending, table):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{ending}"
        write_catalog(table, path, warn=lambda message: None)
        found = Table.read(path)
    held = [c for c in from_table(table) if not _reason(c, FORMATS[ending].name)]
    assert len(found.colnames) == len(held)
    for name, column in zip(found.colnames, held, strict=True):
        cells, given = found[name], np.asarray(column.values)
        if given.dtype.kind in "biuf" and (cells.dtype.kind in "biufc" or cells.dtype.kind == "O"):
            values = np.ma.getdata(cells).reshape(given.shape)  # one element is a scalar in FITS
            known = ~column.missing
            if given.dtype.kind in "iu" and values.dtype.kind == "f":
                known &= given.astype(float).astype(object) == given.astype(object)
            assert (values[known] == given[known]).all(), (name, given, cells)
