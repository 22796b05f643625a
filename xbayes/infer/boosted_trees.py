"""Boosted trees of at most two splits, on binned features, which give no evidence where one lacks.

Newton boosting of the multinomial log loss on histograms (Friedman 2001; Ke et al. 2017, LightGBM),
one tree for each class and round. It differs from the libraries in one point: a row in which the
feature of a split is not available goes to neither side. The tree then adds zero to its score, or
the output of the first split alone. To make zero the average, the outputs of a split have mean zero
over the training rows in which its feature is available. Libraries send such rows to one side of
the split, so that absence itself would be evidence.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

RATE = 0.05  # learning rate
LEAST_ROWS = 10  # in a leaf
L2 = 5.0  # added to the second derivatives
FEATURES = 0.5  # share of the features, drawn anew for each split


class Binned(NamedTuple):
    """Features by bin; the last of the K bins is that of values that are not detected."""

    bin: Int[np.ndarray, "N F"]
    available: Bool[np.ndarray, "N F"]
    n_bins: int  # K


class Split(NamedTuple):
    """A split for each of the C classes, or several; rows in `left` bins go to side 0."""

    feature: Int[np.ndarray, "*A C"]  # -1: no split
    left: Bool[np.ndarray, "*A C K"]
    output: Float[np.ndarray, "*A C 2"]  # added to the score, by side


class Trees(NamedTuple):
    """R rounds of one tree per class: a split, and one on each of its sides."""

    base: Float[np.ndarray, "R C"]  # added to the score of every row
    root: Split  # [R C]
    child: Split  # [R 2 C]; by side of the root


def grow(
    binned: Binned,
    truth: Int[np.ndarray, "N"],
    row_weight: Float[np.ndarray, "N"],
    base: Float[np.ndarray, "C"],
    *,
    depth: int,
    rounds: int,
    seed: int,
) -> Trees:
    """The trees of the rows, starting from the scores `base`; `depth` is 1 or 2."""
    n_rows, n_classes = len(truth), len(base)
    rng, member = np.random.default_rng(seed), truth[:, None] == np.arange(n_classes)
    cells, score = _cells(binned), np.tile(base, (n_rows, 1))
    grown = []
    for _ in range(rounds):
        p = np.exp(score - score.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        slope, curvature = (row_weight[:, None] * a for a in (p - member, p * (1 - p)))
        step = -RATE * slope.sum(0) / (curvature.sum(0) + L2)
        everywhere = np.ones((n_rows, n_classes), bool)
        root = _best_split(binned, cells, slope, curvature, everywhere, rng)
        side = sides(binned, root)
        child = [
            _best_split(binned, cells, slope, curvature, side == s, rng)
            if depth == 2
            else _no_split(n_classes, binned.n_bins)
            for s in (0, 1)
        ]
        tree = Trees(base=step, root=root, child=_stacked(child))
        score += outputs(binned, tree)
        grown.append(tree)
    return Trees(
        base=np.stack([tree.base for tree in grown]),
        root=_stacked([tree.root for tree in grown]),
        child=_stacked([tree.child for tree in grown]),
    )


def one_round(trees: Trees, r: int) -> Trees:
    """The trees of round r, without the axis R."""
    return Trees(
        base=trees.base[r],
        root=Split._make(array[r] for array in trees.root),
        child=Split._make(array[r] for array in trees.child),
    )


def outputs(binned: Binned, tree: Trees) -> Float[np.ndarray, "N C"]:
    """The sum that one round adds to the score of each row."""
    side = sides(binned, tree.root)
    total = tree.base + _output(tree.root, side)
    for s in (0, 1):
        child = Split._make(array[s] for array in tree.child)
        total += np.where(side == s, _output(child, sides(binned, child)), 0.0)
    return total


def sides(binned: Binned, split: Split) -> Int[np.ndarray, "N C"]:
    """The side of each row in the split of each class, or -1 where it has none."""
    classes, feature = np.arange(len(split.feature)), split.feature
    side = np.where(split.left[classes, binned.bin[:, feature]], 0, 1)
    return np.where(binned.available[:, feature] & (feature >= 0), side, -1)


def _output(split: Split, side: Int[np.ndarray, "N C"]) -> Float[np.ndarray, "N C"]:
    chosen = split.output[np.arange(len(split.feature)), side]
    return np.where(side >= 0, chosen, 0.0)


def _stacked(splits: list[Split]) -> Split:
    return Split._make(np.stack(arrays) for arrays in zip(*splits, strict=True))


def _cells(binned: Binned) -> csr_array:
    """1 in row [f, k] and column n where feature f of row n is available and in bin k."""
    row, feature = np.nonzero(binned.available)
    at = feature * binned.n_bins + binned.bin[row, feature]
    shape = (binned.bin.shape[1] * binned.n_bins, len(binned.bin))
    return csr_array((np.ones(len(row)), (at, row)), shape=shape)


def _no_split(n_classes: int, n_bins: int) -> Split:
    return Split(
        feature=np.full(n_classes, -1),
        left=np.zeros((n_classes, n_bins), bool),
        output=np.zeros((n_classes, 2)),
    )


def _best_split(
    binned: Binned,
    cells: csr_array,
    slope: Float[np.ndarray, "N C"],
    curvature: Float[np.ndarray, "N C"],
    rows: Bool[np.ndarray, "N C"],
    rng: np.random.Generator,
) -> Split:
    """For each class, the split of its rows that lowers the loss most, of features drawn anew."""
    n_features, n_classes, n_bins = binned.bin.shape[1], slope.shape[1], binned.n_bins
    columns = np.hstack([slope * rows, curvature * rows, rows])
    sums = (cells @ columns).reshape(n_features, n_bins, 3, n_classes)
    sums = np.ascontiguousarray(sums.transpose(2, 3, 0, 1))  # [3 C F K]: slope, curvature, count
    total = sums.sum(-1, keepdims=True)
    below = sums[..., :-1].cumsum(-1)
    # The bin of values that are not detected goes to the right or to the left.
    left = np.concatenate([below, below[..., :-1] + sums[..., -1:]], axis=-1)  # [3 C F 2K-3]
    right = total - left
    gain = _gain(left) + _gain(right) - _gain(total)
    allowed = _drawn(rng, n_classes, n_features)[..., None]
    allowed = allowed & (np.minimum(left[2], right[2]) >= LEAST_ROWS)
    gain = np.where(allowed, gain, 0.0).reshape(n_classes, -1)
    best, classes = gain.argmax(1), np.arange(n_classes)
    feature, at = np.divmod(best, left.shape[-1])
    found = gain[classes, best] > 0
    of_side = np.stack([a[:, classes, feature, at] for a in (left, right)], axis=-1)  # [3 C 2]
    output = -RATE * of_side[0] / (of_side[1] + L2)
    count = of_side[2]
    mean = (output * count).sum(1, keepdims=True) / np.maximum(count.sum(1, keepdims=True), 1)
    last_left = np.where(at < n_bins - 1, at, at - (n_bins - 1))
    k = np.arange(n_bins)
    in_left = k <= last_left[:, None]
    in_left[:, -1] = at >= n_bins - 1
    return Split(
        feature=np.where(found, feature, -1),
        left=in_left,
        output=np.where(found[:, None], output - mean, 0.0),
    )


def _gain(sums: Float[np.ndarray, "3 *A"]) -> Float[np.ndarray, "*A"]:
    """Twice the loss that a Newton step lowers."""
    return sums[0] ** 2 / (sums[1] + L2)


def _drawn(rng: np.random.Generator, n_classes: int, n_features: int) -> Bool[np.ndarray, "C F"]:
    """Which features each class may split."""
    n_drawn = max(1, int(np.ceil(FEATURES * n_features)))
    rank = rng.random((n_classes, n_features)).argsort(1).argsort(1)
    return rank < n_drawn
