"""CSV as other programs write it: comments, blank rows, markers, repeated names, encodings."""

import warnings

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from xbayes.catalog.read import read_catalog
from xbayes.catalog.roles import check_catalog
from xbayes.catalog.text_numbers import say_markers, text_counts, with_numbers
from xbayes.config.schema import CatalogConfig
from xbayes.errors import InputError, XbayesWarning
from xbayes.features.expression import parse


def written(folder, text):
    path = folder / "a.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(folder, content, **options):
    """The table, and what was told."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = read_catalog(written(folder, content), **options)
    return table, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["# a survey", "#", "a,b", "1,x", "2,y"], None),
        (
            ["a,b", "# here, too", "1,x", "#3,z", "2,y"],
            r"left out 2 comment lines \(the first is line 2\)",
        ),
        (["#a,b", "1,x", "2,y"], None),
        (["# made 2020-01-01, by hand", "# a,b", "1,x", "2,y"], None),
        (["", "# text", "", "a,b", "1,x", "", "2,y", "", ""], r"left out 1 blank row .*line 6"),
        (["a,b", "   ", "1,x", "\t", "2,y"], r"left out 2 blank rows \(the first is line 2\)"),
    ],
)
def test_comments_and_blank_rows(tmp_path, end, lines, told):
    table, messages = read(tmp_path, end.join([*lines, ""]))
    assert table.colnames == ["a", "b"]
    assert table["a"].tolist() == [1, 2] and table["b"].tolist() == ["x", "y"]
    assert len(messages) == (told is not None)
    if told:
        with pytest.warns(XbayesWarning, match=told):
            read_catalog(tmp_path / "a.csv")


def test_rows_of_commas_only_are_blank_where_columns_are_known(tmp_path):
    text = 'id,x\na,1\n,\nb,2\n , \n"",""\nc,3\n'
    table, (message,) = read(tmp_path, text, text=["id"], numbers=["x"])
    assert table["id"].tolist() == ["a", "b", "c"] and "3 blank rows" in message
    assert len(read_catalog(tmp_path / "a.csv")) == 6


def test_a_quoted_cell_may_hold_lines_of_any_kind(tmp_path):
    text = 'a,b\n1,"first\n# no comment\n\nlast"\n# a comment\n2,y\n'
    table, messages = read(tmp_path, text)
    assert table["b"].tolist() == ["first\n# no comment\n\nlast", "y"]
    assert len(messages) == 1 and "left out 1 comment line" in messages[0]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ('# within 5" of it\na,b\n1,x\n', ["x"]),
        ('a,b\n1,5" cut\n# "text\n\n2,y\n', ['5" cut', "y"]),
        ('a,b\n1,5" cut\n# text\n2,6" cut\n', ['5" cut', '6" cut']),
        ('a,b\n1,"say ""5"", \n# 1"\n2,y"\n', ['say "5", \n# 1', 'y"']),
    ],
)
def test_a_quote_within_a_cell_or_comment_opens_nothing(tmp_path, text, cells):
    assert read(tmp_path, text)[0]["b"].tolist() == cells


def test_a_quote_that_does_not_end_is_named_by_its_line(tmp_path):
    with pytest.raises(InputError, match="opens a cell in line 4 and none closes it"):
        read_catalog(written(tmp_path, '# 5"\na,b\n1,5"\n2,"y\n3,z\n'))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('a,b\n1,"x\n2,y\n3,"z\n4,w\n', 2),  # closed where the next quoted cell begins
        ('a,b\n1,x\n\n# text\n2,"y\n3,""\n4,"z"\n', 5),
        ('a,b,c\n1,"x,3\n2,y",3\n', 2),  # the lines of the cell are rows
        ('a,b,c,d\nm,k,"x,q\nn,l,y",q\n', 2),
        ('a,b\r\n1,"x\r\n' + "2,y\r\n" * 300 + '3,z"\r\n', 2),
        ('a,"b\n1,x\n2,y\n', 1),
    ],
)
def test_a_quote_that_swallows_rows_is_named_by_its_line(tmp_path, text, line):
    message = rf"opens a cell in line {line} and .*correct line {line}"
    with pytest.raises(InputError, match=message):
        read_catalog(written(tmp_path, text), numbers=["a"])


def test_a_quote_that_may_have_swallowed_rows_is_told(tmp_path):
    table, (message,) = read(tmp_path, 'a,b\nm,"x\nn,y"\n')
    assert table["b"].tolist() == ["x\nn,y"]
    assert "line 2" in message and "2 lines, which look like rows of 2 cells" in message


@pytest.mark.parametrize(
    ("text", "separated"),
    [
        ("a b c\n1 2 x\n", "blanks"),
        ("a  b\nx   y\nz   w\n", "blanks"),
        ("# made by hand\n# ra dec\n1.5 2.5\n3.5 4.5\n", "blanks"),
        ("name ra dec\nM 31 10.6 41.2\nSgr A* 266.4 -29\n", "blanks"),
        ("a;b\n1;2\n", "semicolons"),
        ("name;flux, mJy\nA;1,5\nB;2,5\n", "semicolons"),  # a comma in numbers
        ("a;b;c\n1,5;2,5;x\n", "semicolons"),
        ("a\tb\n1\t2\n", "tabs"),
        ("# x\na|b\n1|2\n", "vertical bars"),
    ],
)
def test_cells_that_no_comma_separates_are_refused(tmp_path, text, separated):
    message = f"separated by {separated}; separate them by commas.*pandas.read_csv"
    with pytest.raises(InputError, match=message):
        read_catalog(written(tmp_path, text))


def test_marks_in_names_and_cells_are_no_separators(tmp_path):
    table, _ = read(tmp_path, "id,a;b,c d\n1,x;y,z\n2,x,u v\n")
    assert table.colnames == ["id", "a;b", "c d"] and table["a;b"].tolist() == ["x;y", "x"]


def test_quotes_around_whole_lines_are_refused(tmp_path):
    with pytest.raises(InputError, match="quotes enclose the whole header"):
        read_catalog(written(tmp_path, '"a,b"\n"1,2"\n'))


def test_numbers_and_text_are_found_under_the_names_as_they_are_read(tmp_path):
    text = "id, x ,id,n\n007,1.50,2.50,1.50\n"
    table, _ = read(tmp_path, text, text=["id"], numbers=["x", "id_2"])
    assert table.colnames == ["id", "x", "id_2", "n"]
    assert table["x"].tolist() == [1.5] and table["id_2"].tolist() == [2.5]
    assert table["id"].tolist() == ["007"] and table["n"].tolist() == ["1.50"]


def test_numbers_as_fortran_writes_them(tmp_path):
    text = "x,y,n\n1.5D+3,1.0D+05,1d5\n -2d-1 ,-.5d0,1d5\n"
    table, _ = read(tmp_path, text, numbers=["x", "y"])
    assert table["x"].tolist() == [1500, -0.2] and table["y"].tolist() == [1e5, -0.5]
    assert table["n"].tolist() == ["1d5"] * 2
    # Where nothing says which columns are numbers, 1d5 may be a name.
    table = read_catalog(tmp_path / "a.csv")
    assert table["y"].tolist() == [1e5, -0.5] and table["n"].tolist() == ["1d5"] * 2


@pytest.mark.parametrize("late", ["1.5", "x", "1e5", "007", "true", "99999999999999999999", " 3"])
@pytest.mark.parametrize("numbers", [None, ["a"], []])
def test_a_column_is_what_all_its_cells_are_not_the_first(tmp_path, late, numbers):
    """The first rows only show what a column is not; the same rows in another order agree."""
    rows = [*["7"] * 300, late]
    first, _ = read(tmp_path, "a,b\n" + "".join(f"{cell},\n" for cell in rows), numbers=numbers)
    rows.reverse()
    other, _ = read(tmp_path, "a,b\n" + "".join(f"{cell},\n" for cell in rows), numbers=numbers)
    assert first["a"].dtype == other["a"].dtype
    assert first["a"].tolist() == other["a"].tolist()[::-1]


def test_a_row_that_does_not_fit_is_named_by_its_line(tmp_path):
    with pytest.raises(InputError, match=r"line 5: Expected 2 columns, got 3.*every row needs 2"):
        read_catalog(written(tmp_path, "# one\na,b\n\n1,x\n2,y,z\n"))


def test_latin_1_is_read_and_told(tmp_path):
    table, (message,) = read(tmp_path, "na\xefve,b\n1,caf\xe9\n".encode("latin-1"))
    assert table.colnames == ["na\xefve", "b"] and table["b"].tolist() == ["caf\xe9"]
    assert "not UTF-8" in message and "line 1" in message


def test_repeated_names_are_told(tmp_path):
    table, (message,) = read(tmp_path, "a,b,a\n1,2,3\n")
    assert (
        table.colnames == ["a", "b", "a_2"] and "column 3, named 'a', is read as 'a_2'" in message
    )


def test_byte_order_mark_before_a_comment_and_old_line_ends(tmp_path):
    assert read(tmp_path, "\ufeff# text\na,b\n1,2\n")[0].colnames == ["a", "b"]
    assert read(tmp_path, "a,b\r1,2\r3,4\r")[0]["b"].tolist() == [2, 4]


def test_a_file_of_zero_bytes_in_cells_is_refused(tmp_path):
    with pytest.raises(InputError, match="line 2002 holds a byte 0"):
        read_catalog(written(tmp_path, "a,b\n" + "1,2\n" * 2000 + "1,\0\n"))


# -- text that marks a missing value


@pytest.mark.parametrize("marker", ["--", "null", "NULL", "N/A", "-", "none", "...", "nodata"])
@pytest.mark.parametrize("purpose", ["train", "classify"])
@pytest.mark.parametrize("read_from", ["csv", "memory"])
def test_a_listed_marker_is_missing_and_the_column_numbers(tmp_path, marker, purpose, read_from):
    text = f"id,g\na,12.5\nb,{marker}\nc,{marker.upper()}\nd,-1e2\n"
    table = read_catalog(written(tmp_path, text), text=["id"], numbers=["g"])
    if read_from == "memory":
        table = Table({"id": list("abcd"), "g": ["12.5", marker, marker.upper(), "-1e2"]})
    config = CatalogConfig(id="id", missing_values={"g": [marker]})
    checked = check_catalog(table, config, ["g"], purpose)
    assert checked["g"].tolist() == [12.5, None, None, -100]
    assert checked["g"].dtype == np.float64


def test_a_marker_in_a_coordinate_and_in_integers(tmp_path):
    text = "id,ra,dec,n\na,1.5,2,3\nb,--,--,--\n"
    table = read_catalog(written(tmp_path, text), text=["id"], numbers=["ra", "dec", "n"])
    markers = {name: ["--"] for name in ("ra", "dec", "n")}
    config = CatalogConfig(id="id", ra="ra", dec="dec", missing_values=markers)
    checked = check_catalog(table, config, ["n"], "train")
    assert checked["ra"].tolist() == [1.5, None] and checked["n"].tolist() == [3, None]


def test_markers_that_are_not_listed_are_named(tmp_path):
    rows = ["1.5", "N/A", "--", "2", "--", "3", "4.5", "5"]
    table = read_catalog(written(tmp_path, "g,x\n" + "".join(f"{g},1\n" for g in rows)))
    for expression in ("g - 1", "g < 3", "log10(g)"):
        with pytest.raises(InputError) as error:
            parse(expression).evaluate(table)
        message = str(error.value)
        assert "column 'g' holds numbers, and '--' in 2 rows (the first is row 3)" in message
        assert "'N/A' in 1 row (the first is row 2)" in message
        assert 'catalog.missing_values: {g: ["--", "N/A"]}' in message
        assert "--missing-values 'g=--' --missing-values 'g=N/A'" in message
    assert parse("g == 'N/A'").evaluate(table).value.sum() == 1


def test_what_is_text_is_not_taken_for_numbers():
    names = np.array(["M31", "NGC 1", "5", "NGC 7"])
    assert say_markers("name", names, np.arange(4)) is None
    assert (
        text_counts(np.array(["1", "1d5", ".5", "5.", "+1E-3", "inf", "nan", "1_0", ""]))
        == {
            "": (1, 8),
            "1_0": (1, 7),
        }
        | {}
    )
    table = Table({"a": MaskedColumn(["1", "x"]), "b": MaskedColumn(["1", ""], mask=[0, 1])})
    with_numbers(table, ["a", "b"])
    assert table["a"].dtype.kind == "U" and table["b"].tolist() == [1, None]


def test_numbers_that_end_with_a_point_and_zero_are_numbers(tmp_path):
    """As Python writes them; other trailing zeros, and leading ones, would be lost."""
    (tmp_path / "a.csv").write_text("id,r,digits,code\na,0.0,1.10,007\nb,-1.0,1.2,008\n")
    table = read_catalog(tmp_path / "a.csv", numbers=[])
    assert table["r"].dtype.kind == "f" and table["r"].tolist() == [0.0, -1.0]
    assert table["digits"].tolist() == ["1.10", "1.2"] and table["code"].tolist() == ["007", "008"]
