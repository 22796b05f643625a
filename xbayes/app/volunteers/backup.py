"""Back up and restore the database, also from one kind to the other.

A backup is an SQLite file, whatever the database is: it is consistent while votes come in, needs no
program of PostgreSQL, and can be restored to either kind.
"""

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select, text

from xbayes.app.volunteers.engine import (
    check_there,
    connected,
    open_engine,
    parse_url,
    sqlite_file,
    sqlite_url,
)
from xbayes.app.volunteers.files import whole_file
from xbayes.app.volunteers.schema import (
    FIRST,
    check_schema,
    downgrade,
    head,
    revision_of,
    upgrade,
)
from xbayes.app.volunteers.tables import Base, Campaign
from xbayes.errors import InputError

AT_ONCE = 5000  # rows
WAL = ("-wal", "-shm")  # files that SQLite keeps beside its own


def backup(url: str, file: Path, *, overwrite: bool = False) -> int:
    """Write a consistent copy of the database to a file, while it is used; the number of votes.

    Raises InputError if the file exists and may not be overwritten, or the copy is damaged.
    """
    check_there(url)
    if file.exists() and not overwrite:
        raise InputError(f"{file} exists; choose another name or give --overwrite")
    path = sqlite_file(parse_url(url))
    with whole_file(file) as temporary:
        try:
            if path is None:
                _copy_out(url, temporary)
            else:
                _copy_sqlite(path, temporary)
            return _check_copy(temporary)
        finally:
            _remove_wal(temporary)


def restore(file: Path, url: str, *, overwrite: bool = False) -> int:
    """Make a database of a backup, in the newest schema; the number of votes.

    The site must not run meanwhile. A backup of an earlier version is brought forwards.

    Raises InputError if the file is no backup, or the database exists and may not be overwritten.
    """
    if not file.is_file():
        raise InputError(f"there is no file {file}")
    path = sqlite_file(parse_url(url))
    with tempfile.TemporaryDirectory(prefix="xbayes-restore-") as folder:
        copy = Path(folder) / "copy.sqlite"
        shutil.copyfile(file, copy)
        number = _check_copy(copy)
        _bring_forwards(copy, file)
        if path is None:
            _copy_in(copy, url, overwrite)
        else:
            _replace_sqlite(copy, path, overwrite)
    return number


def _copy_sqlite(path: Path, copy: Path) -> None:
    source, target = sqlite3.connect(path), sqlite3.connect(copy)
    try:
        # All pages at once: in steps, the copy would start again at every vote.
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")  # one file, without files beside it
    finally:
        source.close()
        target.close()


def _check_copy(copy: Path) -> int:
    """The number of votes of an undamaged backup; else InputError."""
    connection = sqlite3.connect(copy)
    try:
        damage = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        dangling = connection.execute("PRAGMA foreign_key_check").fetchall()
        number = connection.execute("SELECT count(*) FROM votes").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise InputError(f"the file is no backup of the volunteers' site: {error}") from None
    finally:
        connection.close()
    if damage != ["ok"] or dangling:
        raise InputError(f"the backup is damaged: {damage[0]}, {len(dangling)} loose references")
    return number


def _bring_forwards(copy: Path, file: Path) -> None:
    url = sqlite_url(copy)
    try:
        upgrade(url)
    except InputError as error:
        raise InputError(
            f"{file} has a schema that this version of xbayes does not know ({error}); use the "
            "version that made it, or a newer one"
        ) from None
    assert revision_of(url) == head()


def _replace_sqlite(copy: Path, path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise InputError(f"the database {path} exists; choose another or give --overwrite")
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        _copy_sqlite(copy, temporary)
        # These belong to the old file; SQLite would apply them to the new one.
        _remove_wal(path)
    os.chmod(path, 0o600)


def _copy_out(url: str, copy: Path) -> None:
    """Copy a PostgreSQL database as it is at one moment into an SQLite file."""
    copy_url = sqlite_url(copy)
    upgrade(copy_url)
    source, target = open_engine(url), open_engine(copy_url)
    try:
        snapshot = source.execution_options(isolation_level="REPEATABLE READ")
        with connected(snapshot) as reading, reading.begin(), target.begin() as writing:
            check_schema(reading)
            _copy_rows(reading, writing)
    finally:
        source.dispose()
        target.dispose()
    _one_file(copy)


def _copy_in(copy: Path, url: str, overwrite: bool) -> None:
    """Copy an SQLite file in the newest schema into a PostgreSQL database."""
    if revision_of(url) is not None:
        if not overwrite:
            raise InputError("the database is not empty; choose another or give --overwrite")
        downgrade(url, FIRST)
    upgrade(url)
    source, target = open_engine(sqlite_url(copy)), open_engine(url)
    try:
        with source.begin() as reading, target.begin() as writing:
            _copy_rows(reading, writing)
            _set_sequences(writing)
    finally:
        source.dispose()
        target.dispose()


def _copy_rows(reading: Connection, writing: Connection) -> None:
    # The migrations made the open campaign; the copy has its own.
    writing.execute(delete(Campaign))
    for table in Base.metadata.sorted_tables:
        rows = reading.execution_options(yield_per=AT_ONCE).execute(select(table))
        for some in rows.mappings().partitions():
            writing.execute(insert(table), [dict(row) for row in some])


def _set_sequences(writing: Connection) -> None:
    """Let PostgreSQL number new rows after those that were copied."""
    for table in Base.metadata.sorted_tables:
        if "id" in table.columns:
            name = table.name
            writing.execute(
                text(
                    f"SELECT setval('{name}_id_seq', "
                    f"(SELECT coalesce(max(id), 1) FROM {name}), "
                    f"(SELECT count(*) > 0 FROM {name}))"
                )
            )


def _one_file(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()


def _remove_wal(path: Path) -> None:
    for ending in WAL:
        path.with_name(path.name + ending).unlink(missing_ok=True)
