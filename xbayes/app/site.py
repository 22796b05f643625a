"""What the site serves, and how."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from xbayes.app.served_run import ServedRun
from xbayes.errors import InputError

LOCAL = ("127.0.0.1", "localhost", "::1")
SHORTEST_KEY = 16  # characters


class SiteOptions(NamedTuple):
    """How the site is served."""

    host: str = "127.0.0.1"
    port: int = 8000
    secret_key: str = ""  # signs sessions; needed where others can reach the site
    products: str = ""  # folder or template of spectra and light curves
    light_curves: Path | None = None  # long-term light curves that `xbayes enhance` wrote
    resolve: bool = True  # ask Sesame for names that the catalogue does not hold
    aladin: Path | None = None  # folder with Aladin Lite, an optional install
    rate: int = 600  # requests a minute and address that compute something
    suggested: Path | None = None  # table of `xbayes suggest`: what volunteers see first
    database: str = ""  # URL of the database of the volunteers; without it there are none

    @property
    def public(self) -> bool:
        """Whether other machines can reach the site."""
        return self.host not in LOCAL


class Site(NamedTuple):
    """The served runs by name, the first first, and the options."""

    runs: Mapping[str, ServedRun]
    options: SiteOptions


def open_site(runs: Sequence[Path], catalog: Path | None, options: SiteOptions) -> Site:
    """Load the runs.

    Raises
    ------
    InputError
        If a run cannot be loaded, or the site would be public without a secret key.
    """
    if options.public and len(options.secret_key) < SHORTEST_KEY:
        raise InputError(
            f"--host {options.host} lets other machines in, which needs a secret key of at least "
            f"{SHORTEST_KEY} characters in the environment: XBAYES_SECRET_KEY=... ; without "
            "--host the site is for this machine only"
        )
    if catalog is not None and len(runs) != 1:
        raise InputError(f"--catalog goes with one run; found {len(runs)}")
    served: dict[str, ServedRun] = {}
    for run in runs:
        one = ServedRun(run, catalog)
        if one.name in served:
            raise InputError(f"two runs are called {one.name!r}; rename one of the folders")
        served[one.name] = one
    key = options.secret_key or secrets.token_urlsafe(32)
    return Site(runs=served, options=options._replace(secret_key=key))


def aladin_folder() -> Path | None:
    """The folder of Aladin Lite, if `make aladin` installed it."""
    folder = Path.home() / ".cache" / "xbayes" / "aladin"
    return folder if (folder / "aladin.js").is_file() else None
