"""One object through which every request to an archive goes: cached, repeated, checked."""

import copy
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table, vstack

from xbayes.catalog.columns import subset
from xbayes.enhance import clients
from xbayes.enhance.cache import Cache, Request, Unusable, offline_error
from xbayes.enhance.pace import Pace
from xbayes.enhance.retries import RefusedError, TemporaryError, attempted
from xbayes.errors import InputError, XbayesWarning

if TYPE_CHECKING:
    from astroquery.xmatch import XMatchClass

# TAP services, and the services of CDS for cross-matches and for the names of objects.
ENDPOINTS = {
    "vizier": "https://tapvizier.cds.unistra.fr/TAPVizieR/tap",
    "simbad": "https://simbad.cds.unistra.fr/simbad/sim-tap",
    "csc21": "https://cda.cfa.harvard.edu/csc21tap",
    "xmatch": "http://cdsxmatch.u-strasbg.fr/xmatch/api/v1/sync",
    "sesame": "https://cds.unistra.fr/cgi-bin/nph-sesame/",
    "moc": "https://alasky.cds.unistra.fr/MocServer/query",
}
CROSSMATCH_ROWS = 20_000  # positions of one upload
SIMBAD_ROWS = 10_000
SIMBAD_LIMIT = 1_000_000  # rows of an answer; SIMBAD's own default is lower
# SIMBAD's own table; an object without a position matches nothing.
_SIMBAD = """SELECT up.xb_row, b.main_id, b.otype, b.ra, b.dec,
 DISTANCE(POINT('ICRS', b.ra, b.dec), POINT('ICRS', up.xb_ra, up.xb_dec)) * 3600 AS separation
 FROM TAP_UPLOAD.positions AS up JOIN basic AS b
 ON 1 = CONTAINS(POINT('ICRS', b.ra, b.dec), CIRCLE('ICRS', up.xb_ra, up.xb_dec, {radius!r}))"""

_SIMBAD_COLUMNS = {
    **{"row": int, "main_id": str, "otype": str},
    **{"ra": float, "dec": float, "separation": float},
}


Progress = Callable[[float, str], None]  # completed share in [0, 1], the step that begins


