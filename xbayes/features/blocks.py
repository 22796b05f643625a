"""Which columns a block of rows lacks entirely: there a feature is not available.

A block is a set of rows with the same value in `catalog.block`, such as one data release. It may
span several chunks of a file, so counts are made chunk by chunk and added.
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from xbayes.features.values import Value

# A few empty cells are non-detections; only a block this large shows that a column is unavailable.
MIN_BLOCK = 20


class BlockCounts(NamedTuple):
    """Number of rows per block, and number of missing cells per column and block."""

    n_rows: Counter
    n_missing: dict[str, Counter]


def count_blocks(block: Value | None, values: Mapping[str, Value], n_rows: int) -> BlockCounts:
    """The counts of these rows; without a block column all rows are one block."""
    keys, index = _blocks(block, n_rows)

    def count(rows: np.ndarray) -> Counter:
        counts = np.bincount(index[rows], minlength=len(keys))
        return Counter(dict(zip(keys, counts.tolist(), strict=True)))

    return BlockCounts(
        n_rows=count(np.ones(n_rows, bool)),
        n_missing={name: count(value.missing) for name, value in values.items()},
    )


def add_blocks(total: BlockCounts, more: BlockCounts) -> None:
    """Add the counts of further rows to a total, in place."""
    total.n_rows.update(more.n_rows)
    for name, counter in more.n_missing.items():
        total.n_missing[name].update(counter)


def rows_not_available(
    counts: BlockCounts, block: Value | None, n_rows: int
) -> dict[str, Bool[np.ndarray, "N"]]:
    """Per column, the rows in blocks of at least MIN_BLOCK rows that lack it entirely."""
    keys, index = _blocks(block, n_rows)
    size = np.array([counts.n_rows[key] for key in keys])
    return {
        name: ((size >= MIN_BLOCK) & (size == [n_missing[key] for key in keys]))[index]
        for name, n_missing in counts.n_missing.items()
    }


def _blocks(block: Value | None, n_rows: int) -> tuple[list, Int[np.ndarray, "N"]]:
    """The blocks, and the index of the block of each row; rows without a block form one block."""
    if block is None:
        return [None], np.zeros(n_rows, int)
    names, index = np.unique(block.data, return_inverse=True)
    return [*names.tolist(), None], np.where(block.missing, len(names), index)
