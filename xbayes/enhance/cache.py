"""Answers of services, kept on disk: a table and a record of what was asked, and when."""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from xbayes.catalog.adapt import adapted
from xbayes.catalog.columns import from_table, to_table
from xbayes.catalog.format_parquet import read_parquet
from xbayes.catalog.write import cannot_write
from xbayes.catalog.write_parquet import parquet_writer
from xbayes.errors import InputError

VERSION = 1  # of the files in the cache


class Request(NamedTuple):
    """What a service is asked. The same request has the same answer in the cache."""

    service: str  # name or address
    query: str
    uploads: Mapping[str, Table] = {}
    limit: int | None = None  # largest number of rows

    @property
    def key(self) -> str:
        """The hash of the request, which names its files."""
        text = json.dumps(
            {
                "service": self.service,
                "query": self.query,
                "uploads": {name: table_hash(table) for name, table in self.uploads.items()},
                "limit": self.limit,
            },
            sort_keys=True,
        )
        return hashlib.sha256(text.encode()).hexdigest()


class Unusable(NamedTuple):
    """An answer that is in the cache and cannot be used."""

    why: str


class Cache:
    """A folder of answers. Every file is complete or does not exist.

    Parameters
    ----------
    folder
        The folder; it is made when the first answer is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder).expanduser()

    def paths(self, request: Request) -> tuple[Path, Path]:
        """The files of an answer: its table (Parquet) and its record (JSON)."""
        key = request.key
        stem = self.folder / key[:2] / key
        return stem.with_suffix(".parquet"), stem.with_suffix(".json")

    def find(self, request: Request) -> Table | Unusable | None:
        """The answer that is kept; None if there is none; or why it cannot be used."""
        data, record_path = self.paths(request)
        if not record_path.exists():
            return None  # the record is written last
        try:
            record = json.loads(record_path.read_text(encoding="utf-8"))
            version = record["cache_version"]
            if version != VERSION:
                return Unusable(f"is of cache version {version}; this xbayes uses {VERSION}")
            content = data.read_bytes()
            if hashlib.sha256(content).hexdigest() != record["sha256"]:
                return Unusable("is damaged: its checksum differs")
            table = _read(data)
            if len(table) != record["rows"]:
                return Unusable("is damaged: its number of rows differs")
            return _signed(table, record["service"], record["date"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            return Unusable(f"is damaged: {type(error).__name__}: {error}")

    def keep(self, request: Request, table: Table, *, address: str, date: str) -> Table:
        """Keep an answer, and give it back as it will be read. Raises InputError: disk full."""
        data, record_path = self.paths(request)
        content = _written(table)
        record = {
            "cache_version": VERSION,
            "service": request.service,
            "address": address,
            "query": request.query,
            "uploads": {name: len(sent) for name, sent in request.uploads.items()},
            "date": date,
            "rows": len(table),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        try:
            data.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(data, content)
            _write_whole(record_path, json.dumps(record, indent=1).encode())
        except OSError as error:
            raise cannot_write(data, error) from error
        return _signed(_read(data), request.service, date)


def default_cache() -> Path:
    """The folder of answers of this user: $XDG_CACHE_HOME/xbayes/answers."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "xbayes" / "answers"


def table_hash(table: Table) -> str:
    """The hash of names, types, values and masks of a table."""
    digest = hashlib.sha256()
    for column in from_table(table) if table.colnames else ():
        values = column.values
        if values.dtype.kind in "OU":
            values = np.array([str(value) for value in values.ravel()], dtype=str)
            content = "\0".join(values).encode()
        else:
            blank = np.zeros(1, values.dtype)
            content = np.ascontiguousarray(np.where(column.missing, blank, values)).tobytes()
        kind = f"{column.name}|{values.dtype.kind}|{values.shape}|"
        digest.update(kind.encode() + content + np.packbits(column.missing).tobytes())
    return digest.hexdigest()


def _signed(table: Table, service: str, date: str) -> Table:
    table.meta = {"service": service, "date": date}
    return table


def _written(table: Table) -> bytes:
    """The table as Parquet, without rows too, which a catalogue would have."""
    buffer = BytesIO()
    with parquet_writer(buffer) as write:
        write(adapted(from_table(table), "Parquet").columns, {})
    return buffer.getvalue()


def _read(path: Path) -> Table:
    return to_table(read_parquet(path)[0], {})


def plain_table(votable) -> Table:
    """A table of a VOTable with masked columns under their names; text is str."""
    table = votable.to_table(use_names_over_ids=True)
    return to_table(from_table(table), {}) if table.colnames else table


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def offline_error(request: Request, folder: Path, why: str) -> InputError:
    """The message for an answer that is needed and not in the cache."""
    question = " ".join(request.query.split())
    short = question if len(question) <= 120 else f"{question[:117]}..."
    return InputError(
        f"--offline, but the answer of {request.service} to {short!r} {why} in the cache {folder}; "
        "run the same command once without --offline"
    )
