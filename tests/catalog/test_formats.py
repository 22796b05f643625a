from pathlib import Path

import pytest

from xbayes.catalog.formats import format_of, looks_like
from xbayes.errors import InputError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.fits", "FITS"),
        ("a.b.FITS.GZ", "FITS"),
        ("a.vot", "VOTable"),
        ("a.XML", "VOTable"),
        ("a.ecsv", "ECSV"),
        ("a.csv", "CSV"),
        ("a.parquet", "Parquet"),
        ("a.fit", "FITS"),
        ("a.csv.gz", "CSV"),
        ("a.vot.gz", "VOTable"),
        ("a.ECSV.gz", "ECSV"),
    ],
)
def test_the_ending_gives_the_format(name, expected):
    assert format_of(Path(name)).name == expected


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.parquet.gz", "csv", "a."])
def test_other_endings_are_refused(name):
    with pytest.raises(InputError, match="rename or convert"):
        format_of(Path(name))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"SIMPLE  =                    T", "FITS"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><VOTABLE>", "VOTable"),
        (b"<?xml version='1.0'?><rss>", "XML"),
        (b"\n<html><body>", "a web page (HTML)"),
        (b"# %ECSV 1.0\n", "ECSV"),
        (b"name,ra\n", "text"),
        (b"a\0b", "binary data"),
    ],
)
def test_the_first_bytes_give_the_format(head, expected):
    assert looks_like(head) == expected
