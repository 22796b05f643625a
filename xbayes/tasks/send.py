"""`xbayes send`: a catalogue to TOPCAT, Aladin and other programs on this machine, by SAMP.

SAMP is the protocol by which programs of the Virtual Observatory exchange tables. Each talks to a
hub; TOPCAT and Aladin start one. Here the receivers get the URL of the file, and read it.
"""

import os
import tempfile
import warnings
import xmlrpc.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from xbayes.catalog.formats import format_of
from xbayes.catalog.inputs import as_table
from xbayes.catalog.write import write_catalog
from xbayes.errors import InputError, XbayesWarning

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike
    from xbayes.tasks.fitted_run import FittedRun

MTYPES = {"FITS": "table.load.fits", "VOTable": "table.load.votable"}
TIMEOUT_S = 60  # for a receiver to read the table
_START = (
    "start TOPCAT, Aladin or another program with a SAMP hub on this machine (in TOPCAT: Interop > "
    "SAMP Status), then send again"
)


class _Receiver(NamedTuple):
    """A program that takes tables."""

    id: str
    name: str
    mtype: str


def send(
    run: "str | os.PathLike[str] | FittedRun | None" = None,
    *,
    catalog: "CatalogLike | None" = None,
    to: Sequence[str] = (),
) -> tuple[str, ...]:
    """The names of the programs that loaded the catalogue; they are reached through a SAMP hub.

    Parameters
    ----------
    run
        A run, or its directory; its classified catalogue is sent.
    catalog
        Another catalogue, instead: a path, or a table of astropy, pandas or pyarrow.
    to
        Names of the receivers, such as "TOPCAT"; by default every program that takes tables.

    Raises
    ------
    InputError
        If there is no hub, no receiver or nothing to send, or if no receiver could load the table.

    Examples
    --------
    >>> xbayes.send("runs/demo", to=["TOPCAT"])  # doctest: +SKIP
    ('TOPCAT',)
    """
    if (run is None) == (catalog is None):
        raise InputError(
            "give what to send: a run, as in xbayes send RUN, or a catalogue, as in xbayes send "
            "--catalog FILE (not both)"
        )
    source = _run_catalog(run) if run is not None else catalog
    assert source is not None
    with tempfile.TemporaryDirectory(prefix="xbayes-send-") as folder:
        files = _Files(source, Path(folder))
        with _connected() as client:
            receivers = _receivers(client, files.kind, to)
            failures = {r.name: _load(client, r, files.of(r.mtype), files.name) for r in receivers}
    failed = {name: reason for name, reason in failures.items() if reason}
    told = "; ".join(f"{name} could not load the table: {why}" for name, why in failed.items())
    loaded = tuple(name for name in failures if name not in failed)
    if not loaded:
        raise InputError(f"{told}; see the messages of the program itself")
    if told:
        warnings.warn(told, XbayesWarning, stacklevel=2)
    return loaded


class _Files:
    """The catalogue as a FITS or VOTable file, written where it is not one already."""

    def __init__(self, source: "CatalogLike", folder: Path) -> None:
        self._source, self._folder = source, folder
        self._files: dict[str, Path] = {}
        self.name, self.kind = "table", "VOTable"
        if isinstance(source, str | os.PathLike):
            path = Path(source).expanduser()
            self.name, found = path.name, format_of(path).name
            if not path.is_file():
                raise InputError(f"no file {path}; check the path")
            if found in MTYPES:
                self.kind = found
                self._files[MTYPES[found]] = path.resolve()

    def of(self, mtype: str) -> Path:
        """The file for a message type."""
        if mtype not in self._files:
            ending = ".fits" if mtype == MTYPES["FITS"] else ".vot"
            path = self._folder / f"{self.name.partition('.')[0]}{ending}"
            write_catalog(as_table(self._source), path)
            self._files[mtype] = path
        return self._files[mtype]


