"""The database, opened: transactions that read, and transactions that write."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from xbayes.app.volunteers.engine import check_there, connected, is_sqlite, open_engine
from xbayes.app.volunteers.schema import check_schema


class Database:
    """An open database. Each block of `read` or `write` is one transaction.

    `write` commits at the end of its block, and rolls back if an exception leaves the block.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writers = {
            durable: sessionmaker(
                engine.execution_options(writes=True, durable=durable), expire_on_commit=False
            )
            for durable in (True, False)
        }
        # SQLite has one writer at a time. Threads that queue here wait less than with its polling.
        self._turn = threading.Lock() if is_sqlite(engine.url) else nullcontext()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that reads."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Session]:
        """A transaction that writes; when it has ended, it is on disk.

        Without `durable` a power cut may undo it, which saves the wait for the disk.
        """
        with self._turn, self._writers[durable].begin() as session:
            if not (durable or is_sqlite(self.engine.url)):
                session.execute(text("SET LOCAL synchronous_commit = off"))
            yield session

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_database(url: str) -> Database:
    """The database, whose schema must be the newest.

    Raises
    ------
    InputError
        If the URL cannot be used, nobody answers there, or the schema is not that of this version.
    """
    check_there(url)
    engine = open_engine(url)
    try:
        with connected(engine) as connection:
            check_schema(connection)
    except BaseException:
        engine.dispose()
        raise
    return Database(engine)
