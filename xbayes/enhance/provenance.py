"""The record of a step: date, services, rows, versions; and finished steps, kept on disk."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from astropy.table import MaskedColumn, Table

from xbayes.catalog.columns import masked_column
from xbayes.enhance.cache import Cache, Request
from xbayes.enhance.services import Services

LIBRARIES = ("astropy", "astropy-healpix", "astroquery", "mocpy", "numpy", "pyvo")


class Asked(NamedTuple):
    """One request to a service, whether the service or the cache answered it."""

    service: str
    question: str  # in short
    date: str  # of the answer
    rows: int


class StepRecord(NamedTuple):
    """What was done in a step."""

    step: str
    hash: str
    date: str
    rows: int  # of the catalogue
    columns: tuple[str, ...]
    services: tuple[Asked, ...]
    versions: Mapping[str, str]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON holds it."""
        return {
            **self._asdict(),
            "columns": list(self.columns),
            "services": [asked._asdict() for asked in self.services],
            "versions": dict(self.versions),
            "notes": list(self.notes),
        }


def records_in(stored: Any) -> list[StepRecord]:
    """The records in the metadata of a table; an entry that is none is passed over."""
    found = []
    for entry in stored if isinstance(stored, list | tuple) else ():
        try:
            found.append(
                StepRecord(
                    step=str(entry["step"]), hash=str(entry["hash"]), date=str(entry["date"]),
                    rows=int(entry["rows"]), columns=tuple(map(str, entry["columns"])),
                    services=tuple(Asked(**each) for each in entry["services"]),
                    versions=dict(entry["versions"]), notes=tuple(map(str, entry["notes"])),
                )
            )  # fmt: skip
        except (KeyError, TypeError, ValueError):
            continue
    return found


def record_of(
    step: str,
    found: str,
    *,
    n_rows: int,
    columns: Sequence[str],
    notes: Sequence[str],
    asked: Sequence[Asked],
) -> StepRecord:
    """The record of a step that has just run."""
    return StepRecord(
        step=step,
        hash=found,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        rows=n_rows,
        columns=tuple(columns),
        services=_summed(asked),
        versions=_versions(),
        notes=tuple(notes),
    )


def _summed(asked: Sequence[Asked]) -> tuple[Asked, ...]:
    """One entry a service and question: the first date, and the rows of all parts."""
    sums: dict[tuple[str, str], Asked] = {}
    for each in asked:
        key = (each.service, each.question)
        before = sums.get(key)
        if before is not None:
            each = each._replace(rows=before.rows + each.rows, date=min(before.date, each.date))
        sums[key] = each
    return tuple(sums.values())


def _versions() -> dict[str, str]:
    from xbayes import __version__

    versions = {"xbayes": __version__}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


class Watched(Services):
    """Services that note what they are asked."""

    def __init__(self, services: Services) -> None:
        self.__dict__.update(services.__dict__)  # the same cache, addresses and progress
        self.watched = services
        self.asked: list[Asked] = []

    def tap(self, service: str, adql: str, **options: Any) -> Table:
        """`Services.tap`."""
        return self._noted(service, adql, self.watched.tap(service, adql, **options))

    def crossmatch(self, table: Table, catalogue: str, radius_arcsec: float) -> Table:
        """`Services.crossmatch`."""
        found = self.watched.crossmatch(table, catalogue, radius_arcsec)
        return self._noted("xmatch", catalogue, found)

    def simbad(self, table: Table, radius_arcsec: float) -> Table:
        """`Services.simbad`."""
        found = self.watched.simbad(table, radius_arcsec)
        return self._noted("simbad", "objects near positions", found)

    def moc(self, name: str) -> Table:
        """`Services.moc`."""
        return self._noted("moc", name, self.watched.moc(name))

    def _noted(self, service: str, question: str, found: Table) -> Table:
        short = " ".join(question.split())[:200]
        date = str((found.meta or {}).get("date", ""))
        self.asked.append(Asked(service=service, question=short, date=date, rows=len(found)))
        return found


class Stored(NamedTuple):
    """A finished step, as it was kept."""

    columns: dict[str, MaskedColumn]
    tables: dict[str, Table]
    record: StepRecord


class KeptSteps:
    """A folder of finished steps.

    Parameters
    ----------
    folder
        The folder; it is made when the first step is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.cache = Cache(folder)

    def find(self, step: str, found: str) -> Stored | None:
        """The columns and tables of a finished step; None if it is not kept, or damaged."""
        answer = self.cache.find(_request(step, found, "record"))
        if not isinstance(answer, Table):
            return None
        stored = json.loads(str(answer["record"][0]))
        parts = {name: self.cache.find(_request(step, found, name)) for name in stored["tables"]}
        columns = self.cache.find(_request(step, found, "columns"))
        if not isinstance(columns, Table) or not all(isinstance(t, Table) for t in parts.values()):
            return None
        return Stored(
            columns={name: masked_column(columns, name) for name in columns.colnames},
            tables={name: part for name, part in parts.items() if isinstance(part, Table)},
            record=records_in([stored["record"]])[0],
        )

    def keep(
        self,
        columns: Mapping[str, MaskedColumn],
        tables: Mapping[str, Table],
        record: StepRecord,
    ) -> None:
        """Keep a finished step. Raises InputError if the disk is full."""
        text = json.dumps({"record": record.as_dict(), "tables": list(tables)})
        # The record is written last: a step without one is not finished.
        parts = {"columns": Table(list(columns.values())), **tables}
        parts["record"] = Table({"record": [text]})
        for name, part in parts.items():
            request = _request(record.step, record.hash, name)
            self.cache.keep(request, part, address="", date=record.date)


def _request(step: str, found: str, part: str) -> Request:
    return Request(service=f"step {step}", query=f"{found} {part}")
