"""Reading catalogues: bad files, CSV, whole files and single rows."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from xbayes.catalog.read import parse_row, read_catalog, row_table
from xbayes.catalog.write import write_catalog
from xbayes.errors import InputError

ENDINGS = [".fits", ".fits.gz", ".vot", ".ecsv", ".csv", ".parquet"]


def some_table(n=40):
    names = [f"source {index}" for index in range(n)]
    values = MaskedColumn(np.arange(n) + 0.5, mask=np.arange(n) % 3 == 0, unit="mag")
    return Table({"name": names, "mag": values, "n": np.arange(n)}, masked=True)


def written(folder, ending, n=40):
    path = Path(folder) / f"table{ending}"
    write_catalog(some_table(n), path)
    return path


def csv(folder, text):
    path = Path(folder) / "a.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


# -- bad files


def test_missing_file_names_the_nearest(tmp_path):
    written(tmp_path, ".fits")
    with pytest.raises(InputError, match=r"no file .*tabel\.fits \(did you mean 'table\.fits'"):
        read_catalog(tmp_path / "tabel.fits")
    with pytest.raises(InputError, match="there is no folder"):
        read_catalog(tmp_path / "nowhere" / "table.fits")


def test_a_folder_names_what_is_in_it(tmp_path):
    folder = tmp_path / "folder.parquet"
    folder.mkdir()
    written(folder, ".csv")
    with pytest.raises(InputError, match=r"is a folder; give a file, such as table\.csv"):
        read_catalog(folder)


def test_unknown_ending_lists_the_known(tmp_path):
    (tmp_path / "a.dat").touch()
    with pytest.raises(InputError, match=r"\.fits, \.fits\.gz, \.vot, \.xml, \.ecsv, \.csv, \.par"):
        read_catalog(tmp_path / "a.dat")


@pytest.mark.parametrize("ending", ENDINGS)
def test_zero_bytes(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    path.touch()
    with pytest.raises(InputError, match=r"is empty \(0 bytes\)"):
        read_catalog(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_header_only(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    write_catalog(some_table()[:0], path)
    with pytest.raises(InputError, match="has 3 columns but no rows"):
        read_catalog(path)


@pytest.mark.parametrize("ending", [".fits", ".fits.gz", ".vot", ".parquet"])
@settings(deadline=None, max_examples=25)
@given(share=st.floats(0, 1))
def test_a_truncated_file_is_refused_wherever_it_is_cut(ending, share):
    with tempfile.TemporaryDirectory() as folder:
        path = written(folder, ending)
        data = path.read_bytes()
        # A FITS file ends with a filling that is no data, and a VOTable with line ends.
        end = {".fits": len(data) - 2880, ".vot": len(data) - 1}.get(ending, len(data))
        path.write_bytes(data[: 1 + int(share * (end - 2))])
        with pytest.raises(InputError):
            read_catalog(path)


@pytest.mark.parametrize("ending", [".ecsv", ".csv"])
@settings(deadline=None, max_examples=25)
@given(share=st.floats(0, 1))
def test_truncated_text_is_refused_wherever_a_line_is_cut(ending, share):
    with tempfile.TemporaryDirectory() as folder:
        path = written(folder, ending)
        data = path.read_bytes()
        cut = data[: 1 + int(share * (len(data) - 3))]
        path.write_bytes(cut)
        if cut.endswith(b"\n") and cut.count(b"\n") > data.count(b"\n") - 40:
            # Cut between rows: nothing tells that there were more.
            assert len(read_catalog(path)) < 40
        else:
            # In pytest the warning about a last line without end is an error.
            with pytest.raises(InputError):
                read_catalog(path)


def test_a_truncated_fits_says_so(tmp_path):
    path = written(tmp_path, ".fits", n=1000)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(InputError, match=r"is truncated: its table needs \d+ bytes"):
        read_catalog(path)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("other", [*ENDINGS, "html", "zip", "xlsx", "binary"])
def test_another_format_than_its_name(tmp_path, ending, other):
    found = {
        "html": b"<!DOCTYPE html><html><body>404</body></html>",
        "zip": b"PK\x03\x04....",
        "xlsx": b"PK\x03\x04....",
        "binary": b"\x01\x02\0\0",
    }
    data = found.get(other) or written(tmp_path, other).read_bytes()
    path = tmp_path / f"wrong{ending}"
    path.write_bytes(data)
    if other == ending:
        assert len(read_catalog(path)) == 40
        return
    with pytest.raises(InputError, match=r"is named as .* but looks like"):
        read_catalog(path)


def test_another_format_says_which(tmp_path):
    path = tmp_path / "wrong.csv"
    path.write_bytes(written(tmp_path, ".fits").read_bytes())
    message = r"named as CSV but looks like FITS; rename it to \.fits$"
    with pytest.raises(InputError, match=message):
        read_catalog(path)


def test_unreadable_file(tmp_path, monkeypatch):
    path = written(tmp_path, ".csv")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"cannot read .*Permission denied"):
        read_catalog(path)


@pytest.mark.parametrize("ending", [".vot", ".xml"])
@pytest.mark.parametrize(
    ("body", "message"),
    [("", "without a table"), ("<RESOURCE><TABLE>", "damaged or truncated")],
)
def test_votable_without_a_table(tmp_path, ending, body, message):
    path = tmp_path / f"a{ending}"
    path.write_text(f'<?xml version="1.0"?>\n<VOTABLE version="1.4">{body}</VOTABLE>')
    with pytest.raises(InputError, match=message):
        read_catalog(path)


def test_fits_without_a_table(tmp_path):
    fits.PrimaryHDU(np.zeros((5, 5))).writeto(tmp_path / "image.fits")
    with pytest.raises(InputError, match="holds no table"):
        read_catalog(tmp_path / "image.fits")


# -- CSV


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
        ("a,b\n1,2\n3,4,5\n", "Expected 2 columns, got 3"),
        ('a,b\n1,"x\n2,y\n', "opens a cell in line 2 and none closes it"),
        ("a,b\n", "has 2 columns but no rows"),
        ("1.5,2\n3,4\n", "the first line must name the columns"),
        ("a;b\n1;2\n", "separate them by commas"),
        (b"a,b\n1,2\n3,4", "the last line of .* has no end"),
        (b"\n\n", "the first line must name the columns, but it holds nothing"),
    ],
)
def test_bad_csv(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_catalog(csv(tmp_path, text))


def test_only_an_empty_cell_is_missing_in_csv(tmp_path):
    table = read_catalog(csv(tmp_path, 'a,b,c\nNA,nan,\n"",1,\nnull,,\n'))
    assert table["a"].tolist() == ["NA", None, "null"]
    assert table["b"].tolist() == [None, 1.0, None]
    assert table["c"].mask.all() and table["c"].dtype.kind == "f"


def test_csv_keeps_dates_as_they_are(tmp_path):
    table = read_catalog(csv(tmp_path, "a,b\n2020-01-01,12:30\n,\n2021-05-05 10:00,1:2\n"))
    assert table["a"].tolist() == ["2020-01-01", None, "2021-05-05 10:00"]
    table = read_catalog(csv(tmp_path, "a,b\n2020-01-01,12:30:00\n,\n"))
    assert table["a"].tolist() == ["2020-01-01", None]
    assert table["b"].tolist() == ["12:30:00", None]


def test_csv_with_byte_order_mark_empty_lines_and_windows_line_ends(tmp_path):
    table = read_catalog(csv(tmp_path, '\ufeff,a\r\n0,"x, ""y"""\r\n\r\n1,z\r\n\r\n'))
    assert table.colnames == ["unnamed_1", "a"]
    assert table["a"].tolist() == ['x, "y"', "z"]


