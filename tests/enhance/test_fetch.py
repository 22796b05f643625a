"""Catalogues in parts by sky region, from the local server."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from mocpy import MOC

from tests.enhance.server.xray_tables import N_NOWHERE, N_SOURCES, xray_tables
from xbayes.config.known_catalogs import known_catalog
from xbayes.enhance.fetch import adql_query, fetch_rows, known_query
from xbayes.enhance.pace import Pace
from xbayes.enhance.regions import Cone, Region
from xbayes.errors import InputError, XbayesWarning

XMM = xray_tables()["IX/69/xmm4d13s"]
FIELD = Cone(10.68, 41.27, 0.5)
POSTS = 'SELECT * FROM "IX/69'  # requests for rows


@pytest.fixture
def in_parts(monkeypatch):
    """Even small answers are fetched in parts, of few cells."""
    monkeypatch.setattr("xbayes.enhance.fetch.ROWS", 40)
    monkeypatch.setattr("xbayes.enhance.regions.CELLS", 12)


def query(name="4xmm"):
    given = known_catalog(name).fetch
    return known_query(name, given, given.service)


def inside(cone):
    ra, dec = (np.asarray(XMM[name].filled(0)) for name in ("RA_ICRS", "DE_ICRS"))
    place = SkyCoord(ra, dec, unit="deg")
    centre = SkyCoord(cone.ra * u.deg, cone.dec * u.deg)
    near = np.asarray(place.separation(centre).deg <= cone.radius)
    return np.sort(XMM["4XMM"][near & ~XMM["RA_ICRS"].mask])


def names(table):
    return np.sort(np.asarray(table["4XMM"]))


def row_queries(archive):
    """How often rows were asked for."""
    return sum("SELECT *" in asked.form.get("QUERY", "") for asked in archive.requests)


def test_a_small_region_is_one_part(archive, services):
    found = fetch_rows(services(), query(), Region(cone=FIELD))
    np.testing.assert_array_equal(names(found), inside(FIELD))
    assert found["Flux8"].unit == u.mW / u.m**2
    assert row_queries(archive) == 1


@pytest.mark.parametrize(
    ("cone", "rows"),
    [
        (FIELD, 30),
        (Cone(0.0, 0.0, 0.3), 5),
        (Cone(123.0, 89.9, 0.6), 5),
        (Cone(200.0, -40.0, 60.0), 20),
    ],
    ids=["field", "0h", "pole", "wide"],
)
def test_each_row_of_a_cone_comes_once_in_parts(archive, services, monkeypatch, cone, rows):
    monkeypatch.setattr("xbayes.enhance.fetch.ROWS", rows)
    monkeypatch.setattr("xbayes.enhance.regions.CELLS", 12)
    found = fetch_rows(services(), query(), Region(cone=cone))
    np.testing.assert_array_equal(names(found), inside(cone))
    assert row_queries(archive) > 2


@pytest.mark.slow
def test_the_whole_catalogue_has_its_rows_without_a_position(archive, services, in_parts):
    found = fetch_rows(services(), query(), Region())
    assert len(found) == N_SOURCES
    np.testing.assert_array_equal(names(found), np.sort(XMM["4XMM"]))
    assert found["RA_ICRS"].mask.sum() == N_NOWHERE
    assert row_queries(archive) > 10


def test_the_whole_catalogue_in_one_part(archive, services):
    np.testing.assert_array_equal(
        names(fetch_rows(services(), query(), Region())), np.sort(XMM["4XMM"])
    )


def test_a_moc_selects_rows(archive, services, in_parts):
    moc = MOC.from_cone(10.7 * u.deg, 41.3 * u.deg, radius=0.3 * u.deg, max_depth=9)
    found = fetch_rows(services(), query(), Region(moc=moc))
    known = ~XMM["RA_ICRS"].mask
    ra, dec = (np.asarray(XMM[name].filled(0)) * u.deg for name in ("RA_ICRS", "DE_ICRS"))
    right = known & moc.contains_lonlat(ra, dec)
    np.testing.assert_array_equal(names(found), np.sort(XMM["4XMM"][right]))
    assert 0 < len(found) < 100


def test_an_empty_region_is_told(services, in_parts):
    for region in (Region(cone=Cone(80.0, -77.0, 0.01)), Region(moc=MOC.from_string("9/5"))):
        with pytest.raises(InputError, match="4xmm has no row in this region"):
            fetch_rows(services(), query(), region)


@pytest.mark.parametrize("parts", [False, True])
def test_fewer_rows_than_counted_is_an_error_unless_allowed(archive, services, monkeypatch, parts):
    monkeypatch.setattr("xbayes.enhance.regions.CELLS", 12)
    monkeypatch.setattr("xbayes.enhance.fetch.ROWS", 30 if parts else 1000)
    region = Region(cone=FIELD)
    archive.fail("lossy", match="SELECT *")
    with pytest.raises(InputError, match=r"gave \d+ rows, and has more.*--allow-partial"):
        fetch_rows(services(), query(), region)
    archive.fail("lossy", match="SELECT *")
    with pytest.warns(XbayesWarning, match="the rest is missing|and gave"):
        partial = fetch_rows(services(allow_partial=True), query(), region)
    archive.faults.clear()
    whole = fetch_rows(services(), query(), region)
    np.testing.assert_array_equal(names(whole), inside(FIELD))
    assert 0 < len(partial) < len(whole)


def test_after_ctrl_c_the_same_request_goes_on(archive, services, in_parts):
    region, shown = Region(cone=FIELD), []

    def stop(share, step):
        shown.append(step)
        if step.startswith("part 3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"2 of \d+ parts are kept in .*same command"):
        fetch_rows(services(progress=stop), query(), region)
    assert archive.jobs == {}
    first = row_queries(archive)
    assert first == 2
    found = fetch_rows(services(), query(), region)
    np.testing.assert_array_equal(names(found), inside(FIELD))
    n_parts = int(next(step for step in shown if step.startswith("part")).split()[3].strip(","))
    assert row_queries(archive) == n_parts  # none of them twice
    again = fetch_rows(services(offline=True), query(), region)
    np.testing.assert_array_equal(names(again), names(found))


def test_a_service_that_goes_down_keeps_the_parts(archive, services, in_parts):
    def go_down(share, step):
        if step.startswith("part 3"):
            archive.fail("error", times=100)

    region = Region(cone=FIELD)
    with pytest.raises(InputError, match=r"no usable answer.*HTTP 500.*2 of \d+ parts are kept"):
        fetch_rows(services(progress=go_down, retries=1), query(), region)
    archive.faults.clear()
    np.testing.assert_array_equal(names(fetch_rows(services(), query(), region)), inside(FIELD))


def test_an_answer_is_asked_again_on_request(archive, services):
    region = Region(cone=FIELD)
    fetch_rows(services(), query(), region)
    archive.services["vizier"]["IX/69/xmm4d13s"] = XMM[:0]
    assert len(fetch_rows(services(), query(), region)) == len(inside(FIELD))
    with pytest.raises(InputError, match="has no row"):
        fetch_rows(services(refresh=True), query(), region)


class TestAdql:
    TABLE = '"IX/69/xmm4d13s"'

    def ask(self, text, **given):
        return adql_query("mine.adql", text, "vizier", **given)

    def test_any_query_is_fetched_and_counted(self, archive, services):
        text = f"-- bright\nSELECT recno, Flux8 FROM {self.TABLE} WHERE Flux8 > 1e-14;\n"
        found = fetch_rows(services(), self.ask(text), Region())
        bright = XMM["Flux8"].filled(0) > 1e-14
        np.testing.assert_array_equal(np.sort(found["recno"]), XMM["recno"][bright])
        assert len(archive.asked("COUNT(*)")) > 0
        archive.fail("lossy", match="RUN SELECT recno, Flux8")
        with pytest.raises(InputError, match="--allow-partial"):
            fetch_rows(services(refresh=True), self.ask(text), Region())

    def test_region_stands_for_the_condition(self, services, in_parts):
        text = f"SELECT x.* FROM {self.TABLE} AS x WHERE REGION(x.RA_ICRS, x.DE_ICRS)"
        found = fetch_rows(services(), self.ask(text), Region(cone=FIELD))
        np.testing.assert_array_equal(names(found), inside(FIELD))

    def test_case_does_not_matter(self, services, in_parts):
        text = f'SELECT "4XMM", RA_ICRS AS Ra_Icrs, DE_ICRS AS de_icrs FROM {self.TABLE}'
        query = self.ask(f"{text} WHERE region(RA_ICRS, DE_ICRS)")
        np.testing.assert_array_equal(
            names(fetch_rows(services(), query, Region(cone=FIELD))), inside(FIELD)
        )

    def test_a_query_that_cannot_be_counted_is_fetched(self, archive, services):
        archive.fail("refused_count", times=9, match="COUNT")
        text = f"SELECT TOP 7 recno FROM {self.TABLE}"
        with pytest.warns(XbayesWarning, match=r"vizier cannot count the rows of mine\.adql"):
            assert len(fetch_rows(services(), self.ask(text), Region())) == 7

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "begins with SELECT"),
            ("DROP TABLE x", "begins with SELECT"),
            ("SELECT * FROM a WHERE REGION(a, b) OR REGION(c, d)", "several positions"),
        ],
    )
    def test_what_is_no_query_is_refused(self, text, says):
        with pytest.raises(InputError, match=says):
            self.ask(text)

    def test_a_region_needs_its_place_and_its_columns(self, services, in_parts):
        with pytest.raises(InputError, match=r"write REGION\(ra, dec\)"):
            fetch_rows(services(), self.ask(f"SELECT * FROM {self.TABLE}"), Region(cone=FIELD))
        text = f"SELECT recno FROM {self.TABLE} WHERE REGION(RA_ICRS, DE_ICRS)"
        with pytest.raises(InputError, match="'RA_ICRS' of REGION is not in the answer"):
            fetch_rows(services(), self.ask(text), Region(cone=FIELD))


def test_the_pace_counts_what_comes_from_the_network(monkeypatch):
    clock = iter([0.0, 10.0, 20.0, 21.0])
    monkeypatch.setattr("xbayes.enhance.pace.time.monotonic", lambda: next(clock))
    pace = Pace(4000)
    assert pace.text() == "0 rows"
    pace.add(1000, 900, from_network=False)
    assert pace.text() == "900 rows" and pace.share == 0.25
    pace.add(1000, 1000, from_network=True)
    assert pace.text() == "1,900 rows, 100 rows/s, 20 s left"
    pace.add(2500, 2500, from_network=False)
    assert pace.share == 1.0 and pace.text().endswith("0 s left")
