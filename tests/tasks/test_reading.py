"""Runs and classified catalogues from files as people have them: names, numbers, odd columns."""

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from pyarrow import parquet

import xbayes as api
from tests.small_sky import small_sky
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.config.reader import parse_config
from xbayes.errors import InputError
from xbayes.tasks.training import load_training

GAIA = 5853498713190525697
ENDINGS = [".fits", ".vot", ".ecsv", ".csv", ".parquet"]


@pytest.fixture(scope="module")
def fit(small):
    return api.load(small.folder)


@pytest.fixture(scope="module")
def new():
    """60 sources with names of every kind, and columns that nobody needs."""
    table = small_sky(60, 3)["name", "a", "b", "c"]
    table["gaia"] = MaskedColumn(GAIA + np.arange(60), mask=np.arange(60) % 4 == 0)
    return table


def with_odd_columns(table):
    table = table.copy()
    table["vector"] = np.ones((len(table), 3))
    table["one"] = np.ones((len(table), 1))
    table["complex"] = np.full(len(table), 1j)
    table["ragged"] = np.array([np.arange(k % 3) for k in range(len(table))], object)
    return table


def write(table, path):
    """Write columns that xbayes would not write, as another program may."""
    if path.suffix == ".vot":
        table.write(path, format="votable")
        return
    arrow = {name: pa.array(table[name].tolist()) for name in table.colnames if name != "complex"}
    parquet.write_table(pa.table(arrow), path)


def digits(column):
    return ["" if cell is None else str(cell) for cell in column.tolist()]


@pytest.mark.parametrize("ending", ENDINGS)
def test_ids_pass_from_csv_to_every_format(fit, new, tmp_path, ending):
    table = new.copy()
    table["gaia"] = MaskedColumn(digits(new["gaia"])).filled("NaN")
    table["zeros"] = [f"{k:03d}" for k in range(60)]
    table["big"] = [str(2**64 + k) for k in range(60)]
    table["rounded"] = ["1.50"] * 60
    table.write(tmp_path / "a.csv", format="ascii.csv")
    fit.classify_file(tmp_path / "a.csv", tmp_path / f"out{ending}")
    found = read_catalog(tmp_path / f"out{ending}", numbers=[])
    assert digits(found["gaia"]) == digits(new["gaia"])
    for name in ("zeros", "big", "rounded"):
        assert found[name].tolist() == table[name].tolist()
    expected = fit.classify(new)
    np.testing.assert_array_equal(
        np.asarray(read_catalog(tmp_path / f"out{ending}")["p_AGN"]), expected["p_AGN"]
    )


@pytest.mark.parametrize("ending", [".fits", ".vot", ".parquet", "memory"])
def test_columns_that_nobody_needs_never_stop_the_work(fit, new, tmp_path, ending):
    table = with_odd_columns(new)
    source = table
    if ending == ".fits":
        ragged = fits.Column("ragged", "PJ()", array=np.array(table["ragged"]))
        rest = table.copy()
        rest.remove_column("ragged")
        hdu = fits.table_to_hdu(rest)
        columns = fits.ColDefs([*hdu.columns, ragged])
        source = tmp_path / "a.fits"
        fits.BinTableHDU.from_columns(columns).writeto(source)
    elif ending != "memory":
        if ending == ".vot":
            table.remove_column("ragged")
        source = tmp_path / f"a{ending}"
        write(table, source)
    for out in ENDINGS:
        fit.classify_file(source, tmp_path / f"out{out}")
        found = read_catalog(tmp_path / f"out{out}")
        assert digits(found["gaia"]) == digits(new["gaia"])
        assert found["one"].tolist() == [1.0] * 60
        assert len(found) == 60 and np.isfinite(found["p_AGN"]).all()


def test_an_id_of_one_element_arrays_and_of_integers(fit, new):
    table = new.copy()
    table["name"] = (GAIA + np.arange(60)).reshape(60, 1)
    made = fit.classify(table)
    assert made["name"].tolist() == (GAIA + np.arange(60)).tolist()
    assert fit.explain(table, str(GAIA + 7)).track.name == str(GAIA + 7)


def test_an_id_that_became_a_float_is_refused(fit, new):
    table = new.copy()
    table["name"] = (GAIA + np.arange(60)).astype(float)
    with pytest.raises(InputError, match="lost their last digits"):
        fit.classify(table)


def test_a_row_keeps_its_name(fit):
    made = fit.classify({"name": "007", "a": "1e0", "b": 0.5, "c": 1})
    assert made["name"].tolist() == ["007"]
    made = fit.classify({"name": str(2**70 + 1), "a": 1.0, "b": 0.5, "c": 1})
    assert made["name"].tolist() == [str(2**70 + 1)]


