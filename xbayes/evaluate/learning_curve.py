"""How well a classifier does with fewer labels: F1 and log loss against labelled members.

Inside each outer training part, random parts of it are learned from; the outer test rows are the
same for all, so that the points of a curve compare. Rows left out have inner fold -1, which
changes nothing but their absence: arrays keep their shapes and JAX compiles once.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, PRNGKeyArray

from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import Recipe
from xbayes.evaluate.cross_validate import Split, inner_folds, labelled_rows, nested_splits
from xbayes.evaluate.scores import Predictions, entries, log_losses, ratio
from xbayes.types import Features, InputError, Labels

POINTS = 5  # of a curve whose sizes nobody gave


class Point(NamedTuple):
    """One size: what was learned from, and how the held-out rows were then scored."""

    fraction: float
    members: Float[np.ndarray, "C"]  # labelled rows of each class, mean over folds
    groups: Float[np.ndarray, "C"]  # the same of groups; of rows where there are none
    f1: list[dict]  # by class; value, lo, hi
    class_log_loss: list[dict]  # of the rows of each class, nats
    macro_f1: dict
    log_loss: dict  # of all rows, nats


class Design(NamedTuple):
    """How the curve is measured."""

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
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> tuple[Point, ...]:
    """A point for each fraction of the training parts, with 90 % intervals over groups of rows.

    The intervals are those of the test rows; that other labels might have been drawn is averaged
    over folds and repeats. Smaller parts lie inside larger ones. Raises `InputError` for a fraction
    that leaves a class fewer groups than inner folds.
    """
    rows, features, known = labelled_rows(features, labels)
    n_classes, parts = len(recipe.names.classes), _parts(recipe, known, design)
    shape = (len(design.fractions), design.n_repeats, len(rows))
    posterior, prediction = np.empty((*shape, n_classes)), np.empty(shape, int)
    for split, chosen in parts:
        share = split.number / len(parts)
        fold_key = jax.random.fold_in(key, split.number)
        for i, part in enumerate(chosen):
            what = f"fold {split.number + 1} of {len(parts)}, {part.sum()} labelled rows"
            progress(share + i / len(chosen) / len(parts), what)
            fold = inner_folds(known.class_index, known.group, part, recipe.n_folds, split.seed)
            classifier, _ = fit_classifier(recipe, features, known, fold, fold_key)
            products = classify(recipe, classifier, features.rows(split.test), log_prior)
            posterior[i, split.repeat, split.test] = products.posterior
            prediction[i, split.repeat, split.test] = products.prediction
    members = [[_members(known, part, n_classes) for part in chosen] for _, chosen in parts]
    mean = np.mean(members, axis=0)  # [P, 2, C]
    scored = [_pooled(known, *both) for both in zip(posterior, prediction, strict=True)]
    return tuple(
        Point(fraction, *mean[i], *_scores(scored[i], n_classes, design))
        for i, fraction in enumerate(design.fractions)
    )


def usable_fractions(recipe: Recipe, labels: Labels, design: Design) -> tuple[float, ...]:
    """Sizes that any class allows: POINTS of equal ratio, from the smallest possible to 1."""
    rows = labels.class_index >= 0
    known = labels.rows(rows)
    fewest = min(
        _members(known, ~split.test, len(recipe.names.classes))[1].min()
        for split in _splits(recipe, known, design._replace(n_repeats=1))
    )
    # Rounding up a share of each stratum, at least so many groups are in every part.
    least = min(1.0, (recipe.n_folds + 1) / max(fewest, 1))
    return tuple(float(f) for f in dict.fromkeys(np.geomspace(least, 1.0, POINTS).round(3)))


def _splits(recipe: Recipe, known: Labels, design: Design) -> Iterator[Split]:
    folds = (design.n_folds, design.n_repeats, recipe.n_folds, design.seed)
    return nested_splits(known, *folds)


def _parts(
    recipe: Recipe, known: Labels, design: Design
) -> list[tuple[Split, list[Bool[np.ndarray, "N"]]]]:
    """Of each repeat and fold: the split, and for each fraction the rows to learn from."""
    found = []
    for split in _splits(recipe, known, design):
        rng = np.random.default_rng([design.seed, split.repeat, split.fold])
        place = _places(known, ~split.test, rng)
        chosen = [~split.test & (place <= fraction) for fraction in design.fractions]
        for fraction, part in zip(design.fractions, chosen, strict=True):
            _check(recipe, known, part, fraction)
        found.append((split, chosen))
    return found


def _places(
    known: Labels, training: Bool[np.ndarray, "N"], rng: np.random.Generator
) -> Float[np.ndarray, "N"]:
    """Where each group stands, in (0, 1], in a random order of the training groups of its class.

    The class of a group is that of most of its rows. Taking all up to f takes the share f of each
    class, rounded down, and always the same ones first.
    """
    groups, member = np.unique(known.group, return_inverse=True)
    counts = np.zeros((len(groups), known.class_index.max() + 1))
    np.add.at(counts, (member[training], known.class_index[training]), 1.0)
    place = np.full(len(groups), np.inf)
    there = counts.sum(1) > 0
    for c in range(counts.shape[1]):
        own = rng.permutation(np.flatnonzero(there & (counts.argmax(1) == c)))
        place[own] = (np.arange(len(own)) + 1) / max(len(own), 1)
    return place[member]


def _members(known: Labels, part: Bool[np.ndarray, "N"], n_classes: int) -> np.ndarray:
    """Rows and groups of each class in a part."""
    rows = np.bincount(known.class_index[part], minlength=n_classes)
    each = [len(np.unique(known.group[part & (known.class_index == c)])) for c in range(n_classes)]
    return np.array([rows, each], float)


def _check(recipe: Recipe, known: Labels, part: np.ndarray, fraction: float) -> None:
    classes = recipe.names.classes
    groups = _members(known, part, len(classes))[1]
    if groups.min() < recipe.n_folds:
        name = classes[int(groups.argmin())]
        raise InputError(
            f"size {fraction:g} leaves class {name} {groups.min():.0f} labelled sources (or "
            f"groups) to learn from, but {recipe.n_folds} inner folds need {recipe.n_folds}; use "
            "larger sizes, or fewer folds (validation.inner_folds)"
        )


def _pooled(known: Labels, posterior: np.ndarray, prediction: np.ndarray) -> Predictions:
    """All repeats of one size; those of a row share its weight."""
    repeats = len(posterior)
    truth, group = np.tile(known.class_index, repeats), np.tile(known.group, repeats)
    weight = np.full(len(truth), 1.0 / repeats)
    return Predictions(truth, np.concatenate(posterior), np.concatenate(prediction), group, weight)


def _scores(pooled: Predictions, n_classes: int, design: Design) -> tuple:
    """F1 and log loss by class, and over all."""
    own = np.eye(n_classes)[pooled.truth]
    hit = own * (pooled.prediction == pooled.truth)[:, None]
    given = np.eye(n_classes)[pooled.prediction]
    loss = own * log_losses(pooled.truth, pooled.posterior)[:, None]

    def combine(sums):
        count, right, chosen, total = np.split(sums, 4, axis=1)
        f1, each = ratio(2 * right, count + chosen), ratio(total, count)
        found = {f"f1/{c}": f1[:, c] for c in range(n_classes)}
        found |= {f"loss/{c}": each[:, c] for c in range(n_classes)}
        found["macro"] = np.nan_to_num(f1).sum(1) / np.maximum(np.isfinite(f1).sum(1), 1)
        return found | {"loss": total.sum(1) / count.sum(1)}

    terms = np.column_stack([own, hit, given, loss])
    flat = entries(pooled, terms, combine, design.n_bootstrap, design.seed)
    f1, losses = ([flat[f"{name}/{c}"] for c in range(n_classes)] for name in ("f1", "loss"))
    return f1, losses, flat["macro"], flat["loss"]
