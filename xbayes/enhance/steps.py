"""Steps that add columns to a catalogue: run in order, skipped where done, kept when finished.

A step adds only new columns. Its record in the metadata of the table says when it ran, on what
and with which services; `step_hash` of its settings and inputs tells whether it is done.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from astropy.table import MaskedColumn, Table

from xbayes.catalog.columns import FileColumn, masked_column, to_table
from xbayes.config.checks import Record
from xbayes.enhance.cache import table_hash
from xbayes.enhance.provenance import KeptSteps, StepRecord, Watched, record_of, records_in
from xbayes.enhance.services import Progress, Services
from xbayes.errors import InputError

META = "enhance"  # key of the records in the metadata of a table
VERSION = 1  # of what the steps compute; a new one makes all of them run again


class AddedColumn(NamedTuple):
    """A column that a step adds."""

    name: str
    description: str
    unit: str = ""
    ucd: str = ""


class Made(NamedTuple):
    """What a step made: its columns, further tables by name, and notes for the user."""

    columns: Mapping[str, MaskedColumn]
    tables: Mapping[str, Table] = {}
    notes: tuple[str, ...] = ()


@runtime_checkable
class Step(Protocol):
    """One step of `xbayes enhance`."""

    @property
    def name(self) -> str:
        """The name of its section of the config."""
        ...

    @property
    def settings(self) -> Record:
        """Its section of the config."""
        ...

    @property
    def catalog(self) -> Record:
        """The section of the config on the catalogue."""
        ...

    def reads(self) -> Sequence[str]:
        """The columns of the catalogue that it reads; those that are absent are passed over."""
        ...

    def files(self) -> Sequence[Path]:
        """The local files that it reads."""
        ...

    def columns(self) -> Sequence[AddedColumn]:
        """The columns that it adds."""
        ...

    def run(self, table: Table, services: Services | None) -> Made:
        """Add the columns.

        Parameters
        ----------
        table
            Masked columns; it is not altered.
        services
            Archives; None if the step needs none.

        Raises
        ------
        InputError
            For unusable columns, and if a service or an answer is not to be had.
        """
        ...


class Enhanced(NamedTuple):
    """The catalogue with the new columns, further tables, and what was done."""

    table: Table
    tables: Mapping[str, Table]  # by name; of skipped steps those that are kept
    ran: tuple[str, ...]
    skipped: tuple[str, ...]
    notes: tuple[str, ...]


def column_of(
    added: AddedColumn, values: np.ndarray | Sequence[Any], missing: np.ndarray | None = None
) -> MaskedColumn:
    """A column with unit, UCD and description. NaN and empty text are missing, too."""
    array = np.asarray(values)
    column = FileColumn(
        name=added.name,
        values=array,
        missing=np.zeros(len(array), bool) if missing is None else missing,
        unit=added.unit,
        description=added.description,
        ucd=added.ucd,
    )
    return masked_column(to_table([column], {}), added.name)


def run_steps(
    table: Table,
    steps: Sequence[Step],
    services: Services | None,
    *,
    original: Table | None = None,
    kept: KeptSteps | None = None,
    again: Collection[str] = (),
    refresh: Collection[str] = (),
    progress: Progress | None = None,
) -> Enhanced:
    """The table with the columns of all steps.

    Parameters
    ----------
    table
        Masked columns, as the steps read them; it is not altered.
    steps
        The steps in order.
    services
        Archives that the steps ask.
    original
        The same rows as the user gave them, to which the columns are added; None: `table`.
    kept
        Where finished steps are kept, so that an interrupted run goes on from there.
    again
        Names of steps that are made anew, although their columns are in the table.
    refresh
        Names of steps that are made anew from new answers of the archives, which replace those in
        the cache.
    progress
        Called with the completed share and the step that begins.

    Raises
    ------
    InputError
        Before any step runs, for columns that exist already; then as the steps do.
    """
    _check_names(steps, "--again", again)
    _check_names(steps, "--refresh", refresh)
    again = {*again, *refresh}
    hashes = {step.name: step_hash(step, table) for step in steps}
    done = {r.step: r for r in records_in((table.meta or {}).get(META))}
    todo = [s for s in steps if s.name in again or not _is_done(s, hashes[s.name], done, table)]
    _check_columns(table, todo, done, again)
    enriched = (table if original is None else original).copy(copy_data=False)
    for step in todo:
        mine = done.pop(step.name).columns if step.name in done else ()
        enriched.remove_columns([name for name in mine if name in enriched.colnames])
    tables = _tables_of([s for s in steps if s not in todo], hashes, kept)
    notes: list[str] = []
    for number, step in enumerate(todo):
        if progress is not None:
            progress(number / len(todo), step.name)
        asked = services.refreshing() if services and step.name in refresh else services
        made, record = _finished(step, hashes[step.name], table, asked, kept, again)
        for name, column in made.columns.items():
            enriched[name] = column
        done[step.name] = record
        tables |= made.tables
        notes += [f"{step.name}: {note}" for note in made.notes]
    order = [*dict.fromkeys((*done, *(step.name for step in steps)))]
    enriched.meta = {
        **(table.meta or {}),
        META: [done[name].as_dict() for name in order if name in done],
    }
    ran = tuple(step.name for step in todo)
    return Enhanced(
        table=enriched,
        tables=tables,
        ran=ran,
        skipped=tuple(step.name for step in steps if step.name not in ran),
        notes=tuple(notes),
    )


def step_hash(step: Step, table: Table) -> str:
    """The hash of the settings of a step and of what it reads: columns, units and files.

    The section on the catalogue counts too: it says what the columns mean.
    """
    present = [name for name in dict.fromkeys(step.reads()) if name in table.colnames]
    inputs = table_hash(Table([_canonical(table, name) for name in present])) if present else ""
    digest = {
        "version": VERSION,
        "step": step.name,
        "settings": step.settings.model_dump(mode="json"),
        "catalog": step.catalog.model_dump(mode="json"),
        "rows": len(table),
        "inputs": inputs,
        "units": [str(masked_column(table, name).unit or "") for name in present],
        "files": [_file_hash(path) for path in step.files()],
    }
    return hashlib.sha256(json.dumps(digest, sort_keys=True).encode()).hexdigest()


def _canonical(table: Table, name: str) -> MaskedColumn:
    """A column with the types that every file format keeps, so that its hash does not change."""
    column = masked_column(table, name)
    values, missing = np.ma.getdata(column), np.ma.getmaskarray(column)
    if values.dtype.kind == "f":
        values = values.astype(np.float64)
    elif values.dtype.kind in "iu" and values.dtype != np.uint64:
        values = values.astype(np.int64)
    elif values.dtype.kind in "US":
        values = np.char.rstrip(values.astype(str))
        missing = missing | (values == "")
    if values.dtype.kind == "f":
        missing = missing | np.isnan(values)
    plain: Any = MaskedColumn(values, mask=missing, name=name)
    return plain


def _file_hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_done(step: Step, found: str, done: Mapping[str, StepRecord], table: Table) -> bool:
    record = done.get(step.name)
    if record is None or record.hash != found:
        return False
    return all(name in table.colnames for name in record.columns)


def _check_names(steps: Sequence[Step], option: str, given: Collection[str]) -> None:
    names = [step.name for step in steps]
    wrong = [name for name in given if name not in names]
    if wrong:
        raise InputError(
            f"{option} {wrong[0]}: the config has no such step; its steps are {', '.join(names)}"
        )


def _check_columns(
    table: Table,
    todo: Sequence[Step],
    done: Mapping[str, StepRecord],
    again: Collection[str],
) -> None:
    """Raise InputError for columns to be added that exist, or that two steps add.

    FITS ignores case in column names, and so does this check.
    """
    replaced = {name for s in todo if s.name in done for name in done[s.name].columns}
    owner = {name.lower(): "" for name in table.colnames if name not in replaced}
    for step in todo:
        record = done.get(step.name)
        if record is not None and step.name not in again and record.hash:
            stale = [name for name in record.columns if name in table.colnames]
            if len(stale) == len(record.columns):
                raise InputError(
                    f"step {step.name} was made on {record.date} with other settings, or its input "
                    f"columns have changed since; to replace its columns ({', '.join(stale[:3])}, "
                    f"...), give --again {step.name}; to keep both, start from the original "
                    "catalogue"
                )
        for added in step.columns():
            other = owner.setdefault(added.name.lower(), step.name)
            if other == step.name:
                continue
            if other:
                raise InputError(f"steps {other} and {step.name} both add a column {added.name!r}")
            raise InputError(
                f"step {step.name} adds a column {added.name!r}, but the catalogue has one of "
                "this name, which is never replaced; rename or remove it (if xbayes enhance made "
                "it and the file is CSV, which keeps no record of that, start from the original "
                f"catalogue), or leave the step out: --set {step.name}=null"
            )


def _tables_of(
    skipped: Sequence[Step], hashes: Mapping[str, str], kept: KeptSteps | None
) -> dict[str, Table]:
    """The further tables of skipped steps, where finished steps are kept."""
    found = [kept.find(s.name, hashes[s.name]) for s in skipped] if kept is not None else []
    return {name: part for each in found if each for name, part in each.tables.items()}


def _finished(
    step: Step,
    found: str,
    table: Table,
    services: Services | None,
    kept: KeptSteps | None,
    again: Collection[str],
) -> tuple[Made, StepRecord]:
    """What a step makes, from where finished steps are kept, or else by running it."""
    if kept is not None and step.name not in again:
        stored = kept.find(step.name, found)
        if stored is not None:
            return Made(columns=stored.columns, tables=stored.tables), stored.record
    watched = None if services is None else Watched(services)
    made = step.run(table, watched)
    names = [added.name for added in step.columns()]
    if list(made.columns) != names:
        raise AssertionError(f"step {step.name} must make {names}; it made {list(made.columns)}")
    record = record_of(
        step.name, found, n_rows=len(table), columns=names, notes=made.notes,
        asked=() if watched is None else watched.asked,
    )  # fmt: skip
    if kept is not None:
        kept.keep(made.columns, made.tables, record)
    return made, record
