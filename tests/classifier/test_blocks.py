"""Rows computed in blocks: remainders, memory that does not suffice, several devices, precision."""

import os
import subprocess
import sys
from typing import NamedTuple

import jax
import numpy as np
import pytest

import xbayes
from xbayes.catalog.read import read_catalog
from xbayes.classifier.blocks import LEAST_ROWS, in_blocks, n_threads, over_devices

VALUES = np.arange(2700.0)


class Doubled(NamedTuple):
    double: np.ndarray


def doubling(most=10**9):
    """A computation that fits `most` rows in memory, and the sizes of the blocks that it did."""
    sizes = []

    def compute(first, size):
        if size > most:
            raise jax.errors.JaxRuntimeError(f"RESOURCE_EXHAUSTED: Out of memory, {size} rows")
        sizes.append(size)
        return Doubled(double=2 * VALUES[first : first + size])

    return compute, sizes


@pytest.mark.parametrize("short", [None, 64, 512])
@pytest.mark.parametrize("size", [128, 512, 1024, 4096])
def test_blocks_give_every_row_once(size, short):
    compute, sizes = doubling()
    found = in_blocks(compute, len(VALUES), size, short)
    np.testing.assert_array_equal(found.double, 2 * VALUES)
    assert {*sizes} <= {size, short}
    if short is not None and size == 512:
        assert short in sizes  # 2700 is 5 blocks of 512 and a short remainder


def test_without_memory_blocks_are_halved_and_the_rest_goes_on():
    compute, sizes = doubling(most=300)
    found = in_blocks(compute, len(VALUES), 1024)
    np.testing.assert_array_equal(found.double, 2 * VALUES)
    assert {*sizes} == {256}
    compute, _ = doubling(most=LEAST_ROWS // 2)
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        in_blocks(compute, len(VALUES), 1024)


def test_another_error_is_no_lack_of_memory():
    def compute(first, size):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        in_blocks(compute, 10, 8)


def test_threads_and_one_device(monkeypatch):
    monkeypatch.setenv("XBAYES_THREADS", "3")
    assert n_threads() == 3
    monkeypatch.delenv("XBAYES_THREADS")
    assert n_threads() == os.cpu_count()
    assert over_devices({"a": VALUES})["a"] is VALUES


def in_single(leaf):
    return np.asarray(leaf, np.float32) if np.asarray(leaf).dtype == np.float64 else leaf


def test_single_precision_agrees(small):
    """Posteriors in float32, as on a GPU, differ from those in float64 by less than 1e-4."""
    fit, table = xbayes.load(small.folder), read_catalog(small.catalog)
    single = fit.model.config.model_copy(update={"precision": "float32"})
    classifier = jax.tree.map(in_single, fit.model.classifier)
    other = type(fit)(fit.model._replace(config=single, classifier=classifier))
    here, there = fit.classify(table), other.classify(table)
    for c in fit.classes:
        np.testing.assert_allclose(there[f"p_{c}"], here[f"p_{c}"], rtol=0, atol=1e-4)
        assert np.abs(np.asarray(there[f"p_{c}"]) - here[f"p_{c}"]).max() > 0  # it was single


SPREAD = """
import sys, jax, numpy as np, xbayes
from xbayes.classifier.blocks import over_devices
assert jax.local_device_count() == 2
spread = over_devices({"a": np.arange(8.0)})["a"]
assert len(spread.sharding.device_set) == 2 and spread.addressable_shards[0].data.shape == (4,)
made = xbayes.load(sys.argv[1]).classify(sys.argv[2])
np.save(sys.argv[3], np.array([made[f"p_{c}"] for c in ("AGN", "Star", "XRB")]))
"""


@pytest.mark.slow
def test_rows_are_spread_over_two_devices(small, tmp_path):
    flags = "--xla_force_host_platform_device_count=2"
    out = tmp_path / "p.npy"
    line = [sys.executable, "-W", "ignore", "-c", SPREAD, small.folder, small.catalog, out]
    done = subprocess.run(
        [*map(str, line)],
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    fit = xbayes.load(small.folder)
    made = fit.classify(small.catalog)
    want = np.array([made[f"p_{c}"] for c in fit.classes])
    np.testing.assert_allclose(np.load(out), want, rtol=0, atol=1e-12)
