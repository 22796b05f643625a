"""From raw labels to indices of classes and subclasses, and from groups to group indices."""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from astropy.table import Column, Table
from jaxtyping import Bool, Int

from xbayes.config.checks import did_you_mean
from xbayes.config.schema import CatalogConfig
from xbayes.config.taxonomy import EVERY_OTHER, SubclassConfig, TaxonomyConfig
from xbayes.errors import InputError
from xbayes.types import UNLABELLED

_LEFT_OUT = -2
_WHOLE = re.compile(r"[+-]?\d+\.0")
_EXACT_BELOW = 2**53  # each whole number below this is a float64 of its own
SMALLEST = 10  # rows of a subclass, so that inner folds still hold some
ENOUGH = 20  # rows of a subclass that nobody named


class Condition(NamedTuple):
    """The condition of a class in every row."""

    holds: Bool[np.ndarray, "N"]
    known: Bool[np.ndarray, "N"]


Conditions = Mapping[str, Condition]  # of the classes that have one
_NOT_EVALUATED: Conditions = {}


def class_indices(
    labels: Column, taxonomy: TaxonomyConfig, conditions: Conditions = _NOT_EVALUATED
) -> tuple[Int[np.ndarray, "N"], Bool[np.ndarray, "N"]]:
    """The class index of each row (UNLABELLED if unknown), and whether the row is in the sample.

    A class takes a row if it lists its label and its condition holds. A condition that is not in
    `conditions` is unknown. A row that no class takes, although one lists its label, is unlabelled.
    Rows with a label of `left_out` are not in the sample. A missing or empty label is unlabelled.
    With "*" for one of the two lists, it holds for every label listed nowhere else.

    Raises
    ------
    InputError
        For raw labels that are not in the taxonomy (all are listed), for a row that satisfies two
        classes, and if no row has a class.
    """
    texts = label_texts(labels)
    raw, counts = np.unique(texts, return_counts=True)
    known = _by_label(taxonomy)
    if _every_other(taxonomy) is None:
        _refuse_unknown(labels, dict(zip(raw.tolist(), counts.tolist(), strict=True)), known)
    class_index = _class_of_rows(texts, taxonomy, conditions)
    if not np.any(class_index >= 0):
        also = " and satisfies its condition" if taxonomy.conditions else ""
        raise InputError(
            f"column {labels.name!r} has no labelled row: of {len(labels)} rows none has a label "
            f"of the classes {', '.join(taxonomy.classes)}{also}"
        )
    in_sample = class_index != _LEFT_OUT
    return np.where(in_sample, class_index, UNLABELLED), in_sample


def _refuse_unknown(labels: Column, counts: Mapping[str, int], known: Mapping[str, int]) -> None:
    unknown = {label: count for label, count in counts.items() if label not in known}
    if unknown:
        listed = [label for label in known if label]
        shown = ", ".join(_unknown(label, unknown[label], listed) for label in [*unknown][:20])
        shown += f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
        raise InputError(
            f"column {labels.name!r} has labels that are not in the taxonomy: {shown}; add each "
            'to a class, to taxonomy.left_out or to taxonomy.unlabelled (taxonomy.unlabelled: "*", '
            "not in a list, takes every label listed nowhere else)"
        )


def _by_label(taxonomy: TaxonomyConfig) -> dict[str, int]:
    """Of every raw label that is listed: UNLABELLED or _LEFT_OUT, or 0 if a class lists it."""
    by_label = {"": UNLABELLED} | dict.fromkeys(_listed(taxonomy.unlabelled), UNLABELLED)
    by_label |= dict.fromkeys(_listed(taxonomy.left_out), _LEFT_OUT)
    return by_label | {label: 0 for labels in taxonomy.labels_of.values() for label in labels}


def _class_of_rows(
    texts: np.ndarray, taxonomy: TaxonomyConfig, conditions: Conditions
) -> Int[np.ndarray, "N"]:
    """The class of each row, else UNLABELLED or _LEFT_OUT; unknown labels are UNLABELLED.

    Raises InputError for a row that satisfies two classes.
    """
    by_label, every_other = _by_label(taxonomy), _every_other(taxonomy)
    otherwise = UNLABELLED if every_other is None else every_other
    raw, inverse = np.unique(texts, return_inverse=True)
    index = np.array([min(by_label.get(label, otherwise), UNLABELLED) for label in raw.tolist()])
    index = index.astype(np.int64)[inverse]
    classes = list(taxonomy.classes)
    for c, (name, labels) in enumerate(taxonomy.labels_of.items()):
        takes = np.isin(raw, labels)[inverse]
        if name in taxonomy.conditions:
            takes = takes & conditions[name].holds if name in conditions else np.zeros_like(takes)
        twice = np.flatnonzero(takes & (index >= 0))
        if len(twice):
            row = int(twice[0])
            raise InputError(
                f"{len(twice)} rows satisfy two classes, {classes[index[row]]} and {name}, the "
                f"first in row {row + 1} (label {texts[row]!r}); make their conditions exclude "
                f"each other: taxonomy.classes.{classes[index[row]]}.where, "
                f"taxonomy.classes.{name}.where"
            )
        index[takes] = c
    return index


