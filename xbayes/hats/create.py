"""Tables written as a HATS catalogue with its margin; for large imports there is hats-import.

All partitions have one order. The tables come one after another, so that their sum may be larger
than memory; a partition must fit.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int

from xbayes.catalog.hats_names import SPATIAL_INDEX
from xbayes.enhance.pairs import Positions, moved
from xbayes.errors import InputError
from xbayes.hats.describe import describe_folder, describe_joined, partition_path
from xbayes.hats.partitions import Partition

ROW_GROUP = 131_072
_FINEST = 29  # order of the spatial index
_CELL_OF_ORDER_0 = 58.6 * 3600  # arcsec
_DIRECTIONS, _REACHES = 16, (1.0, 1.5, 2.0)  # see `_outside`


class Layout(NamedTuple):
    """How a catalogue is laid out."""

    order: int  # of every partition: 12 * 4**order cells cover the sky
    margin_arcsec: float = 5.0  # 0: no margin
    ra: str = "ra"
    dec: str = "dec"
    detections: bool = False  # several rows an object


def write_hats(
    tables: Iterable[pa.Table], folder: str | Path, layout: Layout, *, name: str = "catalogue"
) -> int:
    """Write a HATS catalogue of the rows of all tables, and return their number.

    Parameters
    ----------
    tables
        Tables with the same columns; positions are in degrees (ICRS).
    folder
        The catalogue; it must not exist.

    Raises
    ------
    InputError
        If the folder exists, or a row has no position.
    """
    folder = Path(folder)
    if folder.exists():
        raise InputError(f"{folder} exists; give another folder")
    pieces = folder / ".pieces"
    try:
        margin = f"{name}_{layout.margin_arcsec:g}arcs" if layout.margin_arcsec else None
        for number, table in enumerate(tables):
            place = Positions(ra=_angles(table, layout.ra), dec=_angles(table, layout.dec))
            index = _spatial_index(place)
            indexed = table.add_column(0, SPATIAL_INDEX, pa.array(index))
            pixel = index >> 2 * (_FINEST - layout.order)
            _write_pieces(indexed, pixel, pieces / name, number)
            if margin is not None:
                row, outside = _outside(place, index, layout)
                _write_pieces(indexed.take(pa.array(row)), outside, pieces / margin, number)
        n_rows = _join(pieces / name, folder / name, layout)
        if margin is not None:
            _join(pieces / margin, folder / margin, layout, primary=name)
    finally:
        shutil.rmtree(pieces, ignore_errors=True)
    describe_joined(folder, name, margin if margin and (folder / margin).is_dir() else None)
    return n_rows


def _angles(table: pa.Table, name: str) -> np.ndarray:
    angles = np.asarray(table[name].to_numpy(), np.float64)
    if not np.isfinite(angles).all():
        raise InputError(f"column {name!r} has rows without a position; remove them")
    return angles


def _spatial_index(place: Positions) -> Int[np.ndarray, "N"]:
    from hats.pixel_math.spatial_index import compute_spatial_index

    return np.asarray(compute_spatial_index(place.ra, place.dec), np.int64)


def _write_pieces(table: pa.Table, pixel: np.ndarray, folder: Path, number: int) -> None:
    """The rows of each pixel as a file, in `folder/PIXEL`."""
    order = np.argsort(pixel, kind="stable")
    sorted_pixel, table = pixel[order], table.take(pa.array(order))
    pixels, first = np.unique(sorted_pixel, return_index=True)
    for cell, start, end in zip(pixels, first, [*first[1:], len(pixel)], strict=True):
        place = folder / f"{cell:012d}"
        place.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.slice(start, end - start), place / f"{number:06d}.parquet")


def _join(pieces: Path, folder: Path, layout: Layout, primary: str | None = None) -> int:
    """The pieces of each pixel as a partition, in the order of the spatial index."""
    from hats.catalog import TableProperties

    written = []
    for place in sorted(pieces.iterdir()) if pieces.is_dir() else ():
        parts = [pq.ParquetFile(path).read() for path in sorted(place.iterdir())]
        table = pa.concat_tables(parts)
        table = table.take(pa.array(np.argsort(table[SPATIAL_INDEX].to_numpy(), kind="stable")))
        partition = Partition(layout.order, int(place.name), file="", n_rows=len(table))
        path = partition_path(folder, partition)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, row_group_size=ROW_GROUP)
        written.append(partition)
    if not written:
        return 0
    kind = "source" if layout.detections else "object"
    values = {
        "catalog_name": folder.name,
        "catalog_type": kind if primary is None else "margin",
        "total_rows": 0,
        "ra_column": layout.ra,
        "dec_column": layout.dec,
        "healpix_column": SPATIAL_INDEX,
        "healpix_order": _FINEST,
        "hats_builder": "xbayes",
    }
    if primary is not None:
        values |= {"primary_catalog": primary, "margin_threshold": layout.margin_arcsec}
    info = TableProperties(**values)
    return describe_folder(folder, info, written)


def _outside(
    place: Positions, index: Int[np.ndarray, "N"], layout: Layout
) -> tuple[Int[np.ndarray, "M"], Int[np.ndarray, "M"]]:
    """The rows near other pixels, and these pixels: all within the margin, and a few further ones.

    A point whose disk of the margin's radius reaches into a pixel has neighbours in that pixel in
    one of the directions, at one or two radii: also at the corners, which are wider than 60 deg.
    """
    order, radius = layout.order, layout.margin_arcsec
    near = np.flatnonzero(_at_the_edge(index, order, 2.6 * radius))
    own = index[near] >> 2 * (_FINEST - order)
    rows, pixels = [], []
    for angle in np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS:
        for reach in _REACHES:
            step = reach * radius * np.array([np.sin(angle), np.cos(angle)])
            there = moved(place.rows(near), np.broadcast_to(step, (len(near), 2)))
            pixel = _spatial_index(there) >> 2 * (_FINEST - order)
            rows.append(near[pixel != own])
            pixels.append(pixel[pixel != own])
    found = np.unique(np.stack([np.concatenate(rows), np.concatenate(pixels)]), axis=1)
    return found[0], found[1]


def _at_the_edge(index: Int[np.ndarray, "N"], order: int, width: float) -> np.ndarray:
    """Whether a point is in an outermost cell of its pixel; the cells are wider than `width`."""
    finer = order
    while finer < _FINEST and _CELL_OF_ORDER_0 / 2 ** (finer + 1) > 1.5 * width:
        finer += 1
    bits, n_cells = finer - order, 1 << (finer - order)
    inside = (index >> 2 * (_FINEST - finer)) & (4**bits - 1)
    x, y = np.zeros_like(inside), np.zeros_like(inside)
    for bit in range(bits):
        x |= (inside >> 2 * bit & 1) << bit
        y |= (inside >> 2 * bit + 1 & 1) << bit
    return (x == 0) | (y == 0) | (x == n_cells - 1) | (y == n_cells - 1)
