"""How many sources of each class a catalogue holds, told by a fitted run.

classified chunk by chunk -> rows without a label -> raw counts -> corrected by the run's held-out
confusion, and by the posteriors themselves
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Float, Int

from xbayes.catalog.columns import masked_column
from xbayes.catalog.read import Chunks, read_catalog
from xbayes.catalog.taxonomy import without_label
from xbayes.classifier.decision import decide
from xbayes.classifier.fitted_model import FittedModel
from xbayes.evaluate.counts import DOUBT, Counts, confusion_counts, disagreement
from xbayes.evaluate.posterior_counts import posterior_counts
from xbayes.output.table import GROUP
from xbayes.tasks.classify import classify_chunks
from xbayes.types import InputError


class Population(NamedTuple):
    """Raw counts of predictions, and both corrections; all of the same N sources."""

    classes: tuple[str, ...]
    predicted: Int[np.ndarray, "C"]
    by_confusion: Counts
    by_posterior: Counts
    difference: Float[np.ndarray, "C"]  # of the two corrections, in standard deviations
    doubts: tuple[str, ...]  # worth a warning


class _HeldOut(NamedTuple):
    """The labelled sources of a run, under the rule of its classifier."""

    posterior: Float[np.ndarray, "L C"]
    truth: Int[np.ndarray, "L"]
    prediction: Int[np.ndarray, "L"]
    group: Int[np.ndarray, "L"]
    grouped: bool  # whether the run kept its groups, or has none


def count_classes(
    model: FittedModel,
    chunks: Chunks,
    *,
    everything: bool = False,
    tell: Callable[[str], None] = lambda warning: None,
) -> Population:
    """Counts of the classes among the sources without a label; `everything`: among all.

    Held-out posteriors get the decision rule of the final classifier, so that the confusion is that
    of the predictions counted. Raises `InputError` as `classify_chunks` does, and for a run without
    held-out predictions.
    """
    held_out = _held_out(model)
    posterior, predicted = _counted(model, chunks, everything, tell)
    rows = (held_out.truth, held_out.prediction, held_out.group)
    seed = model.config.seed
    by_confusion = confusion_counts(*rows, predicted, seed)
    known = (held_out.posterior, held_out.truth, held_out.group)
    by_posterior = posterior_counts(*known, posterior, seed)
    difference = disagreement(by_confusion, by_posterior)
    classes = model.classes
    doubts = [*_disagreements(classes, difference), *_ungrouped(held_out)]
    return Population(classes, predicted, by_confusion, by_posterior, difference, tuple(doubts))


def population_table(found: Population) -> Table:
    """A row a class: predicted, and each correction with its 90 % interval."""
    columns = {"class": np.array(found.classes), "predicted": found.predicted}
    told = {"class": "class", "predicted": "sources given this class; not corrected"}
    of = {"by_confusion": "held-out confusion", "by_posterior": "posteriors"}
    for name, text in of.items():
        counts: Counts = getattr(found, name)
        ends = dict(zip(("lo", "hi"), counts.interval(), strict=True))
        columns[name] = counts.median()
        told[name] = f"sources of this class, corrected by the {text}"
        for end, values in ends.items():
            columns[f"{name}_{end}"] = values
            told[f"{name}_{end}"] = f"{end} end of its 90 % interval"
    columns["difference"] = found.difference
    told["difference"] = "by_posterior less by_confusion, in standard deviations"
    return Table(columns, descriptions=told)


def _counted(
    model: FittedModel, chunks: Chunks, everything: bool, tell: Callable[[str], None]
) -> tuple[Float[np.ndarray, "N C"], Int[np.ndarray, "C"]]:
    """Posteriors of the rows that count, and how many are given each class."""
    classes, label = model.classes, model.config.catalog.label
    posteriors, given = [], np.zeros(len(classes), np.int64)
    for table in classify_chunks(model, chunks, tell=tell):
        counted = np.ones(len(table), bool)
        if not everything and label is not None and label in table.colnames:
            counted = without_label(masked_column(table, label), model.config.taxonomy)
        columns = [np.asarray(table[f"p_{name}"])[counted] for name in classes]
        posteriors.append(np.stack(columns, axis=1))
        prediction = np.asarray(table["prediction"])[counted]
        given += [int((prediction == name).sum()) for name in classes]
    posterior = np.concatenate(posteriors)
    if not len(posterior):
        raise InputError(
            f"every source of the catalogue has a label (column {label!r}), so none is left to "
            "count; give a catalogue with sources of unknown class, or --all"
        )
    return posterior, given


def _held_out(model: FittedModel) -> _HeldOut:
    path = model.folder / "predictions.parquet"
    if not path.is_file():
        raise InputError(
            f"{model.folder} has no predictions.parquet, so the errors of its classifier are not "
            "known; make the run again with 'xbayes run'"
        )
    table, classes = read_catalog(path), model.classes
    posterior = np.stack([np.asarray(table[f"p_{name}"]) for name in classes], axis=1)
    prediction = decide(posterior, np.asarray(model.classifier.class_weight))
    truth = np.array([classes.index(name) for name in np.asarray(table["true_class"]).astype(str)])
    roles = model.config.catalog
    member = GROUP if GROUP in table.colnames else roles.source
    known = member is not None and member in table.colnames
    group = np.asarray(table[member]) if known else np.arange(len(table))
    group = np.unique(group, return_inverse=True)[1]
    return _HeldOut(posterior, truth, np.asarray(prediction), group, known or roles.group is None)


def _disagreements(classes: tuple[str, ...], difference: Float[np.ndarray, "C"]) -> list[str]:
    apart = [
        f"{name} ({size:+.1f} sigma)"
        for name, size in zip(classes, difference, strict=True)
        if abs(size) > DOUBT
    ]
    if not apart:
        return []
    return [
        f"the two corrections differ by more than their errors for {', '.join(apart)}: the sources "
        "of a class are then not like its labelled ones (or the probabilities are off), and "
        "neither count can be trusted"
    ]


def _ungrouped(held_out: _HeldOut) -> list[str]:
    if held_out.grouped:
        return []
    return [
        "the run was made before groups were kept with its predictions: the intervals of the "
        "first correction take rows as independent and are too narrow; make the run again"
    ]