def test_a_table_of_several_is_chosen(fit, new, tmp_path, done, refused, small):
    hdus = [fits.table_to_hdu(Table({"t": [1.0]})), fits.table_to_hdu(new)]
    for hdu, name in zip(hdus, ("GTI", "SRC"), strict=True):
        hdu.name = name
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a.fits")
    err = refused("classify", small.folder, tmp_path / "a.fits", "--out", tmp_path / "o.fits")
    assert "GTI (1): 1 row, SRC (2)" in err and "--table NAME" in err
    for name in ("SRC", "src", "2"):
        arguments = ("--table", name, "--out", tmp_path / "o.fits", "--overwrite")
        done("classify", small.folder, tmp_path / "a.fits", *arguments)
        assert len(read_catalog(tmp_path / "o.fits")) == 60
    assert len(fit.classify(tmp_path / "a.fits", table=2)) == 60


def training_of(config_text, path):
    return load_training(parse_config(config_text), path)


@pytest.mark.parametrize("ending", [".fits", ".csv", ".parquet"])
def test_groups_and_sources_of_large_integers_stay_apart(small_config, tmp_path, ending):
    """Names that are equal as floats; as floats, 100 fields would be a few."""
    sky = small_sky(300, 0)
    field = np.asarray(sky["field"])
    sky["field"] = GAIA + field
    sky["star"] = GAIA + np.unique(np.asarray(sky["star"]), return_inverse=True)[1]
    write_catalog(sky, tmp_path / f"a{ending}")
    config = small_config.replace("label: Class", "label: Class, source: star, group: field")
    training = training_of(config, tmp_path / f"a{ending}")
    assert len(np.unique(training.labels.group)) == len(np.unique(field))


def test_a_run_reads_the_table_that_the_config_names(small_config, tmp_path):
    sky = small_sky(120, 0)
    hdus = [fits.table_to_hdu(Table({"t": [1.0]})), fits.table_to_hdu(sky)]
    hdus[1].name = "SRC"
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a.fits")
    for table in ("SRC", "2"):
        config = small_config.replace("{id: name", f"{{table: {table}, id: name")
        assert len(training_of(config, tmp_path / "a.fits").table) == 120
    with pytest.raises(InputError, match="no table 'SKY'"):
        training_of(small_config.replace("{id: name", "{table: SKY, id: name"), tmp_path / "a.fits")


def test_labels_and_rules_of_a_csv_are_read_as_they_are_meant(small_config, tmp_path):
    sky = small_sky(120, 0)
    codes = {"AGN": "01", "Star": "02", "XRB": "03"}
    sky["Class"] = [codes[name] for name in sky["Class"]]
    sky["flag"] = sky["flag"].astype(float)
    sky.write(tmp_path / "a.csv", format="ascii.csv")
    config = small_config.replace("AGN: [AGN]", 'AGN: ["01"]').replace(
        "Star: [Star]", 'Star: ["02"]'
    )
    config = config.replace("XRB: [XRB]", 'XRB: ["03"]').replace(
        "bootstrap: 20", "bootstrap: 20, well_characterised: {at_least: 1, of: [flag > 0.5]}"
    )
    training = training_of(config, tmp_path / "a.csv")
    assert np.bincount(training.labels.class_index).sum() == 120
    assert training.well is not None and training.well.sum() == (sky["flag"] > 0.5).sum()


def test_a_file_of_zero_rows_is_refused_with_one_message(fit, new, tmp_path, refused, small):
    for ending in ENDINGS:
        write_catalog(new[:0], tmp_path / f"a{ending}")
        arguments = (small.folder, tmp_path / f"a{ending}", "--out", tmp_path / "o.csv")
        assert refused("classify", *arguments, says=["columns but no rows"]).count("xbayes:") == 1
    with pytest.raises(InputError, match="no rows"):
        fit.classify(new[:0])


def test_sources_are_not_pooled_by_names_that_became_floats(fit, new):
    made = fit.classify(new)
    made["star"] = (GAIA + np.arange(60) // 2).astype(float)
    with pytest.raises(InputError, match=r"'star' \(--by\).*lost their last digits"):
        api.sources(made, "star")
    made["star"] = GAIA + np.arange(60) // 2
    assert len(api.sources(made, "star", rho=1.0)) == 30


@pytest.mark.parametrize("empty", ["first", "last", "none"])
def test_markers_in_a_streamed_catalogue(fit, new, tmp_path, monkeypatch, empty):
    """A chunk may hold markers only; its columns have the types of the other chunks."""
    monkeypatch.setattr("xbayes.tasks.fitted_run.CHUNK_IN_MEMORY", 20)
    table, plain = new.copy(), new.copy()
    gone = {"first": slice(0, 20), "last": slice(40, 60), "none": slice(7, 9)}[empty]
    texts = np.array([repr(float(cell)) for cell in new["a"]], "U30")
    texts[gone] = "--"
    table["a"] = texts
    plain["a"] = MaskedColumn(np.asarray(new["a"], float), mask=texts == "--")
    write_catalog(table, tmp_path / "a.parquet")
    for ending in (".parquet", ".csv"):
        options = {"missing_values": {"a": ["--"]}}
        fit.classify_file(tmp_path / "a.parquet", tmp_path / f"o{ending}", **options)
        found = read_catalog(tmp_path / f"o{ending}")
        expected = fit.classify(plain)
        np.testing.assert_allclose(found["p_AGN"], expected["p_AGN"], rtol=1e-12)
        assert (found["a"].mask == (texts == "--")).all()
