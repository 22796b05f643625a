"""Connections to the database: SQLite by default, PostgreSQL by its URL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError

from xbayes.errors import InputError

BUSY_MS = 30_000  # how long a writer waits for another process
CONNECTIONS = 20
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"busy_timeout={BUSY_MS}",
)
SCHEMES = "sqlite:////folder/file.sqlite or postgresql://user:password@host/name"


def check_there(url: str) -> None:
    """Raise InputError if the URL names an SQLite file that does not exist."""
    path = sqlite_file(parse_url(url))
    if path is not None and not path.is_file():
        raise InputError(f"there is no database {path}; make it: xbayes volunteers migrate")


def parse_url(url: str) -> URL:
    """The parsed URL with the driver that is used.

    Raises InputError for another kind of database, or one in memory.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The text may hold a password, so it is not shown.
        raise InputError(f"this is no URL of a database; give {SCHEMES}") from None
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise InputError(f"databases are {SCHEMES}; found the kind {backend!r}")
    if parsed.database in (None, "", ":memory:"):
        raise InputError("an SQLite database is a file: sqlite:////folder/file.sqlite")
    return parsed


def is_sqlite(url: URL) -> bool:
    """Whether the URL is that of an SQLite file."""
    return url.get_backend_name() == "sqlite"


def sqlite_file(url: URL) -> Path | None:
    """The file of an SQLite database; None for PostgreSQL."""
    return Path(str(url.database)) if is_sqlite(url) else None


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite file."""
    return URL.create("sqlite", database=str(path.absolute())).render_as_string()


def open_engine(url: str) -> Engine:
    """An engine with the settings that keep acknowledged votes."""
    parsed = parse_url(url)
    try:
        engine = create_engine(
            parsed, pool_size=CONNECTIONS, max_overflow=CONNECTIONS, pool_pre_ping=False
        )
    except ModuleNotFoundError as error:
        raise InputError(
            f"PostgreSQL needs a further package ({error}): pip install 'xbayes[postgresql]'"
        ) from None
    if is_sqlite(parsed):
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def connected(engine: Engine) -> Iterator[Connection]:
    """A connection to the database; InputError if there is none to be had."""
    shown = engine.url.render_as_string(hide_password=True)
    try:
        connection = engine.connect()
    except (OperationalError, DatabaseError) as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise InputError(f"the database {shown} cannot be opened: {reason}") from None
    with connection:
        yield connection


def _set_pragmas(connection, _record) -> None:
    # The driver would begin transactions by itself, and only at the first write.
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    # FULL waits for the disk at each commit. NORMAL, the default of many, does so now and then.
    mode = "FULL" if options.get("durable", True) else "NORMAL"
    connection.exec_driver_sql(f"PRAGMA synchronous={mode}")
    # A writer takes the lock at once: one that reads first could not get it later.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")
