"""The classifiers of a run for rows that lack whole groups of features (`classifier/patterns.py`).

A pattern of absent groups is fitted when it is first seen: as if no training source had these
features, with the folds and the seed of the run. The fit is kept in RUN/model/patterns, if the run
directory can be written. A ready-made model has its fits there, and no training sources.
"""

import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.learned import Classifier
from xbayes.classifier.patterns import Patterns, joined_groups, without
from xbayes.classifier.recipe import Recipe
from xbayes.classifier.store import load_model, save_model
from xbayes.config.schema import Config
from xbayes.errors import InputError
from xbayes.features.build import lacking_names
from xbayes.output.report_data import has_training_rows, load_training_rows
from xbayes.tasks.training import Training, fit_rows
from xbayes.types import Features, Labels

OFTEN = 0.05  # a group absent in a larger share of the training sources is not in the pattern
FOLDER = "patterns"
MOST_KEPT = 64  # classifiers in memory
_LOCK = threading.RLock()  # one fit at a time, whoever asks

Warn = Callable[[str], None]
Kept = dict[bytes, Classifier]  # by the absent features


def patterns_of(
    model: FittedModel,
    warn: Warn = lambda message: None,
    *,
    left_out: Bool[np.ndarray, "F"] | None = None,
    kept: Kept | None = None,
) -> Patterns:
    """The classifier of each pattern, from a finished run.

    Parameters
    ----------
    left_out
        Features that are left out of purpose: one more group.
    kept
        The classifiers already in memory; those that are made are added.
    """
    groups = _groups(model.config, model.recipe, model.classifier, left_out)
    fits = _Fits(
        training=partial(load_training_rows, model.folder),
        folder=model.folder / "model" / FOLDER,
        kept={} if kept is None else kept,
    )
    patterns = _patterns(model.config, model.recipe, model.classifier, groups, fits, warn)
    if has_training_rows(model.folder):
        return patterns
    return patterns._replace(known=_known(model.folder / "model" / FOLDER, patterns.groups))


def group_names(model: FittedModel) -> list[tuple[str, ...]]:
    """The features of each group that may be absent."""
    names, groups = np.array(model.recipe.names.features), patterns_of(model).groups
    return [tuple(names[group].tolist()) for group in groups]


def patterns_in_training(training: Training, recipe: Recipe, classifier: Classifier) -> Patterns:
    """The classifier of each pattern, in the experiment that fits the run."""
    groups = _groups(training.config, recipe, classifier)
    fits = _Fits(training=lambda: (training.features, training.labels), folder=None, kept={})
    return _patterns(training.config, recipe, classifier, groups, fits, lambda message: None)


class _Fits(NamedTuple):
    """The rows to fit, and where the fits are kept."""

    training: Callable[[], tuple[Features, Labels]]
    folder: Path | None
    kept: Kept


def _groups(
    config: Config,
    recipe: Recipe,
    classifier: Classifier,
    left_out: Bool[np.ndarray, "F"] | None = None,
) -> Bool[np.ndarray, "P F"]:
    """The groups of features that may be absent, but seldom were in training.

    None where the weights are not learned, and none of joint densities, which integrate over the
    values that a row lacks.
    """
    joint = any(category.likelihood == "mixture" for category in config.categories.values())
    smooth = config.model.density == "smooth" and not joint
    weighted = config.target.importance or "crowd" in config.taxonomy.labels
    if not smooth or recipe.given_alpha is not None or weighted:
        return np.zeros((0, len(recipe.names.features)), bool)
    names = lacking_names(config)
    if left_out is not None:
        names = [(*n, "left out:") if o else n for n, o in zip(names, left_out, strict=True)]
    groups = joined_groups(names, recipe.names.category)
    # A group is absent at most where each of its features is.
    share = np.asarray(classifier.states.absent)
    return groups[np.array([share[group].min() < OFTEN for group in groups], bool)]


def _patterns(
    config: Config,
    recipe: Recipe,
    classifier: Classifier,
    groups: Bool[np.ndarray, "P F"],
    fits: _Fits,
    warn: Warn,
) -> Patterns:
    def adapted(pattern: Bool[np.ndarray, "P"]) -> Classifier:
        if not pattern.any():
            return classifier
        absent = np.any(groups[pattern], axis=0)
        key = absent.tobytes()
        with _LOCK:
            if key not in fits.kept:
                make = partial(_fit, config, recipe, fits.training, absent, warn)
                made = make() if fits.folder is None else _kept(fits.folder, config, absent, make)
                if len(fits.kept) >= MOST_KEPT:
                    fits.kept.pop(next(iter(fits.kept)))
                fits.kept[key] = made
            return fits.kept[key]

    return Patterns(groups=groups, adapted=adapted)


def _fit(
    config: Config,
    recipe: Recipe,
    training: Callable[[], tuple[Features, Labels]],
    absent: Bool[np.ndarray, "F"],
    warn: Warn,
) -> Classifier:
    names = [name for name, lacking in zip(recipe.names.features, absent, strict=True) if lacking]
    warn(
        f"sources without {', '.join(names)}: the weights are fitted again without these features, "
        "once for this run"
    )
    features, labels = training()
    return fit_rows(config, recipe, without(features, absent), labels)[0]


def name_of(absent: Bool[np.ndarray, "F"]) -> str:
    """The name of the folder of a pattern: a bit for each feature, in hexadecimal digits."""
    return f"{int(''.join('01'[int(lacking)] for lacking in absent), 2):x}"


def _known(folder: Path, groups: Bool[np.ndarray, "P F"]) -> Bool[np.ndarray, "K P"]:
    """The patterns of which there is a fit."""
    n_groups, n_features = groups.shape
    known = [np.zeros(n_groups, bool)]
    for each in sorted(folder.iterdir()) if folder.is_dir() else ():
        absent = np.array([bit == "1" for bit in f"{int(each.name, 16):0{n_features}b}"])
        known.append(np.all(absent | ~groups, axis=1))
    return np.array(known)


def _kept(
    folder: Path, config: Config, absent: Bool[np.ndarray, "F"], make: Callable[[], Classifier]
) -> Classifier:
    """The classifier in the folder of its pattern, made and written there if it is not."""
    path = folder / name_of(absent)
    with suppress(InputError):
        return load_model(path)[2]
    classifier = make()
    # A run directory that cannot be written costs time only.
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            save_model(Path(scratch) / "new" / "model", config, classifier)
            shutil.rmtree(path, ignore_errors=True)
            (Path(scratch) / "new").replace(path)
    return classifier