class Services:
    """Archives on the network. Each answer is kept; the same request is answered from the cache.

    Parameters
    ----------
    cache
        Folder of the answers.
    offline
        Read only the cache.
    endpoints
        Addresses of services by name, which replace or add to `ENDPOINTS`, and to those of the
        environment variable XBAYES_ENDPOINTS: name=address, separated by blanks.
    progress
        Shows how much of a request in parts is done.
    timeout
        Seconds after which a request without an answer is given up.
    retries
        How often a request is made at most, before the service counts as down.
    allow_partial
        Take an answer that the service cut off, with a warning; such an answer is not kept.
    refresh
        Ask again for what is in the cache, and replace it.
    """

    def __init__(
        self,
        *,
        cache: Path,
        offline: bool = False,
        endpoints: Mapping[str, str] | None = None,
        progress: Progress | None = None,
        timeout: float | int = 60.0,
        retries: int = 5,
        allow_partial: bool = False,
        refresh: bool = False,
    ) -> None:
        self.cache = Cache(cache)
        self.offline = offline
        self.endpoints = ENDPOINTS | _mirrors() | dict(endpoints or {})
        self.progress = progress
        self.timeout = float(timeout)
        self.retries = retries
        self.allow_partial = allow_partial
        self.refresh = refresh
        self.n_fetched = 0  # answers that came from the network
        self._share = 0.0  # last shown

    def tap(
        self,
        service: str,
        adql: str,
        *,
        upload: Mapping[str, Table] | None = None,
        maxrec: int | None = None,
        wait: bool = True,
        rows: int | None = None,
    ) -> Table:
        """The answer of a TAP service to a query.

        Parameters
        ----------
        service
            A name of `ENDPOINTS`, or the address of a TAP service.
        adql
            The query.
        upload
            Tables that the query calls TAP_UPLOAD.name.
        maxrec
            Largest number of rows; if the service has more, the answer counts as cut off.
        wait
            Ask for a job and wait for it (async); False: an answer at once (sync), for queries
            that take seconds.
        rows
            The number of rows that the answer must have at least, if it is known.

        Returns
        -------
        Table
            Masked columns with units and UCDs. Its meta has `service` and `date`, when it was
            answered (UTC, ISO 8601).

        Raises
        ------
        InputError
            If the service is down, refuses the query or gives a part, or nothing is kept (offline).
        """
        address = self._address(service)
        request = Request(service=service, query=adql, uploads=upload or {}, limit=maxrec)

        def ask() -> clients.Answer:
            answer = clients.query_tap(
                address, adql,
                uploads=request.uploads, limit=maxrec, timeout=self.timeout, wait=wait,
            )  # fmt: skip
            enough = rows is None or len(answer.table) >= rows
            return answer._replace(complete=answer.complete and enough)

        return self._answer(request, address, ask)

    def crossmatch(self, table: Table, catalogue: str, radius_arcsec: float) -> Table:
        """All candidates within a radius, by the CDS cross-match service.

        Parameters
        ----------
        table
            Columns `row` (integer), `ra` and `dec` (degrees, ICRS). Rows without a position are
            left out.
        catalogue
            A table of VizieR, such as I/355/gaiadr3.
        radius_arcsec
            At most 180.

        Returns
        -------
        Table
            One row a candidate: `row`, `angDist` (arcsec) and the columns of the catalogue. A
            column of the catalogue that is called `row` becomes `row_2`.

        Raises
        ------
        InputError
            As `tap`, and for a catalogue that the service does not have.
        """
        if not 0 < radius_arcsec <= 180:
            raise InputError(
                f"the cross-match service takes a radius up to 180 arcsec; found {radius_arcsec}"
            )
        address = self._address("xmatch")

        def ask(part: Table) -> Table:
            request = Request(
                service="xmatch", query=f"{catalogue} within {radius_arcsec!r} arcsec",
                uploads={"positions": part},
            )  # fmt: skip
            return self._answer(
                request,
                address,
                lambda: clients.crossmatch(self._matcher, part, catalogue, radius_arcsec),
            )

        answers = self._in_parts(table, CROSSMATCH_ROWS, f"cross-match with {catalogue}", ask)
        return _joined(answers, {"row": int, "angDist": float})

    def simbad(self, table: Table, radius_arcsec: float) -> Table:
        """All objects of SIMBAD within a radius, by its TAP service.

        Parameters
        ----------
        table
            Columns `row` (integer), `ra` and `dec` (degrees, ICRS). Rows without a position are
            left out.
        radius_arcsec
            Above 0.

        Returns
        -------
        Table
            One row an object: `row`, `main_id`, `otype`, `ra`, `dec`, `separation` (arcsec).

        Raises
        ------
        InputError
            As `tap`.
        """
        if not radius_arcsec > 0:
            raise InputError(f"SIMBAD needs a radius above 0 arcsec; found {radius_arcsec}")
        adql = _SIMBAD.format(radius=radius_arcsec / 3600)

        def ask(part: Table) -> Table:
            sent = Table({f"xb_{name}": part[name] for name in ("row", "ra", "dec")})
            found = self.tap("simbad", adql, upload={"positions": sent}, maxrec=SIMBAD_LIMIT)
            found.rename_column("xb_row", "row")
            return found

        answers = self._in_parts(table, SIMBAD_ROWS, "objects of SIMBAD", ask)
        return _joined(answers, _SIMBAD_COLUMNS)

    def position(self, name: str) -> tuple[float, float]:
        """Right ascension and declination of a named object by Sesame, in degrees (ICRS).

        Raises InputError as `tap`, and for a name that Sesame does not know.
        """
        address = self._address("sesame")
        request = Request(service="sesame", query=name)
        found = self._answer(request, address, lambda: clients.resolve(address, name, self.timeout))
        ra, dec = (np.asarray(found[name], float) for name in ("ra", "dec"))
        return float(ra[0]), float(dec[0])

    def moc(self, name: str) -> Table:
        """The cells of a MOC of the MOC server of CDS: column `uniq`, numbered as NUNIQ.

        Raises InputError as `tap`. A name that the server does not know gives no rows.
        """
        address = self._address("moc")
        request = Request(service="moc", query=name)
        return self._answer(
            request, address, lambda: clients.fetch_moc(address, name, self.timeout)
        )

    def count(self, service: str, adql: str, *, wait: bool = False) -> int:
        """The number that a query for one number gives, such as SELECT COUNT(*) FROM ...

        Arguments and errors as of `tap`.
        """
        table = self.tap(service, adql, wait=wait)
        if len(table) != 1 or len(table.colnames) != 1:
            raise InputError(
                f"{service} should answer {adql!r} with one number; it gave {len(table)} rows of "
                f"{table.colnames}; try again, or another --service"
            )
        return int(np.asarray(table[table.colnames[0]])[0])

    def refreshing(self) -> "Services":
        """The same archives and cache, asked again for what is kept."""
        again = copy.copy(self)
        again.refresh = True
        return again

    def _in_parts(
        self, table: Table, size: int, step: str, ask: Callable[[Table], Table]
    ) -> list[Table]:
        """The answers to parts of a table, each of which is kept."""
        parts = list(_parts(table, size))
        answers, pace = [], Pace(sum(len(part) for part in parts))
        for number, part in enumerate(parts):
            done = f", {pace.text()}" if number else ""
            self.show(number / len(parts), f"{step}: part {number + 1} of {len(parts)}{done}")
            fetched = self.n_fetched
            answers.append(ask(part))
            pace.add(len(part), len(part), from_network=self.n_fetched > fetched)
        return answers

    def show(self, share: float, step: str) -> None:
        """Show the completed `share`, from 0 to 1, and the `step` that begins."""
        self._share = share
        if self.progress is not None:
            self.progress(share, step)

    def _address(self, service: str) -> str:
        """The address of a service. Raises InputError for an unknown name."""
        if "://" in service:
            return service.rstrip("/")
        if service not in self.endpoints:
            known = ", ".join(sorted(self.endpoints))
            raise InputError(f"no service {service!r}; give its address, or one of {known}")
        return self.endpoints[service]

    def _answer(self, request: Request, address: str, ask: Callable[[], clients.Answer]) -> Table:
        """The answer from the cache, or else of the service."""
        found = None if self.refresh and not self.offline else self.cache.find(request)
        if isinstance(found, Table):
            return found
        unusable = isinstance(found, Unusable)
        if self.offline:
            raise offline_error(request, self.cache.folder, found.why if unusable else "is not")
        if unusable:
            _warn(f"an answer of {request.service} in {self.cache.folder} {found.why}; "
                  "it is fetched again")  # fmt: skip
        answer = self._fetched(request, address, ask)
        self.n_fetched += 1
        date = datetime.now(UTC).isoformat(timespec="seconds")
        if not answer.complete:
            self._say_partial(request, len(answer.table))
            answer.table.meta = {"service": request.service, "date": date}
            return answer.table
        return self.cache.keep(request, answer.table, address=address, date=date)

    def _fetched(
        self, request: Request, address: str, ask: Callable[[], clients.Answer]
    ) -> clients.Answer:
        try:
            return attempted(ask, attempts=self.retries, tell=self._tell(request.service))
        except RefusedError as error:
            raise InputError(
                f"{request.service} ({address}) refuses the request: {error}; correct the query, "
                "or give another service"
            ) from error
        except TemporaryError as error:
            raise InputError(
                f"{request.service} ({address}) gave no usable answer in {self.retries} attempts: "
                f"{error}; what was answered is kept in {self.cache.folder}: run the same command "
                "later, and it goes on from there"
            ) from error

    def _tell(self, service: str) -> Callable[[str], None]:
        return lambda text: self.show(self._share, f"{service}: {text}")

    def _say_partial(self, request: Request, n_rows: int) -> None:
        """An answer lacks rows: an error, or a warning if that is allowed."""
        text = f"{request.service} gave {n_rows} rows, and has more"
        if not self.allow_partial:
            raise InputError(
                f"{text}; ask for less (a smaller region), or take what it gives: --allow-partial"
            )
        _warn(f"{text}; the rest is missing (--allow-partial)")

    @cached_property
    def _matcher(self) -> "XMatchClass":
        return clients.new_matcher(self._address("xmatch"), self.timeout)