def _run_catalog(run: "str | os.PathLike[str] | FittedRun") -> Path:
    folder = Path(run if isinstance(run, str | os.PathLike) else run.folder).expanduser()
    path = folder / "catalog.fits"
    if not path.is_file():
        raise InputError(
            f"{folder} holds no catalog.fits, so it is no run directory; give a run, or a "
            "catalogue with --catalog FILE"
        )
    return path


@contextmanager
def _connected() -> Iterator[Any]:
    """A client of the running hub. Raises InputError if there is none."""
    samp = _samp()
    # Loopback only: astropy would otherwise ask a web server whether there is an internet.
    with samp.conf.set_temp("use_internet", False), warnings.catch_warnings():
        warnings.simplefilter("ignore", samp.SAMPWarning)
        client = samp.SAMPIntegratedClient(
            name="xbayes", description="Classified X-ray sources", addr="127.0.0.1", callable=False
        )
        try:
            client.connect(hub_params=_hub(samp))
        except (samp.SAMPHubError, samp.SAMPProxyError, OSError, xmlrpc.client.Error) as error:
            raise InputError(f"no SAMP hub can be reached ({error}); {_START}") from None
        try:
            yield client
        finally:
            client.disconnect()


def _samp() -> ModuleType:
    with warnings.catch_warnings():
        # Deprecated since astropy 8 in favour of pyvo.samp, which has the same interface.
        warnings.simplefilter("ignore")
        from astropy import samp

    return samp


def _hub(samp: ModuleType) -> Mapping[str, str]:
    """The lock file of the hub in SAMP_HUB or ~/.samp, else of any hub that runs."""
    from astropy.samp.lockfile_helpers import get_running_hubs

    try:
        hubs = get_running_hubs()
    except (OSError, ValueError, KeyError) as error:
        raise samp.SAMPHubError(f"its lock file cannot be read: {error}") from None
    if not hubs:
        where = os.environ.get("SAMP_HUB")
        raise samp.SAMPHubError(f"none runs at SAMP_HUB={where}" if where else "none runs")
    url = os.environ.get("SAMP_HUB", "").removeprefix("std-lockurl:")
    return hubs.get(url) or hubs.get(str(Path.home() / ".samp")) or next(iter(hubs.values()))


def _receivers(client: Any, kind: str, to: Sequence[str]) -> list[_Receiver]:
    """The programs that take tables, of those named; each with the message type that it takes."""
    own = client.get_public_id()
    names = {id: _name(client, id) for id in client.get_registered_clients() if id != own}
    found: dict[str, _Receiver] = {}
    for mtype in sorted(MTYPES.values(), key=lambda mtype: mtype != MTYPES[kind]):
        for id in client.get_subscribed_clients(mtype):
            if id in names:
                found.setdefault(id, _Receiver(id=id, name=names[id], mtype=mtype))
    if not found:
        others = f" (connected: {', '.join(sorted(names.values()))})" if names else ""
        raise InputError(f"no program at the SAMP hub takes tables{others}; {_START}")
    if not to:
        return list(found.values())
    wanted = {name.lower() for name in to}
    lacking = wanted - {receiver.name.lower() for receiver in found.values()}
    if lacking:
        known = ", ".join(sorted({receiver.name for receiver in found.values()}))
        raise InputError(
            f"--to {', '.join(sorted(lacking))}: no such program takes tables; at the hub: {known}"
        )
    return [receiver for receiver in found.values() if receiver.name.lower() in wanted]


def _name(client: Any, id: str) -> str:
    return str(client.get_metadata(id).get("samp.name") or id)


def _load(client: Any, receiver: _Receiver, file: Path, name: str) -> str:
    """Ask a program to load the table; why it could not, or ""."""
    parameters = {"url": file.as_uri(), "table-id": f"xbayes {file}", "name": name}
    try:
        response = client.ecall_and_wait(receiver.id, receiver.mtype, str(TIMEOUT_S), **parameters)
    except (OSError, xmlrpc.client.Error) as error:
        return str(getattr(error, "faultString", error))
    if response.get("samp.status") == "samp.error":
        return str((response.get("samp.error") or {}).get("samp.errortxt", "no reason given"))
    return ""
