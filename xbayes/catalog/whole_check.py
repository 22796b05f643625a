"""Check the ids and coordinates of a whole catalogue, one chunk at a time.

Only a 64-bit hash of each id is stored, so that a catalogue of any size can be checked. If two
hashes are equal, the ids are read again and compared.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from astropy.table import MaskedColumn, Table
from jaxtyping import Int64

from xbayes.catalog.columns import masked_column, subset
from xbayes.catalog.stand_in_messages import shown_number
from xbayes.catalog.stand_ins import KNOWN, MIN_ROWS
from xbayes.catalog.units import in_degrees
from xbayes.config.schema import CatalogConfig
from xbayes.errors import InputError

_MOST_MARKERS = 4


class _Outside(NamedTuple):
    """The values out of range, as they stand in the column, with their rows; and the first row."""

    value: float  # in degrees
    row: str
    count: int
    given: Counter


class WholeCheck:
    """Takes every chunk in `add`; `close` then raises InputError if the catalogue is wrong.

    With `compare_ids` false, repeated ids are not sought: for a part of a catalogue whose ids have
    been compared as a whole.
    """

    def __init__(self, config: CatalogConfig, *, compare_ids: bool = True) -> None:
        self._compare_ids = compare_ids
        self._id, self._ra, self._dec = config.id, config.ra, config.dec
        self._limits = ((config.ra, 0, 360), (config.dec, -90, 90))
        self._n_rows = self._n_nameless = self._first_nameless = 0
        self._hashes: list[np.ndarray] = []
        self._outside: dict[str, _Outside] = {}

    def add(self, table: Table) -> None:
        """Add the next rows. Raises InputError for ids or coordinates of a wrong type."""
        ids = masked_column(table, self._id)
        nameless = np.ma.getmaskarray(ids)
        if nameless.any():
            if not self._n_nameless:
                self._first_nameless = self._n_rows + int(nameless.argmax()) + 1
            self._n_nameless += int(nameless.sum())
        try:
            compared = np.ma.getdata(ids) if self._compare_ids else np.ma.getdata(ids)[:1]
            self._hashes.append(hash_ids(compared))
        except TypeError:
            raise InputError(
                f"id column {self._id!r} must hold one number or text per row; found "
                f"{np.ma.getdata(ids)[0]}; give another column: catalog.id of a config, "
                "--id (id=) to classify"
            ) from None
        self._n_rows += len(table)
        names = [name for name, *_ in self._limits if name is not None and name in table.colnames]
        degrees = in_degrees(subset(table, names), self._ra, self._dec) if names else table
        for name, low, high in self._limits:
            if name in names:
                given = masked_column(table, str(name))
                self._add_coordinate(masked_column(degrees, str(name)), given, ids, low, high)

    def close(self, again: Callable[[], Iterable[Table]]) -> None:
        """Raise InputError for a missing or repeated id, or a coordinate out of range.

        `again` returns the same chunks once more, to compare ids whose hashes are equal.
        """
        if self._n_nameless:
            raise InputError(
                f"{self._n_nameless} rows have no id in column {self._id!r}, the first is row "
                f"{self._first_nameless}; every row needs one: "
                "add them, or to classify number the rows, --id row (id='row')"
            )
        self._refuse_repeated(again)
        for name, low, high in self._limits:
            if name in self._outside:
                outside = self._outside[name]
                raise InputError(
                    f"column {name!r} must lie in [{low}, {high}] degrees; found "
                    f"{outside.value:.10g} in row {outside.row} and {outside.count - 1} more such "
                    f"rows; correct or empty them{_advice(str(name), outside.given)}"
                )

    def _refuse_repeated(self, again: Callable[[], Iterable[Table]]) -> None:
        if not self._compare_ids:
            return
        hashes = np.sort(np.concatenate(self._hashes))
        suspect = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
        if not len(suspect):
            return
        times: Counter = Counter()
        for table in again():
            ids = np.ma.getdata(masked_column(table, self._id))
            times.update(ids[np.isin(hash_ids(ids), suspect)].tolist())
        repeated = sorted(name for name, count in times.items() if count > 1)
        if repeated:
            shown = ", ".join(repr(name) for name in repeated[:3])
            more = f" and {len(repeated) - 3} more" if len(repeated) > 3 else ""
            raise InputError(
                f"ids must be unique, but column {self._id!r} repeats {shown}{more}; remove the "
                "repeated rows, or give a column that tells them apart: catalog.id of a config, "
                "--id (id=) to classify, where --id row numbers the rows"
            )

    def _add_coordinate(
        self, column: MaskedColumn, given: MaskedColumn, ids: MaskedColumn, low: int, high: int
    ) -> None:
        measured, values = ~np.ma.getmaskarray(column), np.ma.getdata(column)
        if not measured.any():
            return
        outside = np.flatnonzero(measured & ((values < low) | (values > high)))
        if len(outside):
            name, row = str(column.name), outside[0]
            new = _Outside(value=float(values[row]), row=str(ids[row]), count=0, given=Counter())
            first = self._outside.setdefault(name, new)
            first.given.update(np.ma.getdata(given)[outside].tolist())
            self._outside[name] = first._replace(count=first.count + len(outside))


def _advice(name: str, given: Counter) -> str:
    """The advice for values out of range that probably stand for none: known ones, or repeated."""
    likely = [
        shown_number(value) if isinstance(value, int | float) else str(value)
        for value, count in given.most_common()
        if count >= MIN_ROWS or (isinstance(value, int | float) and value in (-1, *KNOWN))
    ][:_MOST_MARKERS]
    if not likely:
        return ""
    options = " ".join(f"--missing-values {name}={text}" for text in likely)
    return (
        f"; if {' and '.join(likely)} stands for no value, write in the config, under catalog: "
        f"missing_values: {{{name}: [{', '.join(likely)}]}} (to classify: {options})"
    )


def hash_ids(ids: np.ndarray) -> Int64[np.ndarray, "N"]:
    """Python's hash of each id. It differs between processes, so it must not be stored."""
    return np.fromiter(map(hash, ids.tolist()), np.int64, len(ids))
