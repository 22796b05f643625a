"""Tables stacked column by column; a column that a table lacks is masked in its rows."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from astropy.table import MaskedColumn, Table

from xbayes.catalog.columns import masked_column
from xbayes.catalog.taxonomy import label_texts
from xbayes.errors import InputError

_FILL = {"f": np.nan, "U": ""}


def stacked_columns(
    tables: Sequence[Table],
    files: Sequence[str],
    names: Sequence[str],
    numbers: Collection[str | None],
) -> list[MaskedColumn]:
    """The columns `names` of all tables one below the other; names that no table has are left out.

    Unit, description and metadata are those of the first table that has the column. If some tables
    hold text and others numbers, the column becomes text, but one of `numbers` is an InputError
    that names the files.
    """
    columns = []
    for name in names:
        parts = [masked_column(t, name) if name in t.colnames else None for t in tables]
        if any(part is not None for part in parts):
            columns.append(_stacked(name, parts, tables, files=files, is_number=name in numbers))
    return columns


def _stacked(
    name: str,
    parts: Sequence[MaskedColumn | None],
    tables: Sequence[Table],
    *,
    files: Sequence[str],
    is_number: bool,
) -> MaskedColumn:
    present = {k: part for k, part in enumerate(parts) if part is not None}
    # A column without any value says nothing of its type.
    typed = {k: part for k, part in present.items() if not np.all(np.ma.getmaskarray(part))}
    kinds = {k: _kind(part) for k, part in (typed or present).items()}
    shapes = {np.shape(part)[1:] for part in typed.values()}
    if len(shapes) > 1 or (len({*kinds.values()}) > 1 and ("O" in kinds.values() or any(shapes))):
        raise InputError(
            f"column {name!r} holds arrays in some files and other values, or other arrays, in "
            "others; leave it out of catalog.keep"
        )
    as_text = len({*kinds.values()}) > 1
    if as_text and is_number:
        k = next(k for k, kind in kinds.items() if kind != "number")
        other = next(k for k, kind in kinds.items() if kind == "number")
        text = label_texts(typed[k])[~np.ma.getmaskarray(typed[k])][0]
        raise InputError(
            f"column {name!r} holds numbers in {files[other]}, but text in {files[k]}, such as "
            f"{text!r}; correct the cells, or list the text under missing_values of that file"
        )
    as_text = as_text or (not is_number and _loses_digits([*typed.values()]))
    shape = next(iter(shapes), ())
    data = {k: label_texts(part) if as_text else np.ma.getdata(part) for k, part in typed.items()}
    model = np.concatenate([*data.values()])[:0] if data else np.ma.getdata(present[min(present)])
    values, masks = [], []
    for k, table in enumerate(tables):
        fill = np.zeros((len(table), *shape), model.dtype)
        fill[...] = _FILL.get(model.dtype.kind, fill[...])
        values.append(data.get(k, fill))
        masks.append(np.ma.getmaskarray(typed[k]) if k in typed else np.ones(fill.shape, bool))
    first = next(iter(present.values()))
    stacked: Any = MaskedColumn(
        np.concatenate(values),
        mask=np.concatenate(masks),
        name=name,
        unit=first.unit,
        description=first.description,
        meta=dict(first.meta or {}),
        fill_value=_FILL.get(model.dtype.kind),
    )
    return stacked


def _loses_digits(columns: Sequence[MaskedColumn]) -> bool:
    """Whether integers above 2**53 would become floating-point numbers in one column."""
    values = [np.ma.getdata(c)[~np.ma.getmaskarray(c)] for c in columns]
    if not values or np.result_type(*values).kind != "f":
        return False
    return any(v.dtype.kind in "iu" and v.size and v.max() > 2**53 for v in values)


def _kind(column: MaskedColumn) -> str:
    """ "number" for numbers and truth values, else the kind of numpy."""
    kind = np.ma.getdata(column).dtype.kind
    return "number" if kind in "biuf" else kind
