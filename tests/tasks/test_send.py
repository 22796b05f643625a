"""`xbayes send`: through astropy's own SAMP hub on loopback, to receivers that read the table."""

import threading
import time
import warnings
from contextlib import contextmanager
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest
from astropy.table import Table

import xbayes
from xbayes.catalog.write import write_catalog
from xbayes.errors import InputError, XbayesWarning
from xbayes.tasks import send as module

samp = module._samp()
FITS, VOTABLE = module.MTYPES["FITS"], module.MTYPES["VOTable"]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A running hub, whose lock file SAMP_HUB names."""
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{(tmp_path / 'samp.lock').as_uri()}")
    monkeypatch.setenv("HOME", str(tmp_path))
    with samp.conf.set_temp("use_internet", False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = samp.SAMPHubServer(web_profile=False, addr="127.0.0.1", mode="single")
        server.start()
        yield server
        server.stop()


@contextmanager
def receiver(hub, name, *mtypes, fails=False):
    """A program at the hub that takes tables; gives the list of (message type, name, rows)."""
    loaded, lock = [], threading.Lock()
    client = samp.SAMPIntegratedClient(name=name, addr="127.0.0.1")
    client.connect(hub=hub)

    def take(private_key, sender_id, msg_id, mtype, params, extra):
        time.sleep(0.2)  # astropy's hub loses a reply that comes before it waits for one
        if fails:
            error = {"samp.errortxt": "out of memory"}
            client.reply(msg_id, {"samp.status": "samp.error", "samp.error": error})
            return
        table = Table.read(
            url2pathname(urlparse(params["url"]).path),
            format="fits" if mtype == FITS else "votable",
        )
        with lock:
            loaded.append((mtype, params["name"], list(table["name"])))
        client.reply(msg_id, {"samp.status": "samp.ok", "samp.result": {}})

    for mtype in mtypes:
        client.bind_receive_call(mtype, take)
    try:
        yield loaded
    finally:
        client.disconnect()


@pytest.fixture
def run(tmp_path):
    """A folder with the classified catalogue of a run."""
    folder = tmp_path / "my run"
    folder.mkdir()
    write_catalog(Table({"name": ["a", "b"], "p_AGN": [0.25, 0.75]}), folder / "catalog.fits")
    return folder


def test_the_classified_catalogue_goes_to_every_program_that_takes_tables(hub, run):
    with (
        receiver(hub, "TOPCAT", FITS, VOTABLE) as topcat,
        receiver(hub, "Aladin", VOTABLE) as aladin,
        receiver(hub, "Editor", "script.run") as editor,
    ):
        assert set(xbayes.send(run)) == {"TOPCAT", "Aladin"}
    assert topcat == [(FITS, "catalog.fits", ["a", "b"])]
    assert aladin == [(VOTABLE, "catalog.fits", ["a", "b"])]
    assert editor == []


@pytest.mark.parametrize("name", ["sky.csv", "sky.parquet", "sky.vot", "sky.fits"])
def test_a_catalogue_in_any_format_reaches_one_program(hub, tmp_path, name, exit_code):
    write_catalog(Table({"name": ["x", "y", "z"]}), tmp_path / name)
    with receiver(hub, "TOPCAT", FITS, VOTABLE) as topcat, receiver(hub, "Aladin", FITS) as aladin:
        assert exit_code("send", "--catalog", tmp_path / name, "--to", "topcat") == 0
    assert topcat == [(FITS if name.endswith("fits") else VOTABLE, name, ["x", "y", "z"])]
    assert aladin == []


def test_a_table_in_memory_is_sent(hub):
    with receiver(hub, "TOPCAT", FITS) as topcat:
        assert xbayes.send(catalog=Table({"name": ["x"]}), to=["TOPCAT"]) == ("TOPCAT",)
    assert topcat == [(FITS, "table", ["x"])]


def test_one_program_that_fails_is_a_warning_and_all_are_an_error(hub, run):
    with receiver(hub, "TOPCAT", FITS, fails=True):
        with pytest.raises(InputError, match="TOPCAT could not load the table: out of memory"):
            xbayes.send(run)
        with (
            receiver(hub, "Aladin", FITS),
            pytest.warns(XbayesWarning, match="TOPCAT could not load"),
        ):
            assert xbayes.send(run) == ("Aladin",)


def test_messages_say_what_to_start(hub, run, refused):
    refused("send", run, says=["no program at the SAMP hub takes tables", "start TOPCAT"])
    with receiver(hub, "Editor", "script.run"):
        refused("send", run, says=["connected: ", "Editor", "start TOPCAT"])
    with receiver(hub, "TOPCAT", FITS):
        refused("send", run, "--to", "Aladin", says=["no such program", "at the hub: TOPCAT"])
    hub.stop()
    refused("send", run, says=["no SAMP hub can be reached", "start TOPCAT", "Interop"])


@pytest.mark.parametrize("lock", ["http://127.0.0.1:9/", None])
def test_without_a_hub(tmp_path, run, refused, monkeypatch, lock):
    """No lock file, and a lock file that a dead hub left behind."""
    file = tmp_path / "left.lock"
    if lock is not None:
        file.write_text(f"# SAMP\nsamp.secret=x\nsamp.hub.xmlrpc.url={lock}\n")
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{file.as_uri()}")
    monkeypatch.setenv("HOME", str(tmp_path))
    refused("send", run, says=["no SAMP hub can be reached", "start TOPCAT"])


def test_what_to_send_must_be_named(tmp_path, run, refused):
    refused("send", says=["xbayes send RUN", "--catalog FILE"])
    refused("send", run, "--catalog", run / "catalog.fits", says=["not both"])
    refused("send", tmp_path, says=["holds no catalog.fits", "--catalog FILE"])
    refused("send", "--catalog", tmp_path / "absent.fits", says=["no file", "absent.fits"])


def test_nothing_is_left_behind(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with receiver(hub, "TOPCAT", VOTABLE):
        xbayes.send(catalog=Table({"name": ["x"]}))
    assert not list(tmp_path.glob("xbayes-send-*"))
