"""A site that is open to volunteers, and people who use its pages."""

import re
from html import unescape

import pyarrow.parquet as pq

from tests.app.clients import OPTIONS, browser_of
from tests.app.volunteers.people import PASSWORD, account
from xbayes.app.site import open_site

EVERY = 2  # of so many sources one has no known class


def catalogue_with_unknown(demo, folder):
    """The catalogue of the demo run without the class of every second source."""
    table = pq.read_table(demo.folder / "catalog.parquet")
    place = table.column_names.index("true_class")
    classes = table["true_class"].to_pylist()
    known = ["" if row % EVERY else name for row, name in enumerate(classes)]
    path = folder / "half.parquet"
    field = table.schema.field("true_class")
    pq.write_table(table.set_column(place, field, [known]), path)
    return path


def open_site_of(demo, catalogue, url, **options):
    """The site of the demo run, open to volunteers."""
    return open_site([demo.folder], catalogue, OPTIONS._replace(database=url, **options))


class Person:
    """Somebody with a browser of their own."""

    def __init__(self, app_site, client=None):
        self.client = client or browser_of(app_site)
        self.client.cookies.clear()

    @property
    def database(self):
        return self.client.app.state.volunteers.database

    def get(self, path, **options):
        return self.client.get(path, **options)

    def csrf(self, path="/volunteer"):
        return re.search(r'name="csrf" value="([^"]+)"', self.get(path).text)[1]

    def post(self, path, page="/volunteer", **fields):
        """Send a form with the token of a page; redirects are followed."""
        files = fields.pop("files", None)
        return self.client.post(path, data={"csrf": self.csrf(page), **fields}, files=files)

    def enter_as_guest(self):
        return self.post("/volunteer/guest", consent="yes", votes="keep")

    def sign_up(self, name, password=PASSWORD):
        return self.post("/signup", "/signup", name=name, password=password, consent="yes")

    def log_in(self, name, password=PASSWORD):
        return self.post("/login", "/login", name=name, password=password)

    def vote(self, answer="AGN", path="/volunteer/vote", **fields):
        """Vote on the source of the page; the source and the page that follows."""
        page = self.get(path)
        source = unescape(re.search(r'name="source" value="([^"]*)"', page.text)[1])
        token = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
        data = {"csrf": token, "source": source, "answer": answer, "campaign": "1", **fields}
        return source, self.client.post(path.split("?")[0], data=data)


def log_in_as(people, name, role):
    """An account with a role, logged in."""
    person = people()
    account(person.database, name, role)
    assert person.log_in(name).status_code == 200
    return person
