import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xbayes.catalog.splits import block_folds, stratified_folds
from xbayes.errors import InputError
from xbayes.types import UNLABELLED


def test_folds_without_groups_balance_the_classes():
    rng = np.random.default_rng(1)
    class_index = rng.permutation(np.repeat([0, 1, 2, UNLABELLED], [100, 50, 10, 30]))
    fold = stratified_folds(class_index, np.arange(190), 5, seed=1)
    assert np.all((fold == UNLABELLED) == (class_index == UNLABELLED))
    counts = np.array(
        [np.bincount(class_index[fold == number], minlength=3) for number in range(5)]
    )
    assert counts.tolist() == [[20, 10, 2]] * 5


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_groups_are_never_split(seed):
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 60, 300)
    class_index = rng.integers(-1, 3, 60)[group]
    fold = stratified_folds(class_index, group, 3, seed=seed)
    for number in np.unique(group):
        assert len(np.unique(fold[group == number])) == 1
    assert set(fold[class_index >= 0].tolist()) == {0, 1, 2}


@pytest.mark.parametrize("grouped", [False, True])
def test_the_seed_decides(grouped):
    class_index = np.tile([0, 1], 50)
    group = np.repeat(np.arange(50), 2) if grouped else np.arange(100)
    one, same, other = (stratified_folds(class_index, group, 5, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.any(one != other)


def test_a_class_with_too_few_rows():
    class_index = np.array([0] * 10 + [1] * 3)
    message = r"class 'XRB' has 3 rows, but 5 folds need at least 5 rows; use fewer folds, merge"
    with pytest.raises(InputError, match=message):
        stratified_folds(class_index, np.arange(13), 5, 1, ["AGN", "XRB"])
    with pytest.raises(InputError, match="class 1 has 3 rows"):
        stratified_folds(class_index, np.arange(13), 5, 1)


def test_a_class_with_too_few_groups():
    class_index = np.array([0] * 10 + [1] * 10)
    group = np.append(np.arange(10), [10, 10, 10, 11, 11, 11, 11, 12, 12, 12])
    message = "class 'XRB' has 10 rows in 3 groups, but 5 folds need at least 5 groups"
    with pytest.raises(InputError, match=message):
        stratified_folds(class_index, group, 5, 1, ["AGN", "XRB"])


def test_a_class_without_rows():
    with pytest.raises(InputError, match="class 'CV' has 0 rows"):
        stratified_folds(np.tile([0, 1], 9), np.arange(18), 3, 1, ["AGN", "XRB", "CV"])


def test_too_few_folds_and_no_labels():
    with pytest.raises(InputError, match="at least 2 folds; found 1"):
        stratified_folds(np.array([0, 1]), np.arange(2), 1, 1)
    with pytest.raises(InputError, match="no labelled row"):
        stratified_folds(np.full(3, UNLABELLED), np.arange(3), 2, 1)


def test_blocks_are_contiguous_and_of_equal_length():
    rng = np.random.default_rng(0)
    class_index = rng.integers(-1, 3, 200)
    fold = block_folds(class_index, np.arange(200), 4, seed=3)
    assert np.all((fold == UNLABELLED) == (class_index == UNLABELLED))
    ring = fold[class_index != UNLABELLED]
    assert (ring != np.roll(ring, 1)).sum() == 4
    assert np.ptp(np.bincount(ring)) <= 1
    np.testing.assert_array_equal(fold, block_folds(class_index, np.arange(200), 4, seed=3))
    assert np.any(fold != block_folds(class_index, np.arange(200), 4, seed=4))


def test_blocks_keep_groups_whole():
    group = np.random.default_rng(1).integers(0, 60, 300)
    fold = block_folds(np.tile([0, 1], 150), group, 3, seed=0)
    assert all(len(np.unique(fold[group == number])) == 1 for number in np.unique(group))


def test_a_class_in_one_block_only_is_refused():
    class_index = np.repeat([0, 1], [190, 10])
    for seed in range(20):  # some seeds cut the class in two
        try:
            block_folds(class_index, np.arange(200), 2, seed, ["A", "B"])
        except InputError as error:
            assert "'B' lies in one of 2 contiguous blocks" in str(error)
            return
    raise AssertionError("no seed left the class in one block")
