"""Nested, repeated, stratified, grouped cross-validation of a whole classifier.

Whatever is learned or chosen (grids, densities, penalty, weights) is learned or chosen inside the
training part of each outer fold; the outer folds only score.
"""

from collections.abc import Callable, Sequence
from itertools import count
from math import ceil
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from xbayes.catalog.splits import stratified_folds
from xbayes.classifier import Products, Recipe, classify
from xbayes.fit import FitReport, fit_classifier
from xbayes.types import Features, InputError, Labels


class CrossValidation(NamedTuple):
    """Out-of-fold products of each repeat; every labelled row is in one test part per repeat."""

    rows: Int[np.ndarray, "N"]  # the labelled rows
    outer_fold: Int[np.ndarray, "R N"]
    products: tuple[Products, ...]  # one a repeat, in the order of `rows`
    fits: tuple[FitReport, ...]  # one a repeat and outer fold
    factor: Float[np.ndarray, "R N C"]  # of the decision rule that made each prediction


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
) -> CrossValidation:
    """Score each labelled row by classifiers that never saw it, nor any row of its group.

    `log_prior` replaces the training proportions in the posteriors; None keeps them.
    """
    rows = np.flatnonzero(labels.class_index >= 0)
    features = Features(*(np.asarray(a)[rows] for a in features))
    truth, group = labels.class_index[rows], labels.group[rows]
    outer, products, fits, factor = [], [], [], []
    for repeat in range(n_repeats):
        outer.append(stratified_folds(truth, group, n_folds, seed + 1000 * repeat))
        parts, rules = [], np.ones((len(rows), len(recipe.properties.classes)))
        for k in range(n_folds):
            progress(f"outer fold {repeat * n_folds + k + 1} of {n_repeats * n_folds}")
            training = outer[-1] != k
            inner = inner_folds(
                truth, group, training, recipe.n_folds, seed + 1000 * repeat + k + 1
            )
            fold_key = jax.random.fold_in(key, repeat * n_folds + k)
            classifier, report = fit_classifier(
                recipe, features, Labels(truth, group), inner, fold_key
            )
            test = Features(*(a[~training] for a in features))
            parts.append(classify(recipe, classifier, test, log_prior))
            fits.append(report)
            rules[~training] = classifier.factor
        factor.append(rules)
        products.append(_in_row_order(parts, outer[-1]))
    return CrossValidation(rows, np.stack(outer), tuple(products), tuple(fits), np.stack(factor))


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
) -> Int[np.ndarray, "N"]:
    """Inner fold of each training row; -1 for the others."""
    fold = np.full(len(truth), -1)
    fold[training] = stratified_folds(truth[training], group[training], n_folds, seed)
    return fold


def _in_row_order(parts: list[Products], fold: Int[np.ndarray, "N"]) -> Products:
    order = np.argsort(np.concatenate([np.flatnonzero(fold == k) for k in range(len(parts))]))
    return Products(*(np.concatenate(part)[order] for part in zip(*parts, strict=True)))
