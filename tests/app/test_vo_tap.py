"""TAP and Simple Cone Search over HTTP: parameters, formats, faults, jobs and their limits."""

import io
import re
import time
import warnings
from xml.etree import ElementTree

import httpx
import pytest
from astropy.io import fits, votable
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tests.app.running import running_app
from tests.app.vo_site import N, small_app, small_catalogue, small_table
from xbayes.app import vo_jobs
from xbayes.app.site import SiteOptions
from xbayes.app.vo_jobs import JobStore, Result
from xbayes.errors import InputError

UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
FEW = "SELECT TOP 3 name, ra, flux, set_flag FROM demo.catalogue ORDER BY name DESC"
SLOW = (
    "SELECT COUNT(*) FROM demo.catalogue a, demo.catalogue b, demo.catalogue c, demo.catalogue d "
    "WHERE SIN(a.ra * b.ra) + COS(c.ra * d.ra) > 1.9999999"
)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return small_catalogue(tmp_path_factory.mktemp("vo"))


@pytest.fixture(scope="module")
def client(catalogue):
    with running_app(small_app(catalogue)) as address, httpx.Client(base_url=address) as client:
        yield client


def sync(client, query, **parameters):
    return client.get("/tap/sync", params={"LANG": "ADQL", "QUERY": query, **parameters})


def read(answer):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return votable.parse(io.BytesIO(answer.content))


def infos(answer):
    return [(info.name, info.value) for r in read(answer).resources for info in r.infos]


@pytest.mark.parametrize("output", ["votable", "votable/td", "text/xml"])
def test_votables_hold_the_table(client, output):
    answer = sync(client, FEW, RESPONSEFORMAT=output)
    found = read(answer).get_first_table().to_table()
    expected = small_table()
    expected.sort("name", reverse=True)
    assert list(found["name"]) == list(expected["name"][:3])
    assert list(found["ra"]) == list(expected["ra"][:3])
    assert list(found["set_flag"]) == list(expected["set_flag"][:3])
    assert list(found["flux"].mask) == [i % 3 == 0 for i in (0, 199, 198)]
    assert found["flux"].unit == "erg / (s cm2)"
    assert ("QUERY_STATUS", "OK") in infos(answer)


def test_other_formats_hold_the_table(client):
    expected = small_table()[1:3]
    query = (
        "SELECT TOP 2 name, ra, name, set_flag FROM demo.catalogue WHERE name > 'S 000' ORDER BY 1"
    )
    answers = {name: sync(client, query, FORMAT=name) for name in ("csv", "tsv", "fits", "parquet")}
    assert answers["csv"].headers["content-type"].startswith("text/csv")
    tables = {
        "csv": Table.read(answers["csv"].text, format="csv"),
        "tsv": Table.read(answers["tsv"].text, format="ascii.tab"),
        "fits": Table(fits.open(io.BytesIO(answers["fits"].content))[1].data),
        "parquet": parquet.read_table(io.BytesIO(answers["parquet"].content)).to_pandas(),
    }
    for name, found in tables.items():
        assert list(found["ra"]) == list(expected["ra"]), name
        assert [str(one) for one in found["name"]] == list(expected["name"]), name
    assert tables["fits"].colnames == ["name", "ra", "name_2", "set_flag"]


def test_overflow_is_marked(client):
    answer = sync(client, "SELECT name FROM demo.catalogue", MAXREC="5")
    assert infos(answer)[-1] == ("QUERY_STATUS", "OVERFLOW")
    assert len(read(answer).get_first_table().array) == 5
    nothing = sync(client, "SELECT name FROM demo.catalogue", MAXREC="0")
    assert len(read(nothing).get_first_table().array) == 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"QUERY": ""}, "QUERY is missing"),
        ({"QUERY": "DELETE"}, "not understood|SELECT"),
        ({"LANG": "PQL"}, "LANG must be ADQL"),
        ({"LANG": ""}, "LANG must be ADQL"),
        ({"MAXREC": "many"}, "MAXREC must be a whole number"),
        ({"MAXREC": "-1"}, "MAXREC must be a whole number"),
        ({"FORMAT": "yaml"}, "the formats are votable"),
        ({"REQUEST": "doHarm"}, "REQUEST must be doQuery"),
        ({"UPLOAD": "mine,http://example.org/x.vot"}, "UPLOAD is not supported"),
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_faults_are_documents_with_a_plain_message(client, method, changes, says):
    given = {"LANG": "ADQL", "QUERY": FEW, **changes}
    where = {"params": given} if method == "get" else {"data": given}
    answer = getattr(client, method)("/tap/sync", **where)
    assert answer.status_code == 400
    assert ("QUERY_STATUS", "ERROR") in infos(answer)
    text = ElementTree.fromstring(answer.content)[0][0].text
    assert re.search(says, text)


