"""A classified catalogue that a test makes, opened as the explorer opens one."""

import numpy as np

from xbayes.catalog.query import ParquetCatalogue, Roles
from xbayes.catalog.write import write_catalog
from xbayes.tasks.sky_index import sky_index


def opened(table, folder):
    """The table, written and opened, with the index of its positions on the sky."""
    path = folder / "classified.parquet"
    write_catalog(table, path)
    sky = sky_index(np.asarray(table["ra"]), np.asarray(table["dec"]))
    return ParquetCatalogue(path, Roles(id="name", ra="ra", dec="dec"), {"sky": sky})
