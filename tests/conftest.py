"""Float64 unless a test asks for both precisions; the shared data where XBAYES_DATA names it."""

import gc
import os
from pathlib import Path

import jax
import numpy as np
import pytest

from xbayes.types import Features

jax.config.update("jax_enable_x64", True)


@pytest.fixture(params=["float64", "float32"])
def precision(request):
    """Runs the test in both precisions."""
    jax.config.update("jax_enable_x64", request.param == "float64")
    yield request.param
    jax.config.update("jax_enable_x64", True)


@pytest.fixture(autouse=True)
def few_memory_maps():
    """Drops compiled programs before the kernel's limit of 65,530 memory maps a process.

    Each program takes several maps, a worker compiles thousands, and beyond the limit JAX crashes.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 30_000:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def data_folder() -> Path:
    """The real catalogues; a set but missing folder is a failure."""
    folder = os.environ.get("XBAYES_DATA")
    if not folder:
        pytest.skip("XBAYES_DATA is not set; it names the folder of the real catalogues")
    assert Path(folder).is_dir(), f"XBAYES_DATA names {folder}, which is no folder"
    return Path(folder)


@pytest.fixture
def four_classes():
    """600 sources, 3 properties (one often missing, as evidence), 4 overlapping classes."""
    rng = np.random.default_rng(5)
    truth = rng.choice(4, 600, p=[0.5, 0.3, 0.15, 0.05])
    centre = np.array([[0, 0, 0], [1.5, -1, 0.5], [-1.5, 1, 1], [0.5, 2, -1]])
    value = centre[truth] + rng.normal(size=(600, 3))
    observed = np.ones((600, 3), bool)
    observed[:, 2] = rng.random(600) < np.array([0.9, 0.8, 0.3, 0.6])[truth]
    features = Features(
        np.where(observed, value, 0.0),
        observed,
        np.ones_like(observed),
        np.ones_like(value),
        np.zeros_like(value),
    )
    return features, truth
