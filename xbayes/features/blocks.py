"""The blocks (releases) of a training catalogue, and which of them lack a column."""

from collections.abc import Iterable, Mapping
from typing import Any

from astropy.table import Table

from xbayes.catalog.releases import ABSENT_IN
from xbayes.config.schema import Config
from xbayes.features.availability import LackedBy, learn_lacking
from xbayes.features.values import Value, read_column


def read_block(table: Table, config: Config) -> Value | None:
    """The column of blocks, or None; a table to be classified may lack it."""
    block = config.catalog.block
    return read_column(table, block) if block is not None and block in table.colnames else None


def lacking_blocks(table: Table, config: Config, values: Mapping[str, Value]) -> LackedBy:
    """Of each of these columns, the blocks of a training catalogue that lack it entirely."""
    return learn_lacking(read_block(table, config), values, _absent_in(table, values), len(table))


def _absent_in(table: Table, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The releases whose file has no such column, which a joined catalogue says."""
    absent = {}
    for name in names:
        column: Any = table[name]
        absent[name] = tuple((getattr(column.info, "meta", None) or {}).get(ABSENT_IN, ()))
    return absent
