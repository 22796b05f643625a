"""A catalogue under the column names of a run: names, columns that it lacks, units, markers.

The catalogue itself keeps its names: `Matched.own_names` gives them back to the output.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypedDict

import astropy.units as u
from astropy.table import MaskedColumn, Table

from xbayes.catalog.columns import masked_column, parse_unit
from xbayes.catalog.read import Chunks, table_chunks
from xbayes.catalog.units import state_unit
from xbayes.config.catalog import SEXAGESIMAL
from xbayes.config.checks import did_you_mean
from xbayes.errors import InputError

NUMBERED = "row"  # the id "row" numbers the rows, if no column has this name
Marker = str | int | float
_VALUES = ("missing_values", "measured_values")


class ColumnKeywords(TypedDict, total=False):
    """The keyword options that say how the columns of a catalogue differ from those of the run."""

    id: str | None
    map: Mapping[str, str]
    optional: Sequence[str]
    units: Mapping[str, str]
    missing_values: Mapping[str, Marker | Sequence[Marker]]
    measured_values: Mapping[str, Marker | Sequence[Marker]]
    table: str | int | None


class ColumnOptions(NamedTuple):
    """How the columns of a catalogue differ from those of the run; the default: not at all."""

    id: str | None = None  # the column with the ids, or "row": number the rows
    map: Mapping[str, str] = {}  # the column of the run -> its name in the catalogue
    optional: tuple[str, ...] = ()  # columns of the run that the catalogue may lack
    units: Mapping[str, str] = {}  # column -> unit, for a file that names none or a wrong one
    missing_values: Mapping[str, Sequence[Marker]] = {}  # column of the run -> markers
    measured_values: Mapping[str, Sequence[Marker]] = {}  # -> numbers that are no stand-ins
    table: str | None = None  # name or number of the table in a file of several

    def values_by_key(self) -> dict[str, Mapping[str, Sequence[Marker]]]:
        """The options that list values, under the keys of `catalog` in a config."""
        return {key: getattr(self, key) for key in _VALUES}


def column_options(
    *,
    id: str | None = None,
    map: Mapping[str, str] | None = None,
    optional: Sequence[str] = (),
    units: Mapping[str, str] | None = None,
    missing_values: Mapping[str, Marker | Sequence[Marker]] | None = None,
    measured_values: Mapping[str, Marker | Sequence[Marker]] | None = None,
    table: str | int | None = None,
) -> ColumnOptions:
    """The options as a record. Raises InputError for a unit that is not known."""
    for name, unit in (units or {}).items():
        unknown = not unit or isinstance(parse_unit(unit), u.UnrecognizedUnit | None)
        if unknown and unit not in SEXAGESIMAL:
            raise InputError(
                f"no unit {unit!r} is known (units, --units {name}={unit}); write it as in FITS or "
                "VOTable, such as erg/s/cm2, mag, deg or mJy"
            )
    return ColumnOptions(
        id=id,
        map=dict(map or {}),
        optional=(optional,) if isinstance(optional, str) else tuple(optional),
        units=dict(units or {}),
        missing_values=_listed(missing_values),
        measured_values=_listed(measured_values),
        table=None if table is None else str(table),
    )


def _listed(
    values: Mapping[str, Marker | Sequence[Marker]] | None,
) -> dict[str, tuple[Marker, ...]]:
    return {
        name: (listed,) if isinstance(listed, str | int | float) else tuple(listed)
        for name, listed in (values or {}).items()
    }


def only_given(options: ColumnOptions, colnames: Sequence[str]) -> ColumnOptions:
    """The options without columns that a single source, given by hand, does not have."""
    return options._replace(
        id=options.id if options.id in (*colnames, NUMBERED) else None,
        map={name: old for name, old in options.map.items() if old in colnames},
        units={
            name: unit
            for name, unit in options.units.items()
            if name in colnames or options.map.get(name) in colnames
        },
    )


def with_aliases(
    options: ColumnOptions, aliases: Mapping[str, Sequence[str]], colnames: Sequence[str]
) -> ColumnOptions:
    """The options that also map columns which the catalogue has under a name that is known."""
    found = {
        name: next(known for known in names if known in colnames)
        for name, names in aliases.items()
        if name not in colnames and any(known in colnames for known in names)
    }
    return options._replace(map=found | dict(options.map)) if found else options


class Matched(NamedTuple):
    """A catalogue under the names of the run."""

    chunks: Chunks
    own: Mapping[str, str]  # name in `chunks` -> name in the catalogue, of every passed column

    def own_names(self, table: Table) -> Table:
        """The table with the names of the catalogue in place of those of the run."""
        if all(name == own for name, own in self.own.items()):
            return table
        names = [self.own.get(name, name) for name in table.colnames]
        meta = dict(table.meta or {})
        if "NOPOOL" in meta:
            meta["NOPOOL"] = sorted({self.own.get(name, name) for name in meta["NOPOOL"]})
        columns = [table[name] for name in table.colnames]
        return Table(columns, names=names, copy=False, meta=meta)

    def explained(self, message: str) -> str:
        """The message; it adds the name in the catalogue of a column that it names."""
        other = [
            f"{name!r} is {own!r} in the catalogue"
            for name, own in self.own.items()
            if name != own and repr(name) in message
        ]
        return f"{message} ({', '.join(other)})" if other else message

    @contextmanager
    def explaining_errors(self) -> Iterator[None]:
        """Adds the names of the catalogue to error messages."""
        try:
            yield
        except InputError as error:
            text = self.explained(str(error))
            if text == str(error):
                raise
            raise InputError(text) from None


def match_columns(
    chunks: Chunks, options: ColumnOptions, id_column: str, known: Sequence[str]
) -> Matched:
    """The catalogue under the names of the run.

    Parameters
    ----------
    chunks
        The catalogue.
    options
        How its columns differ from those of the run.
    id_column
        The id column of the run.
    known
        All columns that the run can use.

    Raises
    ------
    InputError
        For an option that names a column which the run or the catalogue does not have.
    """
    if options == ColumnOptions():
        return Matched(chunks=chunks, own={name: name for name in chunks.colnames})
    numbered = options.id == NUMBERED and NUMBERED not in chunks.colnames
    origin = dict(options.map)
    if options.id is not None and not numbered:
        origin[id_column] = options.id
    _check_names(chunks.colnames, options, origin, known)
    replaced = {*origin, *([id_column] if numbered else [])}
    own = _shown_names(chunks.colnames, origin, replaced, known)
    copies = {name: old for name, old in origin.items() if name not in own}
    source = own | copies  # name under which the run sees it -> name in the catalogue
    units = _units_by_name(options.units, source)

    def read(names: Sequence[str] | None) -> Iterator[Table]:
        wanted = [name for name in source if names is None or name in names]
        first = 1
        for chunk in chunks.read(list(dict.fromkeys(source[name] for name in wanted))):
            table = Table(
                [chunk[source[name]] for name in wanted],
                names=wanted,
                masked=True,
                copy=False,
                meta=chunk.meta,
            )
            for name in wanted:
                if name in units:
                    state_unit(masked_column(table, name), units[name])
            if numbered:
                rows = [f"row {row}" for row in range(first, first + len(chunk))]
                table.add_column(MaskedColumn(rows, name=id_column), index=0)
            first += len(chunk)
            yield table

    added = {id_column: NUMBERED} if numbered else {}
    return Matched(
        chunks=chunks._replace(colnames=(*added, *source), read=read), own={**added, **own}
    )


def match_table(
    table: Table, options: ColumnOptions, id_column: str, known: Sequence[str]
) -> tuple[Table, Matched]:
    """A table in memory under the names of the run; arguments and errors as of `match_columns`."""
    matched = match_columns(table_chunks(table, len(table)), options, id_column, known)
    return next(iter(matched.chunks.read(None))), matched


def _shown_names(
    colnames: Sequence[str], origin: Mapping[str, str], replaced: set[str], known: Sequence[str]
) -> dict[str, str]:
    """The name under which the run sees each column of the catalogue, and the column's own name.

    A column whose name another one takes over passes through too, under a name that nobody uses.
    """
    first = {old: name for name, old in reversed([*origin.items()])}
    shown: dict[str, str] = {}
    for own in colnames:
        name = first.get(own, own)
        if own not in first and own in replaced:
            while name in known or name in colnames or name in shown:
                name += "_"
        shown[name] = own
    return shown


def _units_by_name(units: Mapping[str, str], source: Mapping[str, str]) -> dict[str, str]:
    """Units by the name that the run sees; the options may name a column either way."""
    named = {name: unit for name, unit in units.items() if name in source}
    return named | {name: units[own] for name, own in source.items() if own in units}


def _check_names(
    colnames: Sequence[str],
    options: ColumnOptions,
    origin: Mapping[str, str],
    known: Sequence[str],
) -> None:
    """Raise InputError for an option that names a column which nobody has."""
    named = {key: getattr(options, key) for key in ("map", "optional", *_VALUES)}
    for key, names in named.items():
        for name in names:
            if name not in known:
                near = did_you_mean(name, known, "it uses")
                option = f"--{key.replace('_', '-')}"
                raise InputError(f"{key} ({option}): the run uses no column {name!r}{near}")
    for name, old in origin.items():
        if old not in colnames:
            shown = f"map (--map {name}={old})" if name in options.map else f"id (--id {old})"
            near = did_you_mean(old, colnames)
            raise InputError(f"{shown}: the catalogue has no column {old!r}{near}")
    for name in options.units:
        if name not in colnames and name not in origin:
            near = did_you_mean(name, colnames)
            shown = f"units (--units {name}={options.units[name]})"
            raise InputError(f"{shown}: the catalogue has no column {name!r}{near}")
