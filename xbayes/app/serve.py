"""Runs the site until it is stopped."""

import socket
from collections.abc import Callable

from xbayes.app.server import create_app
from xbayes.app.site import Site
from xbayes.errors import InputError


def serve_site(site: Site, say: Callable[[str], None]) -> None:
    """Serve the site; `say` is called with its address.

    Raises
    ------
    InputError
        If the address or port cannot be used.
    """
    import uvicorn

    options = site.options
    _refuse_taken(options.host, options.port)
    app = create_app(site)  # first: the database of the volunteers may be refused
    shown = f"[{options.host}]" if ":" in options.host else options.host
    say(f"serving {', '.join(site.runs)} at http://{shown}:{options.port}/ (Ctrl-C stops it)")
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        server_header=False,
        h11_max_incomplete_event_size=65_536,
    )


def _refuse_taken(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                f"cannot listen on {host}, port {port} ({error.strerror}); choose another with "
                "--port"
            ) from None
