"""Nested, repeated, stratified, grouped cross-validation of a whole classifier.

Whatever is learned or chosen (grids, densities, penalty, weights) is learned or chosen inside the
training part of each outer fold; the outer folds only score.
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


class CrossValidation(NamedTuple):
    """Out-of-fold products of each repeat; every labelled row is in one test part per repeat."""

    rows: Int[np.ndarray, "N"]  # the labelled rows
    outer_fold: Int[np.ndarray, "R N"]
    products: tuple[Products, ...]  # one a repeat, in the order of `rows`
    fits: tuple[FitReport, ...]  # one a repeat and outer fold
    class_weight: Float[np.ndarray, "R N C"]  # of the decision rule that made each prediction
    fit_seconds: float = float("nan")  # of all folds, JAX's compilation included
    classify_seconds: float = float("nan")


def cross_validate(
    recipe: Recipe,
    features: Features,
    labels: Labels,
    key: PRNGKeyArray,
    n_folds: int,
    n_repeats: int = 1,
    seed: int = 0,
    log_prior: Float[np.ndarray, "C"] | None = None,
    progress: Callable[[str], None] = lambda message: None,
    row_weight: Float[np.ndarray, "N"] | None = None,
    kind: str = "random",
) -> CrossValidation:
    """Score each labelled row by classifiers that never saw it, nor any row of its group.

    `log_prior` replaces the training proportions in the posteriors; None keeps them. `row_weight`
    is what each row counts for in the fits; all are scored alike. `kind` of folds is that of
    `nested_splits`.
    """
    rows, features, labels = labelled_rows(features, labels)
    row_weight = None if row_weight is None else row_weight[rows]
    shape = (n_repeats, len(rows))
    outer, class_weight = np.full(shape, -1), np.ones((*shape, len(recipe.names.classes)))
    parts, fits, fitting, classifying = [], [], 0.0, 0.0
    for split in nested_splits(labels, n_folds, n_repeats, recipe.n_folds, seed, kind):
        progress(f"outer fold {split.number + 1} of {n_repeats * n_folds}")
        began = time.monotonic()
        fold_key = jax.random.fold_in(key, split.number)
        part = (features, labels, split.inner, fold_key, row_weight)
        classifier, report = fit_classifier(recipe, *part)
        fitted = time.monotonic()
        test = features.rows(split.test)
        parts.append(classify(recipe, classifier, test, log_prior))
        fitting, classifying = fitting + fitted - began, classifying + time.monotonic() - fitted
        fits.append(report)
        outer[split.repeat, split.test] = split.fold
        class_weight[split.repeat, split.test] = classifier.class_weight
    products = tuple(
        _in_row_order(parts[r * n_folds : (r + 1) * n_folds], outer[r]) for r in range(n_repeats)
    )
    return CrossValidation(rows, outer, products, tuple(fits), class_weight, fitting, classifying)


class Split(NamedTuple):
    """One outer fold of one repeat, with the folds inside its training part."""

    number: int  # counted over repeats
    repeat: int
    fold: int
    test: Bool[np.ndarray, "N"]
    inner: Int[np.ndarray, "N"]  # of the training rows; -1 for the test rows
    seed: int  # of its own: that of the inner folds


def nested_splits(
    labels: Labels, n_folds: int, n_repeats: int, n_inner: int, seed: int, kind: str = "random"
) -> Iterator[Split]:
    """The folds of every variant and every peer: the same seed, the same folds.

    Outer and inner folds are of one `kind`: random, or blocks of neighbouring rows.
    """
    truth, group = labels.class_index, labels.group
    for repeat in range(n_repeats):
        own = seed + 1000 * repeat
        outer = SPLITS[kind](truth, group, n_folds, own)
        for k in range(n_folds):
            test = outer == k
            inner = inner_folds(truth, group, ~test, n_inner, own + k + 1, kind)
            yield Split(repeat * n_folds + k, repeat, k, test, inner, own + k + 1)


def labelled_rows(
    features: Features, labels: Labels
) -> tuple[Int[np.ndarray, "n"], Features, Labels]:
    """The labelled rows: which they are, and what is known of them."""
    rows = np.flatnonzero(labels.class_index >= 0)
    return rows, features.rows(rows), labels.rows(rows)


def require_members(labels: Labels, classes: Sequence[str], n_folds: int, n_inner: int) -> None:
    """Raise `InputError` if a class is too small for folds within folds, before any work is done.

    What counts is groups: rows of one group are never split.
    """
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


def inner_folds(
    truth: Int[np.ndarray, "N"],
    group: Int[np.ndarray, "N"],
    training: np.ndarray,
    n_folds: int,
    seed: int,
    kind: str = "random",
) -> Int[np.ndarray, "N"]:
    """Inner fold of each training row; -1 for the others."""
    fold = np.full(len(truth), -1)
    fold[training] = SPLITS[kind](truth[training], group[training], n_folds, seed)
    return fold


def _in_row_order(parts: list[Products], fold: Int[np.ndarray, "N"]) -> Products:
    order = np.argsort(np.concatenate([np.flatnonzero(fold == k) for k in range(len(parts))]))
    return Products(*(np.concatenate(part)[order] for part in zip(*parts, strict=True)))
