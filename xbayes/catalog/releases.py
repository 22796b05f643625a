"""Several files of one kind of catalogue, such as its releases, joined into one table.

read and rename each file -> mask its missing values -> the units of the first file -> find sources
that several files have -> stack

The joined table has a column of releases. A column that a file lacks is masked in its rows, and its
metadata names the release (`ABSENT_IN`): there it is not available.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from astropy.table import Column, Table
from jaxtyping import Int

from xbayes.catalog.columns import masked_column, subset
from xbayes.catalog.inputs import IN_MEMORY, Origin, as_table, origin_of
from xbayes.catalog.roles import check_present, in_stated_units, nearest_names, uniform_catalog
from xbayes.catalog.same_sources import link_sources
from xbayes.catalog.stack import stacked_columns
from xbayes.catalog.units import Unit, convert_units, factor_between, state_unit, state_units
from xbayes.catalog.whole_check import WholeCheck
from xbayes.config.checks import did_you_mean, quoted
from xbayes.config.files import ROLES, FileConfig
from xbayes.config.schema import CatalogConfig
from xbayes.errors import InputError

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike, Releases

ABSENT_IN = "absent_in"  # in the metadata of a column: the releases that lack it


class Wanted(NamedTuple):
    """The columns that a config needs besides those of the roles."""

    features: Collection[str]
    numbers: Collection[str]  # read as numbers where a file does not say which columns are
    text: Collection[str]  # read as text there
    sky: Collection[str]  # in degrees, unless a unit says otherwise


class Joined(NamedTuple):
    """The rows of all files."""

    table: Table
    link: Int[np.ndarray, "N"]  # rows of one source, in whatever file, have the same number
    origin: Origin
    warnings: tuple[str, ...]


class _Part(NamedTuple):
    """One file, under the names of the config."""

    table: Table
    file: str  # its name and release, for messages
    place: str  # its section of the config, for messages
    release: str
    lacking: tuple[str, ...]  # columns that it lacks
    own: tuple[str, ...]  # its columns that the config does not know


def join_releases(sources: "Releases", config: CatalogConfig, wanted: Wanted) -> Joined:
    """The rows of several catalogues in one table, with a column of releases.

    Parameters
    ----------
    sources
        The catalogue of each release: a path or a table.
    config
        The roles of the columns. `files` says how the columns of each release differ.
    wanted
        The columns that features need. Columns that nobody names are left out.

    Raises
    ------
    InputError
        For a column that no file has, an id that several files have, coordinates out of range and
        units that do not convert into each other.
    """
    parts = [_read(str(release), source, config, wanted) for release, source in sources.items()]
    _refuse_lacking(parts, config, wanted)
    files = [part.file for part in parts]
    tables, about_units = _in_units_of_first(parts, wanted.features)
    linked = link_sources(tables, files, [part.release for part in parts], config)
    numbers = {*wanted.numbers, config.ra, config.dec}
    columns = stacked_columns(linked.tables, files, _known(config, wanted), numbers)
    for column in columns:
        lacking = [part.release for part in parts if column.name in part.lacking]
        if lacking:
            column.meta = {**(column.meta or {}), ABSENT_IN: lacking}
    releases = np.repeat([part.release for part in parts], [len(part) for part in linked.tables])
    text = "release of the catalogue that the row is from"
    table = Table([*columns, Column(releases, name=config.release, description=text)], masked=True)
    return Joined(
        table=table,
        link=linked.link,
        origin=origin_of(sources),
        warnings=(*_lacking_warnings(parts, config), *about_units, *linked.warnings),
    )


def _read(release: str, source: "CatalogLike", config: CatalogConfig, wanted: Wanted) -> _Part:
    """One file under the names of the config, with missing values masked and its own units."""
    at = {file.release_name: number for number, file in enumerate(config.files)}
    options = config.files[at[release]] if release in at else FileConfig(file=None)
    place = f"catalog.files[{at.get(release, len(at))}]"
    name = Path(source).name if isinstance(source, str | os.PathLike) else IN_MEMORY
    file, known = f"{name} (release {release})", _known(config, wanted)
    with _naming(file):
        read = as_table(
            source,
            text=[options.columns.get(name, name) for name in (config.id, *wanted.text)],
            numbers={options.columns.get(name, name) for name in wanted.numbers},
            table=None if options.table is None else str(options.table),
        )
        table = _renamed(read, options, place, known)
        if config.id not in table.colnames:
            near = did_you_mean(config.id, read.colnames)
            example = f"{place}.columns: {{{config.id}: NAME}}"
            raise InputError(f"there is no id column {config.id!r}{near}; name it: {example}")
        lacking = tuple(name for name in known if name not in table.colnames)
        roles = _roles_of(config, options, lacking)
        needed = [*wanted.features]
        table = uniform_catalog(table, roles, needed, "train", numbers=wanted.numbers)
        state_units(table, dict.fromkeys(sorted(wanted.sky), "deg"))
        check = WholeCheck(roles)
        check.add(table)
        check.close(lambda: [table])
        table = in_stated_units(table, roles)
    return _Part(
        table=subset(table, [name for name in known if name not in lacking]),
        file=file,
        place=place,
        release=release,
        lacking=lacking,
        own=tuple(name for name in read.colnames if name not in known),
    )


def _roles_of(config: CatalogConfig, options: FileConfig, lacking: Sequence[str]) -> CatalogConfig:
    """The roles in one file, which may lack any column but the id."""
    markers = {name: listed for name, listed in config.missing_values.items()}
    for name, more in options.missing_values.items():
        markers[name] = (*markers.get(name, ()), *more)
    optional = tuple(name for name in lacking if name != config.id)
    update = {"missing_values": markers, "optional": optional, "block": None}
    return config.model_copy(update=update)


def _known(config: CatalogConfig, wanted: Wanted) -> list[str]:
    """The columns of the joined table, other than that of the releases."""
    names = [getattr(config, role) for role in ROLES]
    names += [*config.keep, *sorted({*wanted.features, *wanted.numbers})]
    names += [*config.missing_values, *config.measured_values]
    return [name for name in dict.fromkeys(filter(None, names)) if name != config.release]


def _renamed(read: Table, options: FileConfig, place: str, known: Sequence[str]) -> Table:
    """The known columns of the file under the names of the config, with the stated units."""
    renamed = set(options.columns.values())
    origin = {name: name for name in read.colnames if name not in renamed} | options.columns
    for name, old in options.columns.items():
        if name not in known:
            near = did_you_mean(name, known, "it uses")
            raise InputError(f"{place}.columns: the config uses no column {name!r}{near}")
        if old not in read.colnames:
            near = did_you_mean(old, read.colnames)
            raise InputError(f"{place}.columns.{name}: the file has no column {old!r}{near}")
    for key in ("units", "missing_values"):
        for name in getattr(options, key):
            if name not in origin and (key, name in renamed) != ("units", True):
                near = did_you_mean(name, [*origin])
                raise InputError(f"{place}.{key}: the file has no column {name!r}{near}")
    origin = {name: old for name, old in origin.items() if name in known}
    columns = [masked_column(read, old) for old in origin.values()]
    table = Table(columns, names=[*origin], masked=True, copy=True)
    for name, old in origin.items():
        unit = options.units.get(name, options.units.get(old))
        if unit is not None:
            state_unit(masked_column(table, name), unit)
    return table


def _refuse_lacking(parts: Sequence[_Part], config: CatalogConfig, wanted: Wanted) -> None:
    """Raise InputError for a column that no file has and that is not optional."""
    present = {name for part in parts for name in (*part.table.colnames, *part.own)}
    roles = config.model_copy(update={"block": None})
    check_present(sorted(present), roles, [*wanted.features], "train")


def _lacking_warnings(parts: Sequence[_Part], config: CatalogConfig) -> Iterator[str]:
    """A warning for each file that lacks columns which other files have."""
    present = {name for part in parts for name in part.table.colnames}
    for part in parts:
        if config.release in part.own:
            yield (
                f"{part.file} has a column {config.release!r} of its own, which is not read, "
                "because the releases have this name; name their column otherwise: catalog.release"
            )
        lacking = [n for n in part.lacking if n in present and n not in config.optional]
        if lacking:
            near = nearest_names(lacking, part.own) or {lacking[0]: "NAME"}
            pairs = ", ".join(f"{name}: {old}" for name, old in near.items())
            yield (
                f"{part.file} has no column{'s' if len(lacking) > 1 else ''} {quoted(lacking)}, so "
                "the values are not available there; if it has them under other names: "
                f"{part.place}.columns: {{{pairs}}}"
            )


def _in_units_of_first(
    parts: Sequence[_Part], features: Collection[str]
) -> tuple[list[Table], list[str]]:
    """The tables, each column in the unit of the first file that has it, and warnings."""
    first: dict[str, tuple[str, Unit]] = {}
    tables, warnings = [], []
    for part in parts:
        units, unknown, bare = {}, [], []
        for name in part.table.colnames:
            column = masked_column(part.table, name)
            if np.ma.getdata(column).dtype.kind not in "iuf":
                continue
            file, wanted = first.setdefault(name, (part.file, column.unit))
            if column.unit == wanted:
                continue
            if wanted is None:
                unknown.append(f"{name!r} [{column.unit}]")
                continue
            units[name] = wanted.to_string()
            if column.unit is None:
                bare += [f"{name!r} [{wanted}]"] if name in features else []
            elif factor_between(column.unit, wanted) is None:
                raise InputError(
                    f"{part.file}: column {name!r} is in {column.unit}, but {file} has it in "
                    f"{wanted}, and the units do not convert into each other; convert the column, "
                    f"or name its right unit: {part.place}.units: {{{name}: {wanted}}}"
                )
        plain = [name for name, (_, unit) in first.items() if unit is None]
        tables.append(convert_units(part.table, units, plain))
        warnings += _unit_warnings(part, bare, unknown)
    return tables, warnings


def _unit_warnings(part: _Part, bare: Sequence[str], unknown: Sequence[str]) -> Iterator[str]:
    if bare:
        yield (
            f"{part.file} names no unit for {', '.join(bare)}; the values are taken to be in the "
            "units of the first file, shown in brackets; where that is wrong, name the unit: "
            f"{part.place}.units"
        )
    if unknown:
        yield (
            f"{part.file} has units for {', '.join(unknown)}, for which the first file names none; "
            "the values are taken as they stand; to have them converted, name the units of the "
            "first file: units in its entry of catalog.files"
        )


@contextmanager
def _naming(file: str) -> Iterator[None]:
    """Begins error messages with the name of the file, unless they name it."""
    try:
        yield
    except InputError as error:
        text, name = str(error), file.partition(" (")[0]
        if name != IN_MEMORY and name in text:
            raise
        raise InputError(f"{file}: {text}") from None
