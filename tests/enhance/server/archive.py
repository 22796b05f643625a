"""The local server: TAP (sync and async), the cross-match of CDS, and Sesame.

Real clients are pointed at it. It counts the requests, and fails in the ways that archives do.
"""

import gc
import io
import itertools
import re
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.io import votable
from astropy.table import Table, hstack

from tests.enhance.server.sky_sql import Tables

# Ways to fail. cut: the connection ends in the middle; lossy: rows are missing, and no word of it.
Way = Literal[
    "error",
    "busy",
    "cut",
    "malformed",
    "slow",
    "overflow",
    "lossy",
    "job_error",
    "job_transient",
    "refused_count",
]
SLOW_S = 1.5


@dataclass
class Fault:
    """The next `times` requests that have `match` in their path or body go wrong."""

    way: Way
    times: int = 1
    match: str = ""
    after: int = 0  # requests that go well before


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    form: dict[str, str]


@dataclass
class Job:
    """A job of UWS."""

    query: str
    uploads: dict[str, Table]
    limit: int | None
    phase: str = "PENDING"
    polls: int = 0
    answer: bytes = b""
    error: str = ""
    error_type: str = "fatal"


@dataclass
class Archive:
    """The tables of each service, the faults to come and the requests so far.

    `services` has the tables of TAP services by name; every table of vizier is in the cross-match
    service too. `names` has the positions that Sesame knows.
    """

    services: dict[str, dict[str, Table]]
    names: dict[str, tuple[float, float]] = field(default_factory=dict)
    mocs: dict[str, str] = field(default_factory=dict)  # as text, by name
    faults: list[Fault] = field(default_factory=list)
    requests: list[Asked] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    hard_limit: int = 1_000_000  # rows of an answer
    polls: int = 3  # looks at a job before it ends
    address: str = ""
    numbers: Iterator[int] = field(default_factory=itertools.count)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoints(self) -> dict[str, str]:
        """For `Services(endpoints=...)`."""
        tap = {name: f"{self.address}/{name}/tap" for name in self.services}
        return {**tap, "xmatch": f"{self.address}/xmatch", "sesame": f"{self.address}/sesame",
                "moc": f"{self.address}/moc"}  # fmt: skip

    def fail(self, way: Way, times: int = 1, match: str = "", after: int = 0) -> None:
        """Let the next requests fail."""
        self.faults.append(Fault(way=way, times=times, match=match, after=after))

    def asked(self, word: str) -> list[Asked]:
        """The requests with a word in the path or in a field."""
        return [r for r in self.requests if word in r.path or word in " ".join(r.form.values())]

    def fault(self, asked: Asked, ways: set[str]) -> str | None:
        """The way in which this request fails, once the fault is counted."""
        text = f"{asked.method} {asked.path} {' '.join(asked.form.values())}"
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.way in ways and fault.match in text:
                    fault.after -= 1
                    if fault.after >= 0:
                        continue
                    fault.times -= 1
                    return fault.way
        return None


@contextmanager
def serving(archive: Archive) -> Iterator[Archive]:
    """The archive on a free port of this machine, until the block ends."""
    gc.freeze()  # so that the collection below looks only at what the block makes
    handler = type("Handler", (_Handler,), {"archive": archive})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    archive.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        if archive.faults:
            # The clients leave the sockets of broken transfers to the garbage collector, which
            # would warn of them in any later test.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()


