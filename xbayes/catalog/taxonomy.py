"""From raw labels to indices of classes and subclasses, and from groups to group indices."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from astropy.table import Column, Table
from jaxtyping import Bool, Int

from xbayes.config.catalog import EVERY_OTHER
from xbayes.config.checks import did_you_mean
from xbayes.config.schema import CatalogConfig, TaxonomyConfig
from xbayes.types import UNLABELLED, InputError

_LEFT_OUT = -2
_WHOLE = re.compile(r"[+-]?\d+\.0")
_EXACT_BELOW = 2**53  # each whole number below this is a float64 of its own
SMALLEST = 10  # rows of a subclass, so that inner folds still hold some
ENOUGH = 20  # rows of a subclass that nobody named


def class_indices(
    labels: Column, taxonomy: TaxonomyConfig
) -> tuple[Int[np.ndarray, "N"], Bool[np.ndarray, "N"]]:
    """The class index of each row (UNLABELLED if unknown), and whether the row is in the sample.

    Rows with a label of `left_out` are not in the sample. A missing or empty label is unlabelled.
    With "*" for one of the two lists, it holds for every label listed nowhere else. Raises
    InputError, which lists all raw labels that are not in the taxonomy, and if no row has a class.
    """
    index_of = _index_of(taxonomy, taxonomy.classes)
    raw, inverse, counts = np.unique(label_texts(labels), return_inverse=True, return_counts=True)
    every_other = _every_other(taxonomy)
    if every_other is not None:
        index_of = dict.fromkeys(raw.tolist(), every_other) | index_of
    unknown = {
        label: count
        for label, count in zip(raw.tolist(), counts.tolist(), strict=True)
        if label not in index_of
    }
    if unknown:
        known = [label for label in index_of if label]
        listed = ", ".join(_unknown(label, unknown[label], known) for label in [*unknown][:20])
        listed += f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
        raise InputError(
            f"column {labels.name!r} has labels that are not in the taxonomy: {listed}; add each "
            'to a class, to taxonomy.left_out or to taxonomy.unlabelled (taxonomy.unlabelled: "*", '
            "not in a list, takes every label listed nowhere else)"
        )
    class_index = np.array([index_of[label] for label in raw.tolist()], dtype=np.int64)[inverse]
    if not np.any(class_index >= 0):
        raise InputError(
            f"column {labels.name!r} has no labelled row: of {len(labels)} rows none has a label "
            f"of the classes {', '.join(taxonomy.classes)}"
        )
    in_sample = class_index != _LEFT_OUT
    return np.where(in_sample, class_index, UNLABELLED), in_sample


class Subclass(NamedTuple):
    """Raw labels of one class that are modelled together."""

    name: str
    class_index: int
    labels: tuple[str, ...]


def with_subclasses(taxonomy: TaxonomyConfig, labels: Column) -> TaxonomyConfig:
    """The taxonomy with the subclasses that `subclasses: auto` stands for.

    In a class of several labels, each label with at least ENOUGH rows is a subclass. The others
    form one more, if they are enough together; else they join the largest.
    """
    if taxonomy.subclasses != "auto":
        return taxonomy
    texts, counts = np.unique(label_texts(labels), return_counts=True)
    members = dict(zip(texts.tolist(), counts.tolist(), strict=True))
    subclasses: dict[str, tuple[str, ...]] = {}
    for listed in taxonomy.classes.values():
        size = {label: members.get(label, 0) for label in listed}
        large = [label for label in listed if size[label] >= ENOUGH]
        rest = [label for label in listed if label not in large]
        joined: dict[str, tuple[str, ...]] = {label: (label,) for label in large}
        if large and rest and sum(size[label] for label in rest) < ENOUGH:
            largest = max(large, key=lambda label: size[label])
            joined[largest] = (largest, *rest)
            rest = []
        if len(joined) + bool(rest) > 1 and joined:
            subclasses |= joined
    return taxonomy.model_copy(update={"subclasses": _named(taxonomy, subclasses)})


def _named(
    taxonomy: TaxonomyConfig, subclasses: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """The subclasses under names that are allowed and differ from those of the classes."""
    named: dict[str, tuple[str, ...]] = {}
    for label, part in subclasses.items():
        name = re.sub("[^A-Za-z0-9_+-]", "_", label)
        name = name if name[:1].isalpha() else f"type_{name}"
        while name in named or (name in taxonomy.classes and taxonomy.classes[name] != part):
            name += "_only"
        named[name] = part
    return named


def subclasses_of(taxonomy: TaxonomyConfig) -> tuple[Subclass, ...]:
    """The subclasses in the order of their classes; empty if the taxonomy has none.

    Raw labels of a class that no subclass lists form one more subclass, named like the class.
    """
    if not taxonomy.subclasses or isinstance(taxonomy.subclasses, str):
        return ()
    subclasses = []
    for index, (class_name, labels) in enumerate(taxonomy.classes.items()):
        parts = {name: part for name, part in taxonomy.subclasses.items() if part[0] in labels}
        listed = {label for part in parts.values() for label in part}
        rest = tuple(label for label in labels if label not in listed)
        if rest:
            parts = {class_name: rest} | parts
        subclasses += [
            Subclass(name=name, class_index=index, labels=part) for name, part in parts.items()
        ]
    return tuple(subclasses)


def subclass_indices(labels: Column, taxonomy: TaxonomyConfig) -> Int[np.ndarray, "N"] | None:
    """The subclass index of each row (UNLABELLED if unknown); None if there are no subclasses.

    Raises InputError for a subclass with too few rows.
    """
    subclasses = subclasses_of(taxonomy)
    if not subclasses:
        return None
    index_of = _index_of(taxonomy, {s.name: s.labels for s in subclasses})
    texts, inverse = np.unique(label_texts(labels), return_inverse=True)
    # Labels that "*" stands for are in no subclass.
    index = np.array([index_of.get(t, UNLABELLED) for t in texts.tolist()], np.int64)[inverse]
    members = np.bincount(index[index >= 0], minlength=len(subclasses))
    small = [f"{s.name} has {n}" for s, n in zip(subclasses, members, strict=True) if n < SMALLEST]
    if small:
        raise InputError(
            f"taxonomy.subclasses: a subclass needs at least {SMALLEST} labelled rows: "
            f"{', '.join(small)}; join it with another of its class"
        )
    return np.where(index >= 0, index, UNLABELLED)


def _index_of(taxonomy: TaxonomyConfig, members: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """For every raw label the index of its class or subclass, else UNLABELLED or _LEFT_OUT."""
    index_of = {"": UNLABELLED} | dict.fromkeys(_listed(taxonomy.unlabelled), UNLABELLED)
    index_of |= dict.fromkeys(_listed(taxonomy.left_out), _LEFT_OUT)
    for index, raw_labels in enumerate(members.values()):
        index_of |= dict.fromkeys(raw_labels, index)
    return index_of


def without_label(labels: Column, taxonomy: TaxonomyConfig) -> Bool[np.ndarray, "N"]:
    """Rows of unknown class: the label is missing, empty or one of the unlabelled."""
    texts = label_texts(labels)
    if taxonomy.unlabelled != EVERY_OTHER:
        return np.isin(texts, ["", *taxonomy.unlabelled])
    listed = [label for raw_labels in taxonomy.classes.values() for label in raw_labels]
    return ~np.isin(texts, [*listed, *_listed(taxonomy.left_out)])


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
    keys = {f"classes.{name}": listed for name, listed in taxonomy.classes.items()}
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
