"""The labelled catalogue of a config, read from one file or joined from several releases."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Int
from pydantic import ValidationError

from xbayes.catalog.columns import masked_column
from xbayes.catalog.inputs import Origin, as_table, origin_of
from xbayes.catalog.releases import Joined, Wanted, join_releases
from xbayes.catalog.roles import check_catalog
from xbayes.catalog.taxonomy import label_texts
from xbayes.config.checks import quoted
from xbayes.config.files import FileConfig
from xbayes.config.schema import CatalogConfig, Config, catalog_source
from xbayes.errors import InputError
from xbayes.features.build import needed_columns, sky_columns
from xbayes.features.conditions import condition_columns, number_columns, text_columns

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike, Releases


class ReadCatalog(NamedTuple):
    """A labelled catalogue as it was read, before its labels and features."""

    config: Config  # with the files, and the column of releases, of what was read
    table: Table
    origin: Origin
    link: Int[np.ndarray, "N"] | None  # rows of one source have the same number; None: one file
    warnings: tuple[str, ...]


def read_training(config: Config, catalog: "CatalogLike | Releases", label: str) -> ReadCatalog:
    """The labelled catalogue, checked: one catalogue, or a mapping of releases joined into one.

    Raises
    ------
    InputError
        If it does not have the columns that the config names, or if its ids or coordinates are
        wrong.
    """
    if isinstance(catalog, Mapping):
        return _read_releases(config, catalog, label)
    numbers, text = number_columns(config), text_columns(config)
    table = config.catalog.table_name
    read = as_table(catalog, text=[config.catalog.id, *text], numbers=numbers, table=table)
    config, warnings = _of_one_file(config, catalog, read)
    roles = config.catalog
    return ReadCatalog(
        config=config,
        table=check_catalog(read, roles, _needed(config, label), "train", numbers=numbers),
        origin=origin_of(catalog),
        link=None,
        warnings=warnings,
    )


def _needed(config: Config, label: str) -> list[str]:
    roles = config.catalog
    needed = [*needed_columns(config), *condition_columns(config), label, *roles.keep]
    return needed + [c for c in (roles.source, roles.group, roles.block) if c]


def _of_one_file(
    config: Config, catalog: "CatalogLike", read: Table
) -> tuple[Config, tuple[str, ...]]:
    """The config for one catalogue in place of the files it names, and a warning that says so."""
    roles = config.catalog
    if not roles.files:
        return config, ()
    block = roles.release if roles.release in read.colnames else None
    roles = roles.model_copy(update={"files": (), "block": block})
    name = Path(catalog).name if isinstance(catalog, str | os.PathLike) else "the table given"
    releases = quoted(file.release_name for file in config.catalog.files)
    has = "gives the releases" if block else "is not there, so the rows have no releases"
    warning = (
        f"{name} replaces all of catalog.files (releases {releases}); their names, units and "
        f"markers do not apply; its column {config.catalog.release!r} {has}"
    )
    return config.model_copy(update={"catalog": roles}), (warning,)


def _read_releases(config: Config, sources: "Releases", label: str) -> ReadCatalog:
    if not sources:
        raise InputError("the mapping of releases is empty; give {release: catalogue, ...}")
    if len({*map(str, sources)}) < len(sources):
        given = ", ".join(map(repr, sources))
        raise InputError(f"two releases have the same name as text: {given}; name them otherwise")
    roles = _with_releases(config, sources)
    given = quoted(file.release_name for file in config.catalog.files)
    replaced = [*map(str, sources)] != [file.release_name for file in config.catalog.files]
    warnings = ()
    if config.catalog.files and replaced:
        warnings = (
            f"the releases {quoted(map(str, sources))} replace all of catalog.files (releases "
            f"{given})",
        )
    config = config.model_copy(update={"catalog": roles})
    ra, dec = sky_columns(config)
    features = [*dict.fromkeys([*needed_columns(config), *condition_columns(config)])]
    if roles.release in features:
        by_feature = roles.release in needed_columns(config)
        reader = "a feature" if by_feature else "the condition of a class"
        raise InputError(
            f"{reader} reads the column {roles.release!r}, which is made of the names of the "
            "releases; name the column of releases otherwise: catalog.release"
        )
    numbers, text = number_columns(config), text_columns(config)
    wanted = Wanted(features=features, numbers=numbers, text=text, sky=ra | dec)
    joined = join_releases({str(name): source for name, source in sources.items()}, roles, wanted)
    return ReadCatalog(
        config=config,
        table=_checked(joined, roles, _needed(config, label)),
        origin=joined.origin,
        link=joined.link,
        warnings=(*warnings, *joined.warnings),
    )


def _checked(joined: Joined, roles: CatalogConfig, needed: list[str]) -> Table:
    """The joined table with the optional columns that no file has."""
    # Each file was checked by itself, with its own markers.
    return check_catalog(
        joined.table, roles.model_copy(update={"missing_values": {}}), needed, "train"
    )


def _with_releases(config: Config, sources: "Releases") -> CatalogConfig:
    """The roles with one entry of `files` for each release that is read."""
    roles = config.catalog
    known = {file.release_name: file for file in roles.files}
    try:
        own = catalog_source(config)
    except InputError:
        own = {}
    files = []
    for name, source in sources.items():
        options = known.get(str(name), FileConfig(file=None))
        is_path = isinstance(source, str | os.PathLike)
        if not (is_path and isinstance(own, dict) and own.get(str(name)) == source):
            path = os.path.abspath(source) if is_path else None
            options = options.model_copy(update={"file": path})
        files.append(options.model_copy(update={"release": str(name)}))
    values = roles.model_dump() | {"files": files, "file": None, "table": None}
    try:
        return CatalogConfig.model_validate(values)
    except ValidationError as error:
        faults = [
            ".".join(["catalog", *map(str, e["loc"])]) + f": {e['msg']}" for e in error.errors()
        ]
        raise InputError("\n".join(faults)) from None


def release_indices(
    table: Table, roles: CatalogConfig
) -> tuple[tuple[str, ...], Int[np.ndarray, "N"] | None]:
    """The names of the releases in the order of the files, and the release of each row.

    Without a column of releases there are none. Rows without a value are a release "(none)".
    """
    if roles.block is None:
        return (), None
    texts = label_texts(masked_column(table, roles.block))
    texts = np.where(texts == "", "(none)", texts)
    names, index = np.unique(texts, return_inverse=True)
    listed = [file.release_name for file in roles.files]
    order = sorted(range(len(names)), key=lambda k: (*_place(names[k], listed), names[k]))
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    return tuple(str(names[k]) for k in order), rank[index]


def _place(name: str, listed: list[str]) -> tuple[int]:
    return (listed.index(name) if name in listed else len(listed),)
