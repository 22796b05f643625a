"""Learning curves: F1 and log loss against the number of labelled members of each class.

The classifier is fitted on random subsamples of each outer training part. The outer test rows are
the same for all subsamples, so the points of a curve are comparable. Rows left out have inner fold
-1 and are ignored; arrays keep their shapes, so JAX compiles once.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, PRNGKeyArray

from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import Recipe
from xbayes.errors import InputError
from xbayes.evaluate.cross_validate import Split, inner_folds, labelled_rows, nested_splits
from xbayes.evaluate.scores import (
    Entry,
    Predictions,
    entries,
    log_losses,
    mean_f1,
    pooled_predictions,
    ratio,
)
from xbayes.types import Features, Labels

POINTS = 5  # on a curve without given sizes


class Point(NamedTuple):
    """One size: the labelled members in the fits, and the out-of-fold scores."""

    fraction: float
    members: Float[np.ndarray, "C"]  # labelled rows of each class, mean over folds
    groups: Float[np.ndarray, "C"]  # groups of each class (rows, if there are no groups)
    f1: list[Entry]  # by class
    class_log_loss: list[Entry]  # of the rows of each class [nats]
    macro_f1: Entry
    log_loss: Entry  # of all rows [nats]


class Design(NamedTuple):
    """The subsamples, folds and bootstrap of a learning curve."""

    fractions: tuple[float, ...]
    n_folds: int
    n_repeats: int
    seed: int
    n_bootstrap: int


def learning_curve(
    recipe: Recipe,
    features: Features,
    labels: Labels,
    key: PRNGKeyArray,
    design: Design,
    log_prior: Float[np.ndarray, "C"] | None = None,
    *,
    progress: Callable[[float, str], None] = lambda share, message: None,
) -> tuple[Point, ...]:
    """A point for each fraction of the training parts, with 90 % intervals over groups of rows.

    The intervals describe the test rows; the choice of the labels is averaged over folds and
    repeats. Smaller subsamples are subsets of larger ones.

    Raises
    ------
    InputError
        For a fraction that leaves a class fewer groups than inner folds.
    """
    recipe = recipe.for_folds
    rows, features, labels = labelled_rows(features, labels)
    n_classes, subsamples = len(recipe.names.classes), _subsamples(recipe, labels, design)
    shape = (len(design.fractions), design.n_repeats, len(rows))
    posterior, prediction = np.empty((*shape, n_classes)), np.empty(shape, int)
    for split, chosen in subsamples:
        fold_key = jax.random.fold_in(key, split.number)
        for i, training in enumerate(chosen):
            progress(
                (split.number + i / len(chosen)) / len(subsamples),
                f"fold {split.number + 1} of {len(subsamples)}, {training.sum()} labelled rows",
            )
            fold = inner_folds(
                labels.class_index, labels.group, training, recipe.n_folds, split.seed
            )
            classifier, _ = fit_classifier(recipe, features, labels, fold, fold_key)
            prior = log_prior if labels.log_prior is None else labels.log_prior[split.test]
            products = classify(recipe, classifier, features.rows(split.test), prior)
            posterior[i, split.repeat, split.test] = products.posterior
            prediction[i, split.repeat, split.test] = products.prediction
    members = np.mean(
        [[_members(labels, part, n_classes) for part in chosen] for _, chosen in subsamples], axis=0
    )  # [P, 2, C]
    return tuple(
        _point(
            fraction, members[i], pooled_predictions(labels, posterior[i], prediction[i]), design
        )
        for i, fraction in enumerate(design.fractions)
    )


def usable_fractions(recipe: Recipe, labels: Labels, design: Design) -> tuple[float, ...]:
    """POINTS fractions with equal ratios, from the smallest that every class allows to 1."""
    labels = labels.rows(labels.class_index >= 0)
    fewest = min(
        _members(labels, ~split.test, len(recipe.names.classes))[1].min()
        for split in _splits(recipe, labels, design._replace(n_repeats=1))
    )
    # With one group more than inner folds, the share rounded down still has enough groups.
    least = min(1.0, (recipe.n_folds + 1) / max(fewest, 1))
    return tuple(float(f) for f in dict.fromkeys(np.geomspace(least, 1.0, POINTS).round(3)))


def _splits(recipe: Recipe, labels: Labels, design: Design) -> Iterator[Split]:
    return nested_splits(labels, design.n_folds, design.n_repeats, recipe.n_folds, design.seed)


def _subsamples(
    recipe: Recipe, labels: Labels, design: Design
) -> list[tuple[Split, list[Bool[np.ndarray, "N"]]]]:
    """Each split, with the training rows of each fraction."""
    subsamples = []
    for split in _splits(recipe, labels, design):
        rng = np.random.default_rng([design.seed, split.repeat, split.fold])
        rank = _group_ranks(labels, ~split.test, rng)
        chosen = [~split.test & (rank <= fraction) for fraction in design.fractions]
        for fraction, training in zip(design.fractions, chosen, strict=True):
            _require_groups(recipe, labels, training, fraction)
        subsamples.append((split, chosen))
    return subsamples


def _group_ranks(
    labels: Labels, training: Bool[np.ndarray, "N"], rng: np.random.Generator
) -> Float[np.ndarray, "N"]:
    """Relative rank of each group, in (0, 1], in a random order of the groups of its class.

    The class of a group is that of most of its rows. The groups with ranks up to f are the share f
    of each class, rounded down, and a smaller share is a subset of a larger one.
    """
    groups, member = np.unique(labels.group, return_inverse=True)
    counts = np.zeros((len(groups), labels.class_index.max() + 1))
    np.add.at(counts, (member[training], labels.class_index[training]), 1.0)
    rank = np.full(len(groups), np.inf)
    in_training = counts.sum(1) > 0
    for c in range(counts.shape[1]):
        order = rng.permutation(np.flatnonzero(in_training & (counts.argmax(1) == c)))
        rank[order] = (np.arange(len(order)) + 1) / max(len(order), 1)
    return rank[member]


def _members(
    labels: Labels, rows: Bool[np.ndarray, "N"], n_classes: int
) -> Float[np.ndarray, "2 C"]:
    """Number of rows and number of groups of each class among the given rows."""
    truth, group = labels.class_index, labels.group
    n_rows = np.bincount(truth[rows], minlength=n_classes)
    n_groups = [len(np.unique(group[rows & (truth == c)])) for c in range(n_classes)]
    return np.array([n_rows, n_groups], float)


def _require_groups(recipe: Recipe, labels: Labels, training: np.ndarray, fraction: float) -> None:
    classes = recipe.names.classes
    groups = _members(labels, training, len(classes))[1]
    if groups.min() < recipe.n_folds:
        name = classes[int(groups.argmin())]
        raise InputError(
            f"size {fraction:g} leaves class {name} {groups.min():.0f} labelled sources (or "
            f"groups) to learn from, but {recipe.n_folds} inner folds need {recipe.n_folds}; use "
            "larger sizes, or fewer folds (validation.inner_folds)"
        )


def _point(
    fraction: float, members: Float[np.ndarray, "2 C"], pooled: Predictions, design: Design
) -> Point:
    n_classes = pooled.posterior.shape[1]
    is_class = np.eye(n_classes)[pooled.truth]
    hit = is_class * (pooled.prediction == pooled.truth)[:, None]
    predicted = np.eye(n_classes)[pooled.prediction]
    loss = is_class * log_losses(pooled.truth, pooled.posterior)[:, None]

    def scores_of(sums: Float[np.ndarray, "S T"]) -> dict[str, np.ndarray]:
        actual, hit, chosen, loss = np.split(sums, 4, axis=1)
        f1 = ratio(2 * hit, actual + chosen)
        return {
            "f1": f1,
            "class_log_loss": ratio(loss, actual),
            "macro_f1": mean_f1(f1),
            "log_loss": loss.sum(1) / actual.sum(1),
        }

    terms = np.column_stack([is_class, hit, predicted, loss])
    scores = entries(pooled, terms, scores_of, design.n_bootstrap, design.seed)
    return Point(fraction=fraction, members=members[0], groups=members[1], **scores)
