"""The real clients (pyvo, astroquery, astropy) against the local server."""

import re

import numpy as np
import pytest
from astropy.table import Table

from tests.enhance.server.small_tables import M31, stars
from xbayes.enhance.services import Services
from xbayes.errors import InputError, XbayesWarning

ADQL = 'SELECT * FROM "I/355/gaiadr3"'


def positions(n=60):
    at = stars()[:n]
    return Table({"row": np.arange(n), "ra": at["RA_ICRS"], "dec": at["DE_ICRS"]})


@pytest.mark.parametrize("wait", [True, False])
def test_tap_gives_values_masks_units_and_ucds(archive, services, wait):
    found, right = services().tap("vizier", ADQL, wait=wait), stars()
    assert found.colnames == right.colnames
    for name in right.colnames:
        np.testing.assert_array_equal(np.ma.getmaskarray(found[name]), right[name].mask)
        np.testing.assert_array_equal(found[name].filled(0), right[name].filled(0))
        assert found[name].unit == right[name].unit
    assert found["RA_ICRS"].meta["ucd"] == "pos.eq.ra;meta.main"
    assert found.meta["service"] == "vizier" and found.meta["date"].endswith("+00:00")
    assert archive.jobs == {}  # deleted


def test_simbad_gives_all_objects_within_the_radius(services):
    found = services().simbad(positions(), 1.0)
    np.testing.assert_array_equal(np.sort(found["row"]), np.arange(0, 60, 2))
    np.testing.assert_allclose(found["separation"], 0.5, rtol=1e-4)


def test_crossmatch_gives_all_candidates(services):
    found = services().crossmatch(positions(10), "I/355/gaiadr3", 2.0)
    np.testing.assert_array_equal(found["row"], np.arange(10))
    np.testing.assert_array_equal(found["Source"], stars()["Source"][:10])


def test_a_name_becomes_a_position(services):
    assert services().position("M31") == pytest.approx(M31, abs=1e-6)


ASKS = {
    "job": lambda s: s.tap("vizier", ADQL),
    "sync": lambda s: s.tap("vizier", ADQL, wait=False),
    "crossmatch": lambda s: s.crossmatch(positions(10), "I/355/gaiadr3", 2.0),
    "simbad": lambda s: s.simbad(positions(10), 1.0),
}
PLACES = {"job": "/async", "sync": "/sync", "crossmatch": "POST /xmatch", "simbad": "/async"}
WAYS = ("error", "busy", "malformed", "cut", "slow")


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("way", WAYS)
def test_what_passes_is_tried_again(archive, services, ask, way):
    right = ASKS[ask](services())
    archive.fail(way, match=PLACES[ask])
    timeout = 0.4 if way == "slow" else 10.0
    found = ASKS[ask](services(cache=services().cache.folder / "other", timeout=timeout))
    assert all(fault.times == 0 for fault in archive.faults)
    assert found.colnames == right.colnames
    for name in right.colnames:
        np.testing.assert_array_equal(found[name], right[name])


@pytest.mark.parametrize("after", range(8))
@pytest.mark.parametrize("way", ["error", "cut", "malformed"])
def test_a_job_survives_a_failure_of_each_of_its_requests(archive, services, way, after):
    """The requests that make, start, poll, read and delete it."""
    archive.fail(way, after=after)
    found = services(timeout=0.5).tap("vizier", ADQL)
    assert archive.faults[0].times == 0
    np.testing.assert_array_equal(found["Source"], stars()["Source"])


@pytest.mark.parametrize("ask", ASKS)
def test_a_client_that_is_banned_does_not_insist(archive, services, ask):
    archive.fail("banned", times=100, match=PLACES[ask])
    with pytest.raises(InputError, match="refuses the request"):
        ASKS[ask](services())
    assert archive.faults[0].times == 99


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("way", WAYS)
def test_what_stays_is_one_message_and_the_same_request_goes_on_later(archive, services, ask, way):
    archive.fail(way, times=100, match=PLACES[ask])
    with pytest.raises(InputError, match=r"no usable answer in 2 attempts.*same command"):
        ASKS[ask](services(retries=2, timeout=0.3))
    archive.faults.clear()
    assert len(ASKS[ask](services())) > 0