@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["QUERY", "LANG", "MAXREC", "FORMAT", "REQUEST", "UPLOAD", "RA", "SR"]),
        st.one_of(st.text(max_size=20), st.sampled_from(["ADQL", FEW, "1", "-1", "1e400", "nan"])),
    )
)
def test_no_request_breaks_the_services(client, given):
    for method in ("get", "post"):
        where = {"params": given} if method == "get" else {"data": given}
        for address in ("/tap/sync", "/scs"):
            answer = getattr(client, method)(address, **where)
            assert answer.status_code < 500
            ElementTree.fromstring(answer.content)


def test_a_broken_form_is_a_fault(client):
    for address in ("/tap/sync", "/tap/async", "/scs"):
        answer = client.post(
            address, content=b"--x\r\nbroken", headers={"Content-Type": "multipart/form-data"}
        )
        assert answer.status_code < 500
        ElementTree.fromstring(answer.content)
    upload = {"UPLOAD": ("t.vot", b"<VOTABLE/>")}
    answer = client.post("/tap/sync", data={"LANG": "ADQL", "QUERY": FEW}, files=upload)
    assert answer.status_code == 400 and "UPLOAD is not supported" in answer.text


def test_the_service_describes_itself(client):
    capabilities = client.get("/tap/capabilities").text
    assert "ivo://ivoa.net/std/TAP" in capabilities and "/tap</accessURL>" in capabilities
    assert "true" in client.get("/tap/availability").text
    tables = client.get("/tap/tables").text
    assert "<name>demo.catalogue</name>" in tables and "other_run.catalogue" in tables
    assert "posterior probability of AGN &amp; &lt;others&gt;" in tables
    assert '<name>"size"</name>' in client.get("/tap/tables/demo.catalogue").text
    assert client.get("/tap/tables/none").status_code == 404
    for query in ElementTree.fromstring(client.get("/tap/examples").content).iter(
        "{http://www.w3.org/1999/xhtml}pre"
    ):
        assert sync(client, query.text).status_code == 200
    columns = sync(
        client,
        "SELECT column_name, unit, ucd FROM TAP_SCHEMA.columns c JOIN TAP_SCHEMA.tables t "
        "ON c.table_name = t.table_name WHERE t.schema_name = 'demo'",
        FORMAT="csv",
    )
    assert '"ra","deg","pos.eq.ra;meta.main"' in columns.text


def follow(client, answer):
    assert answer.status_code == 303
    return answer.headers["location"]


def create(client, query, **parameters):
    data = {"LANG": "ADQL", "QUERY": query, **parameters}
    return follow(client, client.post("/tap/async", data=data))


def phase_after(client, job):
    answer = client.get(job, params={"WAIT": "10", "PHASE": "QUEUED"})
    answer = client.get(job, params={"WAIT": "10", "PHASE": "EXECUTING"})
    return ElementTree.fromstring(answer.content).findtext(f"{UWS}phase")


