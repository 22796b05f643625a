"""Objects of a HATS catalogue near the positions of a table, found by LSDB partition by partition.

LSDB aligns the partitions of both tables and gives each one the margin of its neighbours. Within a
partition the pairs are those of `find_pairs`, so that the candidates are those of a table in
memory, many to many, also at the edges of partitions.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from astropy.table import Table
from jaxtyping import Float, Int

from xbayes.catalog.columns import to_table
from xbayes.catalog.format_parquet import columns_of_arrow
from xbayes.catalog.hats_names import SPATIAL_INDEX
from xbayes.enhance.others import Others
from xbayes.enhance.pairs import Positions, find_pairs
from xbayes.errors import InputError

if TYPE_CHECKING:
    from lsdb import Catalog

ROW, RA, DEC, SEPARATION = "_xbayes_row", "_xbayes_ra", "_xbayes_dec", "_xbayes_separation"
_ROWS = 100_000  # positions of a partition
_SPHERE = np.sqrt(np.pi / 3) * 648_000 / np.pi  # arcsec: side of a square as large as a base cell


def hats_objects(
    position: Positions,
    radius: Float[np.ndarray, "N"],
    path: str,
    columns: Sequence[str],
    key: str,
) -> Others:
    """The objects of a HATS catalogue within the radius (arcsec) of each row.

    Parameters
    ----------
    path
        Its folder or address.
    columns
        The columns to read; those that it lacks are passed over.
    key
        Dotted key of the config, for messages.

    Raises
    ------
    InputError
        For a catalogue that cannot be opened, and a margin below the radius: candidates beyond the
        edge of a partition would be lost.
    """
    largest = float(np.nanmax(radius, initial=0.0))
    found = open_objects(path, columns, largest, key)
    known = np.flatnonzero(np.isfinite(position.ra + position.dec) & (radius > 0))
    if not len(known):
        return Others(row=np.zeros(0, np.int64), separation=np.zeros(0), table=Table())
    rows = pd.DataFrame({ROW: known, RA: position.ra[known], DEC: position.dec[known]})
    import lsdb

    own: Any = lsdb.from_dataframe(
        rows, ra_column=RA, dec_column=DEC, partition_rows=_ROWS, margin_threshold=None
    )
    frame: Any = matched_catalogues(own, found, largest).compute()
    frame = frame.sort_values([ROW, SEPARATION], kind="stable")
    row = frame[ROW].to_numpy(np.int64)
    separation = frame[SEPARATION].to_numpy(np.float64)
    kept = separation <= radius[row]
    schema: pa.Schema = found.hc_structure.original_schema or found.hc_structure.schema  # type: ignore
    read = pa.Table.from_pandas(
        frame[[name for name in found.columns if name in frame.columns]][kept],
        preserve_index=False,
    )
    # pandas knows no units.
    fields = [schema.field(f.name) if f.name in schema.names else f for f in read.schema]
    fields = [f.with_type(r.type) for f, r in zip(fields, read.schema, strict=True)]
    read = pa.Table.from_arrays(read.columns, schema=pa.schema(fields))
    table = to_table(columns_of_arrow(read, None), {})
    return Others(row=row[kept], separation=separation[kept], table=table)


def open_objects(path: str, columns: Sequence[str], radius: float, key: str) -> "Catalog":
    """The catalogue, whose margin is checked; errors as of `hats_objects`."""
    try:
        import lsdb
    except ImportError as error:
        raise InputError(
            f"{key}: engine lsdb needs further packages ({error}); install them: pip install "
            "'xbayes[lsdb]'"
        ) from None
    try:
        whole = lsdb.open_catalog(path, columns="all")
        info = whole.hc_structure.catalog_info
        own = [info.ra_column, info.dec_column]
        wanted = [n for n in whole.columns if n in {*columns, *own}]
        found = lsdb.open_catalog(path, columns=wanted)
    except Exception as error:
        # Each kind of storage has errors of its own.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{key}: {path} cannot be opened as a HATS catalogue: {reason}; check the address and "
            "the right to read it"
        ) from None
    margin = None if found.margin is None else found.margin.hc_structure.catalog_info
    width = 0.0 if margin is None else float(margin.margin_threshold or 0.0)
    if width < radius:
        has = "no margin" if margin is None else f"a margin of {width:g} arcsec"
        raise InputError(
            f"{key}: {path} has {has}, but candidates are sought within {radius:g} arcsec "
            "(radius_arcsec, and motion_arcsec where there is proper motion): those beyond the "
            "edge of a partition would be lost; make a wider margin with hats-import, or lower "
            "the radius"
        )
    return found


def matched_catalogues(first: "Catalog", second: "Catalog", radius: float) -> "Catalog":
    """All pairs of rows within the radius (arcsec), with the columns of both; not yet computed."""
    from lsdb.core.crossmatch.abstract_crossmatch_algorithm import AbstractCrossmatchAlgorithm

    class AllWithin(AbstractCrossmatchAlgorithm):
        """Every pair within the radius."""

        extra_columns = pd.DataFrame({SEPARATION: pd.Series(dtype=pd.ArrowDtype(pa.float64()))})

        def __dask_tokenize__(self):
            # Dask names results by what they are made from, and cannot name a class made here.
            return "xbayes-all-within", radius

        def perform_crossmatch(self, crossmatch_args):
            sides = (
                (crossmatch_args.left_df, crossmatch_args.left_catalog_info),
                (crossmatch_args.right_df, crossmatch_args.right_catalog_info),
            )
            here, there = (_place(f, str(i.ra_column), str(i.dec_column)) for f, i in sides)
            near = rows_near(crossmatch_args.left_df.index, crossmatch_args.right_df.index, radius)
            pairs = find_pairs(here, there.rows(near), radius)
            separation = pd.Series(pairs.separation, dtype=pd.ArrowDtype(pa.float64()))
            return pairs.first, near[pairs.second], pd.DataFrame({SEPARATION: separation})

    return first.crossmatch(
        second,
        algorithm=AllWithin(),
        suffixes=("_of_row", ""),
        suffix_method="overlapping_columns",
        log_changes=False,
    )


def rows_near(first: pd.Index, second: pd.Index, radius: float) -> Int[np.ndarray, "K"]:
    """The rows of `second` in the HEALPix cells around those of `first`, in their order.

    All rows within the radius (arcsec) are among them. A tree of positions is made of these rows
    alone, which are few where `second` is a survey and `first` is not.

    Parameters
    ----------
    first, second
        The HEALPix cells of order 29 of the rows, with the name that LSDB gives to such an index;
        without it all rows of `second` are returned.
    """
    from cdshealpix.nested import neighbours

    if not first.name == second.name == SPATIAL_INDEX:
        return np.arange(len(second))
    if not len(first):
        return np.zeros(0, np.int64)
    # A cell is at least half as wide as the root of its area, so two of them would do.
    order = int(np.clip(np.log2(_SPHERE / (4 * max(radius, 1e-3))), 0, 29))
    shift = 2 * (29 - order)
    own = np.sort(first.to_numpy(np.int64) >> shift)
    own = own[np.diff(own, prepend=-1) > 0]
    cells = np.sort(neighbours(own.astype(np.uint64), order), axis=None)  # with -1 for none
    cell = second.to_numpy(np.int64) >> shift
    at = np.minimum(np.searchsorted(cells, cell), len(cells) - 1)
    return np.flatnonzero(cells[at] == cell)


def _place(frame: pd.DataFrame, ra: str, dec: str) -> Positions:
    return Positions(ra=frame[ra].to_numpy(np.float64), dec=frame[dec].to_numpy(np.float64))
