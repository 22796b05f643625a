"""Which of several tables of a file is read."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from xbayes.errors import InputError, XbayesWarning


class TableName(NamedTuple):
    """How a table in a file can be named."""

    number: int  # of the FITS extension, or of the table in a VOTable, which count from 1
    names: tuple[str, ...]  # may be empty
    n_rows: int

    @property
    def title(self) -> str:
        """The first name, and the number."""
        return f"{self.names[0]} ({self.number})" if self.names else str(self.number)

    def __str__(self) -> str:
        return f"{self.title}: {self.n_rows} row{'' if self.n_rows == 1 else 's'}"


def choose_table(path: Path, tables: Sequence[TableName], wanted: str | None) -> int:
    """The index of the wanted table, by name or number. A single table is taken in any case.

    Without `wanted` the first of several tables is taken, with a warning that names them.

    Raises
    ------
    InputError
        If none, or more than one, of several tables has this name.
    """
    if len(tables) == 1:
        return 0
    listed = ", ".join(map(str, tables))
    how = (
        "--table NAME (in Python table=), or in the config catalog.table: NAME (target.table for "
        "target.file)"
    )
    if wanted is None:
        text = f"{path} holds {len(tables)} tables ({listed}); the first is read; choose: {how}"
        warnings.warn(text, XbayesWarning, stacklevel=2)
        return 0
    for match in (_is_named, _is_nearly_named, _is_numbered):
        found = [index for index, table in enumerate(tables) if match(table, wanted)]
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(
                f"{path} holds {len(found)} tables named {wanted!r}; give the number of one: "
                f"{listed}; {how}"
            )
    raise InputError(
        f"{path} holds no table {wanted!r}; it has {listed}; choose one of them: {how}"
    )


def _is_named(table: TableName, wanted: str) -> bool:
    return wanted.strip() in table.names


def _is_nearly_named(table: TableName, wanted: str) -> bool:
    return wanted.strip().lower() in [name.lower() for name in table.names]


def _is_numbered(table: TableName, wanted: str) -> bool:
    return wanted.strip() == str(table.number)
