"""SAMP buttons of a page: a real browser, a hub with the web profile, and programs at the hub."""

import socket
import threading
import time
import warnings
from contextlib import contextmanager

import pytest
from astropy.table import Table
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from tests.app.running import running_app
from tests.app.vo_site import small_app, small_catalogue
from xbayes.app.security import POLICY
from xbayes.app.server import STATIC
from xbayes.tasks import send as module

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("leaves_sockets_open"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
samp = module._samp()
TABLE = "/tap/sync?LANG=ADQL&QUERY=SELECT+TOP+7+name,ra,dec+FROM+demo.catalogue"
PAGE = f"""<!doctype html><title>t</title><script src="/static/samp.js" defer></script>
<button id="table" data-samp-table-url="{TABLE}" data-samp-name="few">Send</button>
<button id="row" data-samp-table-url="{TABLE}" data-samp-row="3">Mark</button>
<button id="point" data-samp-point="83.5,-22.25">Point</button>
<p data-samp-status data-no-hub="aucun hub"></p>"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    app = small_app(small_catalogue(tmp_path_factory.mktemp("vo")))
    app.add_route(
        "/page", lambda r: HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})
    )
    app.mount("/static", StaticFiles(directory=STATIC))
    with running_app(app) as address:
        yield address


@pytest.fixture
def page(chromium, address):
    page = chromium.new_page()
    page.goto(f"{address}/page")
    yield page
    page.close()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub whose user allows every page."""
    from astropy.samp.hub import WebProfileDialog

    class Allows(WebProfileDialog):
        def show_dialog(self, *args):
            self.consent()

    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 21012)) == 0:
            pytest.skip("another SAMP hub runs on this machine")
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{(tmp_path / 'samp.lock').as_uri()}")
    monkeypatch.setenv("HOME", str(tmp_path))
    dialog, stop = Allows(), threading.Event()

    def poll():
        while not stop.wait(0.05):
            dialog.handle_queue()

    with samp.conf.set_temp("use_internet", False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = samp.SAMPHubServer(
            web_profile=True, web_profile_dialog=dialog, addr="127.0.0.1", mode="single"
        )
        server.start()
        thread = threading.Thread(target=poll, daemon=True)
        thread.start()
        yield server
        stop.set()
        thread.join()
        server.stop()


@contextmanager
def program(hub, name, *mtypes, fails=False):
    """A program at the hub; gives what it has received."""
    received, came = [], threading.Event()
    client = samp.SAMPIntegratedClient(name=name, addr="127.0.0.1")
    client.connect(hub=hub)

    def call(private_key, sender_id, msg_id, mtype, params, extra):
        time.sleep(0.2)  # astropy's hub loses a reply that comes before it waits for one
        if fails:
            error = {"samp.errortxt": "out of memory"}
            client.reply(msg_id, {"samp.status": "samp.error", "samp.error": error})
            return
        received.append((params["name"], len(Table.read(params["url"], format="votable"))))
        client.reply(msg_id, {"samp.status": "samp.ok", "samp.result": {}})

    def notice(private_key, sender_id, mtype, params, extra):
        received.append((mtype, params))
        came.set()

    for mtype in mtypes:
        client.bind_receive_call(mtype, call)
        client.bind_receive_notification(mtype, notice)
    try:
        yield received, came
    finally:
        client.disconnect()


def press(page, button):
    page.click(f"#{button}")
    page.wait_for_selector(f"#{button}:not([disabled])")
    return page.text_content("[data-samp-status]")


def test_a_page_sends_tables_rows_and_positions(page, hub, address):
    votable = "table.load.votable"
    with (
        program(hub, "TOPCAT", votable, "table.highlight.row") as (topcat, marked),
        program(hub, "Aladin", "coord.pointAt.sky") as (aladin, pointed),
        program(hub, "Broken", votable, fails=True),
    ):
        told = press(page, "table")
        assert "Sent to: TOPCAT" in told and "Broken (out of memory)" in told
        assert topcat == [("few", 7)]
        assert "TOPCAT" in press(page, "row") and marked.wait(10)
        assert topcat[1] == (
            "table.highlight.row",
            {"table-id": f"{address}{TABLE}", "url": f"{address}{TABLE}", "row": "3"},
        )
        assert "Aladin" in press(page, "point") and pointed.wait(10)
        assert aladin == [("coord.pointAt.sky", {"ra": "83.5", "dec": "-22.25"})]
    assert "No program at the SAMP hub takes this" in press(page, "table")


def test_a_page_says_that_no_hub_runs(page):
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 21012)) == 0:
            pytest.skip("a SAMP hub runs on this machine")
    assert press(page, "table") == "aucun hub"
    assert press(page, "point") == "aucun hub"
