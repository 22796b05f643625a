"""The services with the programs that astronomers use: pyvo, and the validators of STILTS."""

import re
import shutil
import subprocess
import warnings

import pytest

from tests.app.running import running_app
from tests.app.vo_site import small_app, small_catalogue, small_table

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("leaves_sockets_open"),
    # pyvo leaves its connections open.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with running_app(small_app(small_catalogue(tmp_path_factory.mktemp("vo")))) as address:
        yield address


def test_pyvo_searches_tables_and_jobs(address):
    pyvo = pytest.importorskip("pyvo")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyvo's own deprecations
        service = pyvo.dal.TAPService(f"{address}/tap")
        query = (
            "SELECT TOP 5 name, ra FROM demo.catalogue WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), "
            "CIRCLE('ICRS', 10, 80, 60)) ORDER BY p_AGN DESC"
        )
        found = service.search(query).to_table()
        assert len(found) == 5 and found["ra"].unit == "deg"
        assert "demo.catalogue" in [table.name for table in service.tables]
        assert service.hardlimit == 100_000 and len(service.examples) == 4
        assert list(service.run_async(query).to_table()["name"]) == list(found["name"])
        job = service.submit_job("SELECT COUNT(*) AS n FROM demo.catalogue")
        job.run().wait(timeout=60)
        assert job.fetch_result()["n"][0] == len(small_table())
        job.delete()
        with pytest.raises(pyvo.DALQueryError, match="no column 'nothing'"):
            service.search("SELECT nothing FROM demo.catalogue")
        with pytest.raises(pyvo.DALQueryError, match="no table"):
            service.run_async("SELECT * FROM nothing")


def test_pyvo_searches_around_a_position(address):
    pyvo = pytest.importorskip("pyvo")
    service = pyvo.dal.SCSService(f"{address}/scs")
    found = service.search(pos=(10, 80), radius=60, verbosity=3)
    assert found[0].id.startswith("S ") and "p_AGN" in found.fieldnames
    with pytest.raises(pyvo.DALQueryError, match="DEC must be"):
        pyvo.dal.SCSQuery(f"{address}/scs", RA=1, DEC=95, SR=1).execute()


def stilts(*words):
    if shutil.which("stilts") is None:
        pytest.skip("STILTS is not installed (Debian: apt-get install stilts)")
    run = subprocess.run(["stilts", *words], capture_output=True, text=True, timeout=300)
    return run.stdout + run.stderr


def test_stilts_finds_no_fault_in_tap(address):
    told = stilts("taplint", f"tapurl={address}/tap", "report=EW")
    assert "Totals: Errors: 0; Warnings: 0" in told, told
    assert not re.search(r"^[EW]-", told, re.MULTILINE), told


def test_stilts_reads_the_cone_search(address, tmp_path):
    counted = stilts(
        "cone", f"serviceurl={address}/scs?", "servicetype=cone", "lon=10", "lat=80", "radius=60",
        "verb=3", "omode=count",
    )  # fmt: skip
    assert re.search(r"columns: 12 +rows: [1-9]", counted), counted
    for query in (
        "scs?RA=10&DEC=80&SR=60",
        "tap/sync?LANG=ADQL&QUERY=SELECT+*+FROM+demo.catalogue",
    ):
        told = stilts("votlint", f"votable={address}/{query}")
        assert told.strip() == "", told
