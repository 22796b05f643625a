"""Files that other programs wrote."""

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from xbayes.catalog.read import read_catalog


def some_table(n=40):
    names = [f"source {index}" for index in range(n)]
    values = MaskedColumn(np.arange(n) + 0.5, mask=np.arange(n) % 3 == 0, unit="mag")
    return Table({"name": names, "mag": values, "n": np.arange(n)}, masked=True)


def test_pandas_parquet(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "f": [1.5, None, 3],
            "n": pandas.array([1, None, 3], dtype="Int64"),
            "s": ["a", None, ""],
            "kind": pandas.Categorical(["x", None, "y"]),
            "when": pandas.to_datetime(["2020-01-01", None, "2021-01-01"]),
            "truth": pandas.array([True, None, False], dtype="boolean"),
        }
    )
    frame[frame.index >= 0].to_parquet(tmp_path / "a.parquet")
    table = read_catalog(tmp_path / "a.parquet")
    assert table.colnames == list(frame.columns)
    assert table["f"].tolist() == [1.5, None, 3]
    assert table["n"].tolist() == [1, None, 3]
    assert table["s"].tolist() == ["a", None, None]
    assert table["kind"].tolist() == ["x", None, "y"]
    assert [str(cell)[:10] for cell in table["when"].tolist()] == [
        "2020-01-01",
        "None",
        "2021-01-01",
    ]
    assert table["truth"].tolist() == [True, None, False]
    frame.set_index("s").to_parquet(tmp_path / "b.parquet")
    assert "s" in read_catalog(tmp_path / "b.parquet").colnames


def test_lsdb_style_parquet(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table(
        {
            "_healpix_29": pa.array([1, 2], pa.int64()),
            "id": pa.array(["a", "b"], pa.large_string()),
            "mag": pa.chunked_array([[1.5], [None]], pa.float32()),
            "lc": pa.array([[1, 2], None], pa.list_(pa.int64())),
            "Npix": pa.array(["7", "7"]).dictionary_encode(),
            "nothing": pa.nulls(2),
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    found = read_catalog(tmp_path / "a.parquet")
    assert found["id"].tolist() == ["a", "b"]
    assert found["mag"].tolist() == [1.5, None] and found["mag"].dtype == np.float32
    assert found["lc"].dtype == object and found["Npix"].tolist() == ["7", "7"]
    assert found["nothing"].mask.all()


def test_astropy_parquet_has_no_extra_mask_columns(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        some_table().write(tmp_path / "a.parquet", format="parquet")
    found = read_catalog(tmp_path / "a.parquet")
    assert found.colnames == ["name", "mag", "n"]
    np.testing.assert_array_equal(found["mag"].mask, some_table()["mag"].mask)


@pytest.mark.parametrize(("ending", "form"), [(".fits", "fits"), (".vot", "votable")])
def test_files_of_astropy(tmp_path, ending, form):
    table = Table({"name": ["a", "bb"], "mag": [1.5, np.nan], "good": [True, False]})
    table["mag"].unit = "erg / (s cm2)"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table.write(tmp_path / f"a{ending}", format=form)
    found = read_catalog(tmp_path / f"a{ending}")
    assert found["name"].tolist() == ["a", "bb"] and found["name"].dtype.kind == "U"
    assert found["mag"].tolist() == [1.5, None]
    assert found["mag"].unit == table["mag"].unit
    assert found["good"].tolist() == [True, False]


def test_tabledata_votable(tmp_path):
    fields = (
        '<FIELD name="s" datatype="char" arraysize="*" ucd="meta.id"/>'
        '<FIELD name="x" datatype="double" unit="mW/m2"><DESCRIPTION>a flux</DESCRIPTION></FIELD>'
        '<FIELD name="n" datatype="int"><VALUES null="-9"/></FIELD>'
    )
    rows = "<TR><TD>a b</TD><TD>1.5</TD><TD>-9</TD></TR><TR><TD/><TD/><TD>3</TD></TR>"
    path = tmp_path / "a.xml"
    path.write_text(
        '<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        f"<RESOURCE><TABLE>{fields}<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE></RESOURCE>"
        "</VOTABLE>"
    )
    table = read_catalog(path)
    assert table["s"].tolist() == ["a b", None] and table["s"].meta["ucd"] == "meta.id"
    assert table["x"].tolist() == [1.5, None] and str(table["x"].unit) == "mW / m2"
    assert table["x"].description == "a flux"
    assert table["n"].tolist() == [None, 3]


def test_fits_of_other_programs(tmp_path):
    """Bytes, nulls, scaled and vector columns, an odd unit, and a second table that is ignored."""
    columns = [
        fits.Column("name", "5A", array=np.array([b"ab", b"caf\xe9", b""])),
        fits.Column("n", "I", null=-9, array=np.array([1, -9, 3])),
        fits.Column("scaled", "I", array=np.array([0, 5, 10])),
        fits.Column("flux", "E", unit="erg/cm2/s", array=np.array([1, np.nan, 3])),
        fits.Column("vector", "2D", array=np.arange(6).reshape(3, 2)),
        fits.Column("odd", "D", unit="furlongs", array=np.zeros(3)),
    ]
    first = fits.BinTableHDU.from_columns(columns)
    first.header["TSCAL3"], first.header["TZERO3"] = 0.1, 5
    second = fits.BinTableHDU.from_columns([fits.Column("other", "D", array=np.zeros(5))])
    image = fits.ImageHDU(np.zeros(3))
    fits.HDUList([fits.PrimaryHDU(), image, first, second]).writeto(tmp_path / "a.fits")
    table = read_catalog(tmp_path / "a.fits")
    assert table["name"].tolist() == ["ab", "café", None]
    assert table["n"].tolist() == [1, None, 3]
    np.testing.assert_allclose(table["scaled"], [5, 5.5, 6])
    assert table["flux"].tolist() == [1, None, 3] and table["flux"].unit == "erg / (s cm2)"
    assert table["vector"].shape == (3, 2) and not table["vector"].mask.any()
    assert str(table["odd"].unit) == "furlongs"


def test_ascii_fits_table(tmp_path):
    columns = [
        fits.Column("n", "I4", ascii=True, null="-9", array=np.array([1, -9])),
        fits.Column("s", "A3", ascii=True, array=np.array(["ab", ""])),
    ]
    fits.TableHDU.from_columns(columns).writeto(tmp_path / "a.fits")
    table = read_catalog(tmp_path / "a.fits")
    assert table["n"].tolist() == [1, None]
    assert table["s"].tolist() == ["ab", None]


def test_ecsv_with_a_mixin_column(tmp_path):
    from astropy.time import Time

    table = Table({"t": Time([2000.0, 2001.0], format="jyear")})
    table.write(tmp_path / "a.ecsv")
    assert read_catalog(tmp_path / "a.ecsv")["t"].tolist() == ["2000.0", "2001.0"]
