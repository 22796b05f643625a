"""A PostgreSQL server for tests: in a folder of its own, on a socket that only this folder has."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PORT = 54321  # a part of the name of the socket


def programs() -> Path:
    """The folder of PostgreSQL's programs; the test is skipped where there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = [folder for folder in folders if (folder / "initdb").is_file()]
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return found[-1]


def as_other_user() -> list[str]:
    """What starts a program as a user that PostgreSQL accepts: it refuses root."""
    if os.geteuid() != 0:
        return []
    if shutil.which("runuser") is None:
        pytest.skip("PostgreSQL refuses root, and there is no runuser")
    return ["runuser", "-u", "postgres", "--"]


@contextmanager
def server() -> Iterator[str]:
    """A running server; the URL of its databases without their name."""
    folder, start = programs(), as_other_user()
    root = Path(tempfile.mkdtemp(prefix="xbayes-pg-", dir="/tmp"))
    if start:
        shutil.chown(root, "postgres")

    def call(program, *arguments):
        command = [*start, folder / program, *arguments]
        log = root.with_suffix(".log")
        with log.open("ab") as out:
            done = subprocess.run(command, stdout=out, stderr=out, cwd="/tmp", check=False)
        assert done.returncode == 0, log.read_text()

    options = f"-p {PORT} -c listen_addresses='' -c unix_socket_directories={root} -c fsync=off"
    data = root / "data"
    try:
        call("initdb", "-D", data, "-U", "xbayes", "-A", "trust", "-E", "UTF8", "--no-sync")
        call("pg_ctl", "-D", data, "-w", "-o", options, "-l", root / "server.log", "start")
        try:
            yield f"postgresql://xbayes@/{{name}}?host={root}&port={PORT}"
        finally:
            call("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(root, ignore_errors=True)
        root.with_suffix(".log").unlink(missing_ok=True)