class Subclass(NamedTuple):
    """Raw labels of one class that are modelled together."""

    name: str
    class_index: int
    labels: tuple[str, ...]


def with_subclasses(
    taxonomy: TaxonomyConfig, labels: Column, conditions: Conditions = _NOT_EVALUATED
) -> TaxonomyConfig:
    """The taxonomy with the subclasses that `subclasses: auto` stands for.

    In a class of several labels, each label with at least ENOUGH rows is a subclass. The others
    form one more, if they are enough together; else they join the largest.
    """
    if taxonomy.subclasses != "auto":
        return taxonomy
    texts = label_texts(labels)
    class_index = _class_of_rows(texts, taxonomy, conditions)
    subclasses: dict[str, tuple[str, ...] | SubclassConfig] = {}
    for c, (name, listed) in enumerate(taxonomy.labels_of.items()):
        of_class = texts[class_index == c]
        size = {label: int((of_class == label).sum()) for label in listed}
        large = [label for label in listed if size[label] >= ENOUGH]
        rest = [label for label in listed if label not in large]
        joined: dict[str, tuple[str, ...]] = {label: (label,) for label in large}
        if large and rest and sum(size[label] for label in rest) < ENOUGH:
            largest = max(large, key=lambda label: size[label])
            joined[largest] = (largest, *rest)
            rest = []
        if len(joined) + bool(rest) > 1 and joined:
            subclasses |= _named(taxonomy, name, joined, subclasses)
    return taxonomy.model_copy(update={"subclasses": subclasses})


def _named(
    taxonomy: TaxonomyConfig,
    class_name: str,
    joined: Mapping[str, tuple[str, ...]],
    taken: Collection[str],
) -> dict[str, tuple[str, ...] | SubclassConfig]:
    """The subclasses of a class, under names that are allowed and not taken."""
    others = {
        label
        for name, labels in taxonomy.labels_of.items()
        for label in labels
        if name != class_name
    }
    named: dict[str, tuple[str, ...] | SubclassConfig] = {}
    for label, part in joined.items():
        name = re.sub("[^A-Za-z0-9_+-]", "_", label)
        name = name if name[:1].isalpha() else f"type_{name}"
        shared = not others.isdisjoint(part)
        name = f"{class_name}_{name}" if shared else name
        while name in {*taken, *named} or taxonomy.labels_of.get(name, part) != part:
            name += "_only"
        named[name] = SubclassConfig(labels=part, of=class_name) if shared else part
    return named


def subclasses_of(taxonomy: TaxonomyConfig) -> tuple[Subclass, ...]:
    """The subclasses in the order of their classes; empty if the taxonomy has none.

    Raw labels of a class that no subclass lists form one more subclass, named like the class.
    """
    of_subclass = taxonomy.subclass_labels
    if not of_subclass:
        return ()
    subclasses = []
    for index, (class_name, labels) in enumerate(taxonomy.labels_of.items()):
        parts = {name: part for name, (of, part) in of_subclass.items() if of == class_name}
        listed = {label for part in parts.values() for label in part}
        rest = tuple(label for label in labels if label not in listed)
        if rest:
            parts = {class_name: rest} | parts
        subclasses += [
            Subclass(name=name, class_index=index, labels=part) for name, part in parts.items()
        ]
    return tuple(subclasses)


def subclass_indices(
    labels: Column, taxonomy: TaxonomyConfig, conditions: Conditions = _NOT_EVALUATED
) -> Int[np.ndarray, "N"] | None:
    """The subclass index of each row (UNLABELLED if unknown); None if there are no subclasses.

    Raises InputError for a subclass with too few rows.
    """
    subclasses = subclasses_of(taxonomy)
    if not subclasses:
        return None
    texts = label_texts(labels)
    class_index = _class_of_rows(texts, taxonomy, conditions)
    index = np.full(len(texts), UNLABELLED)
    for number, subclass in enumerate(subclasses):
        index[(class_index == subclass.class_index) & np.isin(texts, subclass.labels)] = number
    members = np.bincount(index[index >= 0], minlength=len(subclasses))
    small = [f"{s.name} has {n}" for s, n in zip(subclasses, members, strict=True) if n < SMALLEST]
    if small:
        raise InputError(
            f"taxonomy.subclasses: a subclass needs at least {SMALLEST} labelled rows: "
            f"{', '.join(small)}; join it with another of its class"
        )
    return index


def without_label(
    labels: Column, taxonomy: TaxonomyConfig, conditions: Conditions = _NOT_EVALUATED
) -> Bool[np.ndarray, "N"]:
    """Rows of unknown class: no class takes the label, or it is missing or one of the unlabelled.

    A label that is not in the taxonomy is not unknown.
    """
    texts = label_texts(labels)
    unlabelled = _class_of_rows(texts, taxonomy, conditions) == UNLABELLED
    if taxonomy.unlabelled == EVERY_OTHER:
        return unlabelled
    return unlabelled & np.isin(texts, [*_by_label(taxonomy)])


