"""The learning curve of an experiment: scores against the number of labelled sources."""

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from astropy.table import Table

from xbayes.classifier.recipe import Recipe, build_recipe
from xbayes.config.reader import config_of
from xbayes.config.schema import Config, catalog_source, given_log_prior
from xbayes.errors import InputError, XbayesWarning
from xbayes.evaluate.learning_curve import Design, Point, usable_fractions
from xbayes.evaluate.learning_curve import learning_curve as measure_points
from xbayes.figures.learning import draw_learning
from xbayes.tasks.precision import in_precision
from xbayes.tasks.training import Progress, Training, load_training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from xbayes.catalog.inputs import CatalogLike, Releases

ALL = "all"  # the row with macro F1 and the log loss of all sources


class LearningCurve(NamedTuple):
    """Out-of-fold scores against the number of labelled sources."""

    points: tuple[Point, ...]
    classes: tuple[str, ...]

    @property
    def table(self) -> Table:
        """One row per size and class, and one per size for all classes."""
        return learning_table(self.points, self.classes)

    def plot(self) -> "Figure":
        """F1 and log loss of each class against the number of its labelled sources."""
        return draw_learning(self.points, self.classes)


def learning_curve(
    config: str | os.PathLike[str] | Mapping | Config,
    *,
    catalog: "CatalogLike | Releases | None" = None,
    sizes: Sequence[float] | None = None,
    set: Sequence[str] = (),
    progress: Progress = lambda share, step: None,
) -> LearningCurve:
    """The out-of-fold F1 and log loss of each class for fewer labelled sources.

    Parameters
    ----------
    config, catalog, set, progress
        As in `xbayes.run`.
    sizes
        Shares of the labelled sources to train on, above 0 and at most 1. By default from the
        smallest usable share to 1.

    Raises
    ------
    InputError
        For a wrong config, catalogue or size.

    Examples
    --------
    >>> curve = xbayes.learning_curve("configs/demo.yaml", catalog="runs/demo-catalog.fits",
    ...                               sizes=[0.5, 1.0])
    >>> sorted(set(curve.table["fraction"].tolist()))
    [0.5, 1.0]
    """
    loaded = config_of(config, set)
    with in_precision(loaded.precision):
        return measure_learning(
            loaded,
            catalog_source(loaded) if catalog is None else catalog,
            sizes=sizes,
            progress=progress,
        )


def measure_learning(
    config: Config,
    catalog: "CatalogLike | Releases",
    *,
    sizes: Sequence[float] | None = None,
    progress: Progress = lambda share, step: None,
) -> LearningCurve:
    """As `learning_curve`, in the current precision of JAX."""
    _check_sizes(sizes)
    if config.validation.split != "random":
        raise InputError(
            "a learning curve draws random subsamples, so it needs validation.split: random; found "
            f"{config.validation.split} (--set validation.split=random)"
        )
    progress(0.0, "reading the catalogue")
    training = load_training(config, catalog)
    for warning in training.warnings:
        warnings.warn(warning, XbayesWarning, stacklevel=3)
    recipe, validation = build_recipe(training.config), config.validation
    design = Design(
        fractions=tuple(sorted({*(sizes or ())})),
        n_folds=validation.folds,
        n_repeats=validation.repeats,
        seed=config.seed,
        n_bootstrap=validation.bootstrap,
    )
    if not sizes:
        fractions = usable_fractions(recipe, training.labels, design)
        if len(fractions) < 2:
            raise InputError(_one_point(recipe, training, validation.folds))
        design = design._replace(fractions=fractions)
    key = jax.random.fold_in(jax.random.key(config.seed), 0)
    points = measure_points(
        recipe,
        training.features,
        training.labels,
        key,
        design,
        given_log_prior(config),
        progress=progress,
    )
    return LearningCurve(points=points, classes=recipe.names.classes)


def _check_sizes(sizes: Sequence[float] | None) -> None:
    for size in sizes or ():
        if not 0 < size <= 1:
            raise InputError(f"a size must be above 0 and at most 1; found {size:g}")
    if sizes is not None and len({*sizes}) < 2:
        given = ", ".join(f"{size:g}" for size in {*sizes}) or "none"
        raise InputError(
            f"a learning curve needs two sizes or more, for one point is no curve; found {given}; "
            "give --sizes 0.3,0.6,1 (in Python sizes=[0.3, 0.6, 1]) or no sizes; 'xbayes run' "
            "gives the scores with all labels"
        )


def _one_point(recipe: Recipe, training: Training, n_folds: int) -> str:
    """The message for a sample too small for a second, smaller size."""
    labels, classes = training.labels, recipe.names.classes
    members = [len(np.unique(labels.group[labels.class_index == c])) for c in range(len(classes))]
    fewest = int(np.argmin(members))
    return (
        f"a learning curve of one point: class {classes[fewest]} has {members[fewest]} labelled "
        f"sources (or groups), and {n_folds} folds with {recipe.n_folds} inner folds need nearly "
        "all of them; use fewer folds (--set validation.folds=3 --set validation.inner_folds=2), "
        "join the class with another, or label more of its sources"
    )


def learning_table(points: tuple[Point, ...], classes: tuple[str, ...]) -> Table:
    """One row per size and class, and one per size for all classes."""
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
    descriptions = {
        "fraction": "share of the labelled sources of a training part",
        "class": f"class; {ALL}: macro F1 and the log loss of all sources",
        "members": "number of labelled sources in the subsample, mean over folds",
        "groups": "number of groups of these sources; without groups, of sources",
    }
    for name, text in {"f1": "held-out F1", "log_loss": "held-out log loss of its sources"}.items():
        ends = {f"{name}_lo": f"lower end, {text}", f"{name}_hi": f"upper end, {text}"}
        descriptions |= {name: text, **ends}
    columns = dict(zip(descriptions, zip(*rows, strict=True), strict=True))
    masked = {n: v if n == "class" else np.ma.masked_invalid(v) for n, v in columns.items()}
    return Table(masked, descriptions=descriptions)


def _number(value: float | None) -> float:
    return np.nan if value is None else value
