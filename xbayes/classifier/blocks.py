"""Rows computed block by block: with threads on a CPU, spread over several devices, on a GPU.

JAX and NumPy release the interpreter lock while they work, so that the threads also overlap the
transfer of one block to and from a device with the computation of another.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

CHUNK = 8_192  # rows computed at once: compiled once, and the arrays fit the processor's cache
CHUNK_ON_GPU = 131_072  # fewer would not fill it
SMALLEST_CHUNK = 1_024  # fewer rows are padded: that costs milliseconds, compiling costs a second
LEAST_ROWS = 64  # a block this small that does not fit in memory is an error

Result = TypeVar("Result", bound=tuple)  # a record of arrays whose first axis is the row
Tree = TypeVar("Tree")


def padded_size(n_rows: int) -> int:
    """The number of rows computed at once: a power of two from SMALLEST_CHUNK on."""
    most = CHUNK if jax.default_backend() == "cpu" else CHUNK_ON_GPU
    return min(most, max(SMALLEST_CHUNK, 1 << max(0, n_rows - 1).bit_length()))


def in_blocks(
    compute: Callable[[int, int], Result], n_rows: int, size: int, short: int | None = None
) -> Result:
    """The results of all rows, of which `compute(first, size)` gives those from `first` on.

    A block that does not fit in the memory of the device is halved, and those after it too.

    Parameters
    ----------
    size
        Rows of a block.
    short
        Rows of the blocks that hold the remainder, if it is not more than half a block: what is
        compiled for two sizes then serves any number of rows with little padding.
    """
    largest = [size]

    def run(first: int, size: int) -> Result:
        if size <= largest[0]:
            try:
                return compute(first, size)
            except jax.errors.JaxRuntimeError as error:
                if not _is_out_of_memory(error) or size // 2 < LEAST_ROWS:
                    raise
            largest[0] = min(largest[0], size // 2)
        half = size // 2
        parts = [run(at, half) for at in (first, first + half) if at < n_rows]
        return jax.tree.map(lambda *columns: np.concatenate(columns), *parts)

    (_, own), *others = plan = _plan(n_rows, size, short)
    start = run(0, own)
    if not others:
        return start
    whole = jax.tree.map(lambda a: np.empty((n_rows, *a.shape[1:]), a.dtype), start)
    x64 = bool(jax.config.read("jax_enable_x64"))  # threads do not inherit it

    def fill(block: tuple[int, int]) -> None:
        first, size = block
        with jax.enable_x64(x64):
            made = run(first, size) if first else start
        for column, values in zip(whole, made, strict=True):
            column[first : first + size] = values

    with ThreadPoolExecutor(n_threads()) as pool:
        list(pool.map(fill, plan))
    return whole


def n_threads() -> int:
    """The number of threads; the environment variable XBAYES_THREADS limits it."""
    given = os.environ.get("XBAYES_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else os.cpu_count() or 1


def over_devices(tree: Tree) -> Tree:
    """The arrays with their rows spread over all devices; as they are if there is one."""
    devices = jax.local_devices()
    sizes = {leaf.shape[0] for leaf in jax.tree.leaves(tree)}
    if len(devices) == 1 or any(size % len(devices) for size in sizes):
        return tree
    rows = NamedSharding(Mesh(np.array(devices), ("rows",)), PartitionSpec("rows"))
    return jax.device_put(tree, rows)


def _plan(n_rows: int, size: int, short: int | None) -> list[tuple[int, int]]:
    """The first row and the size of each block."""
    remainder = n_rows % size
    if short is None or not 0 < remainder <= size // 2:
        return [(first, size) for first in range(0, max(n_rows, 1), size)]
    full = n_rows - remainder
    blocks = [(first, size) for first in range(0, full, size)]
    return blocks + [(first, short) for first in range(full, n_rows, short)]


def _is_out_of_memory(error: Exception) -> bool:
    return "RESOURCE_EXHAUSTED" in str(error)
