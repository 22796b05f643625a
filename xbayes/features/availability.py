"""In which rows a column or an expression is not available: the third state of a value.

A column is not available in a row if its cell is empty and either

- the config says that catalogues may lack the column (`catalog.optional`): an empty cell cannot be
  told from an absent column, or
- the row is of a block (a data release, `catalog.block`) in which the training catalogue lacked
  the column entirely.

Which blocks these are is learned from the training catalogue and stored with the run. After that
the answer depends on the row alone, whatever else its catalogue holds.
"""

from collections.abc import Collection, Mapping
from functools import reduce
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from xbayes.errors import InputError
from xbayes.features.expression import (
    Call,
    Column,
    Constant,
    Expression,
    Node,
    as_kind,
    columns_in,
    evaluate_node,
)
from xbayes.features.functions import NAMED
from xbayes.features.values import Value

# A few empty cells are non-detections; only a block this large shows that a column is unavailable.
MIN_BLOCK = 20

LackedBy = Mapping[str, tuple[str | None, ...]]  # of each column, the blocks that lack it


def learn_lacking(
    block: Value | None,
    values: Mapping[str, Value],
    absent_in: Mapping[str, tuple[str, ...]],
    n_rows: int,
) -> LackedBy:
    """Of each column, the blocks in which every cell is empty, of at least MIN_BLOCK rows.

    `absent_in` holds blocks of which it is known that they have no such column, of any size. None
    stands for rows without a block; without a block column all rows are one block.
    """
    names = _names(block, n_rows)
    found, index = np.unique(names, return_inverse=True)
    size = np.bincount(index)
    lacking = {}
    for name, value in values.items():
        empty = np.bincount(index[np.broadcast_to(value.missing, n_rows)], minlength=len(found))
        blocks = found[(size >= MIN_BLOCK) & (empty == size) | np.isin(found, absent_in[name])]
        if blocks.size:
            lacking[name] = tuple(None if each == "" else str(each) for each in blocks)
    return lacking


def unavailable_columns(
    values: Mapping[str, Value],
    block: Value | None,
    lacked_by: LackedBy,
    optional: Collection[str],
    n_rows: int,
) -> dict[str, Bool[np.ndarray, "N"]]:
    """Per column, the rows in which it is not available."""
    names = _names(block, n_rows)
    rows = {}
    for name, value in values.items():
        blocks = ["" if each is None else each for each in lacked_by.get(name, ())]
        unknown = np.full(n_rows, name in optional) | np.isin(names, blocks)
        rows[name] = unknown & value.missing
    return rows


def unavailable_rows(
    expression: Expression,
    values: Mapping[str, Value],
    columns: Mapping[str, Bool[np.ndarray, "N"]],
    n_rows: int,
) -> Bool[np.ndarray, "N"]:
    """Rows in which the result of an expression is not available.

    `columns` holds the rows in which each column is not available. A coalesce is not available only
    where none of its arguments is available. A `where` is not available where its condition is
    unknown, or where the argument that it chooses is not available.
    """
    with np.errstate(all="ignore"):
        return np.broadcast_to(_not_available(expression.root, values, columns), n_rows)


class Truth(NamedTuple):
    """A condition in every row."""

    holds: Bool[np.ndarray, "N"]
    known: Bool[np.ndarray, "N"]


def truth_of(
    expression: Expression,
    values: Mapping[str, Value],
    columns: Mapping[str, Bool[np.ndarray, "N"]],
    n_rows: int,
) -> Truth:
    """Where a condition holds, and where that is known.

    `detected(x)` is unknown where x is not available, and false where x is empty otherwise.
    `columns` holds the rows in which each column is not available. Raises InputError for an
    expression that is not a condition.
    """
    detections: dict[str, Value] = {}
    root = _with_detections(expression.root, values, columns, detections)
    result = expression.with_root(root).evaluate_values({**values, **detections}, n_rows)
    if not result.is_condition:
        raise InputError("must be a condition, such as not detected(host); found a number")
    return Truth(holds=~result.missing & (result.value == 1), known=~result.missing)


def _with_detections(
    node: Node,
    values: Mapping[str, Value],
    columns: Mapping[str, Bool[np.ndarray, "N"]],
    detections: dict[str, Value],
) -> Node:
    """The node with a column in place of each `detected(...)`; the columns go to `detections`."""
    if isinstance(node, Column | Constant):
        return node
    if isinstance(node, Call) and node.function is NAMED["detected"]:
        x = evaluate_node(node.args[0], values)
        missing = x.missing & _not_available(node.args[0], values, columns)
        nowhere = np.zeros_like(missing)
        name = f"detected #{len(detections)}"
        detections[name] = Value(
            kind="condition", data=~x.missing, missing=missing, undefined=nowhere
        )
        return Column(name=name, place=node.place)
    args = tuple(_with_detections(arg, values, columns, detections) for arg in node.args)
    return node._replace(args=args)


def _names(block: Value | None, n_rows: int) -> np.ndarray:
    """The block of each row as text, empty where it has none."""
    if block is None:
        return np.full(n_rows, "")
    names = block.data
    if names.dtype.kind in "iuf":
        # A catalogue has few blocks, and numbers become text slowly.
        found, which = np.unique(names, return_inverse=True)
        names = found.astype(str)[which.reshape(-1)]
    return np.where(block.missing, "", names.astype(str))


def _not_available(
    node: Node, values: Mapping[str, Value], columns: Mapping[str, Bool[np.ndarray, "N"]]
) -> Bool[np.ndarray, "..."]:
    match node:
        case Column():
            return columns[node.name]
        case Constant():
            return np.array([False])
    each = [_not_available(arg, values, columns) for arg in node.args]
    if not isinstance(node, Call):
        return reduce(np.logical_or, each)
    if node.function is NAMED["where"]:
        condition = as_kind("condition", evaluate_node(node.args[0], values), node.args[0])
        unknown = condition.missing | _asks_of_unavailable(node.args[0], columns)
        otherwise = each[2] if len(each) > 2 else np.array([False])
        return unknown | np.where(condition.data.astype(bool), each[1], otherwise)
    combine = np.logical_and if node.function is NAMED["coalesce"] else np.logical_or
    return reduce(combine, each)


def _asks_of_unavailable(
    node: Node, columns: Mapping[str, Bool[np.ndarray, "N"]]
) -> Bool[np.ndarray, "..."]:
    """Rows in which the condition asks by `observed` for a column that is not available.

    Such a column makes every other condition unknown by itself, but not this one, which is false.
    """
    if isinstance(node, Constant | Column):
        return np.array([False])
    if isinstance(node, Call) and node.function in (NAMED["observed"], NAMED["detected"]):
        return reduce(np.logical_or, [columns[name] for name in columns_in(node)])
    return reduce(np.logical_or, [_asks_of_unavailable(arg, columns) for arg in node.args])
