import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from xbayes.catalog.read import parse_row, read_catalog, row_table
from xbayes.catalog.roles import check_catalog, nearest_names
from xbayes.config.schema import CatalogConfig
from xbayes.errors import InputError

CONFIG = CatalogConfig(
    id="name",
    ra="ra",
    dec="dec",
    label="Class",
    keep=("flux",),
    optional=("ruwe",),
    missing_values={"flags": ["-99", "-9"], "flux": [-99], "n": ["-9"]},
)


def some_table():
    return Table(
        {
            "name": ["a", "b", "c"],
            "ra": MaskedColumn([0.0, 360.0, 10.0], mask=[0, 0, 1], unit="deg"),
            "dec": MaskedColumn([-90.0, 90.0, 10.0], mask=[0, 0, 1]),
            "Class": ["AGN", "", "CV"],
            "flux": MaskedColumn([1.0, -99.0, np.inf], description="a flux", meta={"ucd": "phot"}),
            "flags": ["-99", "gcat", " -9.0 "],
            "n": [1, -9, 2],
        },
        masked=True,
    )


def test_markers_and_infinities_become_missing():
    table = some_table()
    found = check_catalog(table, CONFIG, ["flags"], "train")
    assert found["flux"].tolist() == [1.0, None, None]
    assert np.isnan(np.ma.getdata(found["flux"])[1:]).all()
    assert found["flags"].tolist() == [None, "gcat", None]
    assert found["n"].tolist() == [1, None, 2]
    assert found["flux"].description == "a flux" and found["flux"].meta["ucd"] == "phot"
    assert table["flux"].tolist() == [1.0, -99.0, np.inf]


@pytest.mark.parametrize("marker", [-99.9, "-99.9", "-99.90"])
@pytest.mark.parametrize("dtype", ["f4", "f8", str])
def test_markers_match_however_they_are_spelled(marker, dtype):
    table = Table({"id": [1, 2], "x": np.array([-99.9, -99.8], "f8").astype(dtype)})
    config = CatalogConfig(id="id", missing_values={"x": [marker]})
    assert check_catalog(table, config, [], "train")["x"].mask.tolist() == [True, False]


@pytest.mark.parametrize(
    ("values", "marker"), [([0, 1], 0.5), ([True, False], 0), ([0.0, 1.0], "x")]
)
def test_markers_that_match_nothing(values, marker):
    table = Table({"id": [1, 2], "x": values})
    config = CatalogConfig(id="id", missing_values={"x": [marker]})
    assert not check_catalog(table, config, [], "train")["x"].mask.any()


def test_an_optional_column_is_added_as_missing():
    found = check_catalog(some_table(), CONFIG, ["ruwe"], "train")
    assert found["ruwe"].mask.all() and found["ruwe"].dtype == np.float64
    assert found["ruwe"].meta == {"absent": True}
    assert "absent" not in found["flux"].meta


def test_a_lacking_column_names_the_nearest():
    nearest = r"lacks column 'fluxes' \(did you mean 'flux'\?\).* "
    with pytest.raises(InputError, match=nearest + r"list it under catalog\.optional"):
        check_catalog(some_table(), CONFIG, ["fluxes"], "train")
    to_copy = r"--map fluxes=flux \(in Python map={'fluxes': 'flux'}\).* --optional fluxes"
    with pytest.raises(InputError, match=nearest + to_copy):
        check_catalog(some_table(), CONFIG, ["fluxes"], "classify")


@pytest.mark.parametrize(
    ("lacking", "free", "near"),
    [
        (["g_mag", "j_mag"], ["Jmag", "Gmag"], {"g_mag": "Gmag", "j_mag": "Jmag"}),
        (["w1_mag"], ["w2_mag", "W1mag"], {"w1_mag": "W1mag"}),
        (["w1_mag"], ["w2_mag"], {}),
        (["ra", "dec"], ["RAJ2000", "DEJ2000"], {"ra": "RAJ2000", "dec": "DEJ2000"}),
        (["ra", "dec"], ["DE_ICRS", "RA_ICRS"], {"ra": "RA_ICRS", "dec": "DE_ICRS"}),
        (["a"], ["quite_other"], {}),
        (["flux", "fluxes"], ["Flux"], {"flux": "Flux"}),
    ],
)
def test_nearest_names(lacking, free, near):
    """Case, marks and equinox matter least; a number in a name must agree; each is used once."""
    assert nearest_names(lacking, free) == near


def test_an_id_that_is_lacking_too_is_in_the_same_message():
    table = some_table()
    table.rename_column("name", "srcid")
    message = (
        r"lacks its id column 'name'; 'srcid' may be its ids; name it: --id srcid .*number the"
    )
    with pytest.raises(InputError, match=message + r" rows: --id row; and it lacks column 'other'"):
        check_catalog(table, CONFIG, ["other", "flux"], "classify")