def condition_warnings(
    labels: Column, taxonomy: TaxonomyConfig, conditions: Conditions
) -> list[str]:
    """Warnings with the number of rows whose label a class lists, but which no class takes."""
    texts = label_texts(labels)
    free = _class_of_rows(texts, taxonomy, conditions) == UNLABELLED
    warnings, undecided = [], np.zeros(len(texts), bool)
    for name, where in taxonomy.conditions.items():
        unknown = free & np.isin(texts, taxonomy.labels_of[name]) & ~conditions[name].known
        undecided |= unknown
        if unknown.any():
            warnings.append(
                f"taxonomy.classes.{name}.where ({where}) is unknown in {int(unknown.sum())} rows "
                f"with a label of {name}, because a column that it reads is not available or empty "
                f"there; they are not used as {name}"
            )
    listed = [label for name in taxonomy.conditions for label in taxonomy.labels_of[name]]
    outside = free & ~undecided & np.isin(texts, listed)
    if outside.any():
        shown = ", ".join(np.unique(texts[outside]).tolist()[:5])
        warnings.append(
            f"{int(outside.sum())} rows have a label of a class ({shown}), but satisfy the "
            "condition of no class that lists it; they are unlabelled"
        )
    return warnings


def _every_other(taxonomy: TaxonomyConfig) -> int | None:
    """The index of every label that is listed nowhere; None if such a label is an error."""
    if taxonomy.unlabelled == EVERY_OTHER:
        return UNLABELLED
    return _LEFT_OUT if taxonomy.left_out == EVERY_OTHER else None


def _listed(labels: Sequence[str]) -> Sequence[str]:
    return () if labels == EVERY_OTHER else labels


def label_warnings(labels: Column, taxonomy: TaxonomyConfig) -> list[str]:
    """With "*", a warning for each listed label that no row has, for it may be misspelt.

    Without "*" the right spelling would be an unknown label, which is an error.
    """
    if _every_other(taxonomy) is None:
        return []
    present = [text for text in np.unique(label_texts(labels)).tolist() if text]
    keys = {f"classes.{name}": listed for name, listed in taxonomy.labels_of.items()}
    keys |= {"left_out": _listed(taxonomy.left_out), "unlabelled": _listed(taxonomy.unlabelled)}
    return [
        f"taxonomy.{key} lists {label!r}, but no row of column {labels.name!r} has this label"
        f"{did_you_mean(label, present, 'labels are')}"
        for key, listed in keys.items()
        for label in listed
        if label not in present
    ]


def _unknown(label: str, count: int, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(label, known, n=1)
    hint = f", nearest {near[0]!r}" if near else ""
    return f"{label!r} ({count} rows{hint})"


def label_texts(labels: Column) -> np.ndarray:
    """Labels as stripped text, empty if missing; the number 3.0 is the label 3."""
    values = np.ma.getdata(np.ma.asarray(labels))
    missing = np.ma.getmaskarray(np.ma.asarray(labels))
    if values.dtype.kind == "f":
        missing = missing | np.isnan(values)
        present = values[~missing]
        whole = np.all((present == np.round(present)) & (np.abs(present) < _EXACT_BELOW))
        values = np.where(missing, 0, values).astype(np.int64 if whole else values.dtype)
    texts = np.where(missing, "", np.char.strip(values.astype(str)))
    if values.dtype.kind in "US" and texts.size:
        # Programs that know no integers with gaps write 3.0 for 3; CSV is read as it stands.
        distinct, inverse = np.unique(texts, return_inverse=True)
        cells = distinct.tolist()
        if all(_WHOLE.fullmatch(cell) for cell in cells if cell):
            texts = np.array([cell.removesuffix(".0") for cell in cells])[inverse]
    return texts


def group_indices(table: Table, config: CatalogConfig) -> Int[np.ndarray, "N"]:
    """The group index of each row: by column `group`, else by `source`, else one per row.

    Raises InputError for a source in more than one group, because folds would split it.
    """
    if config.group is None:
        return _indices(table, config.source)
    group = _indices(table, config.group)
    if config.source is not None:
        source = _indices(table, config.source)
        _, first = np.unique(source, return_index=True)
        split = np.flatnonzero(group != group[first][source])
        if len(split):
            raise InputError(
                f"source {table[config.source][split[0]]!r} (column {config.source!r}) is in "
                f"more than one group of column {config.group!r}; all rows of a source must be in "
                "one group: correct the groups, or list the value under catalog.missing_values if "
                "it stands for no source, or set catalog.group: null"
            )
    return group


def _indices(table: Table, name: str | None) -> Int[np.ndarray, "N"]:
    """The index of the value of each row; a row with a missing value has an index of its own."""
    if name is None:
        return np.arange(len(table))
    column = np.ma.asarray(table[name])
    missing = np.ma.getmaskarray(column)
    _, index = np.unique(np.ma.getdata(column), return_inverse=True)
    index[missing] = len(table) + np.arange(missing.sum())
    return np.unique(index, return_inverse=True)[1]
