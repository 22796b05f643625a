"""The learning curve of an experiment: what more labels of each class would be worth."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from astropy.table import Table

from xbayes.classifier.recipe import build_recipe
from xbayes.config.schema import Config, given_log_prior
from xbayes.evaluate.learning_curve import Design, Point, learning_curve, usable_fractions
from xbayes.tasks.training import load_training
from xbayes.types import InputError

ALL = "all"  # in the column of classes: macro F1 and the log loss of all sources


def measure_learning(
    config: Config,
    path: Path,
    sizes: tuple[float, ...] | None,
    tell: Callable[[str], None] = lambda warning: None,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> tuple[tuple[Point, ...], tuple[str, ...]]:
    """The points of the curve, and the classes.

    `sizes` are shares of the outer training parts; None chooses them. `tell` gets the warnings of
    the catalogue. Raises `InputError`.
    """
    for size in sizes or ():
        if not 0 < size <= 1:
            raise InputError(f"a size must be above 0 and at most 1; found {size:g}")
    if config.validation.split != "random":
        raise InputError(
            "a learning curve draws its parts at random: it needs validation.split: random; found "
            f"{config.validation.split} (--set validation.split=random)"
        )
    progress(0.0, "reading the catalogue")
    training = load_training(config, path)
    for warning in training.warnings:
        tell(warning)
    recipe, validation = build_recipe(training.config), config.validation
    drawn = (validation.folds, validation.repeats, config.seed, validation.bootstrap)
    design = Design(tuple(sorted(set(sizes or ()))), *drawn)
    if not sizes:
        fractions = usable_fractions(recipe, training.labels, design)
        design = design._replace(fractions=fractions)
    key = jax.random.fold_in(jax.random.key(config.seed), 0)
    rows = (recipe, training.features, training.labels, key, design)
    points = learning_curve(*rows, given_log_prior(config), progress)
    return points, recipe.names.classes


def learning_table(points: tuple[Point, ...], classes: tuple[str, ...]) -> Table:
    """A row for each size and class, and one for all classes."""
    rows = []
    for point in points:
        members = [*point.members, point.members.sum()]
        groups = [*point.groups, point.groups.sum()]
        scores = zip(
            [*point.f1, point.macro_f1], [*point.class_log_loss, point.log_loss], strict=True
        )
        for name, n, g, (f1, loss) in zip([*classes, ALL], members, groups, scores, strict=True):
            ends = [_number(score[end]) for score in (f1, loss) for end in ("value", "lo", "hi")]
            rows.append((point.fraction, name, n, g, *ends))
    told = {
        "fraction": "share of the labelled sources of a training part",
        "class": f"class; {ALL}: macro F1 and the log loss of all sources",
        "members": "labelled sources learned from, mean over folds",
        "groups": "groups of these; sources where there are no groups",
    }
    for name, text in {"f1": "held-out F1", "log_loss": "held-out log loss of its sources"}.items():
        told |= {name: text, f"{name}_lo": f"lower end, {text}", f"{name}_hi": f"upper end, {text}"}
    columns = dict(zip(told, zip(*rows, strict=True), strict=True))
    made = {n: np.ma.masked_invalid(v) if n not in ("class",) else v for n, v in columns.items()}
    return Table(made, descriptions=told)


def _number(value: float | None) -> float:
    return np.nan if value is None else value
