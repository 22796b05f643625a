"""Labels that votes made, as soft labels: a source counts for each class by its probability.

A source with class probabilities q has one row for each class with q above LEAST, of weight q
(q is normalised over these), and all its rows share a fold. The sum over its rows of weight times
log loss is the cross-entropy with the soft label q, and their weights in a density of a class are
the shares of the source. Every part of a fit that takes weights of rows so takes soft labels. A
source with a reference label keeps it; votes on it are only compared.

The prior of the votes is taken out of q where the table has it (`prior_CLASS`): it came from a
classifier that may have seen the same features, which would count twice.
"""

from typing import NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float, Int

from xbayes.catalog.columns import masked_column
from xbayes.catalog.read import read_catalog
from xbayes.catalog.taxonomy import label_texts
from xbayes.config.checks import quoted
from xbayes.config.schema import Config, found_crowd
from xbayes.errors import InputError
from xbayes.evaluate.cross_validate import CrossValidation
from xbayes.types import UNLABELLED, Features, Labels

LEAST = 0.02


class SoftLabels(NamedTuple):
    """The class probabilities of N sources from votes."""

    prob: Float[np.ndarray, "N C"]  # zeros where there are no votes
    known: Bool[np.ndarray, "N"]  # sources with votes
    warnings: tuple[str, ...] = ()


def read_soft_labels(config: Config, table: Table) -> SoftLabels:
    """The labels in `catalog.crowd` of the sources of a catalogue.

    Raises
    ------
    InputError
        If a column is missing, an id is there twice, a probability is not in [0, 1], or no source
        of the catalogue is there.
    """
    path, name, classes = found_crowd(config), config.catalog.id, list(config.taxonomy.classes)
    voted = read_catalog(path, text=[name, "source"])
    id_ = name if name in voted.colnames else "source"
    needed = [id_, *(f"p_{c}" for c in classes)]
    lacking = [column for column in needed if column not in voted.colnames]
    if lacking:
        raise InputError(
            f"catalog.crowd: {path.name} has no column {quoted(lacking)}; make it with 'xbayes "
            f"crowd aggregate --classes {','.join(classes)}', or with --run"
        )
    ids = label_texts(masked_column(voted, id_))
    names, counts = np.unique(ids, return_counts=True)
    if np.any(counts > 1):
        repeated = str(names[counts.argmax()])
        raise InputError(
            f"catalog.crowd: {path.name} has {int(counts.max())} rows of {repeated!r}; keep one"
        )
    prob = _without_prior(voted, classes, path.name)
    place = {text: row for row, text in enumerate(ids.tolist())}
    texts = label_texts(masked_column(table, name)).tolist()
    row = np.array([place.get(text, -1) for text in texts])
    known = row >= 0
    if not known.any():
        raise InputError(
            f"catalog.crowd: none of the {len(ids)} sources of {path.name} is in the catalogue, by "
            f"the column {name!r}; aggregate the votes with --run or --catalog"
        )
    missing = len(ids) - len(set(row[known].tolist()))
    warnings = ()
    if missing:
        warnings = (
            f"catalog.crowd: {missing} of {len(ids)} sources with votes are not in the catalogue",
        )
    soft = np.where(known[:, None], prob[np.maximum(row, 0)], 0.0)
    return SoftLabels(prob=soft, known=known, warnings=warnings)


def _without_prior(voted: Table, classes: list[str], file: str) -> Float[np.ndarray, "M C"]:
    """The probabilities with the classifier's prior replaced by the proportions of all votes."""
    prob = _probabilities(voted, [f"p_{name}" for name in classes], file)
    columns = [f"prior_{name}" for name in classes]
    if not all(column in voted.colnames for column in columns):
        return prob
    prior = _probabilities(voted, columns, file)
    evidence = prob / np.maximum(prior, 1e-6) * prob.mean(0)
    return evidence / evidence.sum(1, keepdims=True)


def _probabilities(table: Table, columns: list[str], file: str) -> Float[np.ndarray, "M C"]:
    try:
        values = [np.ma.filled(masked_column(table, c).astype(float), np.nan) for c in columns]
    except ValueError:
        values = [np.full(len(table), np.nan) for _ in columns]
    prob = np.column_stack(values)
    total = prob.sum(1)
    wrong = ~(np.all((prob >= 0) & (prob <= 1), axis=1) & (np.abs(total - 1) < 0.01))
    if wrong.any():
        raise InputError(
            f"catalog.crowd: {quoted(columns)} of {file} are no probabilities with sum 1 in "
            f"{int(wrong.sum())} rows, the first in row {int(np.argmax(wrong)) + 1}; aggregate the "
            "votes again"
        )
    return prob / total[:, None]


def with_soft_rows(
    features: Features, labels: Labels, soft: SoftLabels | None
) -> tuple[Features, Labels]:
    """Features and labels with the rows of the soft labels after the N rows of the catalogue."""
    if soft is None:
        return features, labels
    rows, class_index, share = _soft_rows(labels, soft)
    every = np.concatenate([np.arange(len(labels.class_index)), rows])
    known = np.zeros(len(labels.class_index))
    longer = labels.rows(every)._replace(
        class_index=np.concatenate([labels.class_index, class_index]),
        soft_share=np.concatenate([known, share]),
    )
    return features.rows(every), longer


def _soft_rows(
    labels: Labels, soft: SoftLabels
) -> tuple[Int[np.ndarray, "M"], Int[np.ndarray, "M"], Float[np.ndarray, "M"]]:
    """The source, the class and the share of each row of a soft label."""
    used = soft.known & (labels.class_index == UNLABELLED)
    prob = np.where(used[:, None] & (soft.prob > LEAST), soft.prob, 0.0)
    prob /= np.maximum(prob.sum(1, keepdims=True), 1e-300)
    rows, class_index = np.nonzero(prob)
    return rows, class_index, prob[rows, class_index]


def scored_rows(held_out: CrossValidation, n_rows: int) -> CrossValidation:
    """The out-of-fold products of the rows with a reference label, which give all scores."""
    return _kept(held_out, held_out.rows < n_rows)


def _kept(held_out: CrossValidation, rows: Bool[np.ndarray, "n"]) -> CrossValidation:
    if rows.all():
        return held_out
    import jax

    return held_out._replace(
        rows=held_out.rows[rows],
        outer_fold=held_out.outer_fold[:, rows],
        products=tuple(jax.tree.map(lambda a: a[rows], part) for part in held_out.products),
    )


def agreement(
    soft: SoftLabels,
    labels: Labels,
    held_out: CrossValidation,
    classes: list[str],
) -> dict:
    """How often the classifier, out of fold, and the votes name the same class, by voted class.

    `held_out` has the rows of `with_soft_rows`, before `scored_rows`.
    """
    n_rows = len(labels.class_index)
    rows, _, _ = _soft_rows(labels, soft)
    source = np.where(held_out.rows < n_rows, held_out.rows, 0)
    source[held_out.rows >= n_rows] = rows[held_out.rows[held_out.rows >= n_rows] - n_rows]
    _, first = np.unique(source, return_index=True)
    first = first[soft.known[source[first]]]
    voted = soft.prob[source[first]].argmax(1)
    same = held_out.products[0].prediction[first] == voted
    record: dict = {
        "sources": int(soft.known.sum()),
        "trained_on": len(np.unique(rows)),
        "compared": len(first),
        "agree": float(same.mean()) if len(first) else None,
        "by_class": {},
    }
    for c, name in enumerate(classes):
        own = voted == c
        if own.any():
            record["by_class"][name] = {"n": int(own.sum()), "agree": float(same[own].mean())}
    return record
