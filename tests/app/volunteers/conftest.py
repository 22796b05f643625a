"""Databases of the volunteers' site: SQLite for all tests, PostgreSQL too for the slow ones."""

import itertools
import shutil

import pytest
from sqlalchemy import create_engine, text

from tests.app.clients import TestClient, browser_of
from tests.app.volunteers import postgresql
from tests.app.volunteers.sites import Person, catalogue_with_unknown, open_site_of
from xbayes.app.volunteers.database import open_database
from xbayes.app.volunteers.engine import parse_url, sqlite_url
from xbayes.app.volunteers.schema import upgrade

BOTH = ("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))
_numbers = itertools.count()


@pytest.fixture(scope="session")
def server():
    """The URL of the databases of a PostgreSQL server, with a place for their name."""
    with postgresql.server() as url:
        upgrade_in(url, "model")
        yield url


def upgrade_in(server, name):
    administer(server, f"CREATE DATABASE {name}_filled")
    upgrade(server.format(name=f"{name}_filled"))


def administer(server, statement):
    engine = create_engine(parse_url(server.format(name="postgres")), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """An SQLite file in the newest schema."""
    path = tmp_path_factory.mktemp("schema") / "model.sqlite"
    upgrade(sqlite_url(path))
    return path


@pytest.fixture
def new_url(request, tmp_path):
    """`new_url(kind)`: the URL of a new database of a kind, in the newest schema; or empty."""

    def call(kind, empty=False):
        number = next(_numbers)
        if kind == "sqlite":
            path = tmp_path / f"db{number}.sqlite"
            if not empty:
                shutil.copyfile(request.getfixturevalue("migrated"), path)
            return sqlite_url(path)
        server = request.getfixturevalue("server")
        template = "template0" if empty else "model_filled"
        administer(server, f"CREATE DATABASE d{number} TEMPLATE {template}")
        return server.format(name=f"d{number}")

    return call


@pytest.fixture
def opened(new_url):
    """`opened(url)`: the database, which is closed after the test."""
    databases = []

    def call(url):
        databases.append(open_database(url))
        return databases[-1]

    yield call
    for database in databases:
        database.close()


@pytest.fixture
def database(new_url, opened):
    """An empty SQLite database."""
    return opened(new_url("sqlite"))


@pytest.fixture(params=BOTH)
def either(request, new_url, opened):
    """An empty database of each kind."""
    return opened(new_url(request.param))


@pytest.fixture(scope="session")
def half(demo, tmp_path_factory):
    return catalogue_with_unknown(demo, tmp_path_factory.mktemp("half"))


@pytest.fixture
def people(demo, half, new_url):
    """`people()`: somebody new with a browser of their own, at one site."""
    site = open_site_of(demo, half, new_url("sqlite"))
    first = browser_of(site)

    def call():
        return Person(site, TestClient(first.app, headers={"accept": "text/html"}))

    yield call
    first.app.state.volunteers.database.close()
