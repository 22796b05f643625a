"""A selection of sources as a Zooniverse subject set: a manifest, and a finder chart for each."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Float

from xbayes.catalog.columns import masked_column, subset
from xbayes.catalog.read import read_catalog
from xbayes.catalog.taxonomy import label_texts
from xbayes.catalog.write import write_catalog
from xbayes.config.checks import did_you_mean
from xbayes.errors import InputError
from xbayes.features.expression import parse
from xbayes.output.files import check_new_folder

RADIUS_ARCSEC = 60.0  # half the side of a chart
MANIFEST = "manifest.csv"
NEVER_SHOWN = "#"  # Zooniverse hides columns of the manifest that begin so


class SubjectSet(NamedTuple):
    """What was written."""

    folder: Path
    n_sources: int
    n_charts: int


class SkyColumns(NamedTuple):
    """The columns that a subject needs."""

    id: str
    ra: str | None = None
    dec: str | None = None


def write_subjects(
    catalog: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    select: str | None = None,
    most: int | None = None,
    columns: SkyColumns | None = None,
    overwrite: bool = False,
) -> SubjectSet:
    """Write the manifest and the charts of the selected sources, the least certain first.

    A chart shows the other sources of the catalogue around the source, without their classes. There
    are none without columns of the position.

    Parameters
    ----------
    catalog
        A run directory, or a classified catalogue.
    out
        The folder to make.
    select
        Condition over the columns, such as ``"entropy > 0.8 and n_missing < 3"``; None: all.
    most
        The largest number of sources; None: no limit.
    columns
        The columns of id and position; needed for a catalogue, known of a run.
    """
    path, known = _catalogue(Path(catalog))
    columns = columns or known
    if columns is None:
        raise InputError(f"{path} is no run, so the column of ids is not known; give --id COLUMN")
    table = read_catalog(path, text=[columns.id])
    for name in filter(None, columns):
        if name not in table.colnames:
            near = did_you_mean(name, table.colnames)
            raise InputError(f"the catalogue has no column {name!r}{near}")
    rows = _selected(table, select)
    if "entropy" in table.colnames:
        entropy = np.ma.filled(np.ma.asarray(table["entropy"], np.float64), -np.inf)
        rows = rows[np.argsort(-entropy[rows], kind="stable")]
    chosen = subset(table, rows=rows[:most])
    folder = Path(out).expanduser()
    if folder.exists() and not overwrite:
        raise InputError(f"{folder} exists; give another --out, or --overwrite")
    check_new_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = _file_names(label_texts(masked_column(chosen, columns.id)))
    with_charts = columns.ra is not None and columns.dec is not None
    if with_charts:
        _write_charts(folder, table, chosen, columns, names)
    manifest = manifest_of(chosen, columns, names if with_charts else None)
    write_catalog(manifest, folder / MANIFEST, overwrite=True)
    return SubjectSet(folder=folder, n_sources=len(chosen), n_charts=len(chosen) * with_charts)


def manifest_of(table: Table, columns: SkyColumns, images: list[str] | None) -> Table:
    """The manifest: source, position, image, and the class probabilities, which stay hidden."""
    made = Table()
    made["source"] = label_texts(masked_column(table, columns.id))
    for name, column in (("ra", columns.ra), ("dec", columns.dec)):
        if column is not None:
            made[name] = np.ma.asarray(table[column])
    if images is not None:
        made["image"] = images
    hidden = [n for n in table.colnames if n in ("prediction", "entropy") or n.startswith("p_")]
    for name in hidden:
        made[f"{NEVER_SHOWN}{name}"] = np.ma.asarray(table[name])
    return made


def _write_charts(
    folder: Path, table: Table, chosen: Table, columns: SkyColumns, names: list[str]
) -> None:
    """A finder chart of each chosen source among all sources of the table."""
    from xbayes.figures.finder import Neighbours, finder
    from xbayes.figures.style import figure_bytes

    ids = label_texts(masked_column(chosen, columns.id)).tolist()
    ra, dec = _positions(table, columns)
    for name, id_, ra_0, dec_0 in zip(names, ids, *_positions(chosen, columns), strict=True):
        north = (dec - dec_0) * 3600
        east = ((ra - ra_0 + 180) % 360 - 180) * np.cos(np.radians(dec_0)) * 3600
        near = (np.abs(north) < RADIUS_ARCSEC) & (np.abs(east) < RADIUS_ARCSEC)
        near &= (north != 0) | (east != 0)
        # No predictions: volunteers should not see what the classifier says.
        neighbours = Neighbours(
            east=east[near], north=north[near], prediction=np.full(int(near.sum()), -1)
        )
        drawn = finder(neighbours, (), radius=RADIUS_ARCSEC, title=id_)
        (folder / name).write_bytes(figure_bytes(drawn, ".png"))


def _positions(
    table: Table, columns: SkyColumns
) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    """Right ascension and declination [deg]; NaN where there is none."""
    assert columns.ra is not None and columns.dec is not None, "charts need positions"
    degrees = [
        np.ma.filled(np.ma.asarray(table[name]).astype(float), np.nan)
        for name in (columns.ra, columns.dec)
    ]
    return degrees[0], degrees[1]


def _catalogue(path: Path) -> tuple[Path, SkyColumns | None]:
    if not path.is_dir():
        return path, None
    from xbayes.tasks.fitted_run import load

    roles = load(path).config.catalog
    return path / "catalog.parquet", SkyColumns(id=roles.id, ra=roles.ra, dec=roles.dec)


def _selected(table: Table, select: str | None) -> np.ndarray:
    if select is None:
        return np.arange(len(table))
    expression = parse(select)
    lacking = [name for name in expression.columns if name not in table.colnames]
    if lacking:
        near = did_you_mean(lacking[0], table.colnames)
        raise InputError(f"--select {select!r}: there is no column {lacking[0]!r}{near}")
    found = expression.evaluate(table)
    rows = np.flatnonzero((np.asarray(found.value) != 0) & ~np.asarray(found.missing))
    if not len(rows):
        raise InputError(
            f"--select {select!r} holds for none of the {len(table)} sources; give "
            f"a wider condition"
        )
    return rows


def _file_names(ids: np.ndarray) -> list[str]:
    """A file name for each source, distinct, of plain letters."""
    return [
        f"{number:05d}_{''.join(c if c.isalnum() and c.isascii() else '_' for c in name)[:60]}.png"
        for number, name in enumerate(ids.tolist(), start=1)
    ]
