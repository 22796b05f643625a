"""Folds that never split a group: stratified by class, or contiguous blocks of rows."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int

from xbayes.types import UNLABELLED, InputError


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
    for index in np.unique(target):
        if len(np.unique(block[target == index])) < 2:
            name = repr(classes[index]) if classes is not None else str(index)
            raise InputError(
                f"class {name} lies in one of {n_folds} contiguous blocks only, so there are no "
                "rows to learn it from when that block is held out; use more folds, or "
                "validation.split: random"
            )
    fold = np.full(len(class_index), UNLABELLED, dtype=np.int64)
    fold[labelled] = block
    return fold


SPLITS = {"random": stratified_folds, "blocks": block_folds}


def _labelled(class_index, group, n_folds: int, classes: Sequence[str] | None):
    """The labelled rows, their classes and groups. Raises InputError if they are too few."""
    if n_folds < 2:
        raise InputError(f"validation needs at least 2 folds; found {n_folds}")
    labelled = np.flatnonzero(class_index != UNLABELLED)
    if len(labelled) == 0:
        raise InputError("no labelled row to make folds of; set catalog.label and taxonomy.classes")
    target, member = class_index[labelled], group[labelled]
    _check_sizes(target, member, n_folds, classes)
    return labelled, target, member


def _splits(
    target: Int[np.ndarray, "N"], member: Int[np.ndarray, "N"], n_folds: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The training rows and the held-out rows of each fold."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    options = {"n_splits": n_folds, "shuffle": True, "random_state": seed}
    if len(np.unique(member)) < len(member):
        return StratifiedGroupKFold(**options).split(target, target, member)
    # Without groups the simpler splitter balances the classes exactly, and is faster.
    return StratifiedKFold(**options).split(target, target)


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