def test_a_late_change_of_type_in_a_long_csv(tmp_path):
    text = "a,b\n" + "1,\n" * 600_000 + "2.5,x\n"
    table = read_catalog(csv(tmp_path, text))
    assert table["a"][-1] == 2.5 and table["b"][-1] == "x"
    assert table["b"].mask.sum() == 600_000


def test_csv_without_a_last_line_end_is_read_with_a_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_catalog(csv(tmp_path, "a,b\n1,2"))["b"].tolist() == [2]


# -- whole files


def test_every_column_is_masked(tmp_path):
    table = read_catalog(written(tmp_path, ".csv"))
    assert all(isinstance(table[name], MaskedColumn) for name in table.colnames)
    assert isinstance(table["n"], Column)


def test_the_real_catalogue(data_folder):
    table = read_catalog(data_folder / "chandra_sources.csv")
    assert len(table) == 2345
    assert table["powlaw_gamma_mean"].mask.sum() == 1685
    assert table["MW_MW"].dtype.kind == "U"


# -- one row


def test_read_row():
    table = row_table(
        parse_row(["name=2CXO J1=2", "ra = 10.5", "dec=-1e1", "gmag=", "n=1_000", "x=nan"])
    )
    assert table["name"][0] == "2CXO J1=2"
    assert table["ra"][0] == 10.5 and table["dec"][0] == -10.0
    assert table["gmag"].mask[0] and table["x"].mask[0]
    assert table["n"][0] == "1_000"


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "at least one key=value pair"),
        (["ra"], "key=value pairs; found 'ra'"),
        (["=5"], "key=value pairs; found '=5'"),
        (["ra=1", "ra=2"], "'ra' is given twice: '1' and '2'"),
    ],
)
def test_bad_rows(pairs, message):
    with pytest.raises(InputError, match=message):
        row_table(parse_row(pairs))
