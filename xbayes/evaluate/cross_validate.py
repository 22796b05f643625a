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

from xbayes.catalog.splits import folds
from xbayes.classifier.decision import DecisionRule
from xbayes.classifier.fit import FitReport, fit_classifier
from xbayes.classifier.learned import rule_under, trained_log_prior
from xbayes.classifier.predict import Products, classify
from xbayes.classifier.recipe import Recipe
from xbayes.errors import InputError
from xbayes.types import Features, Labels

# Below FEW members, a recall of RECALL has a 90 % interval wider than +-0.12 (binomial), and the
# mean of a feature a standard error above 0.18 of its spread.
FEW, RECALL, Z_90 = 30, 0.8, 1.645


class CrossValidation(NamedTuple):
    """Out-of-fold products; each tested row is in one test part per repeat."""

    rows: Int[np.ndarray, "N"]  # indices of the tested rows: all labelled ones, but for releases
    outer_fold: Int[np.ndarray, "R N"]
    products: tuple[Products, ...]  # one per repeat, in the order of `rows`
    fits: tuple[FitReport, ...]  # one per repeat and outer fold
    rules: tuple[DecisionRule, ...]  # one per repeat and outer fold
    log_prior: Float[np.ndarray, "K C"]  # of the posteriors of these fits
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
        Replaces the training proportions in the posteriors; None keeps them. The prior of each row
        in `labels` goes before.
    row_weight
        Weight of each row in the fits; all rows are scored with equal weight.
    """
    recipe = recipe.for_folds
    rows, features, labels = labelled_rows(features, labels)
    row_weight = None if row_weight is None else row_weight[rows]
    shape = (n_repeats, len(rows))
    inner_kind = recipe.inner_split
    splits = list(
        nested_splits(labels, n_folds, n_repeats, recipe.n_folds, seed, kind, inner_kind=inner_kind)
    )
    n_folds = len(splits) // n_repeats  # as many as releases, if these are held out
    outer = np.full(shape, -1)
    parts, fits, rules, priors = [], [], [], []
    fit_seconds = classify_seconds = 0.0
    for split in splits:
        progress(f"outer fold {split.number + 1} of {len(splits)}")
        started = time.monotonic()
        fold_key = jax.random.fold_in(key, split.number)
        classifier, report = fit_classifier(
            recipe, features, labels, split.inner, fold_key, row_weight
        )
        fitted = time.monotonic()
        prior = log_prior if labels.log_prior is None else labels.log_prior[split.test]
        parts.append(classify(recipe, classifier, features.rows(split.test), prior))
        fit_seconds += fitted - started
        classify_seconds += time.monotonic() - fitted
        fits.append(report)
        outer[split.repeat, split.test] = split.fold
        rules.append(jax.tree.map(np.asarray, rule_under(recipe, classifier, prior)))
        used = trained_log_prior(recipe, classifier) if log_prior is None else log_prior
        priors.append(np.asarray(used, np.float64))
    tested = outer[0] >= 0  # a release that cannot be held out is not tested
    return CrossValidation(
        rows=rows[tested],
        outer_fold=outer[:, tested],
        products=tuple(
            _in_row_order(parts[r * n_folds : (r + 1) * n_folds], outer[r, tested])
            for r in range(n_repeats)
        ),
        fits=tuple(fits),
        rules=tuple(rules),
        log_prior=np.stack(priors),
        fit_seconds=fit_seconds,
        classify_seconds=classify_seconds,
    )


def nested_splits(
    labels: Labels,
    n_folds: int,
    n_repeats: int,
    n_inner: int,
    seed: int,
    kind: str = "random",
    *,
    classes: Sequence[str] | None = None,
    inner_kind: str | None = None,
) -> Iterator[Split]:
    """The outer and inner folds of every variant: the same seed gives the same folds.

    `kind` is a `validation.split`. "random", "blocks": outer and inner folds alike, see `folds`.
    "release": each release that the others can replace is an outer fold (`held_out_releases`),
    whatever `n_folds`; the training part has no row of its groups, and random inner folds.
    `classes` are the names for messages. `inner_kind` replaces the kind of the inner folds.
    """
    truth, group = labels.class_index, labels.group
    for repeat in range(n_repeats):
        repeat_seed = seed + 1000 * repeat
        if kind == "release":
            tests = [labels.release == release for release in held_out_releases(labels, n_inner)]
        else:
            outer = folds(labels, n_folds, repeat_seed, kind, classes)
            tests = [outer == k for k in range(n_folds)]
        for k, is_held_out in enumerate(tests):
            test, inner_seed = is_held_out & (truth >= 0), repeat_seed + k + 1
            training = ~test & (truth >= 0) & ~np.isin(group, group[test])
            inner = np.full(len(truth), -1)
            part = labels.rows(training)
            inner[training] = folds(part, n_inner, inner_seed, inner_kind or kind, classes)
            yield Split(
                number=repeat * len(tests) + k,
                repeat=repeat,
                fold=k,
                test=test,
                inner=inner,
                seed=inner_seed,
            )


class TooFew(NamedTuple):
    """Why a release cannot be held out: the class with the fewest members in the other releases."""

    modelled: int  # index of the class, or of the subclass
    members: int


def held_out_releases(labels: Labels, n_inner: int) -> tuple[int, ...]:
    """The releases without which every class still has members for the inner folds.

    Raises
    ------
    InputError
        If there is no such release.
    """
    too_few = too_few_without(labels, n_inner)
    possible = tuple(release for release, reason in too_few.items() if reason is None)
    if not possible:
        raise InputError(
            f"no release can be held out: of {len(too_few)} releases with labels, none leaves "
            f"{n_inner} labelled sources (or groups) of every class in the others; use "
            "validation.split: blocks or random, or fewer validation.inner_folds"
        )
    return possible


def too_few_without(labels: Labels, n_inner: int) -> dict[int, TooFew | None]:
    """For each release with labelled rows, why it cannot be held out; None if it can.

    Raises
    ------
    InputError
        If the catalogue names no releases.
    """
    if labels.release is None:
        raise InputError(
            "validation.split: release needs a column of releases; name it: catalog.block, or give "
            "several files: catalog.files"
        )
    modelled, known = labels.modelled, labels.class_index >= 0
    reasons: dict[int, TooFew | None] = {}
    for release in np.unique(labels.release[known]).tolist():
        test = known & (labels.release == release)
        others = known & ~test & ~np.isin(labels.group, labels.group[test])
        counts = {
            c: len(np.unique(labels.group[others & (modelled == c)]))
            for c in np.unique(modelled[known]).tolist()
        }
        fewest = min(counts, key=lambda c: counts[c])
        enough = counts[fewest] >= n_inner
        reasons[release] = None if enough else TooFew(modelled=fewest, members=counts[fewest])
    return reasons


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
    *,
    cell: Int[np.ndarray, "N"] | None = None,
) -> Int[np.ndarray, "N"]:
    """Inner fold of each training row; -1 for the other rows. `kind` as of `nested_splits`."""
    fold = np.full(len(truth), -1)
    part = Labels(truth, group, cell=cell).rows(training)
    fold[training] = folds(part, n_folds, seed, kind)
    return fold


def _in_row_order(parts: list[Products], fold: Int[np.ndarray, "N"]) -> Products:
    order = np.argsort(np.concatenate([np.flatnonzero(fold == k) for k in range(len(parts))]))
    return jax.tree.map(lambda *columns: np.concatenate(columns)[order], *parts)