class _Handler(BaseHTTPRequestHandler):
    archive: Archive
    protocol_version = "HTTP/1.0"  # a connection a request, so that no client leaves one open

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # a client that gave up

    def do_GET(self) -> None:
        self._serve({}, {})

    def do_DELETE(self) -> None:
        self._serve({}, {})

    def do_POST(self) -> None:
        self._serve(*self._form())

    def _form(self) -> tuple[dict[str, str], dict[str, bytes]]:
        """Fields and files of the body, form or multipart."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.headers.get("Content-Type", "")
        if not kind.startswith("multipart/"):
            return {k.upper(): v[0] for k, v in parse_qs(body.decode()).items()}, {}
        head = f"Content-Type: {kind}\r\n\r\n".encode()
        message = message_from_bytes(head + body, policy=policy.HTTP)
        fields, files = {}, {}
        for part in message.iter_parts():
            content = part.get_payload(decode=True) or b""
            name = part.get_param("name", header="content-disposition")
            if part.get_filename() is None:
                fields[name.upper()] = content.decode().strip()
            else:
                files[name] = content
        return fields, files

    def _serve(self, form: dict[str, str], files: dict[str, bytes]) -> None:
        url = urlsplit(self.path)
        form = {k.upper(): v[0] for k, v in parse_qs(url.query).items()} | form
        asked = Asked(method=self.command, path=self.path, form=form)
        with self.archive.lock:
            self.archive.requests.append(asked)
        way = self.archive.fault(asked, {"error", "busy", "slow", "malformed", "cut", "banned"})
        if way == "slow":
            time.sleep(SLOW_S)
        if way == "error":
            self._send(500, b"<html><body>the database is away</body></html>", "text/html")
        elif way == "busy":
            self._send(503, b"too many", "text/plain", {"Retry-After": "0"})
        elif way == "banned":
            self._send(403, b"too many jobs", "text/plain")
        elif way == "malformed":
            self._send(200, b"<VOTABLE><RESOURCE><TABLE>", "application/x-votable+xml")
        else:
            self.cut = way == "cut"
            self._route(url.path.strip("/").split("/"), asked, files)

    def _route(self, parts: list[str], asked: Asked, files: dict[str, bytes]) -> None:
        if parts[0] in self.archive.services and len(parts) > 2:
            self._tap(parts[0], parts[2:], asked, files)
        elif parts == ["xmatch", "tables"]:
            names = "\n".join(["simbad", *self.archive.services.get("vizier", {})])
            self._send(200, names.encode(), "text/plain")
        elif parts[0] == "xmatch":
            self._crossmatch(asked, files)
        elif parts[0] == "moc":
            text = self.archive.mocs.get(asked.form["EXPR"].removeprefix("ID="), "")
            self._send(200, text.encode(), "text/plain")
        elif parts[0] == "sesame":
            self._sesame(asked.path)
        else:
            self._send(404, b"nothing here", "text/plain")

    def _tap(self, service: str, parts: list[str], asked: Asked, files: dict[str, bytes]) -> None:
        tables = Tables(self.archive.services[service])
        if parts == ["sync"]:
            self._send_answer(*self._run(tables, self._job(asked.form, files), asked))
        elif parts == ["async"] and asked.method == "POST":
            name = str(next(self.archive.numbers))
            self.archive.jobs[name] = self._job(asked.form, files)
            self._send(303, b"", "text/plain", {"Location": f"{self._here(service)}/{name}"})
        elif parts[0] == "async" and parts[1] in self.archive.jobs:
            self._job_request(service, tables, parts, asked)
        else:
            self._send(404, b"no such job", "text/plain")

    def _here(self, service: str) -> str:
        return f"{self.archive.address}/{service}/tap/async"

    def _job(self, form: dict[str, str], files: dict[str, bytes]) -> Job:
        uploads = {}
        for pair in filter(None, form.get("UPLOAD", "").split(";")):
            name, _, place = pair.partition(",")
            content = io.BytesIO(files[place.removeprefix("param:")])
            uploads[name] = votable.parse_single_table(content).to_table(use_names_over_ids=True)
        limit = form.get("MAXREC")
        return Job(form["QUERY"], uploads, None if limit is None else int(limit))

    def _run(self, tables: Tables, job: Job, asked: Asked) -> tuple[int, bytes]:
        """The status and the VOTable of a query."""
        import sqlite3

        named = Asked(asked.method, asked.path, {**asked.form, "QUERY": job.query})
        if self.archive.fault(named, {"refused_count"}):
            return 400, _votable_error("Incorrect ADQL query: a query within a query")
        try:
            table = tables.select(job.query, job.uploads)
        except sqlite3.Error as error:
            return 400, _votable_error(f"Incorrect ADQL query: {error}")
        limit = min(self.archive.hard_limit, job.limit or self.archive.hard_limit)
        way = self.archive.fault(named, {"overflow", "lossy"})
        if way == "overflow":
            limit = min(limit, len(table) // 2)
        if way == "lossy":
            table = table[: len(table) // 2]
        return 200, as_votable(table[:limit], overflow=len(table) > limit)

    def _job_request(self, service: str, tables: Tables, parts: list[str], asked: Asked) -> None:
        job, here = self.archive.jobs[parts[1]], f"{self._here(service)}/{parts[1]}"
        if asked.method == "DELETE":
            del self.archive.jobs[parts[1]]
            self._send(303, b"", "text/plain", {"Location": self._here(service)})
        elif parts[2:] == ["phase"] and asked.method == "POST":
            if asked.form.get("PHASE") == "RUN":
                self._start(tables, job, asked)
            self._send(303, b"", "text/plain", {"Location": here})
        elif parts[2:] == ["results", "result"]:
            self._send_answer(200, job.answer)
        else:
            job.polls += 1
            if job.phase == "QUEUED":
                job.phase = "EXECUTING"
            elif job.phase == "EXECUTING" and job.polls > self.archive.polls:
                job.phase = "ERROR" if job.error else "COMPLETED"
            self._send(200, _uws(job, parts[1], here), "application/xml")

    def _start(self, tables: Tables, job: Job, asked: Asked) -> None:
        job.phase = "QUEUED"
        named = Asked(asked.method, asked.path, {"QUERY": job.query})
        way = self.archive.fault(named, {"job_error", "job_transient"})
        if way is not None:
            job.error = "out of memory"
            job.error_type = "transient" if way == "job_transient" else "fatal"
            return
        status, job.answer = self._run(tables, job, asked)
        if status != 200:
            job.error = re.sub("<[^>]*>", " ", job.answer.decode()).strip()

    def _crossmatch(self, asked: Asked, files: dict[str, bytes]) -> None:
        form = asked.form
        name = form["CAT2"].removeprefix("vizier:")
        sent = Table.read(files["cat1"].decode(), format="ascii.csv")
        table = self.archive.services["vizier"][name]
        found = match(sent, table, (form["COLRA1"], form["COLDEC1"]), float(form["DISTMAXARCSEC"]))
        way = self.archive.fault(asked, {"overflow", "lossy"})
        if way is not None:
            whole, found = len(found), found[: len(found) // 2]
            assert whole > len(found)
        self._send_answer(200, as_votable(found, overflow=way == "overflow"))

    def _sesame(self, path: str) -> None:
        from urllib.parse import unquote

        name = unquote(path.rpartition("?")[2])
        place = self.archive.names.get(name)
        lines = [f"# {name}\t#Q1", "#=S=Simbad (via url):    1"]
        lines += ["#!N.B. nothing"] if place is None else [f"%J {place[0]:.7f} {place[1]:+.7f} = x"]
        self._send(200, "\n".join(lines).encode(), "text/plain")

    def _send_answer(self, status: int, content: bytes) -> None:
        self._send(status, content, "application/x-votable+xml")

    def _send(
        self, status: int, content: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if getattr(self, "cut", False):
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True  # with half of the bytes that were promised
        else:
            self.wfile.write(content)


def match(sent: Table, table: Table, at: tuple[str, str], radius_arcsec: float) -> Table:
    """All pairs within the radius: angDist, then the columns of both tables."""
    ra, dec = position_columns(table)
    here = SkyCoord(sent[at[0]], sent[at[1]], unit="deg")
    valid = np.flatnonzero(~np.ma.getmaskarray(table[ra]))
    there = SkyCoord(np.asarray(table[ra])[valid], np.asarray(table[dec])[valid], unit="deg")
    i, j, distance, _ = search_around_sky(here, there, radius_arcsec * u.arcsec)
    both = hstack([sent[i], table[valid[j]]], metadata_conflicts="silent")
    both.add_column(distance.to_value("arcsec"), name="angDist", index=0)
    return both


def position_columns(table: Table) -> tuple[str, str]:
    """The position columns of a table of VizieR."""
    for pair in (("RA_ICRS", "DE_ICRS"), ("RAJ2000", "DEJ2000"), ("RAICRS", "DEICRS")):
        if pair[0] in table.colnames:
            return pair
    return "ra", "dec"


def as_votable(table: Table, overflow: bool = False) -> bytes:
    """A VOTable of TAP, with the status of the query."""
    file = votable.from_table(table)
    resource = file.resources[0]
    resource.type = "results"
    status = "OVERFLOW" if overflow else "OK"
    resource.infos.append(votable.tree.Info(name="QUERY_STATUS", value=status))
    buffer = io.BytesIO()
    file.to_xml(buffer, tabledata_format="binary2")
    return buffer.getvalue()


def _votable_error(message: str) -> bytes:
    return (
        '<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        f'<RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">{escape(message)}</INFO>'
        "</RESOURCE></VOTABLE>"
    ).encode()


def _uws(job: Job, name: str, here: str) -> bytes:
    """The state of a job as UWS 1.1 writes it."""
    result = error = ""
    if job.phase == "COMPLETED":
        result = f'<uws:result id="result" xlink:href="{here}/results/result"/>'
    if job.phase == "ERROR":
        error = (
            f'<uws:errorSummary type="{job.error_type}" hasDetail="false">'
            f"<uws:message>{escape(job.error)}</uws:message></uws:errorSummary>"
        )
    return (
        '<?xml version="1.0"?><uws:job version="1.1" xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0" '
        'xmlns:xlink="http://www.w3.org/1999/xlink">'
        f"<uws:jobId>{name}</uws:jobId><uws:ownerId/><uws:phase>{job.phase}</uws:phase>"
        "<uws:executionDuration>600</uws:executionDuration>"
        "<uws:destruction>2100-01-01T00:00:00Z</uws:destruction>"
        f'<uws:parameters><uws:parameter id="query">{escape(job.query)}</uws:parameter>'
        f"</uws:parameters><uws:results>{result}</uws:results>{error}</uws:job>"
    ).encode()
