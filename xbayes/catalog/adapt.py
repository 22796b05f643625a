"""Columns as a file format can hold them: renamed, spelled otherwise, or left out, and told.

A column that a format cannot hold never stops the work. What changes follows from the columns
alone, so that it can be told before long work (`column_messages`).
"""

import os
import re
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from xbayes.catalog.columns import UNWRITABLE, FileColumn, from_table, signed, standard_width
from xbayes.catalog.formats import format_of
from xbayes.catalog.ragged import all_missing, conformed, element_type, model_of, with_arrays
from xbayes.catalog.standard_units import with_standard_unit
from xbayes.errors import InputError

_COMPLEX = ("FITS", "VOTable")
_AXES = {"CSV": 1, "Parquet": 2}  # most axes of the values, rows included
# Types of the elements of arrays of different lengths.
_RAGGED = {"FITS": "biuf", "VOTable": "biuf", "ECSV": "biufU", "Parquet": "biufU"}
_WORDS = {"b": "truth values", "i": "integers", "u": "integers", "f": "numbers", "U": "text"}
_MOST_COLUMNS = 999  # of a FITS table
_LONGEST_NAME = 68  # characters of a FITS name
_LISTED = 5  # columns named in a message
Told = tuple[str, str]  # a kind of change, and the name of a column that was changed so


class Adapted(NamedTuple):
    """The columns that a file of some format holds, and what was changed."""

    columns: list[FileColumn]
    given: list[str]  # the names of these columns in the table
    messages: list[str]


def column_messages(
    table: Table,
    path: str | os.PathLike[str],
    made: Collection[str] = (),
    told: set[Told] | None = None,
) -> list[str]:
    """What changes in the columns of a table, or is left out, in a file of this name.

    `made` are names of columns that will be added; for `told` see `adapted`. Raises InputError if
    no such file can be written.
    """
    name = format_of(Path(path)).name
    result = adapted(from_table(table), name, told)
    _check_number(len(result.columns) + len(made), name)
    return result.messages


def adapted(
    columns: Sequence[FileColumn], format_name: str, told: set[Told] | None = None
) -> Adapted:
    """The columns as a format holds them. Raises InputError if it holds none, or not so many.

    Changes in `told` are not told again; those that are told now are added to it.
    """
    told = set() if told is None else told
    as_lists = format_name == "Parquet"
    columns = [with_arrays(column, as_lists=as_lists) for column in columns]
    reasons = {column.name: _reason(column, format_name) for column in columns}
    dropped = {name: reason for name, reason in reasons.items() if reason}
    given = [column for column in columns if not reasons[column.name]]
    if not given:
        raise InputError(
            f"a {format_name} file holds none of the columns: {_listed(_reasons(dropped))}; give "
            "the table a column of numbers, truth values or text"
        )
    _check_number(len(given), format_name)
    names = distinct_names([column.name for column in given], format_name)
    held = [
        with_standard_unit(_plain(column, format_name)._replace(name=name), format_name)
        for column, name in zip(given, names, strict=True)
    ]
    messages = _messages(format_name, dropped, list(zip(given, held, strict=True)), told)
    return Adapted(columns=held, given=[column.name for column in given], messages=messages)


def without_rows(first: Adapted) -> Adapted:
    """The names and types of the columns alone."""
    return first._replace(columns=[model_of(column) for column in first.columns])


def like(first: Adapted, columns: Sequence[FileColumn], told: set[Told]) -> Adapted:
    """A later chunk of a Parquet file, in the names and types of the first.

    Values that do not fit these types are missing, and told: the work is done, so it is kept.
    """
    here, held, lost = {column.name: column for column in columns}, [], {}
    for name, model in zip(first.given, first.columns, strict=True):
        column = _plain(with_arrays(here[name], as_lists=True), "Parquet")
        fitted = conformed(column, model)
        if fitted is None:
            lost[name] = repr(name)
        held.append(all_missing(model, len(column.values)) if fitted is None else fitted)
    messages = []
    if new := _untold("lost", lost, told):
        messages.append(
            f"values of {_listed(new)} are missing in the Parquet file where their type is not "
            "that of the first rows; .fits, .vot and .ecsv are not written in pieces"
        )
    return Adapted(columns=held, given=first.given, messages=messages)


def distinct_names(names: Sequence[str], format_name: str) -> list[str]:
    """The names as the format can hold them. FITS does not distinguish upper and lower case."""

    def key(name: str) -> str:
        return name.lower() if format_name == "FITS" else name

    given, used, result = {key(name) for name in names}, set(), []
    for number, name in enumerate(names, start=1):
        allowed = chosen = _allowed(name, format_name) or f"column_{number}"
        attempt = 2
        # A new name may not be that of another column, wherever it stands.
        while key(chosen) in used or (chosen != name and key(chosen) in given - {key(name)}):
            chosen = f"{allowed[: _LONGEST_NAME - 6]}_{attempt}"
            attempt += 1
        used.add(key(chosen))
        result.append(chosen)
    return result


