"""The small files that make a folder of partitions a HATS catalogue."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from xbayes.catalog.hats_names import SPATIAL_INDEX
from xbayes.hats.partitions import HatsCatalogue, HatsTable, Partition

if TYPE_CHECKING:
    from hats.catalog import TableProperties

LEAST_ORDER = 8  # of the map of the number of sources


def partition_path(folder: Path, partition: Partition) -> Path:
    """The file of a partition of the catalogue in `folder`."""
    directory = partition.pixel // 10_000 * 10_000
    place = folder / "dataset" / f"Norder={partition.order}" / f"Dir={directory}"
    return place / f"Npix={partition.pixel}.parquet"


def describe_table(table: HatsTable, folder: Path, written: list[Partition]) -> int:
    """Write what describes a catalogue of one table, and return its number of rows.

    Parameters
    ----------
    table
        The catalogue that it was made from.
    folder
        The new catalogue, which holds the files of its partitions.
    written
        These partitions.
    """
    return describe_folder(folder, table.dataset.catalog_info, written)


def describe_folder(folder: Path, info: "TableProperties", written: list[Partition]) -> int:
    """Write what makes a folder of partitions a HATS catalogue; its number of rows.

    Parameters
    ----------
    folder
        The catalogue, which holds the files of its partitions (`partition_path`).
    info
        Its kind and the names of its columns.
    written
        The partitions.
    """
    from hats.catalog import CatalogType, PartitionInfo
    from hats.io.file_io.file_pointer import get_upath
    from hats.io.parquet_metadata import write_parquet_metadata
    from hats.pixel_math.healpix_pixel import HealpixPixel

    base = get_upath(folder)
    files = [partition_path(folder, partition) for partition in written]
    n_rows = [pq.read_metadata(file).num_rows for file in files]
    if written:
        write_parquet_metadata(base, create_metadata=True, create_per_partition_stats=True)
    partitions = PartitionInfo([HealpixPixel(p.order, p.pixel) for p in written])
    partitions.write_to_file(base / "partition_info.csv")
    update = {
        "total_rows": sum(n_rows),
        "hats_max_rows": max(n_rows, default=0),
        "hats_order": partitions.get_highest_order(),
        "moc_sky_fraction": round(float(partitions.calculate_fractional_coverage()), 5),
        "default_columns": None,
        "npix_suffix": ".parquet",
    }
    if info.catalog_type in (CatalogType.OBJECT, CatalogType.SOURCE):
        order = max(partitions.get_highest_order(), LEAST_ORDER)
        _write_sky_map(base, files, order)
        update["skymap_order"] = order
        update["skymap_alt_orders"] = None
    info.copy_and_update(**update).to_properties_file(base)
    return sum(n_rows)


def describe_collection(catalogue: HatsCatalogue, folder: Path) -> None:
    """Write what joins a catalogue and its margin, as in the catalogue it was made from."""
    margin = None if catalogue.margin is None else catalogue.margin.name
    describe_joined(folder, catalogue.main.name, margin)


def describe_joined(folder: Path, main: str, margin: str | None) -> None:
    """Write what joins the catalogue `main` in a folder and its margin."""
    from hats.catalog.dataset.collection_properties import CollectionProperties
    from hats.catalog.dataset.hats_properties import HatsProperties
    from hats.io.file_io.file_pointer import get_upath

    names = {"obs_collection": main, "hats_primary_table_url": main}
    if margin is not None:
        names |= {"all_margins": margin, "default_margin": margin}
    base = get_upath(folder)
    made_by = HatsProperties.new_provenance_dict(base, builder="xbayes")
    CollectionProperties(**names, **made_by).to_properties_file(base)


def _write_sky_map(base, files: list[Path], order: int) -> None:
    """The number of sources in each cell of the sky, as FITS."""
    from hats.io.file_io.file_io import write_fits_image
    from hats.io.paths import get_point_map_file_pointer
    from hats.io.skymap import write_skymap

    counts = np.zeros(12 * 4**order, np.int64)
    for file in files:
        index = pq.read_table(file, columns=[SPATIAL_INDEX])[SPATIAL_INDEX].to_numpy()
        cells, n = np.unique(index >> 2 * (29 - order), return_counts=True)
        counts[cells] += n
    write_fits_image(counts, get_point_map_file_pointer(base))
    write_skymap(histogram=counts, catalog_dir=base)
