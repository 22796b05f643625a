"""Files that hold several tables, and files of images."""

import numpy as np
import pytest
from astropy.io import fits

from tests.catalog.cards import votable, votables
from xbayes.catalog.read import open_chunks, read_catalog
from xbayes.errors import InputError, XbayesWarning


def write_fits(path, names):
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.zeros((2, 2)))]
    for number, name in enumerate(names):
        column = fits.Column("x", "D", array=np.full(2, number))
        hdus.append(fits.BinTableHDU.from_columns([column], name=name))
    fits.HDUList(hdus).writeto(path)


def write_votable(path, names):
    field = ['name="x" datatype="double"']
    path.write_bytes(votables({name: (field, [[str(n)]] * 2) for n, name in enumerate(names)}))


@pytest.fixture(params=[".fits", ".vot"])
def three(request, tmp_path):
    """A file of three tables; of the first two the name differs in case only."""
    path = tmp_path / f"a{request.param}"
    names = ["Sources", "SOURCES", "gti"]
    write_fits(path, names) if request.param == ".fits" else write_votable(path, names)
    return path


def test_the_first_is_read_and_all_are_named(three):
    first = 2 if three.suffix == ".fits" else 1
    with pytest.warns(
        XbayesWarning, match=rf"(?i)3 tables .*gti \({first + 2}\): 2 rows\).*catalog.table: NAME"
    ):
        assert read_catalog(three)["x"].tolist() == [0, 0]


@pytest.mark.parametrize("name", ["gti", "GTI", " gti "])
def test_a_table_is_chosen_by_name(three, name):
    assert read_catalog(three, table=name)["x"].tolist() == [2, 2]
    assert next(open_chunks(three, 1, table=name).read(None))["x"].tolist() == [2]


def test_a_table_is_chosen_by_number(three):
    number = 4 if three.suffix == ".fits" else 3
    assert read_catalog(three, table=str(number))["x"].tolist() == [2, 2]


def test_case_decides_only_if_it_must(tmp_path):
    write_votable(tmp_path / "a.vot", ["Sources", "SOURCES"])
    assert read_catalog(tmp_path / "a.vot", table="SOURCES")["x"][0] == 1
    with pytest.raises(InputError, match="2 tables named 'sources'; give the number"):
        read_catalog(tmp_path / "a.vot", table="sources")


def test_a_wrong_name_is_refused_with_all_names(three):
    with pytest.raises(InputError, match=r"(?i)holds no table 'srcs'; it has .*gti"):
        read_catalog(three, table="srcs")


@pytest.mark.parametrize("ending", [".fits", ".vot"])
def test_a_single_table_is_taken_whatever_its_name(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    write_fits(path, ["one"]) if ending == ".fits" else write_votable(path, ["one"])
    assert read_catalog(path, table="other")["x"].tolist() == [0, 0]


def test_tables_without_names(tmp_path):
    field = ['name="x" datatype="double"']
    data = votable(field, [["1"]]).replace(b' name="T"', b"")
    table = data[data.index(b"<TABLE>") : data.index(b"</RESOURCE>")]
    (tmp_path / "a.vot").write_bytes(data.replace(table, table + table))
    with pytest.warns(XbayesWarning, match=r"2 tables \(1: 1 row, 2: 1 row\);"):
        read_catalog(tmp_path / "a.vot")


def test_a_file_of_images_says_so(tmp_path):
    images = [fits.PrimaryHDU(np.zeros((3, 3))), fits.ImageHDU(np.zeros(4), name="VAR")]
    fits.HDUList(images).writeto(tmp_path / "a.fits")
    with pytest.raises(
        InputError, match=r"holds no table, only images \(extensions 0, VAR \(1\)\)"
    ):
        read_catalog(tmp_path / "a.fits")
