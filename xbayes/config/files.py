"""The section of a config on one of several files that a run learns from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from xbayes.config.checks import Column, Number, Problem, Record, Whole, is_number, quoted, refuse

ROLES = ("id", "ra", "dec", "label", "source", "group")
RELEASE = "release"  # the usual name of the column that says which file a row is from


class FileConfig(Record):
    """One file of several, and how its columns differ from those that the config names."""

    file: str | None = Field(
        description="Path of the file, as of catalog.file. null stands for a table in memory, "
        "which the stored config of a run cannot name."
    )
    release: str | Whole | None = Field(
        default=None,
        description="Name of the release, which becomes the value of the column catalog.release. "
        "null: the name of the file without its ending.",
    )
    table: str | Whole | None = Field(
        default=None, description="Name or number of the table, as of catalog.table."
    )
    columns: dict[str, Column] = Field(
        default_factory=dict,
        description="Names of columns in this file, where they differ: {name in the config: name "
        "in this file}.",
    )
    units: dict[str, str] = Field(
        default_factory=dict,
        description="Units of columns of this file, where it names none or a wrong one.",
    )
    missing_values: dict[str, tuple[str | Whole | Number, ...]] = Field(
        default_factory=dict,
        description="Values that stand for an empty cell in this file, by column, besides those "
        "of catalog.missing_values.",
    )

    @property
    def release_name(self) -> str:
        """The name of the release, as text."""
        return Path(str(self.file)).stem if self.release is None else str(self.release)

    @field_validator("missing_values", mode="before")
    @classmethod
    def _markers_are_plain(cls, value: object) -> object:
        refuse(marker_problems(value))
        return value


def marker_problems(value: object) -> list[Problem]:
    """A problem for each marker of a missing value that is neither text nor a number."""
    return [
        Problem((column, index), f"a marker must be text or a number; found {marker!r}")
        for column, listed in (value if isinstance(value, Mapping) else {}).items()
        if isinstance(listed, list | tuple)
        for index, marker in enumerate(listed)
        if not (isinstance(marker, str) or is_number(marker))
    ]


def releases_as_blocks(values: object) -> object:
    """The section `catalog` as given, with `block` set to the column of releases."""
    if isinstance(values, Mapping) and values.get("files") and values.get("block") is None:
        return {**values, "block": values.get("release", RELEASE)}
    return values


def file_problems(given: Mapping[str, Any]) -> list[Problem]:
    """Problems of `catalog.files`, from the values of the section `catalog`."""
    files: tuple[FileConfig, ...] = given["files"]
    if not files:
        return []
    release = given["release"]
    other_columns = {given[role]: role for role in ROLES if given[role] is not None}
    other_columns |= dict.fromkeys(given["keep"], "keep")
    problems = []
    if given["file"] is not None:
        text = "the config gives both file and files; keep one, with the other null"
        problems.append(Problem(("files",), text))
    if given["table"] is not None:
        text = "with catalog.files, name the table of each file: catalog.files: [{file, table}]"
        problems.append(Problem(("table",), text))
    if given["block"] != release:
        text = f"must be {release!r} (catalog.release) or null: with catalog.files, the releases "
        problems.append(Problem(("block",), f"{text}are the blocks; found {given['block']!r}"))
    if release in other_columns:
        text = f"{release!r} is also catalog.{other_columns[release]}; name another column"
        problems.append(Problem(("release",), text))
    names = [file.release_name for file in files]
    for number, (file, name) in enumerate(zip(files, names, strict=True)):
        if not name.strip():
            problems.append(Problem(("files", number, "release"), "needs a name; found none"))
        if names.index(name) < number:
            text = f"two files are of release {name!r}; give each its own name of a release"
            problems.append(Problem(("files", number, "release"), text))
        if release in file.columns:
            text = f"{quoted([release])} is made of the names of the releases; to keep the column "
            text += "of the file, name the column of releases otherwise: catalog.release"
            problems.append(Problem(("files", number, "columns", release), text))
    return problems
