"""The likely role of each column of a catalogue, from its name, its UCD and its content."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from astropy.table import MaskedColumn, Table

from xbayes.catalog.columns import masked_column
from xbayes.catalog.taxonomy import label_texts
from xbayes.config.known_columns import POSITION, find_column

MOST_LABELS = 200  # distinct values of a column of labels
MOST_BLOCKS = 20  # releases in one catalogue
FEWEST_GROUPS = 20  # below that, folds of whole groups would differ too much

_IDS = (
    *("id", "name", "iauname", "detection_id", "detid", "detuid", "source_name", "src_name"),
    *("srcid", "source_id", "2cxo", "4xmm", "2sxps", "1erass", "iau_name", "sourceid"),
    *("lsxps_id", "2sxps_id", "designation", "objid", "obj_id", "identifier"),
)
_LABELS = (
    *("class", "label", "true_class", "otype", "main_type", "classification", "src_class", "type"),
    *("source_class", "source_type", "src_type", "obj_type", "objtype", "object_type", "maintype"),
    *("simbad_type", "class_name", "xclass", "cls", "category"),
)
_SOURCES = (
    *("srcid", "source", "source_name", "src_name", "iauname", "csc2_name", "master_name", "name"),
    *("source_id", "src_id", "object", "objid"),
)
_GROUPS = ("group", "group_id", "field", "field_id")
_BLOCKS = ("release", "block", "data_release", "catalog_release", "catalogue_release")
_SEXAGESIMAL = re.compile(r"\s*[+-]?\d{1,3}[:\s]\d{1,2}([:\s]\d{1,2}(\.\d*)?)?\s*")
_FORMS = {"ra": "h:m:s", "dec": "d:m:s"}
_NO_LABEL = re.compile(
    r"flag|qual|ref|note|survey|release|block|band|instr|obs|det|url|date|time|_id$|^id$|name|tile",
    re.IGNORECASE,
)


class ColumnFacts(NamedTuple):
    """One column, as far as its role depends on it."""

    name: str
    kind: str  # "number", "text", "truth" or "other" (vectors and objects: never a feature)
    whole: bool  # an integer
    unit: str
    ucd: str
    description: str
    n_empty: int
    n_distinct: int  # of values that are not empty; 0 if not counted (real numbers)
    low: float
    high: float


class Roles(NamedTuple):
    """The columns with a role; None where no column fits."""

    id: str | None
    ra: str | None
    dec: str | None
    label: str | None
    source: str | None
    group: str | None
    block: str | None
    units: dict[str, str]  # of coordinates that are sexagesimal text
    others: dict[str, tuple[str, ...]]  # further columns that could have the role


def column_facts(table: Table) -> list[ColumnFacts]:
    """The facts of every column, in the order of the table."""
    return [_facts(masked_column(table, name)) for name in table.colnames]


def guess_roles(table: Table, facts: Sequence[ColumnFacts]) -> Roles:
    """The most likely column of each role."""
    ids = _ranked(facts, _IDS, "meta.id", lambda fact: _is_unique(fact, len(table)))
    ids = ids or [f.name for f in facts if _is_unique(f, len(table)) and f.kind == "text"]
    position = {axis: _coordinate(facts, axis) for axis in ("ra", "dec")}
    units: dict[str, str] = {}
    if None in position.values():
        position = {axis: _sexagesimal(table, facts, axis) for axis in ("ra", "dec")}
        units = {f"{name}": _FORMS[axis] for axis, name in position.items()}
    if None in position.values():
        position, units = {"ra": None, "dec": None}, {}
    taken = {*ids[:1], *position.values()}
    labels = _labels(facts, len(table), taken)
    taken |= {*labels[:1]}
    sources = _ranked(facts, _SOURCES, "", lambda f: f.name not in taken and _repeats(f, table))
    groups = [
        name
        for name in _ranked(facts, _GROUPS, "", lambda f: f.name not in taken)
        if _distinct(facts, name) >= FEWEST_GROUPS
        and (not sources or _holds_whole(table, name, sources[0]))
    ]
    blocks = _ranked(
        facts, _BLOCKS, "", lambda f: f.name not in taken and 2 <= f.n_distinct <= MOST_BLOCKS
    )
    found = {"id": ids, "label": labels, "source": sources, "group": groups, "block": blocks}
    first = {role: next(iter(names), None) for role, names in found.items()}
    return Roles(
        id=first["id"],
        ra=position["ra"],
        dec=position["dec"],
        label=first["label"],
        source=first["source"],
        group=first["group"],
        block=first["block"],
        units=units,
        others={role: tuple(names[1:4]) for role, names in found.items()},
    )


def _facts(column: MaskedColumn) -> ColumnFacts:
    values = np.ma.asarray(column)
    plain = values.ndim == 1
    kinds = {"U": "text", "i": "number", "u": "number", "f": "number", "b": "truth"}
    kind = kinds.get(values.dtype.kind)
    kind = kind if plain and kind else "other"
    present = values.compressed() if plain else np.array([])
    counted = plain and values.dtype.kind in "iuUb"
    numbers = present[np.isfinite(present)] if kind == "number" else np.array([])
    return ColumnFacts(
        name=str(column.name),
        kind=kind,
        whole=values.dtype.kind in "iu",
        unit="" if column.unit is None else str(column.unit),
        ucd=str((column.meta or {}).get("ucd") or ""),
        description=column.description or "",
        n_empty=len(values) - len(present) if plain else 0,
        n_distinct=len(np.unique(present)) if counted else 0,
        low=float(numbers.min()) if numbers.size else np.nan,
        high=float(numbers.max()) if numbers.size else np.nan,
    )


def _ranked(
    facts: Sequence[ColumnFacts],
    names: Sequence[str],
    ucd: str,
    fits: Callable[[ColumnFacts], bool],
) -> list[str]:
    """Columns that fit, the likeliest first: by UCD (the main one first), then by name."""
    fitting = [fact for fact in facts if fits(fact)]
    by_ucd = [fact.name for fact in fitting if ucd and fact.ucd.lower().startswith(ucd)]
    main = [f.name for f in fitting if f.name in by_ucd and "meta.main" in f.ucd.lower()]
    left = {fact.name: fact.name for fact in fitting}
    by_name = []
    for name in names:
        found = find_column(left, [name])
        if found is not None:
            by_name.append(left.pop(found))
    return list(dict.fromkeys([*main, *by_name, *by_ucd]))


def _is_unique(fact: ColumnFacts, n_rows: int) -> bool:
    usable = fact.kind == "text" or fact.whole
    return usable and not fact.n_empty and fact.n_distinct == n_rows


def _coordinate(facts: Sequence[ColumnFacts], axis: str) -> str | None:
    """The column of a coordinate; its values must be possible ones, in degrees."""
    low, high = (0.0, 360.0) if axis == "ra" else (-90.0, 90.0)
    ucd = f"pos.eq.{axis}"
    possible = [
        f for f in facts if f.kind == "number" and not f.whole and low <= f.low <= f.high <= high
    ]
    by_ucd = [f for f in possible if f.ucd.lower().split(";")[0] == ucd]
    main = [f.name for f in by_ucd if "meta.main" in f.ucd.lower()]
    found = find_column([f.name for f in possible], POSITION[axis])
    return next(iter([*main, *([found] if found else []), *(f.name for f in by_ucd)]), None)


def _sexagesimal(table: Table, facts: Sequence[ColumnFacts], axis: str) -> str | None:
    """The column of a coordinate written as hours or degrees, minutes and seconds."""
    name = find_column([fact.name for fact in facts if fact.kind == "text"], POSITION[axis])
    cells = [] if name is None else np.ma.asarray(table[name]).compressed()[:1000].tolist()
    return name if cells and all(map(_SEXAGESIMAL.fullmatch, cells)) else None


def _labels(facts: Sequence[ColumnFacts], n_rows: int, taken: set[str | None]) -> list[str]:
    """Columns of labels: by UCD or name, else text with few values, each in several rows."""

    def fits(fact: ColumnFacts) -> bool:
        few = 2 <= fact.n_distinct <= min(MOST_LABELS, max(n_rows // 3, 2))
        return fact.name not in taken and few and (fact.kind == "text" or fact.whole)

    named = _ranked(facts, _LABELS, "src.class", fits)
    by_content = [
        fact.name
        for fact in sorted(facts, key=lambda fact: fact.n_distinct)
        if fits(fact) and fact.kind == "text" and not _NO_LABEL.search(fact.name)
    ]
    return list(dict.fromkeys([*named, *by_content]))


def _repeats(fact: ColumnFacts, table: Table) -> bool:
    """Whether the column names sources that have several rows; a few repeats may be chance."""
    usable = fact.kind == "text" or fact.whole
    n_present = len(table) - fact.n_empty
    return usable and fact.n_distinct >= FEWEST_GROUPS and n_present >= 1.1 * fact.n_distinct


def _distinct(facts: Sequence[ColumnFacts], name: str) -> int:
    return next(fact.n_distinct for fact in facts if fact.name == name)


def _holds_whole(table: Table, group: str, source: str) -> bool:
    """Whether all rows of a source are in one group."""
    groups, sources = (label_texts(masked_column(table, name)) for name in (group, source))
    pairs = np.unique(np.stack([sources, groups]), axis=1)
    return len(np.unique(pairs[0])) == pairs.shape[1]
