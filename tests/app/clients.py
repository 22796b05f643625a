"""Clients of a site in this process, as a browser and as another program."""

import warnings

from xbayes.app.server import create_app
from xbayes.app.site import SiteOptions

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it asks for the successor of httpx
    from starlette.testclient import TestClient

OPTIONS = SiteOptions(resolve=False, rate=1_000_000)


def browser_of(site):
    """A client that asks for pages; an error of the server fails the test."""
    headers = {"accept": "text/html"}
    return TestClient(create_app(site), headers=headers)


def program_of(site):
    """A client that asks for JSON."""
    return TestClient(create_app(site))