@pytest.mark.parametrize("ask", ASKS)
def test_a_part_of_an_answer_is_an_error_unless_it_is_allowed(archive, services, ask):
    archive.fail("overflow", times=2)
    with pytest.raises(InputError, match=r"gave \d+ rows, and has more.*--allow-partial"):
        ASKS[ask](services())
    with pytest.warns(XbayesWarning, match="the rest is missing"):
        partial = ASKS[ask](services(allow_partial=True))
    whole = ASKS[ask](services())  # a part is not kept
    assert len(whole) > len(partial) > 0


def test_a_limit_of_rows_is_kept_and_told(services):
    with pytest.raises(InputError, match="gave 5 rows"):
        services().tap("vizier", ADQL, maxrec=5)


@pytest.mark.parametrize("wait", [True, False])
def test_a_wrong_query_is_refused_at_once_with_the_words_of_the_service(archive, services, wait):
    with pytest.raises(InputError, match=r"refuses the request: .*no such column: wrong"):
        services().tap("vizier", 'SELECT wrong FROM "I/355/gaiadr3"', wait=wait)
    posts = [asked for asked in archive.requests if "SELECT" in asked.form.get("QUERY", "")]
    assert len(posts) == 1


def test_a_job_in_error_is_told_and_a_transient_one_is_tried_again(archive, services):
    archive.fail("job_error")
    with pytest.raises(InputError, match="the job ended in ERROR: out of memory"):
        services().tap("vizier", ADQL)
    archive.fail("job_transient")
    assert len(services().tap("vizier", ADQL)) == 60
    assert archive.jobs == {}


def test_a_job_that_does_not_end_is_given_up(archive, services, monkeypatch):
    monkeypatch.setattr("xbayes.enhance.clients.JOB_TIMEOUTS", 0)
    archive.polls = 100
    with pytest.raises(InputError, match=r"the job is .* and does not end"):
        services(retries=1).tap("vizier", ADQL)
    assert archive.jobs == {}


def test_an_empty_answer_has_its_columns(services):
    found = services().tap("vizier", f"{ADQL} WHERE Gmag > 99")
    assert len(found) == 0 and found.colnames == stars().colnames
    again = services(offline=True).tap("vizier", f"{ADQL} WHERE Gmag > 99")
    assert len(again) == 0 and again["Gmag"].unit == found["Gmag"].unit
    away = Table({"row": [1], "ra": [200.0], "dec": [-80.0]})
    assert len(services().crossmatch(away, "I/355/gaiadr3", 1.0)) == 0
    assert len(services().simbad(away, 1.0)) == 0


def test_positions_that_are_none_are_not_sent(archive, services):
    table = positions(4)
    table["ra"][1], table["dec"][2] = np.nan, np.inf
    assert services().simbad(table, 1.0)["row"].tolist() == [0]
    asked = len(archive.requests)
    table["ra"] = np.nan
    assert services().simbad(table, 1.0).colnames == [
        "row", "main_id", "otype", "ra", "dec", "separation"
    ]  # fmt: skip
    assert services().crossmatch(table, "I/355/gaiadr3", 1.0).colnames == ["row", "angDist"]
    assert len(archive.requests) == asked


def test_an_answer_is_kept_and_read_offline(archive, services):
    for ask in ASKS.values():
        first = ask(services())
        asked = len(archive.requests)
        again = ask(services(offline=True, retries=1))
        assert len(archive.requests) == asked
        assert again.meta == first.meta and again.colnames == first.colnames
        for name in first.colnames:
            assert again[name].unit == first[name].unit
            np.testing.assert_array_equal(again[name], first[name])
    with pytest.raises(InputError, match=r"--offline, but the answer of vizier .* is not in the c"):
        services(offline=True).tap("vizier", f"{ADQL} WHERE Gmag > 1")


