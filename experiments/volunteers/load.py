"""Load of the volunteers' site: many people vote at the same time, at a fixed rate.

A site on a free port is used by guests, each with a session of their own. Votes are planned at
fixed times, so that a slow answer does not lower the rate. Afterwards the votes in the database are
compared with the answers: none may be lost, none counted twice.
"""

import argparse
import http.client
import multiprocessing
import re
import socket
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pyarrow.parquet as pq


def serve(run: Path, catalog: Path, url: str, port: int) -> None:
    """Serve the site until the process is ended."""
    from xbayes.app.serve import serve_site
    from xbayes.app.site import SiteOptions, open_site

    options = SiteOptions(port=port, resolve=False, rate=1_000_000_000, database=url)
    serve_site(open_site([run], catalog, options), print)


class Browser:
    """One volunteer: a connection, cookies, and the source that the page shows."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.cookies: dict[str, str] = {}
        self.lock = threading.Lock()
        self.cast: list[str] = []

    def ask(self, method: str, path: str, **fields: str) -> tuple[int, str]:
        """The status and text of an answer."""
        headers = {"accept": "text/html", "accept-encoding": "identity"}
        headers["cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        if method == "POST":
            headers["content-type"] = "application/x-www-form-urlencoded"
        self.connection.request(method, path, urlencode(fields), headers)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        for cookie in answer.headers.get_all("set-cookie") or []:
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return answer.status, text

    def vote(self) -> tuple[float, float]:
        """Load a source and vote on it; the seconds that each took."""
        with self.lock:
            self.connection.close()  # the site closes idle connections after 5 seconds
            start = time.perf_counter()
            _, text = self.ask("GET", "/volunteer/vote")
            loaded = time.perf_counter()
            source = field(text, "source")
            fields = {"csrf": field(text, "csrf"), "source": source, "campaign": "1"}
            status, said = self.ask("POST", "/volunteer/vote", **fields, answer="AGN")
            assert status == 303, (status, said[:500])
            self.cast.append(source)
            return loaded - start, time.perf_counter() - loaded


def field(text: str, name: str) -> str:
    """The value of a hidden field of a page."""
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found is not None, text[:2000]
    return unescape(found[1])


def half_known(run: Path, folder: Path) -> Path:
    """The catalogue of the run, in which every second source has no known class."""
    table = pq.read_table(run / "catalog.parquet")
    place = table.column_names.index("true_class")
    names = ["" if n % 2 else c for n, c in enumerate(table["true_class"].to_pylist())]
    path = folder / "half.parquet"
    pq.write_table(table.set_column(place, table.schema.field(place), [names]), path)
    return path


def guests(url: str, number: int) -> list[str]:
    """The tokens of new guests. The pages limit guests by address, and these share one."""
    from xbayes.app.volunteers.accounts import Consent, create_guest
    from xbayes.app.volunteers.database import open_database

    database = open_database(url)
    tokens = [create_guest(database, Consent(), "en").token for _ in range(number)]
    database.close()
    return tokens


def votes_in(url: str) -> list[tuple[int, str]]:
    """The person and source of each vote in the database."""
    from sqlalchemy import select

    from xbayes.app.volunteers.database import open_database
    from xbayes.app.volunteers.tables import Vote

    database = open_database(url)
    with database.read() as session:
        found = [(v.user_id, v.source) for v in session.scalars(select(Vote))]
    database.close()
    return found


def main() -> int:
    """Run the load and print what was measured; 1 if a vote was lost or counted twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="run directory, such as runs/demo")
    parser.add_argument("--database", default="", help="URL of an empty database; else SQLite")
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--rate", type=float, default=20.0, help="votes a second")
    parser.add_argument("--seconds", type=float, default=300.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return measure(given, folder, given.database or f"sqlite:///{folder / 'v.sqlite'}")


def measure(given: argparse.Namespace, folder: Path, url: str) -> int:
    """Measure one database."""
    from xbayes.app.volunteers.schema import upgrade

    upgrade(url)
    tokens = guests(url, given.people)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = (given.run, half_known(given.run, folder), url, port)
    site = multiprocessing.get_context("spawn").Process(target=serve, args=arguments)
    site.start()
    try:
        wait_for(port)
        people = [Browser(port) for _ in range(given.people)]
        for person, token in zip(people, tokens, strict=True):
            person.cookies["xbayes_session"] = token
        seconds = run_votes(people, given)
        lost, double = compare(people, votes_in(url))
    finally:
        site.terminate()
        site.join()
    for what, values in zip(("page", "vote"), np.transpose(seconds), strict=True):
        low, high = np.quantile(values, [0.5, 0.95]) * 1000
        print(
            f"{what}: median {low:.0f} ms, 95th percentile {high:.0f} ms, max {values.max():.2f} s"
        )
    print(f"{len(seconds)} votes of {len(people)} people: {lost} lost, {double} double")
    return int(lost or double)


def wait_for(port: int) -> None:
    """Wait until the site listens."""
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("the site did not start")


def run_votes(people: list[Browser], given: argparse.Namespace) -> list[tuple[float, float]]:
    """Cast the votes at their times."""
    start = time.perf_counter()

    def one(number: int) -> tuple[float, float]:
        time.sleep(max(0.0, start + number / given.rate - time.perf_counter()))
        return people[number % len(people)].vote()

    with ThreadPoolExecutor(64) as pool:
        return list(pool.map(one, range(int(given.rate * given.seconds))))


def compare(people: list[Browser], votes: list[tuple[int, str]]) -> tuple[int, int]:
    """The numbers of lost and of double votes."""
    cast = sum(len(person.cast) for person in people)
    distinct = len(set(votes))
    return max(0, cast - distinct), len(votes) - distinct


if __name__ == "__main__":
    sys.exit(main())
