"""A site over the shared demo run, which all tests of its pages read."""

import pytest

from tests.app.clients import OPTIONS, browser_of, program_of
from xbayes.app.site import open_site


@pytest.fixture(scope="session")
def site(demo):
    """The site of the demo run."""
    return open_site([demo.folder], None, OPTIONS)


@pytest.fixture(scope="session")
def ask(site):
    """A client of the site that asks for pages, as a browser does."""
    return browser_of(site)


@pytest.fixture(scope="session")
def ask_json(site):
    """A client of the site that asks for JSON."""
    return program_of(site)
