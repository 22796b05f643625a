"""From raw labels to class indices, and from groups to group indices."""

import difflib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from astropy.table import Column, Table
from jaxtyping import Bool, Int

from xbayes.config.schema import CatalogConfig, TaxonomyConfig
from xbayes.types import UNLABELLED, InputError

_LEFT_OUT = -2
SMALLEST = 10  # rows of a subclass: folds within folds still hold some


def class_indices(
    labels: Column, taxonomy: TaxonomyConfig
) -> tuple[Int[np.ndarray, "N"], Bool[np.ndarray, "N"]]:
    """Index into the classes for each row, UNLABELLED where unknown, and which rows are kept.

    A missing or empty label is unlabelled. Raises InputError for raw labels the taxonomy does
    not know, all of them at once, and where no row is left with a class.
    """
    index_of = _index_of(taxonomy, taxonomy.classes)
    raw, inverse, counts = np.unique(_texts(labels), return_inverse=True, return_counts=True)
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
            f"column {labels.name!r} has labels the taxonomy does not know: {listed}; add each "
            "to a class, to taxonomy.left_out or to taxonomy.unlabelled"
        )
    class_index = np.array([index_of[label] for label in raw.tolist()], dtype=np.int64)[inverse]
    if not np.any(class_index >= 0):
        raise InputError(
            f"column {labels.name!r} has no labelled row: of {len(labels)} rows none has a label "
            f"of the classes {', '.join(taxonomy.classes)}"
        )
    kept = class_index != _LEFT_OUT
    return np.where(kept, class_index, UNLABELLED), kept


class Subclass(NamedTuple):
    """Raw labels of one class that are learned together."""

    name: str
    class_index: int
    labels: tuple[str, ...]


def subclasses_of(taxonomy: TaxonomyConfig) -> tuple[Subclass, ...]:
    """The subclasses in the order of their classes; none where no class has any.

    Raw labels of a class that no subclass lists are one more, which has the name of the class.
    """
    if not taxonomy.subclasses:
        return ()
    found = []
    for index, (name, labels) in enumerate(taxonomy.classes.items()):
        own = {s: given for s, given in taxonomy.subclasses.items() if given[0] in labels}
        listed = {label for given in own.values() for label in given}
        rest = tuple(label for label in labels if label not in listed)
        own = {name: rest} | own if rest else own
        found += [Subclass(subclass, index, given) for subclass, given in own.items()]
    return tuple(found)


def subclass_indices(labels: Column, taxonomy: TaxonomyConfig) -> Int[np.ndarray, "N"] | None:
    """Index into the subclasses for each row, UNLABELLED where unknown; None without subclasses.

    Raises InputError for a subclass too small to learn.
    """
    subclasses = subclasses_of(taxonomy)
    if not subclasses:
        return None
    index_of = _index_of(taxonomy, {s.name: s.labels for s in subclasses})
    texts, inverse = np.unique(_texts(labels), return_inverse=True)
    index = np.array([index_of[text] for text in texts.tolist()], np.int64)[inverse]
    members = np.bincount(index[index >= 0], minlength=len(subclasses))
    small = [f"{s.name} has {n}" for s, n in zip(subclasses, members, strict=True) if n < SMALLEST]
    if small:
        raise InputError(
            f"taxonomy.subclasses: a subclass needs at least {SMALLEST} labelled rows: "
            f"{', '.join(small)}; join it with another of its class"
        )
    return np.where(index >= 0, index, UNLABELLED)


def _index_of(taxonomy: TaxonomyConfig, joined: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Of every raw label: the place of what joins it, or why it has none."""
    index_of = {"": UNLABELLED} | dict.fromkeys(taxonomy.unlabelled, UNLABELLED)
    index_of |= dict.fromkeys(taxonomy.left_out, _LEFT_OUT)
    for index, raw_labels in enumerate(joined.values()):
        index_of |= dict.fromkeys(raw_labels, index)
    return index_of


def without_label(labels: Column, taxonomy: TaxonomyConfig) -> Bool[np.ndarray, "N"]:
    """Rows whose class nobody knows: the label is missing, empty or one of the unlabelled."""
    return np.isin(_texts(labels), ["", *taxonomy.unlabelled])


def _unknown(label: str, count: int, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(label, known, n=1)
    hint = f", nearest {near[0]!r}" if near else ""
    return f"{label!r} ({count} rows{hint})"


def _texts(labels: Column) -> np.ndarray:
    """Labels as stripped text, empty where missing; the number 3.0 is the label 3."""
    values = np.ma.getdata(np.ma.asarray(labels))
    missing = np.ma.getmaskarray(np.ma.asarray(labels))
    if values.dtype.kind == "f":
        missing = missing | np.isnan(values)
        whole = np.all(values[~missing] == np.round(values[~missing]))
        values = np.where(missing, 0, values).astype(np.int64 if whole else values.dtype)
    return np.where(missing, "", np.char.strip(values.astype(str)))


def class_counts(class_index: Int[np.ndarray, "N"], classes: Sequence[str]) -> dict[str, int]:
    """How many rows each class has, in the order of the classes; unlabelled rows do not count."""
    counts = np.bincount(class_index[class_index >= 0], minlength=len(classes))
    return dict(zip(classes, counts.tolist(), strict=True))


def group_indices(table: Table, config: CatalogConfig) -> Int[np.ndarray, "N"]:
    """Index of the group of each row, else of its source; each row is its own where none is given.

    Raises InputError for a source in more than one group, which folds would split.
    """
    if config.group is None:
        return _indices(table, config.source)
    group = _indices(table, config.group)
    if config.source is not None:
        source = _indices(table, config.source)
        _, first = np.unique(source, return_index=True)
        astray = np.flatnonzero(group != group[first][source])
        if len(astray):
            raise InputError(
                f"source {table[config.source][astray[0]]!r} (column {config.source!r}) is in "
                f"more than one group of column {config.group!r}; groups must hold whole sources: "
                "mend them, or set catalog.group: null"
            )
    return group


def _indices(table: Table, name: str | None) -> Int[np.ndarray, "N"]:
    """Index of each distinct value; every row without one is its own."""
    if name is None:
        return np.arange(len(table))
    column = np.ma.asarray(table[name])
    missing = np.ma.getmaskarray(column)
    _, index = np.unique(np.ma.getdata(column), return_inverse=True)
    index[missing] = len(table) + np.arange(missing.sum())
    return np.unique(index, return_inverse=True)[1]
