"""The number of sources of each class in a catalogue, from a fitted run.

classify chunk by chunk -> select rows without a label -> count predictions -> correct the counts by
the out-of-fold confusion matrix of the run, and by the posteriors
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from astropy.table import Table
from jaxtyping import Float, Int

from xbayes.catalog.columns import masked_column
from xbayes.catalog.match import ColumnOptions
from xbayes.catalog.read import Chunks, read_catalog
from xbayes.catalog.taxonomy import without_label
from xbayes.classifier.decision import decide
from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.learned import rule_under
from xbayes.errors import InputError
from xbayes.evaluate.counts import DOUBT, Counts, confusion_counts, disagreement
from xbayes.evaluate.posterior_counts import posterior_counts
from xbayes.features.conditions import conditions_of_classes
from xbayes.output.table import GROUP
from xbayes.tasks.classify import AS_TRAINED, classify_chunks


class Population(NamedTuple):
    """Counts of the predictions, and the two corrected counts, of the same N sources."""

    classes: tuple[str, ...]
    predicted: Int[np.ndarray, "C"]
    by_confusion: Counts
    by_posterior: Counts
    difference: Float[np.ndarray, "C"]  # by_posterior - by_confusion, in standard deviations
    doubts: tuple[str, ...]  # warnings


class _HeldOut(NamedTuple):
    """The out-of-fold predictions of a run, under the decision rule of its classifier."""

    posterior: Float[np.ndarray, "L C"]
    truth: Int[np.ndarray, "L"]
    prediction: Int[np.ndarray, "L"]
    group: Int[np.ndarray, "L"]
    grouped: bool  # the groups are known, or the run has none


def count_classes(
    model: FittedModel,
    chunks: Chunks,
    *,
    everything: bool = False,
    columns: ColumnOptions = AS_TRAINED,
    warn: Callable[[str], None] = lambda message: None,
) -> Population:
    """Counts of the classes among the sources without a label; `everything`: among all sources.

    The decision rule of the final classifier is applied to the out-of-fold posteriors, so that
    their confusion matrix holds for the predictions that are counted. Raises `InputError` as
    `classify_chunks` does, and for a run without out-of-fold predictions.
    """
    held_out = _held_out(model)
    posterior, predicted = _classified_rows(model, chunks, everything, warn, columns)
    by_confusion = confusion_counts(
        held_out.truth, held_out.prediction, held_out.group, predicted, model.config.seed
    )
    by_posterior = posterior_counts(
        held_out.posterior, held_out.truth, held_out.group, posterior, model.config.seed
    )
    difference = disagreement(by_confusion, by_posterior)
    return Population(
        classes=model.classes,
        predicted=predicted,
        by_confusion=by_confusion,
        by_posterior=by_posterior,
        difference=difference,
        doubts=(*_disagreements(model.classes, difference), *_group_warnings(held_out)),
    )


def population_table(population: Population) -> Table:
    """One row per class: the predicted count, and each corrected count with its 90 % interval."""
    columns = {"class": np.array(population.classes), "predicted": population.predicted}
    descriptions = {"class": "class", "predicted": "sources given this class; not corrected"}
    corrections = {
        "by_confusion": (population.by_confusion, "held-out confusion"),
        "by_posterior": (population.by_posterior, "posteriors"),
    }
    for name, (counts, text) in corrections.items():
        columns[name] = counts.median()
        descriptions[name] = f"sources of this class, corrected by the {text}"
        for end, values in zip(("lo", "hi"), counts.interval(), strict=True):
            columns[f"{name}_{end}"] = values
            descriptions[f"{name}_{end}"] = f"{end} end of its 90 % interval"
    columns["difference"] = population.difference
    descriptions["difference"] = "by_posterior less by_confusion, in standard deviations"
    return Table(columns, descriptions=descriptions)


def _classified_rows(
    model: FittedModel,
    chunks: Chunks,
    everything: bool,
    warn: Callable[[str], None],
    columns: ColumnOptions = AS_TRAINED,
) -> tuple[Float[np.ndarray, "N C"], Int[np.ndarray, "C"]]:
    """The posteriors of the rows to count, and the number of predictions of each class."""
    classes, label = model.classes, model.config.catalog.label
    if label is not None:
        label = columns.map.get(label, label)
    posteriors, predicted = [], np.zeros(len(classes), np.int64)
    for table in classify_chunks(model, chunks, columns=columns, warn=warn):
        counted = np.ones(len(table), bool)
        if not everything and label is not None and label in table.colnames:
            conditions = conditions_of_classes(
                table, model.config, model.trained_on.lacked_by, columns.map
            )
            known = masked_column(table, label)
            counted = without_label(known, model.config.taxonomy, conditions)
        shares = [np.asarray(table[f"p_{name}"])[counted] for name in classes]
        posteriors.append(np.stack(shares, axis=1))
        prediction = np.asarray(table["prediction"])[counted]
        predicted += [int((prediction == name).sum()) for name in classes]
    posterior = np.concatenate(posteriors)
    if not len(posterior):
        raise InputError(
            f"every source of the catalogue has a label (column {label!r}), so none is left to "
            "count; give a catalogue with sources of unknown class, or count all: --all (all=True)"
        )
    return posterior, predicted


def _held_out(model: FittedModel) -> _HeldOut:
    path = model.folder / "predictions.parquet"
    if not path.is_file():
        raise InputError(
            f"{model.folder} has no predictions.parquet, so the confusion matrix of its classifier "
            "is not known; make the run again with 'xbayes run'"
        )
    table, classes = read_catalog(path), model.classes
    rule = rule_under(model.recipe, model.classifier, model.prior_of_rule)
    posterior = np.stack([np.asarray(table[f"p_{name}"]) for name in classes], axis=1)
    prediction = decide(posterior, jax.tree.map(np.asarray, rule))
    truth = np.array([classes.index(name) for name in np.asarray(table["true_class"]).astype(str)])
    roles = model.config.catalog
    column = GROUP if GROUP in table.colnames else roles.source
    has_groups = column is not None and column in table.colnames
    group = np.asarray(table[column]) if has_groups else np.arange(len(table))
    return _HeldOut(
        posterior=posterior,
        truth=truth,
        prediction=np.asarray(prediction),
        group=np.unique(group, return_inverse=True)[1],
        grouped=has_groups or roles.group is None,
    )


def _disagreements(classes: tuple[str, ...], difference: Float[np.ndarray, "C"]) -> list[str]:
    apart = [
        f"{name} ({size:+.1f} sigma)"
        for name, size in zip(classes, difference, strict=True)
        if abs(size) > DOUBT
    ]
    if not apart:
        return []
    return [
        f"the two corrections differ by more than their errors for {', '.join(apart)}: the "
        "features of a class are then distributed differently in this catalogue and in the "
        "training sample (covariate shift), or the posteriors are not calibrated; neither count "
        "can be trusted"
    ]


def _group_warnings(held_out: _HeldOut) -> list[str]:
    if held_out.grouped:
        return []
    return [
        "the run was made by a version that did not write the groups of its predictions: the "
        "intervals of the first correction treat rows as independent and are too narrow; make the "
        "run again"
    ]
