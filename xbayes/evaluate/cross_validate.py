"""Nested, repeated, stratified and grouped cross-validation of a whole classifier.

Everything that is learned or selected (grids, densities, penalty, weights) is learned or selected
inside the training part of each outer fold. The outer folds only score.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from math import ceil
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, PRNGKeyArray

from xbayes.catalog.splits import SPLITS
from xbayes.classifier.fit import FitReport, fit_classifier
from xbayes.classifier.predict import Products, classify
from xbayes.classifier.recipe import Recipe
from xbayes.types import Features, InputError, Labels

# Below FEW members, a recall of RECALL has a 90 % interval wider than +-0.12 (binomial), and the
# mean of a feature a standard error above 0.18 of its spread.
FEW, RECALL, Z_90 = 30, 0.8, 1.645


class CrossValidation(NamedTuple):
    """Out-of-fold products; each labelled row is in one test part per repeat."""

    rows: Int[np.ndarray, "N"]  # indices of the labelled rows
    outer_fold: Int[np.ndarray, "R N"]
    products: tuple[Products, ...]  # one per repeat, in the order of `rows`
    fits: tuple[FitReport, ...]  # one per repeat and outer fold
    class_weight: Float[np.ndarray, "R N C"]  # of the decision rule that made each prediction
    fit_seconds: float = float("nan")  # of all folds, including compilation by JAX
    classify_seconds: float = float("nan")


class Split(NamedTuple):
    """One outer fold of one repeat, with the inner folds of its training part."""

    number: int  # counted over repeats
    repeat: int
    fold: int
    test: Bool[np.ndarray, "N"]
    inner: Int[np.ndarray, "N"]  # inner fold of each training row; -1 for the test rows
    seed: int  # of the inner folds


def cross_validate(
    recipe: Recipe,
    features: Features,
    labels: Labels,
    key: PRNGKeyArray,
    n_folds: int,
    *,
    n_repeats: int = 1,
    seed: int = 0,
    kind: str = "random",
    log_prior: Float[np.ndarray, "C"] | None = None,
    row_weight: Float[np.ndarray, "N"] | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> CrossValidation:
    """Products of each labelled row, by classifiers fitted without it and without its group.

    Parameters
    ----------
    kind
        Of the folds, as in `nested_splits`.
    log_prior
        Replaces the training proportions in the posteriors; None keeps them.
    row_weight
        Weight of each row in the fits; all rows are scored with equal weight.
    """
    rows, features, labels = labelled_rows(features, labels)
    row_weight = None if row_weight is None else row_weight[rows]
    shape = (n_repeats, len(rows))
    outer, class_weight = np.full(shape, -1), np.ones((*shape, len(recipe.names.classes)))
    parts, fits, fit_seconds, classify_seconds = [], [], 0.0, 0.0
    for split in nested_splits(labels, n_folds, n_repeats, recipe.n_folds, seed, kind):
        progress(f"outer fold {split.number + 1} of {n_repeats * n_folds}")
        started = time.monotonic()
        fold_key = jax.random.fold_in(key, split.number)
        classifier, report = fit_classifier(
            recipe, features, labels, split.inner, fold_key, row_weight
        )
        fitted = time.monotonic()
        parts.append(classify(recipe, classifier, features.rows(split.test), log_prior))
        fit_seconds += fitted - started
        classify_seconds += time.monotonic() - fitted
        fits.append(report)
        outer[split.repeat, split.test] = split.fold
        class_weight[split.repeat, split.test] = classifier.class_weight
    return CrossValidation(
        rows=rows,
        outer_fold=outer,
        products=tuple(
            _in_row_order(parts[r * n_folds : (r + 1) * n_folds], outer[r])
            for r in range(n_repeats)
        ),
        fits=tuple(fits),
        class_weight=class_weight,
        fit_seconds=fit_seconds,
        classify_seconds=classify_seconds,
    )


def nested_splits(
    labels: Labels, n_folds: int, n_repeats: int, n_inner: int, seed: int, kind: str = "random"
) -> Iterator[Split]:
    """The outer and inner folds of every variant: the same seed gives the same folds.

    `kind` is "random" or "blocks" (of neighbouring rows), for outer and inner folds alike.
    """
    truth, group = labels.class_index, labels.group
    for repeat in range(n_repeats):
        repeat_seed = seed + 1000 * repeat
        outer = SPLITS[kind](truth, group, n_folds, repeat_seed)
        for k in range(n_folds):
            test, inner_seed = outer == k, repeat_seed + k + 1
            yield Split(
                number=repeat * n_folds + k,
                repeat=repeat,
                fold=k,
                test=test,
                inner=inner_folds(truth, group, ~test, n_inner, inner_seed, kind),
                seed=inner_seed,
            )


def labelled_rows(
    features: Features, labels: Labels
) -> tuple[Int[np.ndarray, "n"], Features, Labels]:
    """Indices, features and labels of the labelled rows."""
    rows = np.flatnonzero(labels.class_index >= 0)
    return rows, features.rows(rows), labels.rows(rows)


def require_members(labels: Labels, classes: Sequence[str], n_folds: int, n_inner: int) -> None:
    """Raise `InputError` if a class has too few groups for nested folds; groups are never split."""
    needed = next(n for n in count(n_folds) if n - ceil(n / n_folds) >= n_inner)
    for c, name in enumerate(classes):
        members = len(np.unique(labels.group[labels.class_index == c]))
        if members < needed:
            raise InputError(
                f"class {name} has {members} labelled sources (or groups), but {n_folds} folds "
                f"with {n_inner} inner folds need at least {needed}; use fewer folds "
                "(validation.folds, validation.inner_folds), merge the class with another, "
                "or leave it out"
            )


def scarcity_warnings(labels: Labels, classes: Sequence[str]) -> list[str]:
    """A warning that names the classes with fewer than FEW labelled groups, and what it means."""
    members = {
        name: len(np.unique(labels.group[labels.class_index == c]))
        for c, name in enumerate(classes)
    }
    few = {name: n for name, n in members.items() if n < FEW}
    if not few:
        return []
    named = ", ".join(f"{name} ({n})" for name, n in few.items())
    width = Z_90 * (RECALL * (1 - RECALL) / max(min(few.values()), 1)) ** 0.5
    return [
        f"fewer than {FEW} labelled sources (or groups) in class {named}: the densities of such a "
        "class are wide, so its probabilities are uncertain and follow the prior more than the "
        f"data, and its F1 has a wide interval (with {min(few.values())} sources a recall of "
        f"{RECALL:g} is known to +-{width:.2f}, 90 %); label more sources, join the class with a "
        "similar one, or set variant: bayes for intervals of the probabilities"
    ]


def inner_folds(
    truth: Int[np.ndarray, "N"],
    group: Int[np.ndarray, "N"],
    training: np.ndarray,
    n_folds: int,
    seed: int,
    kind: str = "random",
) -> Int[np.ndarray, "N"]:
    """Inner fold of each training row; -1 for the other rows."""
    fold = np.full(len(truth), -1)
    fold[training] = SPLITS[kind](truth[training], group[training], n_folds, seed)
    return fold


def _in_row_order(parts: list[Products], fold: Int[np.ndarray, "N"]) -> Products:
    order = np.argsort(np.concatenate([np.flatnonzero(fold == k) for k in range(len(parts))]))
    return jax.tree.map(lambda *columns: np.concatenate(columns)[order], *parts)