def test_a_job_runs_and_is_deleted(client):
    job = create(client, FEW, RUNID="mine")
    assert client.get(f"{job}/phase").text == "PENDING"
    client.post(f"{job}/parameters", data={"FORMAT": "csv"})
    client.post(f"{job}/executionduration", data={"EXECUTIONDURATION": "5"})
    client.post(f"{job}/destruction", data={"DESTRUCTION": "2999-01-01T00:00:00Z"})
    assert client.get(f"{job}/executionduration").text == "5"
    assert not client.get(f"{job}/destruction").text.startswith("2999")
    assert client.get(f"{job}/results/result").status_code == 404
    client.post(f"{job}/phase", data={"PHASE": "RUN"})
    assert phase_after(client, job) == "COMPLETED"
    assert client.get(f"{job}/results/result").text.startswith('"name","ra"')
    assert "results/result" in client.get(f"{job}/results").text
    assert "csv" in client.get(f"{job}/parameters").text
    for part in ("quote", "owner", "error"):
        assert client.get(f"{job}/{part}").text == ""
    assert job.rsplit("/", 1)[1] in client.get("/tap/async").text
    assert client.post(f"{job}/parameters", data={"FORMAT": "csv"}).status_code == 400
    client.post(job, data={"ACTION": "DELETE"})
    assert client.get(job).status_code == 404


def test_a_job_fails_or_is_stopped(client):
    job = create(client, "SELECT nothing FROM demo.catalogue", PHASE="RUN")
    assert phase_after(client, job) == "ERROR"
    assert "no column 'nothing'" in client.get(f"{job}/error").text
    assert "no column 'nothing'" in client.get(job).text
    job = create(client, SLOW, PHASE="RUN")
    client.get(job, params={"WAIT": "5", "PHASE": "QUEUED"})
    began = time.monotonic()
    client.post(f"{job}/phase", data={"PHASE": "ABORT"})
    assert phase_after(client, job) == "ABORTED" and time.monotonic() - began < 5
    assert client.post(f"{job}/phase", data={"PHASE": "JUMP"}).status_code == 400
    client.delete(job)


def test_jobs_of_others_are_not_listed_by_a_public_site(catalogue):
    app = small_app(catalogue, SiteOptions(host="0.0.0.0"))
    with running_app(app) as address, httpx.Client(base_url=address) as client:
        job = create(client, FEW)
        assert job.rsplit("/", 1)[1] not in client.get("/tap/async").text
        assert client.get(job).status_code == 200


def test_the_store_of_jobs_has_limits(monkeypatch):
    monkeypatch.setattr(vo_jobs, "MOST_JOBS", 3)
    monkeypatch.setattr(vo_jobs, "MOST_BYTES", 100)
    store = JobStore()

    def finished(size):
        job = store.create({})
        store.run(
            job, lambda parameters, seconds, stop: Result(body=b"x" * size, mime="text/plain")
        )
        while job.phase not in ("COMPLETED", "ERROR"):
            time.sleep(0.01)
        return job

    first, second = finished(60), finished(60)
    assert store.get(first.id) is None and store.get(second.id) is second
    assert finished(101).phase == "ERROR"
    busy = [store.create({}) for _ in range(3)]
    for job in busy:
        job.phase = "EXECUTING"
    with pytest.raises(InputError, match="3 jobs wait or run"):
        store.create({})


def cone(client, **parameters):
    return client.get("/scs", params={"RA": "10", "DEC": "80", "SR": "40", **parameters})


def test_cone_search(client):
    answer = cone(client)
    assert answer.headers["content-type"].startswith("text/xml")
    table = read(answer).get_first_table()
    assert {f.ucd for f in table.fields} >= {"ID_MAIN", "POS_EQ_RA_MAIN", "POS_EQ_DEC_MAIN"}
    assert 0 < len(table.array) < N
    sizes = [len(read(cone(client, VERB=v)).get_first_table().fields) for v in "123"]
    assert sizes == sorted(sizes) and sizes[2] == len(small_table().colnames)
    assert len(read(cone(client, SR="0")).get_first_table().array) == 0
    assert len(read(cone(client, MAXREC="2")).get_first_table().array) == 2
    assert client.get("/scs/other-run", params={"RA": 1, "DEC": 2, "SR": 3}).status_code == 200
    assert client.get("/scs/none", params={"RA": 1, "DEC": 2, "SR": 3}).status_code == 404


@pytest.mark.parametrize(
    "changes", [{"RA": ""}, {"RA": "x"}, {"DEC": "91"}, {"SR": "-1"}, {"SR": "inf"}, {"VERB": "4"}]
)
def test_a_wrong_cone_search_is_answered_as_the_standard_says(client, changes):
    answer = cone(client, **changes)
    assert answer.status_code == 200
    assert infos(answer)[0][0] == "Error"
