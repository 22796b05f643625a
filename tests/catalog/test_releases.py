"""Several files joined into one catalogue: names, units, missing values and repeated sources."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from xbayes.catalog.columns import masked_column
from xbayes.catalog.inputs import origin_of
from xbayes.catalog.releases import ABSENT_IN, Wanted, join_releases
from xbayes.catalog.write import write_catalog
from xbayes.config.schema import CatalogConfig
from xbayes.errors import InputError

CGS = u.erg / u.s / u.cm**2
WANTED = Wanted(features=["flux", "gmag"], numbers=["flux", "gmag"], text=[], sky=["ra", "dec"])


def roles(*files, **more):
    """Roles of columns, with options of the releases a, b, ..."""
    named = [{"file": None, "release": "ab"[k]} | options for k, options in enumerate(files)]
    given = {"id": "name", "ra": "ra", "dec": "dec", "label": "Class", "files": named}
    return CatalogConfig.model_validate(given | more)


def sky(n=4, first=0, **columns):
    """n sources, two degrees apart, in a declination of their own."""
    table = Table({"name": [f"s{first + k}" for k in range(n)]})
    table["ra"], table["dec"] = 2.0 * np.arange(first, first + n), np.full(n, 1.0)
    table["Class"] = ["AGN"] * n
    table["flux"], table["gmag"] = 1e-14 * (1 + np.arange(n)), 15.0 + np.arange(n)
    for name, values in columns.items():
        table[name] = values
    return table


def joined(one, other, config=None, wanted=WANTED):
    return join_releases({"a": one, "b": other}, config or roles({}, {}), wanted)


def column(made, name):
    return masked_column(made.table, name)


def test_rows_follow_in_the_order_of_the_files_with_their_release():
    made = joined(sky(4), sky(3, first=9))
    assert made.table["name"].tolist() == ["s0", "s1", "s2", "s3", "s9", "s10", "s11"]
    assert made.table["release"].tolist() == ["a"] * 4 + ["b"] * 3
    assert not made.warnings and len(np.unique(made.link)) == 7
    assert (column(made, "flux").meta or {}) == {}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["flux", "gmag", "Class", "ra"]), unique=True, max_size=3),
    st.booleans(),
)
def test_a_column_that_a_file_lacks_is_masked_there_and_named(lacking, in_first):
    if "ra" in lacking:
        lacking = [*lacking, "dec"]
    whole, part = sky(4), sky(3, first=9)
    part.remove_columns(lacking)
    tables = (part, whole) if in_first else (whole, part)
    made = joined(*tables)
    release = "a" if in_first else "b"
    rows = np.asarray(made.table["release"]) == release
    for name in ("flux", "gmag", "Class", "ra", "dec"):
        is_lacking = name in lacking
        np.testing.assert_array_equal(
            np.ma.getmaskarray(column(made, name)), rows if is_lacking else np.zeros(7, bool)
        )
        assert (column(made, name).meta or {}).get(ABSENT_IN) == ([release] if is_lacking else None)
        np.testing.assert_array_equal(np.asarray(column(made, name))[~rows], whole[name])
    (warning,) = made.warnings if lacking else ("",)
    assert all(repr(name) in warning for name in lacking)


def test_names_units_and_markers_are_those_of_each_file():
    one = sky(3)
    one["flux"].unit = CGS
    other = sky(3, first=9)
    other["flux"] = np.array([2e-17, -99, 3e-17]) * u.W / u.m**2
    other.rename_columns(["name", "gmag", "Class"], ["id", "phot_g", "kind"])
    columns = {"name": "id", "gmag": "phot_g", "Class": "kind"}
    config = roles({}, {"columns": columns, "missing_values": {"flux": [-99]}})
    made = joined(one, other, config)
    assert made.warnings == () and column(made, "flux").unit == CGS
    np.testing.assert_allclose(
        column(made, "flux").filled(-1).tolist(), [1e-14, 2e-14, 3e-14, 2e-14, -1, 3e-14]
    )
    assert made.table["name"][3:].tolist() == ["s9", "s10", "s11"]
    assert made.table["gmag"][3:].tolist() == [15, 16, 17]
    # The marker of one file is a value in another one.
    config = roles({"missing_values": {"flux": [-99]}}, {"columns": columns})
    assert column(joined(one, other, config), "flux")[4] == pytest.approx(-99e3)


def test_coordinates_of_any_form_become_degrees():
    one, other = sky(2), sky(2, first=9)
    other["ra"], other["dec"] = ["00:36:00", "01:20:00"], ["+01:30:00", "-00:30:00"]
    made = joined(one, other, roles({}, {"units": {"ra": "h:m:s", "dec": "d:m:s"}}))
    np.testing.assert_allclose(np.asarray(column(made, "ra"), float), [0, 2, 9, 20])
    np.testing.assert_allclose(np.asarray(column(made, "dec"), float), [1, 1, 1.5, -0.5])
    other["ra"], other["dec"] = np.deg2rad([9, 20]), np.deg2rad([1.5, -0.5])
    made = joined(one, other, roles({}, {"units": {"ra": "rad", "dec": "rad"}}))
    np.testing.assert_allclose(np.asarray(column(made, "ra"), float), [0, 2, 9, 20])


def test_the_unit_of_the_first_file_that_has_the_column_counts():
    one, other = sky(2), sky(2, first=9)
    one.remove_column("flux")
    other["flux"].unit = CGS
    assert column(joined(one, other), "flux").unit == CGS
    third = sky(2, first=20)
    third["flux"].unit = "W/m2"
    made = join_releases({"a": one, "b": other, "c": third}, roles({}, {}), WANTED)
    np.testing.assert_allclose(np.asarray(column(made, "flux"))[4:], [1e-11, 2e-11])


def test_units_that_do_not_convert_are_refused_with_file_and_column():
    one, other = sky(2), sky(2, first=9)
    one["flux"].unit, other["flux"].unit = CGS, "ct/s"
    with pytest.raises(InputError, match=r"release b\).*'flux' is in ct / s.*release a\).*units: "):
        joined(one, other)
    # A wrong unit of a file can be corrected.
    made = joined(one, other, roles({}, {"units": {"flux": "erg/s/cm2"}}))
    assert made.table["flux"][2] == 1e-14


def test_a_file_without_units_is_told():
    one, other = sky(2), sky(2, first=9)
    one["flux"].unit = CGS
    (warning,) = joined(one, other).warnings
    assert "names no unit for 'flux' [erg / (s cm2)]" in warning and "catalog.files[1]" in warning
    (warning,) = joined(other, one).warnings
    assert "has units for 'flux' [erg / (s cm2)]" in warning


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"columns": {"gmag": "phot"}}, r"files\[1\].columns.gmag: the file has no column 'phot'"),
        ({"columns": {"gmak": "gmag"}}, r"uses no column 'gmak' \(did you mean 'gmag'\?\)"),
        ({"units": {"flxu": "mJy"}}, r"files\[1\].units: .* 'flxu' \(did you mean 'flux'\?\)"),
        ({"missing_values": {"gmagg": [0]}}, r"files\[1\].missing_values: .*did you mean 'gmag'"),
        ({"units": {"flux": "furlong2"}}, "no unit 'furlong2'"),
    ],
)
def test_wrong_options_of_a_file_name_it(options, text):
    with pytest.raises(InputError, match=rf"table in memory \(release b\): .*{text}"):
        joined(sky(2), sky(2, first=9), roles({}, options))


def test_a_column_that_no_file_has_is_refused():
    one, other = sky(2), sky(2, first=9)
    for table in (one, other):
        table.rename_column("gmag", "g_mag")
    with pytest.raises(InputError, match=r"'gmag' \(did you mean 'g_mag'\?\)"):
        joined(one, other)
    other.rename_column("g_mag", "gmag")
    (warning,) = joined(one, other).warnings
    assert "(release a) has no column 'gmag'" in warning and "columns: {gmag: g_mag}" in warning
    made = joined(one, other, roles({}, {}, optional=["gmag"]))
    assert made.warnings == () and column(made, "gmag").meta[ABSENT_IN] == ["a"]


def test_an_own_column_of_releases_is_not_read_and_told():
    one, other = sky(2), sky(2, first=9)
    one["release"] = ["x", "y"]
    made = joined(one, other)
    assert made.table["release"].tolist() == ["a", "a", "b", "b"]
    assert "(release a) has a column 'release' of its own" in made.warnings[0]
    made = joined(one, other, roles({}, {}, release="dr", keep=["release"]))
    assert made.table["dr"].tolist() == ["a", "a", "b", "b"]
    assert np.ma.getmaskarray(column(made, "release")).tolist() == [False, False, True, True]


def test_a_file_without_ids_is_refused_with_its_name():
    other = sky(2, first=9)
    other.rename_column("name", "names")
    text = r"release b\): there is no id column 'name' \(did you mean 'names'\?\).*files\[1\].col"
    with pytest.raises(InputError, match=text):
        joined(sky(2), other)


def test_faults_of_a_file_name_it(tmp_path):
    write_catalog(sky(2), tmp_path / "one.fits")
    bad = sky(2, first=9)
    bad["name"] = ["x", "x"]
    write_catalog(bad, tmp_path / "two.fits")
    with pytest.raises(InputError, match=r"two.fits \(release b\): ids must be unique.*'x'"):
        joined(tmp_path / "one.fits", tmp_path / "two.fits")
    bad["name"], bad["dec"] = ["x", "y"], [1.0, 99.0]
    with pytest.raises(InputError, match=r"\(release b\): column 'dec' must lie in"):
        joined(sky(2), bad)
    bad["dec"], bad["gmag"] = 1.0, ["15", "faint"]
    text = r"'gmag' holds numbers in table in memory \(release a\), but text in .*'15'"
    with pytest.raises(InputError, match=text):
        joined(sky(2), bad)


def test_repeated_ids():
    one, other = sky(4), sky(4, first=2)
    other["dec"] = 5.0
    text = r"release a\) and .*release b\) share 2 of column 'name', such as 's2'.*prefix.*first"
    with pytest.raises(InputError, match=text):
        joined(one, other)
    made = joined(one, other, roles({}, {}, repeated_ids="prefix"))
    assert made.table["name"][:2].tolist() == ["a:s0", "a:s1"]
    assert made.link[2] == made.link[4] and made.link[3] == made.link[5]
    assert len(np.unique(made.link)) == 6 and "2 sources are in more than one" in made.warnings[0]
    made = joined(one, other, roles({}, {}, repeated_ids="first"))
    assert made.table["name"].tolist() == ["s0", "s1", "s2", "s3", "s4", "s5"]
    assert made.table["release"].tolist() == ["a"] * 4 + ["b"] * 2
    assert len(np.unique(made.link)) == 6 and "2 rows are left out" in made.warnings[0]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.5, 4.0))
def test_sources_near_each_other_in_different_files_are_linked(seed, radius):
    """Against a brute force over all pairs, near a pole and at right ascension 0."""
    rng = np.random.default_rng(seed)
    tables = []
    for k in range(3):
        table = sky(20, first=100 * k)
        table["ra"] = (rng.normal(0, 5 / 3600, 20) / np.cos(np.deg2rad(80))) % 360
        table["dec"] = 80 + rng.normal(0, 5 / 3600, 20)
        tables.append(table)
    config = roles({}, {}, same_source=radius)
    made = join_releases(dict(zip("abc", tables, strict=True)), config, WANTED)
    from astropy.coordinates import SkyCoord

    at = SkyCoord(np.asarray(made.table["ra"]), np.asarray(made.table["dec"]), unit="deg")
    near = at[:, None].separation(at[None]).arcsec <= radius
    release = np.asarray(made.table["release"])
    near &= release[:, None] != release
    link = np.arange(60)
    for _ in range(60):
        link = np.where(near.any(1), np.minimum(link, np.where(near, link, 99).min(1)), link)
    np.testing.assert_array_equal(made.link[:, None] == made.link, link[:, None] == link)


def test_ids_and_labels_of_other_types_become_text():
    one, other = sky(2), sky(2, first=9)
    other["name"], other["Class"] = [2**60 + 1, 7], [1.0, 3.0]
    made = joined(one, other)
    assert made.table["name"].tolist() == ["s0", "s1", str(2**60 + 1), "7"]
    assert made.table["Class"].tolist() == ["AGN", "AGN", "1", "3"]
    # An empty column has no type.
    other["Class"] = MaskedColumn([np.nan, np.nan], mask=True)
    assert (
        np.ma.getmaskarray(column(joined(one, other), "Class")).tolist() == [False] * 2 + [True] * 2
    )


def test_the_origin_has_the_checksum_of_each_file(tmp_path):
    write_catalog(sky(2), tmp_path / "one.fits")
    made = joined(tmp_path / "one.fits", sky(2, first=9))
    origin = origin_of(tmp_path / "one.fits")
    assert made.origin.files["a"] == origin and made.origin.files["b"].path is None
    assert made.origin.name == "one.fits (a), table in memory (b)"
    other = origin_of({"a": tmp_path / "one.fits", "c": sky(2, first=9)})
    assert made.origin.sha256 not in (origin.sha256, other.sha256)


def test_kept_columns_of_other_types_keep_every_digit():
    one, other = sky(2), sky(2, first=9)
    one["k"], other["k"] = [2**60 + 1, -7], np.array([2**63 + 1, 7], np.uint64)
    config = roles({}, {}, keep=["k"])
    expected = [str(2**60 + 1), "-7", str(2**63 + 1), "7"]
    assert joined(one, other, config).table["k"].tolist() == expected
    one["k"], other["k"] = [1, 2], [0.5, 1.5]
    assert joined(one, other, config).table["k"].tolist() == [1, 2, 0.5, 1.5]
    other["k"] = MaskedColumn([np.nan, np.nan], mask=True)
    assert column(joined(one, other, config), "k").tolist() == [1, 2, None, None]


@pytest.mark.parametrize("cells", [np.array([[1], [1, 2]], object), np.zeros((2, 2))])
def test_arrays_in_one_file_only_are_refused(cells):
    one, other = sky(2), sky(2, first=9)
    one["k"], other["k"] = cells, [1, 2]
    config = roles({}, {}, keep=["k"])
    with pytest.raises(InputError, match=r"'k' holds arrays in some files.*catalog.keep"):
        joined(one, other, config)
    other.remove_column("k")
    made = column(joined(one, other, config), "k")
    assert np.ma.getmaskarray(made)[2:].all() and not np.ma.getmaskarray(made)[:2].any()
