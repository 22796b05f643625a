"""The two halves of the 2022 release: A may steer choices, B is reported once."""

import numpy as np
from jaxtyping import Float, Int

CELL = 0.05  # degrees; sources of one cell are in one half


def half(ra: Float[np.ndarray, "N"], dec: Float[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
    """0 for half A, 1 for half B, by a hash of the cell of the position (degrees)."""
    row = np.floor((dec + 90) / CELL).astype(np.int64)
    middle = np.deg2rad(np.floor(dec / CELL) * CELL)
    column = np.floor(ra * np.cos(middle) / CELL).astype(np.int64)
    return ((column * 73856093) ^ (row * 19349663)) % 2
