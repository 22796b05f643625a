"""Sources that several files have, by their id or their position."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from astropy.table import MaskedColumn, Table
from jaxtyping import Bool, Int

from xbayes.catalog.columns import masked_column, subset
from xbayes.catalog.splits import components
from xbayes.catalog.taxonomy import label_texts
from xbayes.config.schema import CatalogConfig
from xbayes.errors import InputError

ARCSEC = np.pi / 180 / 3600


class Linked(NamedTuple):
    """The tables after the rule for repeated ids, and the source of each row."""

    tables: list[Table]
    link: Int[np.ndarray, "N"]  # over all tables: rows of one source have the same number
    warnings: tuple[str, ...]


def link_sources(
    tables: Sequence[Table], files: Sequence[str], releases: Sequence[str], config: CatalogConfig
) -> Linked:
    """Find rows of different tables that are of the same source.

    Parameters
    ----------
    tables, files, releases
        The tables with coordinates in degrees, the names of their files, and their releases.
    config
        `repeated_ids` says what happens to an id that several tables have, and `same_source` within
        which distance [arcsec] two rows of different tables are of one source.

    Raises
    ------
    InputError
        For an id that several tables have, with `repeated_ids: refuse`; it names the files.
    """
    kept, warnings = [*tables], []
    names = [label_texts(masked_column(table, config.id)) for table in tables]
    repeated = _repeated(names)
    if config.repeated_ids == "refuse":
        _refuse(names, repeated, files, config)
    elif config.repeated_ids == "first" and any(rows.any() for rows in repeated):
        kept = [subset(t, rows=~rows) for t, rows in zip(tables, repeated, strict=True)]
        names = [ids[~rows] for ids, rows in zip(names, repeated, strict=True)]
        warnings.append(
            f"{sum(int(rows.sum()) for rows in repeated)} rows are left out, because an earlier "
            "file has their id (catalog.repeated_ids: first)"
        )
    elif config.repeated_ids == "prefix":
        kept = [_prefixed(t, config.id, r) for t, r in zip(tables, releases, strict=True)]
    table_of = np.repeat(np.arange(len(kept)), [len(table) for table in kept])
    ids = np.concatenate(names)
    pairs = np.concatenate([_same_ids(ids), _near(kept, config)])
    pairs = pairs[table_of[pairs[:, 0]] != table_of[pairs[:, 1]]]
    link = components(len(ids), pairs)
    if len(pairs):
        a, b = pairs[0].tolist()
        shown = f"{ids[a]} of {files[int(table_of[a])]} and {ids[b]} of {files[int(table_of[b])]}"
        n = len(np.unique(link[pairs[:, 0]]))
        warnings.append(
            f"{n} source{'s are' if n > 1 else ' is'} in more than one file (the same id, or "
            f"within {config.same_source:g} arcsec, catalog.same_source), such as {shown}; all "
            "their rows train the classifier, and they share a fold"
        )
    return Linked(tables=kept, link=link, warnings=tuple(warnings))


def _repeated(names: Sequence[np.ndarray]) -> list[Bool[np.ndarray, "_"]]:
    """Per table, the rows whose id an earlier table has."""
    seen, repeated = np.array([], str), []
    for ids in names:
        repeated.append(np.isin(ids, seen))
        seen = np.concatenate([seen, ids])
    return repeated


def _refuse(
    names: Sequence[np.ndarray],
    repeated: Sequence[Bool[np.ndarray, "_"]],
    files: Sequence[str],
    config: CatalogConfig,
) -> None:
    for k, rows in enumerate(repeated):
        if rows.any():
            first = str(names[k][rows][0])
            other = next(j for j in range(k) if first in names[j])
            raise InputError(
                f"ids must be unique over all files, but {files[other]} and {files[k]} share "
                f"{int(rows.sum())} of column {config.id!r}, such as {first!r}; to keep both rows, "
                "in one fold, under the ids RELEASE:ID: catalog.repeated_ids: prefix; to keep that "
                "of the first file: catalog.repeated_ids: first"
            )


def _prefixed(table: Table, name: str, release: str) -> Table:
    """The table with the ids RELEASE:ID."""
    column = masked_column(table, name)
    made = table.copy(copy_data=False)
    texts = np.char.add(f"{release}:", label_texts(column))
    made.replace_column(name, MaskedColumn(texts, name=name, description=column.description))
    return made


def _same_ids(ids: np.ndarray) -> Int[np.ndarray, "P 2"]:
    """Neighbours in the order of equal ids."""
    order = np.argsort(ids, kind="stable")
    same = np.flatnonzero(ids[order][1:] == ids[order][:-1])
    return np.stack([order[same], order[same + 1]], 1)


def _near(tables: Sequence[Table], config: CatalogConfig) -> Int[np.ndarray, "P 2"]:
    """Pairs of rows within `config.same_source` of each other."""
    from scipy.spatial import KDTree

    if config.ra is None or config.dec is None:
        return np.zeros((0, 2), np.int64)
    angles = [
        np.concatenate([_degrees(table, name) for table in tables])
        for name in (config.ra, config.dec)
    ]
    ra, dec = np.deg2rad(angles)
    rows = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    at = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], 1)[rows]
    chord = 2 * np.sin(config.same_source * ARCSEC / 2)
    return rows[np.asarray(KDTree(at).query_pairs(chord, output_type="ndarray"), np.int64)]


def _degrees(table: Table, name: str) -> np.ndarray:
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    column = masked_column(table, name)
    return np.where(np.ma.getmaskarray(column), np.nan, np.ma.getdata(column).astype(np.float64))