def test_parts_of_a_long_table_are_kept_one_by_one(archive, services, monkeypatch):
    monkeypatch.setattr("xbayes.enhance.services.CROSSMATCH_ROWS", 25)
    shown = []
    right = services().crossmatch(positions(), "I/355/gaiadr3", 1.0)
    assert [asked.method for asked in archive.requests].count("POST") == 3

    # The service goes away after the second part: the two are not asked again.
    other = services().cache.folder / "other"
    made = services(cache=other, retries=1, progress=lambda *now: shown.append(now))
    ask, calls = made._fetched, []

    def down_later(*arguments):
        calls.append(1)
        if len(calls) == 3:
            archive.fail("error", times=100)
        return ask(*arguments)

    monkeypatch.setattr(made, "_fetched", down_later)
    with pytest.raises(InputError, match="run the same command later"):
        made.crossmatch(positions(), "I/355/gaiadr3", 1.0)
    archive.faults.clear()
    archive.requests.clear()
    found = services(cache=other).crossmatch(positions(), "I/355/gaiadr3", 1.0)
    assert [asked.method for asked in archive.requests].count("POST") == 1
    np.testing.assert_array_equal(found["Source"], right["Source"])
    first, second = [step for _, step in shown][:2]
    assert first == "cross-match with I/355/gaiadr3: part 1 of 3"
    assert re.fullmatch(
        r"cross-match with I/355/gaiadr3: part 2 of 3, 25 rows, [\d,]+ rows/s, \d+ s left", second
    )


def test_the_list_of_tables_is_asked_for_once(archive, services, monkeypatch):
    monkeypatch.setattr("xbayes.enhance.services.CROSSMATCH_ROWS", 10)
    services().crossmatch(positions(), "I/355/gaiadr3", 1.0)
    assert len(archive.asked("/tables")) == 1


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda s: s.tap("vizir", ADQL), r"no service 'vizir'.*vizier"),
        (lambda s: s.crossmatch(positions(), "I/999/none", 1.0), "I/999/none"),
        (lambda s: s.crossmatch(positions(), "I/355/gaiadr3", 181.0), "up to 180 arcsec"),
        (lambda s: s.simbad(positions(), -1.0), "radius above 0"),
        (lambda s: s.simbad(positions()["row", "ra"], 1.0), "need the columns row, ra, dec"),
        (lambda s: s.position("M 31b"), "refuses.*M 31b"),
    ],
)
def test_a_wrong_request_is_one_message(services, ask, says):
    with pytest.raises(InputError, match=says):
        ask(services())


# urllib, which astropy uses here, leaves a socket open after a time-out.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", ["error", "slow", "busy"])
def test_names_are_asked_for_again_and_kept(archive, services, way):
    archive.fail(way, match="sesame")
    assert services(timeout=0.4).position("M31") == pytest.approx(M31, abs=1e-6)
    archive.requests.clear()
    assert services(offline=True).position("M31") == pytest.approx(M31, abs=1e-6)
    assert archive.requests == []


def test_a_timeout_may_be_a_whole_number(tmp_path):
    assert Services(cache=tmp_path, timeout=60).timeout == 60


def test_mirrors_come_from_the_environment(archive, tmp_path, monkeypatch):
    mirrors = " ".join(f"{name}={address}" for name, address in archive.endpoints.items())
    monkeypatch.setenv("XBAYES_ENDPOINTS", mirrors)
    assert len(Services(cache=tmp_path).tap("vizier", ADQL)) == 60
    for wrong in ("vizier", "vizir=http://a", "vizier=a"):
        monkeypatch.setenv("XBAYES_ENDPOINTS", wrong)
        with pytest.raises(InputError, match="XBAYES_ENDPOINTS needs name=address"):
            Services(cache=tmp_path)
