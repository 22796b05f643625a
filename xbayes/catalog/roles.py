"""Check that a catalogue has the columns that a config names, and mask its missing values."""

import difflib
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from astropy.table import MaskedColumn, Table
from jaxtyping import Bool

from xbayes.catalog.columns import masked_column
from xbayes.catalog.text_numbers import refuse_rounded, with_numbers
from xbayes.catalog.units import convert_units, in_degrees, state_units
from xbayes.catalog.whole_check import WholeCheck
from xbayes.config.catalog import SEXAGESIMAL
from xbayes.config.checks import did_you_mean, quoted
from xbayes.config.schema import CatalogConfig
from xbayes.errors import InputError

Purpose = Literal["train", "classify"]
_SIMILAR = 0.6  # share of letters that two names must have in common to be proposed
_ID_NAME = re.compile(r"(^|_)(id|ident|name|src|designation|number)\d*$|id$|name$", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")
_NAMES = ("id", "source", "group", "label")  # roles of columns that name something
_ROLES = ("ra", "dec", "label", "source", "group", "block")


def check_catalog(
    table: Table,
    config: CatalogConfig,
    needed: Sequence[str],
    purpose: Purpose,
    *,
    numbers: Collection[str] | None = None,
) -> Table:
    """A copy of the table that has every needed column and masks every missing value.

    The markers of `config.missing_values` and infinite numbers are masked. Columns of
    `config.optional` that the table lacks are added, all masked, with `meta["absent"]`.

    Parameters
    ----------
    table
        The catalogue.
    config
        The roles of its columns.
    needed
        Columns that features are computed from.
    purpose
        "train" needs every column that the config names. "classify" needs the id and the `needed`
        columns; a single row without an id column is named "row 1".
    numbers
        Columns that become numbers if only markers made text of them. None: all that are needed.

    Raises
    ------
    InputError
        For a lacking column, a missing or repeated id, and coordinates out of range.
    """
    table = uniform_catalog(table, config, needed, purpose, numbers=numbers)
    check = WholeCheck(config)
    check.add(table)
    check.close(lambda: [table])
    return in_stated_units(table, config) if purpose == "train" else table


def in_stated_units(table: Table, config: CatalogConfig) -> Table:
    """The table with coordinates in degrees, and columns in the units of `catalog.units`."""
    stated = {name: unit for name, unit in config.units.items() if unit not in SEXAGESIMAL}
    return convert_units(
        in_degrees(table, config.ra, config.dec), stated, wanted_by="catalog.units says"
    )


def uniform_catalog(
    table: Table,
    config: CatalogConfig,
    needed: Sequence[str],
    purpose: Purpose,
    *,
    numbers: Collection[str] | None = None,
) -> Table:
    """As `check_catalog`, for a chunk: ids and coordinates are not checked."""
    table = Table(table, masked=True, copy=True)
    if purpose == "classify" and len(table) == 1 and config.id not in table.colnames:
        table.add_column(MaskedColumn(["row 1"], name=config.id), index=0)
    check_present(table.colnames, config, needed, purpose)
    for name, markers in config.missing_values.items():
        if name in table.colnames:
            _mask(table, name, _equals_any(masked_column(table, name), markers))
    wanted = {*(needed if numbers is None else numbers), config.ra, config.dec}
    marked = [name for name in config.missing_values if name in wanted]
    with_numbers(table, [name for name in marked if name in table.colnames])
    for role in _NAMES if purpose == "train" else _NAMES[:1]:
        name = getattr(config, role)
        if name in table.colnames:
            refuse_rounded(table, name, role=f"catalog.{role}")
    for name in table.colnames:
        column = masked_column(table, name)
        if column.dtype.kind == "f":
            _mask(table, name, np.isinf(np.ma.getdata(column)))
    state_units(table, config.units)
    for name in config.optional:
        if name not in table.colnames:
            table[name] = _absent(name, len(table))
    return table


def check_present(
    colnames: Sequence[str], config: CatalogConfig, needed: Sequence[str], purpose: Purpose
) -> None:
    """Raise InputError for columns that are needed, but neither present nor optional."""
    wanted = list(needed)
    if purpose == "train":
        wanted += [getattr(config, role) for role in _ROLES if getattr(config, role) is not None]
        wanted += [*config.keep, *config.missing_values]
    present = {*colnames, *config.optional, config.id}
    lacking = [name for name in dict.fromkeys(wanted) if name not in present]
    if config.id in colnames and not lacking:
        return
    near = nearest_names(lacking, [name for name in colnames if name not in {*needed, config.id}])
    say = _say_lacking_to_classify if purpose == "classify" else _say_lacking_to_train
    raise InputError("the catalogue lacks " + say(colnames, config.id, lacking, near))


def nearest_names(lacking: Sequence[str], free: Sequence[str]) -> dict[str, str]:
    """The most similar of the free names for each lacking one that has any; each is used once."""
    plain = {name: _letters(name) for name in (*free, *lacking)}
    pairs = [
        (difflib.SequenceMatcher(None, plain[name], plain[other]).ratio(), name, other)
        for name in lacking
        for other in free
        # The names w1_mag and w2_mag are similar, but never the same column.
        if _DIGITS.findall(plain[name]) == _DIGITS.findall(plain[other])
    ]
    near: dict[str, str] = {}
    for ratio, name, other in sorted(pairs, key=lambda pair: -pair[0]):
        if ratio >= _SIMILAR and name not in near and other not in near.values():
            near[name] = other
    return {name: near[name] for name in lacking if name in near}


def _letters(name: str) -> str:
    """The name without case, marks and equinox, in which catalogues differ most."""
    letters = re.sub(r"[\W_]+", "", name).lower()
    letters = re.sub(r"(?<=.)(j2000|icrs|deg)$", "", letters)
    return {"de": "dec", "": name}.get(letters, letters)


def _say_lacking_to_train(
    colnames: Sequence[str], id_column: str, lacking: Sequence[str], near: Mapping[str, str]
) -> str:
    if id_column not in colnames:
        near_id = did_you_mean(id_column, colnames)
        return f"its id column {id_column!r}{near_id}; set catalog.id"
    return (
        f"column{'s' if len(lacking) > 1 else ''} {_named(lacking, near, colnames)}; rename it in "
        "the catalogue or the config, or list it under catalog.optional"
    )


def _say_lacking_to_classify(
    colnames: Sequence[str], id_column: str, lacking: Sequence[str], near: Mapping[str, str]
) -> str:
    parts = []
    if id_column not in colnames:
        parts.append(_say_no_id(colnames, id_column))
    if lacking:
        pairs = " ".join(f"--map {shlex.quote(f'{name}={old}')}" for name, old in near.items())
        under = f"{pairs} (in Python map={dict(near)})" if near else "--map NEW=OLD (map=)"
        none = [name for name in lacking if name not in near] or list(lacking)
        without = " ".join(f"--optional {shlex.quote(name)}" for name in none)
        parts.append(
            f"column{'s' if len(lacking) > 1 else ''} {_named(lacking, near, colnames)}; if it has "
            f"them under other names: {under}; if it has no such column: {without} "
            f"(optional={none})"
        )
    return "; and it lacks ".join(parts)


def _say_no_id(colnames: Sequence[str], id_column: str) -> str:
    near = nearest_names([id_column], colnames).get(id_column)
    others = [name for name in colnames if _ID_NAME.search(name) and name != near]
    likely = [*([near] if near else []), *others][:4]
    meant = f" (did you mean {near!r}?)" if near else ""
    shown = f"; {quoted(likely)} may be its ids" if likely else ""
    name = shlex.quote(str(likely[0])) if likely else "COLUMN"
    return (
        f"its id column {id_column!r}{meant}{shown}; name it: --id {name} (in Python id=), or "
        "number the rows: --id row"
    )


def _named(lacking: Sequence[str], near: Mapping[str, str], colnames: Sequence[str]) -> str:
    """The lacking columns, each with the nearest one."""
    named = ", ".join(
        f"{name!r} (did you mean {near[name]!r}?)" if name in near else repr(name)
        for name in lacking
    )
    if near or not colnames:
        return named
    more = ", ..." if len(colnames) > 20 else ""
    return f"{named} (it has {', '.join(list(dict.fromkeys(colnames))[:20])}{more})"


def _absent(name: str, n_rows: int) -> MaskedColumn:
    values = np.full(n_rows, np.nan)
    meta = {"absent": True}
    column: Any = MaskedColumn(values, mask=True, name=name, fill_value=np.nan, meta=meta)
    return column


def _mask(table: Table, name: str, where: Bool[np.ndarray, "..."]) -> None:
    """Mask more values, with NaN or "" under the mask."""
    column = masked_column(table, name)
    if not where.any():
        return
    column.mask = np.ma.getmaskarray(column) | where
    if column.dtype.kind in "fU":
        np.ma.getdata(column)[where] = np.nan if column.dtype.kind == "f" else ""


def _equals_any(
    column: MaskedColumn, markers: Sequence[str | int | float]
) -> Bool[np.ndarray, "..."]:
    """Where a value is one of the markers; "-99", "-99.0" and -99 are the same marker."""
    values = np.ma.getdata(column)
    numbers = [number for number in map(_number, markers) if number is not None]
    if values.dtype.kind in "iu":
        # Not as floats, which are the same for many large integers.
        limits = np.iinfo(values.dtype)
        whole = [number for number in map(_whole, markers) if number is not None]
        within = [number for number in whole if limits.min <= number <= limits.max]
        return np.isin(values, np.array(within, values.dtype))
    if values.dtype.kind == "f":
        # A number that was once stored in 32 bits equals the marker rounded to 32 bits.
        with np.errstate(over="ignore"):
            rounded = np.array(numbers, np.float64).astype(np.float32)
        if values.dtype == np.float32:
            return np.isin(values, rounded[np.isfinite(rounded)])
        return np.isin(values, np.array([*numbers, *rounded], np.float64))
    if values.dtype.kind not in "bU":
        return np.zeros(values.shape, bool)
    texts = {str(marker).strip().lower() for marker in markers}
    distinct, inverse = np.unique(values.astype(str), return_inverse=True)
    cells = [cell.strip().lower() for cell in distinct.tolist()]
    return np.array([cell in texts or _number(cell) in numbers for cell in cells], bool)[inverse]


def _whole(marker: str | int | float) -> int | None:
    """The marker as an integer with every digit; None if it is none."""
    try:
        return int(marker) if isinstance(marker, int) else int(str(marker))
    except ValueError:
        number = _number(marker)
    return int(number) if number is not None and number.is_integer() else None


def _number(marker: str | int | float) -> float | None:
    try:
        return float(marker)
    except ValueError:
        return None