def _allowed(name: str, format_name: str) -> str:
    """The name without characters that the format cannot hold; it may be empty."""
    if format_name != "FITS":
        return UNWRITABLE.sub("_", name).strip()
    letters = (c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    # Astropy misreads some quotes and &, and warns of names that begin with another character.
    text = re.sub(r"[^ -~]|['&]", "_", "".join(letters)).strip()
    return re.sub(r"^\W", "_", text[:_LONGEST_NAME].strip())


def _reason(column: FileColumn, format_name: str) -> str:
    """Why the format cannot hold the column; empty if it can."""
    kind, shape = column.values.dtype.kind, column.values.shape
    if len(shape) > _AXES.get(format_name, len(shape)) or 0 in shape[1:]:
        return f"arrays of shape {shape[1:]}"
    if kind == "c" and format_name not in _COMPLEX:
        return "complex numbers"
    if len(shape) > 1 and format_name == "VOTable":
        # Astropy would refuse the whole file because of one array of text.
        if kind in "UmM":
            return "arrays of text"
        if standard_width(column).values.dtype.kind == "U":
            return "arrays of integers above 2**63 - 1"
    if kind in "biufcUmM":
        return ""
    if kind != "O":
        return f"values of {column.values.dtype}"
    element = element_type(column)
    if element is None:
        return "cells of several types"
    is_held = element.kind in _RAGGED.get(format_name, "") and (
        element != np.uint64 or format_name in ("ECSV", "Parquet")
    )
    return "" if is_held else f"arrays of different lengths of {_WORDS[element.kind]}"


def _plain(column: FileColumn, format_name: str) -> FileColumn:
    """The same values in a type that the format has."""
    values, missing = column.values, column.missing
    if values.dtype.kind in "mM":
        missing = missing | np.isnat(values)
        return column._replace(values=np.where(missing, "", values.astype(str)), missing=missing)
    if values.dtype in (np.longdouble, np.clongdouble):
        return column._replace(
            values=values.astype(np.float64 if values.dtype.kind == "f" else np.complex128)
        )
    if format_name == "Parquet":
        return signed(column)
    if format_name not in ("FITS", "VOTable"):
        return column
    column = standard_width(column)
    if format_name == "FITS" and column.values.dtype.kind == "U":
        return column._replace(values=_escaped(np.where(column.missing, "", column.values)))
    return column


def _escaped(texts: np.ndarray) -> np.ndarray:
    """Text in which characters that are not printable ASCII are escapes, such as \\u03b1."""
    codes = np.ascontiguousarray(texts).view(np.uint32)
    # Text shorter than the column is padded with zeros.
    if np.all((codes == 0) | ((codes >= 32) & (codes <= 126))):
        return texts
    cells = [re.sub(r"[^ -~]", _escape, text) for text in texts.ravel().tolist()]
    return np.array(cells, str).reshape(texts.shape)


def _escape(character: re.Match[str]) -> str:
    return character[0].encode("unicode_escape", "backslashreplace").decode()


def _check_number(n_columns: int, format_name: str) -> None:
    if format_name == "FITS" and n_columns > _MOST_COLUMNS:
        raise InputError(
            f"a FITS table holds at most {_MOST_COLUMNS} columns, here are {n_columns}; write "
            ".parquet or .vot, or leave columns out"
        )


def _untold(kind: str, texts: dict[str, str], told: set[Told]) -> list[str]:
    """The texts about columns of which this was not told yet."""
    new = {name: text for name, text in texts.items() if (kind, name) not in told}
    told.update((kind, name) for name in new)
    return [*new.values()]


def _messages(
    format_name: str,
    dropped: dict[str, str],
    changed: Sequence[tuple[FileColumn, FileColumn]],
    told: set[Told],
) -> list[str]:
    messages = []
    if reasons := _untold("left out", {n: f"{n!r} ({text})" for n, text in dropped.items()}, told):
        messages.append(f"left out of the {format_name} file, which cannot hold {_listed(reasons)}")
    names = {old.name: new.name for old, new in changed if old.name != new.name}
    if renamed := _untold(
        "renamed", {old: f"{old!r} as {new!r}" for old, new in names.items()}, told
    ):
        why = "names need printable characters and must differ"
        if format_name == "FITS":
            why = "FITS names are ASCII, and upper and lower case count as the same"
        messages.append(f"columns are written under other names: {_listed(renamed)} ({why})")
    odd = {old.name: repr(old.name) for old, new in changed if _has_other_text(old, new)}
    if escaped := _untold("escaped", odd, told):
        messages.append(
            f"FITS holds ASCII text only: other characters in {_listed(escaped)} are written as "
            "escapes, such as \\u03b1 for a Greek alpha; .parquet, .vot and .csv keep them"
        )
    kinds = {old.name: (old.values.dtype.kind, new.values.dtype.kind) for old, new in changed}
    if as_text := _untold(
        "as text", {n: repr(n) for n, pair in kinds.items() if pair == ("u", "U")}, told
    ):
        messages.append(
            f"integers above 2**63 - 1 in {_listed(as_text)} are written as text, because "
            f"{format_name} has no such numbers; .parquet has"
        )
    return messages


def _has_other_text(old: FileColumn, new: FileColumn) -> bool:
    if not old.values.dtype.kind == new.values.dtype.kind == "U":
        return False
    return bool(np.any((old.values != new.values) & ~old.missing))


def _reasons(dropped: dict[str, str]) -> list[str]:
    return [f"{name!r} ({reason})" for name, reason in dropped.items()]


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - _LISTED
    return ", ".join(texts[:_LISTED]) + (f" and {more} more" if more > 0 else "")
