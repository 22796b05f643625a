"""What was measured where: a column that is missing in a whole block of rows was never measured.

A block may reach over several chunks of a file, so counts are made chunk by chunk and added; only
their sum tells a block that lacks a column from one that lacks it here and there.
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from xbayes.features.values import Value

# A few empty cells are non-detections; a whole empty block is a column never measured there.
MIN_BLOCK = 20


class BlockCounts(NamedTuple):
    """Rows of each block, and how many of them lack a value, by column; keys are the blocks."""

    size: Counter
    lacking: dict[str, Counter]


def count_blocks(block: Value | None, values: Mapping[str, Value], n_rows: int) -> BlockCounts:
    """Count the rows at hand; without a block column they are all one block."""
    keys, index = _keys(block, n_rows)
    size = np.bincount(index, minlength=len(keys))
    lacking = {
        name: Counter(dict(zip(keys, _lacking(value, index, len(keys)), strict=True)))
        for name, value in values.items()
    }
    return BlockCounts(Counter(dict(zip(keys, size.tolist(), strict=True))), lacking)


def add_blocks(total: BlockCounts, more: BlockCounts) -> None:
    """Add the counts of further rows to a total."""
    total.size.update(more.size)
    for name, counter in more.lacking.items():
        total.lacking[name].update(counter)


def unmeasured_rows(
    counts: BlockCounts, block: Value | None, n_rows: int
) -> dict[str, Bool[np.ndarray, "N"]]:
    """Per column, the rows of blocks that lack it throughout."""
    keys, index = _keys(block, n_rows)
    whole = [counts.size[key] if counts.size[key] >= MIN_BLOCK else -1 for key in keys]
    return {
        name: np.array([lacking[key] == n for key, n in zip(keys, whole, strict=True)])[index]
        for name, lacking in counts.lacking.items()
    }


def _keys(block: Value | None, n_rows: int) -> tuple[list, Int[np.ndarray, "N"]]:
    """The blocks and, of each row, the index of its block; rows that name none are one block."""
    if block is None:
        return [None], np.zeros(n_rows, int)
    names, index = np.unique(block.data, return_inverse=True)
    return [*names.tolist(), None], np.where(block.missing, len(names), index)


def _lacking(value: Value, index: Int[np.ndarray, "N"], n_blocks: int) -> list[int]:
    return np.bincount(index[value.missing], minlength=n_blocks).tolist()
