"""Migrations: the schema of the database, forwards and back, by Alembic."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from xbayes.app.volunteers.engine import connected, open_engine, parse_url, sqlite_file
from xbayes.app.volunteers.tables import Base
from xbayes.errors import InputError

MIGRATIONS = Path(__file__).parent / "migrations"
FIRST = "base"  # the state without any table


def head() -> str:
    """The newest revision."""
    found = _scripts().get_current_head()
    assert found is not None
    return found


def revision_of(url: str) -> str | None:
    """The revision of the schema; None for an empty database."""
    with _connection(url) as connection:
        return _revision(connection)


def check_schema(connection: Connection) -> None:
    """Raise InputError if the schema is not that of this version of xbayes."""
    found = _revision(connection)
    if found != head():
        raise InputError(
            f"the database has the schema {found or 'of an empty one'}, this xbayes needs "
            f"{head()}; back it up and run: xbayes volunteers migrate"
        )


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema forwards; an SQLite file is made if there is none.

    Raises InputError if the revision is not known or the database cannot be opened.
    """
    path = sqlite_file(parse_url(url))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # holds hashes of passwords
    _migrate(url, revision, forwards=True)


def downgrade(url: str, revision: str) -> None:
    """Bring the schema back to an earlier revision; `base` removes all tables.

    What the earlier schema has no place for is lost: see the text of each migration.
    """
    _migrate(url, revision, forwards=False)


def migrate_to(url: str, revision: str | None = None) -> None:
    """Bring the schema to a revision, forwards or back; to the newest if none is given."""
    order = [FIRST, *_revisions()]
    target = revision or head()
    if target not in order:
        raise InputError(f"no revision {target!r}; there are {', '.join(order)}")
    path = sqlite_file(parse_url(url))
    found = None if path is not None and not path.exists() else revision_of(url)
    if found is not None and found not in order:
        raise InputError(f"the database is of a newer xbayes: its schema is {found}")
    if order.index(target) < order.index(found or FIRST):
        downgrade(url, target)
    else:
        upgrade(url, target)


def _migrate(url: str, revision: str, *, forwards: bool) -> None:
    scripts = _scripts()

    def steps(current, _context):
        if forwards:
            return scripts._upgrade_revs(revision, current)
        return scripts._downgrade_revs(revision, current)

    with _connection(url) as connection:
        environment = EnvironmentContext(Config(), scripts, fn=steps, destination_rev=revision)
        try:
            # One transaction for all steps: a failed migration leaves the schema as it was.
            with connection.begin(), environment:
                environment.configure(connection=connection, target_metadata=Base.metadata)
                environment.run_migrations()
        except CommandError as error:
            raise InputError(
                f"{error}; the revisions are {', '.join(_revisions())}, and {FIRST}"
            ) from None


def _revisions() -> list[str]:
    return [script.revision for script in _scripts().walk_revisions()][::-1]


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(MIGRATIONS), version_locations=[str(MIGRATIONS)])


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    engine = open_engine(url)
    try:
        with connected(engine) as connection:
            yield connection
    finally:
        engine.dispose()