def _mirrors() -> dict[str, str]:
    """The addresses in XBAYES_ENDPOINTS. Raises InputError if it holds something else."""
    pairs = [text.partition("=") for text in os.environ.get("XBAYES_ENDPOINTS", "").split()]
    for name, _, address in pairs:
        if name not in ENDPOINTS or "://" not in address:
            raise InputError(
                f"XBAYES_ENDPOINTS needs name=address, separated by blanks; found "
                f"'{name}={address}'; the names are {', '.join(sorted(ENDPOINTS))}"
            )
    return {name: address.rstrip("/") for name, _, address in pairs}


def _parts(table: Table, size: int) -> Iterator[Table]:
    """Parts of the rows with a position. Raises InputError if a column is missing."""
    lacking = [name for name in ("row", "ra", "dec") if name not in table.colnames]
    if lacking:
        raise InputError(f"positions need the columns row, ra, dec; found {table.colnames}")
    ra, dec = (np.ma.filled(np.ma.asarray(table[name], float), np.nan) for name in ("ra", "dec"))
    positions = subset(table, ("row", "ra", "dec"), np.isfinite(ra) & np.isfinite(dec))
    for start in range(0, len(positions), size):
        yield subset(positions, rows=slice(start, start + size))


def _joined(answers: Sequence[Table], columns: Mapping[str, type]) -> Table:
    """The rows of all answers; without answers a table without rows, with these columns."""
    if not answers:
        return Table(names=list(columns), dtype=list(columns.values()), masked=True)
    joined = vstack(list(answers), metadata_conflicts="silent")
    metas = [answer.meta or {} for answer in answers]
    joined.meta = {"service": metas[0]["service"], "date": min(meta["date"] for meta in metas)}
    return joined


def _warn(message: str) -> None:
    warnings.warn(message, XbayesWarning, stacklevel=3)
