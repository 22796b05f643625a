"""The catalogues that xbayes knows (configs/catalogs): how to fetch them, roles, columns, units.

A config names one as `catalog: csc21`, `xbayes fetch` fetches it, `xbayes init` recognises its
columns, and `xbayes enhance` takes its position errors.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from pydantic import Field
from ruamel.yaml import YAML

from xbayes.config.checks import Column, Problem, Record, did_you_mean, refuse
from xbayes.config.enhance_tables import ErrorKind, Names

_FOLDER = "catalog_configs"  # in the package, a link to configs/catalogs


class MadeColumn(Record):
    """A column that is computed after the catalogue was fetched."""

    expression: str = Field(description="Formula over the columns of the catalogue.")
    unit: str = Field(default="", description="Unit of the expression.")
    description: str = Field(default="", description="What the column is.")


class FetchConfig(Record):
    """Where a catalogue is, and what to ask for."""

    service: str = Field(description="Name or address of the TAP service.")
    table: str | None = Field(default=None, description="A table that is fetched as a whole.")
    select: tuple[str, ...] = Field(default=("*",), description="Columns, in ADQL.")
    tables: str | None = Field(default=None, description="Tables, in ADQL, instead of one table.")
    where: str | None = Field(default=None, description="Condition, in ADQL.")
    ra: str = Field(description="Right ascension in degrees (ICRS), in ADQL.")
    dec: str = Field(description="Declination in degrees (ICRS), in ADQL.")
    id_parts: tuple[Column, ...] = Field(
        default=(), description="Columns that together name a row, if none does by itself."
    )
    made: dict[str, MadeColumn] = Field(
        default_factory=dict, description="Columns computed after fetching, by name."
    )


class PositionError(Record):
    """The columns of the position error: a radius, or the axes and the angle of an ellipse.

    Each has the names of files and services. A column without a unit is in arcsec, or degrees.
    """

    major: Names = Field(description="Radius, or semi-major axis.")
    minor: Names | None = Field(default=None, description="Semi-minor axis.")
    angle: Names | None = Field(
        default=None, description="Position angle of the major axis, north through east."
    )
    kind: ErrorKind = Field(description="What the error is; see catalog.error_kind of enhance.")


class KnownColumn(Record):
    """A quantity, and the names of its column in files and services, the first preferred."""

    names: tuple[Column, ...] = Field(description="Names of the column.")
    unit: str = Field(default="", description="The usual unit, where a file names none.")
    description: str = Field(default="", description="What the column is.")


class KnownCatalog(Record):
    """A catalogue that xbayes knows."""

    title: str = Field(description="What the catalogue is.")
    reference: str = Field(description="The paper to cite.")
    note: str = Field(default="", description="What is selected of it.")
    fetch: FetchConfig | None = Field(default=None, description="How to fetch it.")
    catalog: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys of the section `catalog` of a config: roles of columns, missing_values.",
    )
    position_error: PositionError | None = Field(
        default=None, description="Columns of the position error."
    )
    columns: dict[str, KnownColumn] = Field(
        default_factory=dict, description="Known columns, by quantity."
    )

    def section(self) -> dict[str, Any]:
        """The section `catalog` of a config, without a file."""
        units = {name: c.unit for c in self.columns.values() if c.unit for name in c.names}
        return {**self.catalog, "units": {**units, **self.catalog.get("units", {})}}


@cache
def known_catalog(name: str) -> KnownCatalog | None:
    """The catalogue of that name; None if there is none."""
    file = files("xbayes").joinpath(f"{_FOLDER}/{name}.yaml")
    return _read(file) if name in catalog_names() else None


@cache
def catalog_names() -> tuple[str, ...]:
    """Names of all catalogues that xbayes knows."""
    names = (file.name for file in files("xbayes").joinpath(_FOLDER).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


@cache
def known_catalogs() -> dict[str, KnownCatalog]:
    """The catalogues by name."""
    found = {name: known_catalog(name) for name in catalog_names()}
    return {name: known for name, known in found.items() if known is not None}


def fetchable() -> list[str]:
    """Names of the catalogues that `xbayes fetch` knows."""
    return [name for name, known in known_catalogs().items() if known.fetch is not None]


def role_names() -> list[str]:
    """Names that the section `catalog` of a config may give."""
    return [name for name, known in known_catalogs().items() if known.catalog]


def with_known(values: object) -> object:
    """The section `catalog` as given, with the roles and units of the catalogue that it names.

    The section may be the name alone. What it gives itself stays.
    """
    given = {"name": values} if isinstance(values, str) else values
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        return given
    known = known_catalog(given["name"])
    if known is None or not known.catalog:
        return given  # refused below, with a list of the names
    section = known.section()
    units = given.get("units")
    if isinstance(units, Mapping):
        section["units"] |= units
        given = {**given, "units": section["units"]}
    return {**section, **given}


def with_position_error(values: object) -> object:
    """A section of a config of `xbayes enhance` with the position error of the catalogue it names.

    An error that the section gives itself stays. Raises ValueError, as validators do, if no such
    catalogue is known.
    """
    if not isinstance(values, Mapping) or not isinstance(values.get("name"), str):
        return values
    errors = {name: known.position_error for name, known in known_catalogs().items()}
    error = errors.get(values["name"])
    if error is None:
        near = did_you_mean(values["name"], [n for n, e in errors.items() if e], "known are")
        text = f"no catalogue {values['name']!r} with position errors is known{near}"
        refuse([Problem(("name",), text)])
        return values
    found = {} if "error" in values else {"error": error.major, "error_kind": error.kind}
    return {**found, **values}


def _read(file: Traversable) -> KnownCatalog:
    return KnownCatalog(**YAML(typ="safe").load(file.read_text("utf-8")))
