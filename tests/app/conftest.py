"""A site over the shared demo run, which all tests of its pages read."""

import gc
import shutil

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


@pytest.fixture
def leaves_sockets_open():
    """For clients of others that leave sockets open: these go here, and blame no later test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def chromium():
    """Debian's Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
