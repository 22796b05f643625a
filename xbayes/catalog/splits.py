"""Folds that never split a group: stratified by class, blocks of the sky or rows, or releases."""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int

from xbayes.errors import InputError
from xbayes.types import UNLABELLED, Labels


def stratified_folds(
    class_index: Int[np.ndarray, "N"],
    group: Int[np.ndarray, "N"],
    n_folds: int,
    seed: int,
    classes: Sequence[str] | None = None,
) -> Int[np.ndarray, "N"]:
    """The fold in which each labelled row is held out; UNLABELLED for the other rows.

    Rows of one group share a fold. The same seed gives the same folds. `classes` are the names for
    messages. Raises InputError for fewer than 2 folds, and for a class with fewer rows or groups
    than folds.
    """
    labelled, target, member = _labelled(class_index, group, n_folds, classes)
    fold = np.full(len(class_index), UNLABELLED, dtype=np.int64)
    for number, (_, held_out) in enumerate(_splits(target, member, n_folds, seed)):
        fold[labelled[held_out]] = number
    return fold


def block_folds(
    class_index: Int[np.ndarray, "N"],
    group: Int[np.ndarray, "N"],
    n_folds: int,
    seed: int,
    classes: Sequence[str] | None = None,
) -> Int[np.ndarray, "N"]:
    """As `stratified_folds`, but each fold is a contiguous run of labelled rows.

    The seed sets where the first fold begins; the last row is followed by the first one. A group is
    in the fold of its first row. In a catalogue sorted by right ascension a fold is a part of the
    sky. Also raises InputError for a class that is in one fold only.
    """
    labelled, target, member = _labelled(class_index, group, n_folds, classes)
    n_rows = len(labelled)
    begin = int(np.random.default_rng(seed).integers(n_rows))
    block = (np.arange(n_rows) + begin) % n_rows * n_folds // n_rows
    _, first, inverse = np.unique(member, return_index=True, return_inverse=True)
    block = block[first][inverse]
    _refuse_single_fold(target, block, n_folds, classes, of="contiguous blocks")
    fold = np.full(len(class_index), UNLABELLED, dtype=np.int64)
    fold[labelled] = block
    return fold


def sky_folds(
    class_index: Int[np.ndarray, "N"],
    group: Int[np.ndarray, "N"],
    cell: Int[np.ndarray, "N"],
    n_folds: int,
    seed: int,
    *,
    classes: Sequence[str] | None = None,
) -> Int[np.ndarray, "N"]:
    """As `stratified_folds`, but each fold is a set of whole cells of the sky.

    Cells that share a group are in one fold. The classes are balanced as far as whole cells allow.
    Also raises InputError for a class that is in one fold only.
    """
    whole = joined_groups(group, cell)
    labelled, target, member = _labelled(class_index, whole, n_folds, classes, in_all_folds=False)
    fold = np.full(len(class_index), UNLABELLED, dtype=np.int64)
    for number, (_, held_out) in enumerate(_splits(target, member, n_folds, seed)):
        fold[labelled[held_out]] = number
    _refuse_single_fold(target, fold[labelled], n_folds, classes, of="blocks of the sky")
    return fold


def joined_groups(one: Int[np.ndarray, "N"], other: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
    """The finest groups of rows that split neither the groups `one` nor the groups `other`."""
    first, second = (np.unique(index, return_inverse=True)[1] for index in (one, other))
    pairs = np.stack([first, second + first.max(initial=-1) + 1], 1)
    return components(int(pairs.max(initial=-1)) + 1, pairs)[first]


def components(n_rows: int, pairs: Int[np.ndarray, "P 2"]) -> Int[np.ndarray, "N"]:
    """The number of the connected component of each row; `pairs` are rows that belong together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n_rows, n_rows))
    return connected_components(edges, directed=False)[1].astype(np.int64)


def folds(
    labels: Labels,
    n_folds: int,
    seed: int,
    kind: str = "random",
    classes: Sequence[str] | None = None,
) -> Int[np.ndarray, "N"]:
    """The fold of each labelled row for a `validation.split`; UNLABELLED for the other rows.

    "random": `stratified_folds`. "blocks": `sky_folds` if the labels have cells, else
    `block_folds`. "release": random folds, those of the training part when a release is held out.
    Errors as of these functions.
    """
    truth, group, cell = labels.class_index, labels.group, labels.cell
    if kind != "blocks":
        return stratified_folds(truth, group, n_folds, seed, classes)
    if cell is None:
        return block_folds(truth, group, n_folds, seed, classes)
    return sky_folds(truth, group, cell, n_folds, seed, classes=classes)


def _labelled(
    class_index, group, n_folds: int, classes: Sequence[str] | None, *, in_all_folds: bool = True
):
    """The labelled rows, their classes and groups. Raises InputError if they are too few."""
    if n_folds < 2:
        raise InputError(f"validation needs at least 2 folds; found {n_folds}")
    labelled = np.flatnonzero(class_index != UNLABELLED)
    if len(labelled) == 0:
        raise InputError("no labelled row to make folds of; set catalog.label and taxonomy.classes")
    target, member = class_index[labelled], group[labelled]
    _check_sizes(target, member, n_folds if in_all_folds else 2, classes)
    return labelled, target, member


def _splits(
    target: Int[np.ndarray, "N"], member: Int[np.ndarray, "N"], n_folds: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The training rows and the held-out rows of each fold."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    options = {"n_splits": n_folds, "shuffle": True, "random_state": seed}
    if len(np.unique(member)) < len(member):
        with warnings.catch_warnings():
            # A class with fewer rows than folds, which cells of the sky allow.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            yield from StratifiedGroupKFold(**options).split(target, target, member)
        return
    # Without groups the simpler splitter balances the classes exactly, and is faster.
    yield from StratifiedKFold(**options).split(target, target)


def _refuse_single_fold(
    target: Int[np.ndarray, "N"],
    fold: Int[np.ndarray, "N"],
    n_folds: int,
    classes: Sequence[str] | None,
    *,
    of: str,
) -> None:
    """Raise InputError if a class lies in one fold only."""
    for index in np.unique(target):
        if len(np.unique(fold[target == index])) < 2:
            name = repr(classes[index]) if classes is not None else str(index)
            raise InputError(
                f"class {name} lies in one of {n_folds} {of} only, so there are no rows to learn "
                "it from when that block is held out; use more folds, or validation.split: random"
            )


def _check_sizes(
    target: Int[np.ndarray, "N"],
    member: Int[np.ndarray, "N"],
    n_folds: int,
    classes: Sequence[str] | None,
) -> None:
    """Raise InputError if a class cannot be in every fold."""
    present = range(len(classes)) if classes is not None else np.unique(target).tolist()
    for index in present:
        rows = int(np.sum(target == index))
        groups = len(np.unique(member[target == index]))
        if groups >= n_folds:
            continue
        name = repr(classes[index]) if classes is not None else str(index)
        found = f"{rows} rows" if groups == rows else f"{rows} rows in {groups} groups"
        raise InputError(
            f"class {name} has {found}, but {n_folds} folds need at least {n_folds} "
            f"{'rows' if groups == rows else 'groups'}; use fewer folds, merge it with another "
            "class, or leave it out (taxonomy.left_out)"
        )
