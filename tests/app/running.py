"""A site that listens, in a thread of this process, and its pages in a browser."""

import socket
import threading
import time
from contextlib import contextmanager

import uvicorn

from xbayes.app.server import create_app

WAIT = 60_000  # ms; the machine may be busy


def running(site):
    """The address of the site while it runs."""
    return running_app(create_app(site))


@contextmanager
def running_app(app):
    """The address of an application while it runs, on a free port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until = time.monotonic() + 60
        while not server.started and time.monotonic() < until:
            time.sleep(0.02)
        assert server.started, "the site did not start"
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


@contextmanager
def browsing(chromium, address):
    """Opens pages of the site; any complaint of the browser, as about the policy, fails."""
    contexts, complaints = [], []

    def call(path, **options):
        contexts.append(chromium.new_context(base_url=address, accept_downloads=True, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(WAIT)
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield call
    for context in contexts:
        context.close()
    assert complaints == []
