"""`validation.split: blocks` without coordinates: folds are blocks of neighbouring rows."""

from pathlib import Path

import numpy as np
import pytest

from xbayes.catalog.read import read_catalog
from xbayes.catalog.sky_cells import sky_cells
from xbayes.config.schema import CatalogConfig
from xbayes.evaluate.cross_validate import nested_splits
from xbayes.types import Labels

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
N = 300


def n_changes(number):
    """The number of neighbours on a ring that differ."""
    return int((number != np.roll(number, 1)).sum())


def test_outer_and_inner_folds_are_blocks_of_rows():
    labels = Labels(np.random.default_rng(0).integers(0, 3, N), np.arange(N))
    seen = np.zeros(N, int)
    for split in nested_splits(labels, 5, 2, 4, 7, "blocks"):
        assert n_changes(split.test) == 2
        assert set(split.inner[~split.test]) == {0, 1, 2, 3}
        assert (split.inner[split.test] == -1).all()
        # The ring of the training rows has a gap at the test rows.
        assert n_changes(split.inner[~split.test]) == 4
        seen += split.test
    assert (seen == 2).all()
    (at_random,) = [s.test for s in nested_splits(labels, 5, 1, 4, 7) if s.fold == 0]
    assert n_changes(at_random) > 20  # the control


def test_repeats_start_their_blocks_at_different_rows():
    labels = Labels(np.arange(N) % 3, np.arange(N))
    first, again = [s.test for s in nested_splits(labels, 5, 2, 4, 7, "blocks") if s.fold == 0]
    assert np.any(first != again)


@pytest.mark.slow
def test_a_run_scores_block_after_block(exit_code, numbers_only, tmp_path):
    assert exit_code("simulate", "--out", tmp_path / "sky.fits", "-n", 400, "--seed", 3) == 0
    quick = ("bootstrap=20", "folds=2", "inner_folds=2", "split=blocks")
    options = [word for key in quick for word in ("--set", f"validation.{key}")]
    given = [*options, "--catalog", tmp_path / "sky.fits"]
    by_rows = [word for key in ("ra", "dec") for word in ("--set", f"catalog.{key}=null")]
    assert numbers_only("run", CONFIG, *given, *by_rows, "--out", tmp_path / "run") == 0
    fold = np.asarray(read_catalog(tmp_path / "run" / "predictions.parquet")["fold"])
    assert n_changes(fold) == 2 and np.ptp(np.bincount(fold)) <= 1
    # With coordinates they are cells of the sky.
    given = [*given, "--set", "validation.cell=8"]
    assert numbers_only("run", CONFIG, *given, "--out", tmp_path / "sky") == 0
    made = read_catalog(tmp_path / "sky" / "predictions.parquet")
    cell, fold = (
        sky_cells(made, CatalogConfig(id="name", ra="ra", dec="dec"), 8.0),
        np.asarray(made["fold"]),
    )
    assert cell is not None and n_changes(fold) > 20
    assert len(np.unique(np.stack([cell, fold]), axis=1).T) == len(np.unique(cell))


def test_a_learning_curve_needs_a_random_split(exit_code, refused, tmp_path):
    assert exit_code("simulate", "--out", tmp_path / "sky.fits", "-n", 400, "--seed", 3) == 0
    options = ("--catalog", tmp_path / "sky.fits", "--out", tmp_path / "curve.csv")
    says = ["needs validation.split: random; found blocks"]
    refused("learning-curve", CONFIG, *options, "--set", "validation.split=blocks", says=says)
