"""The floating-point precision of a run."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from xbayes.config.schema import Config


def use_precision(config: Config) -> None:
    """Set JAX to the precision of the config for the whole process; for scripts only."""
    jax.config.update("jax_enable_x64", config.precision == "float64")


@contextmanager
def in_precision(precision: str) -> Iterator[None]:
    """JAX computes in `precision`, "float64" or "float32", in every thread until the block ends."""
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", precision == "float64")
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)
