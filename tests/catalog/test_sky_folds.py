"""Folds of whole cells of the sky, which split neither a cell nor a group."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from xbayes.catalog.sky_cells import SIDE_OF_BASE_PIXEL, sky_cells
from xbayes.catalog.splits import folds, joined_groups, sky_folds
from xbayes.config.schema import CatalogConfig
from xbayes.errors import InputError
from xbayes.types import Labels

ROLES = CatalogConfig(id="name", ra="ra", dec="dec")


def positions(n, seed=0):
    rng = np.random.default_rng(seed)
    sky = {"ra": rng.uniform(0, 360, n), "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, n)))}
    return Table(sky)


def test_cells_have_equal_areas_of_the_stated_size():
    cell = sky_cells(positions(100_000), ROLES, 10.0)
    assert cell is not None and pytest.approx((41252.961 / 12) ** 0.5) == SIDE_OF_BASE_PIXEL
    n_cells = 12 * 6**2  # the side nearest to 10 degrees
    assert cell.min() == 0 and cell.max() == n_cells - 1
    counts = np.bincount(cell)
    # Poisson: 231 +- 15 in each.
    assert len(counts) == n_cells and ((counts - counts.mean()) ** 2).mean() < 1.3 * counts.mean()


def test_sources_of_a_field_share_a_cell_and_rows_without_a_position_are_alone():
    rng = np.random.default_rng(1)
    table = Table({"ra": 83.8 + rng.normal(0, 0.02, 50), "dec": -5.4 + rng.normal(0, 0.02, 50)})
    assert len(np.unique(sky_cells(table, ROLES, 1.0))) == 1
    assert len(np.unique(sky_cells(table, ROLES, 0.01))) > 20
    mask = np.arange(50) < 3
    table["ra"] = MaskedColumn(np.where(mask, np.nan, table["ra"]), mask=mask)
    cell = sky_cells(table, ROLES, 1.0)
    assert cell is not None and len(np.unique(cell)) == 4 and len(np.unique(cell[:3])) == 3
    table["ra"] = MaskedColumn(np.full(50, np.nan), mask=True)
    assert sky_cells(table, ROLES, 1.0) is None
    assert sky_cells(table, CatalogConfig(id="name"), 1.0) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_joined_groups_are_the_finest_that_split_neither(seed):
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 12, 30), rng.integers(0, 40, 30)
    joined = joined_groups(one, other)
    same = (one[:, None] == one) | (other[:, None] == other)
    for _ in range(30):  # the transitive closure
        same = same @ same
    np.testing.assert_array_equal(joined[:, None] == joined, same)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_no_cell_and_no_group_is_split(seed, n_folds):
    rng = np.random.default_rng(seed)
    truth, cell = rng.integers(-1, 3, 300), rng.integers(0, 60, 300)
    group = np.where(rng.random(300) < 0.1, rng.integers(1000, 1020, 300), np.arange(300))
    fold = sky_folds(truth, group, cell, n_folds, seed)
    assert set(fold[truth >= 0]) == set(range(n_folds)) and (fold[truth < 0] == -1).all()
    for index in (cell, group):
        for value in np.unique(index[truth >= 0]):
            assert len(np.unique(fold[(index == value) & (truth >= 0)])) == 1


def test_classes_are_balanced_as_far_as_whole_cells_allow():
    rng = np.random.default_rng(2)
    truth, cell = rng.choice(3, 2000, p=[0.6, 0.36, 0.04]), rng.integers(0, 400, 2000)
    fold = sky_folds(truth, np.arange(2000), cell, 5, 0)
    counts = np.array([np.bincount(truth[fold == k], minlength=3) for k in range(5)])
    expected = np.bincount(truth) / 5
    assert (np.abs(counts - expected) <= np.maximum(0.1 * expected, 4)).all(), counts
    # The control: with one cell for half of the sky no balance is possible.
    fold = sky_folds(truth, np.arange(2000), np.where(cell < 200, 0, cell), 5, 0)
    assert np.bincount(fold).max() > 900


def test_a_class_in_one_cell_is_refused_by_name():
    truth, cell = np.repeat([0, 1], 50), np.r_[np.arange(50), np.full(50, 99)]
    with pytest.raises(InputError, match=r"class 'XRB' has 50 rows in 1 groups.*2 folds"):
        sky_folds(truth, np.arange(100), cell, 3, 0, classes=["AGN", "XRB"])


def test_blocks_are_of_the_sky_where_there_are_cells_and_of_rows_elsewhere():
    rng = np.random.default_rng(3)
    truth, cell = rng.integers(0, 2, 200), rng.integers(0, 40, 200)
    with_cells = folds(Labels(truth, np.arange(200), cell=cell), 4, 7, "blocks")
    np.testing.assert_array_equal(with_cells, sky_folds(truth, np.arange(200), cell, 4, 7))
    of_rows = folds(Labels(truth, np.arange(200)), 4, 7, "blocks")
    assert (np.diff(of_rows) != 0).sum() <= 4
    at_random = folds(Labels(truth, np.arange(200), cell=cell), 4, 7)
    assert any(len(np.unique(at_random[cell == c])) > 1 for c in range(40))  # the control
