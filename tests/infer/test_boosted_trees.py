"""Boosted trees: the best split, rows without the feature of a split, a reference."""

import itertools

import numpy as np
import pytest

from xbayes.infer import boosted_trees
from xbayes.infer.boosted_trees import (
    L2,
    LEAST_ROWS,
    Binned,
    Split,
    _best_split,
    _cells,
    grow,
    one_round,
    outputs,
    sides,
)

N, F, C, K = 240, 3, 3, 7


@pytest.fixture(scope="module")
def rows():
    """The class shifts the first two features; features are absent and not detected at random."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, C, N)
    at = np.clip(rng.integers(0, K - 3, (N, F)) + truth[:, None] * [1, -1, 0], 0, K - 2)
    at[rng.random((N, F)) < 0.15] = K - 1  # not detected
    available = rng.random((N, F)) < 0.7
    return Binned(bin=at, available=available, n_bins=K), truth


def best_by_brute_force(binned, slope, curvature, chosen):
    """The largest gain over all features, thresholds and sides of the last bin, of one class."""
    gains = [0.0]
    for f, threshold, last in itertools.product(range(F), range(K - 1), (False, True)):
        left = binned.bin[:, f] <= threshold
        left[binned.bin[:, f] == K - 1] = last
        own = chosen & binned.available[:, f]
        parts = [own & left, own & ~left]
        if min(part.sum() for part in parts) >= LEAST_ROWS:
            lowers = [slope[p].sum() ** 2 / (curvature[p].sum() + L2) for p in (*parts, own)]
            gains.append(lowers[0] + lowers[1] - lowers[2])
    return max(gains)


def test_the_split_is_the_best_one(rows, monkeypatch):
    monkeypatch.setattr(boosted_trees, "FEATURES", 1.0)
    binned, truth = rows
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(C), N)
    slope, curvature = p - np.eye(C)[truth], p * (1 - p)
    chosen = rng.random((N, C)) < 0.8
    split = _best_split(binned, _cells(binned), slope, curvature, chosen, rng)
    side = sides(binned, split)
    for c in range(C):
        found = [
            slope[part, c].sum() ** 2 / (curvature[part, c].sum() + L2)
            for part in (chosen[:, c] & (side[:, c] == s) for s in (0, 1))
        ]
        own = chosen[:, c] & (side[:, c] >= 0)
        gain = sum(found) - slope[own, c].sum() ** 2 / (curvature[own, c].sum() + L2)
        best = best_by_brute_force(binned, slope[:, c], curvature[:, c], chosen[:, c])
        np.testing.assert_allclose(gain, best)
        assert best > 0


def test_rows_without_the_feature_of_a_split_get_none_of_its_output(rows):
    binned, truth = rows
    trees = grow(binned, truth, np.ones(N), np.zeros(C), depth=2, rounds=30, seed=0)
    assert (trees.root.feature >= 0).all() and (trees.child.feature >= 0).any()
    tree = one_round(trees, 3)
    dark = binned._replace(available=np.zeros_like(binned.available))
    np.testing.assert_array_equal(outputs(dark, tree), np.tile(tree.base, (N, 1)))
    for c in range(C):
        root = tree.root.feature[c]
        only = np.tile(np.arange(F) == root, (N, 1))
        side = sides(binned, tree.root)[:, c]
        alone = outputs(binned._replace(available=binned.available & only), tree)[:, c]
        first = np.where(side >= 0, tree.root.output[c, side], 0.0)
        second = [
            np.where(binned.available[:, root], tree.child.output[s, c][in_right], 0.0)
            if tree.child.feature[s, c] == root
            else np.zeros(N)
            for s in (0, 1)
            for in_right in [np.where(tree.child.left[s, c, binned.bin[:, root]], 0, 1)]
        ]
        first = first + np.where(side == 0, second[0], 0.0) + np.where(side == 1, second[1], 0.0)
        np.testing.assert_allclose(alone, tree.base[c] + first)


def test_outputs_have_mean_zero_where_the_feature_is_available(rows):
    binned, truth = rows
    trees = grow(binned, truth, np.ones(N), np.zeros(C), depth=2, rounds=30, seed=0)
    for r in range(30):
        tree = one_round(trees, r)
        side = sides(binned, tree.root)
        for s, split in [
            (None, tree.root),
            *((s, Split(*(a[s] for a in tree.child))) for s in (0, 1)),
        ]:
            own = sides(binned, split)
            own = own if s is None else np.where(side == s, own, -1)
            for c in range(C):
                used = own[:, c][own[:, c] >= 0]
                np.testing.assert_allclose(split.output[c][used].sum(), 0, atol=1e-12)


def test_scores_are_those_of_scikit_learn_where_everything_is_available(monkeypatch):
    """The steps differ by the shrinkage of means only, so the fitted scores are close."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    monkeypatch.setattr(boosted_trees, "FEATURES", 1.0)
    rng = np.random.default_rng(2)
    truth = rng.integers(0, C, 1000)
    at = np.clip(rng.integers(0, 20, (1000, F)) + 4 * truth[:, None] * [1, -1, 0], 0, 31)
    binned = Binned(bin=at, available=np.ones(at.shape, bool), n_bins=33)
    trees = grow(binned, truth, np.ones(1000), np.zeros(C), depth=2, rounds=60, seed=0)
    score = sum(outputs(binned, one_round(trees, r)) for r in range(60))
    peer = HistGradientBoostingClassifier(
        max_depth=2, max_iter=60, learning_rate=0.05, min_samples_leaf=LEAST_ROWS,
        l2_regularization=L2, max_bins=32, early_stopping=False,
    )  # fmt: skip
    expected = peer.fit(at.astype(float), truth).decision_function(at.astype(float))
    difference = (score - score.mean(1, keepdims=True)) - (
        expected - expected.mean(1, keepdims=True)
    )
    assert np.abs(difference).mean() < 0.03 * np.abs(expected).mean()


def test_the_last_bin_may_go_to_either_side_and_stands_alone_if_that_is_best():
    """Rows of the last bin are of class 1; all others are of class 0, whatever their bin."""
    at = np.repeat(np.arange(K), 20)[:, None]
    truth = (at[:, 0] == K - 1).astype(int)
    binned = Binned(bin=at, available=np.ones(at.shape, bool), n_bins=K)
    trees = grow(binned, truth, np.ones(len(at)), np.zeros(2), depth=1, rounds=1, seed=0)
    left = trees.root.left[0]
    assert (left[:, :-1] == left[:, :1]).all() and (left[:, -1] != left[:, 0]).all()