@pytest.mark.parametrize("role", ["ra", "dec", "label", "source", "group", "block"])
def test_to_train_every_role_is_needed(role):
    config = CONFIG.model_copy(update={role: "nowhere"})
    with pytest.raises(InputError, match="lacks column 'nowhere'"):
        check_catalog(some_table(), config, [], "train")
    check_catalog(some_table(), config, [], "classify")


def test_to_train_columns_of_keep_and_missing_values_are_needed():
    for update in ({"keep": ("nowhere",)}, {"missing_values": {"nowhere": ("-9",)}}):
        with pytest.raises(InputError, match="lacks column 'nowhere'"):
            check_catalog(some_table(), CONFIG.model_copy(update=update), [], "train")


def test_many_lacking_columns():
    with pytest.raises(InputError, match=r"'c1', 'c2', 'c3', 'c4', 'c5' .*; rename"):
        check_catalog(some_table(), CONFIG, ["c1", "c2", "c3", "c4", "c5"], "train")


def test_the_id_column_is_needed():
    with pytest.raises(InputError, match=r"lacks its id column 'nam' \(did you mean 'name'"):
        check_catalog(some_table(), CONFIG.model_copy(update={"id": "nam"}), [], "classify")


def test_repeated_ids_are_named():
    table = some_table()
    table["name"] = ["a", "a", "b"]
    with pytest.raises(InputError, match=r"must be unique, but column 'name' repeats 'a'; remove"):
        check_catalog(table, CONFIG, [], "train")
    many = Table({"name": np.repeat([f"s{i}" for i in range(5)], 2)})
    with pytest.raises(InputError, match="repeats 's0', 's1', 's2' and 2 more"):
        check_catalog(many, CatalogConfig(id="name"), [], "train")


def test_ids_that_are_arrays():
    table = some_table()
    table["name"] = np.arange(6).reshape(3, 2)
    with pytest.raises(InputError, match=r"'name' must hold one number or text per row; found \["):
        check_catalog(table, CONFIG, [], "train")


def test_missing_ids():
    table = some_table()
    table["name"].mask[1] = True
    with pytest.raises(InputError, match="1 rows have no id in column 'name', the first is row 2"):
        check_catalog(table, CONFIG, [], "train")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("ra", 360.5, r"'ra' must lie in \[0, 360\] degrees; found 360\.5 in row b"),
        ("ra", -0.1, r"found -0\.1 in row b"),
        ("dec", 90.01, r"'dec' must lie in \[-90, 90\] degrees; found 90\.01 in row b"),
    ],
)
def test_coordinates_out_of_range(column, value, message):
    table = some_table()
    table[column][1] = value
    with pytest.raises(InputError, match=message):
        check_catalog(table, CONFIG, [], "train")


def test_coordinates_in_other_forms():
    table = some_table()
    table["ra"] = ["12:30:00", "1", "2"]
    with pytest.raises(InputError, match=r"'ra' must hold an angle.*found '12:30:00'.*h:m:s"):
        check_catalog(table, CONFIG, [], "train")
    stated = CONFIG.model_copy(update={"units": {"ra": "h:m:s"}})
    np.testing.assert_allclose(check_catalog(table, stated, [], "train")["ra"], [187.5, 15, 30])
    table["ra"] = MaskedColumn([1.0, 2.0, 3.0], unit="hourangle")
    for purpose, ra in (("train", [15, 30, 45]), ("classify", [1, 2, 3])):
        np.testing.assert_allclose(check_catalog(table, CONFIG, [], purpose)["ra"], ra)
    table["ra"] = MaskedColumn([1.0, 2.0, 24.1], unit="hourangle")
    with pytest.raises(InputError, match=r"must lie in \[0, 360\] degrees; found 361\.5"):
        check_catalog(table, CONFIG, [], "classify")


def test_coordinates_may_all_be_missing():
    table = some_table()
    table["ra"] = MaskedColumn(["", "", ""], mask=True)
    check_catalog(table, CONFIG, [], "train")


def test_one_row_to_classify_is_named():
    row = row_table(parse_row(["ra=10", "dec=5", "flux=-99"]))
    found = check_catalog(row, CONFIG, ["flux"], "classify")
    assert found["name"].tolist() == ["row 1"]
    assert found["flux"].mask[0]
    with pytest.raises(InputError, match="id column"):
        check_catalog(row, CONFIG, ["flux"], "train")


def test_the_real_catalogue(data_folder):
    table = read_catalog(data_folder / "chandra_sources.csv")
    config = CatalogConfig(
        id="name", ra="ra", dec="dec", label="Class", missing_values={"MW_MW": ["-99", "-9"]}
    )
    found = check_catalog(table, config, ["Gmag"], "train")
    assert found["MW_MW"].mask.sum() == 216
