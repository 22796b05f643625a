"""Small HATS catalogues, and two Dask workers that all tests of this folder share."""

import warnings
from types import SimpleNamespace

import pytest

pytest.importorskip("lsdb")
pytest.importorskip("distributed")

from distributed import LocalCluster

from tests.small_sky import small_sky
from xbayes.catalog.columns import from_table
from xbayes.catalog.format_arrow import to_arrow
from xbayes.hats.create import Layout, write_hats


def pytest_collection_modifyitems(items):
    """Warnings of Dask, LSDB and their dependencies are not ours."""
    for item in items:
        if "tests/hats" in str(item.path):
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(scope="session")
def cluster():
    """A scheduler with two processes, and its address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as made:
            yield made


def catalogue(folder, *, order=0, rows=None, margin=3600.0, n=2000):
    """A HATS catalogue of the small sky: 12 partitions, with a margin of one degree."""
    table = small_sky(n, 3, missing=0.05)
    table["a"].unit, table["a"].description = "mag", "a magnitude"
    table["release"] = "one"
    arrow = to_arrow(from_table(table if rows is None else table[rows]))
    write_hats([arrow], folder, Layout(order=order, margin_arcsec=margin), name="sky")
    return folder


@pytest.fixture(scope="session")
def sky(tmp_path_factory):
    """A small HATS catalogue, which no test alters."""
    return catalogue(tmp_path_factory.mktemp("hats") / "sky.hats")


@pytest.fixture
def fresh(tmp_path):
    """A small HATS catalogue to damage, and the files of its partitions."""
    folder = catalogue(tmp_path / "fresh.hats")
    files = sorted((folder / "sky" / "dataset").glob("Norder=0/Dir=0/Npix=*.parquet"))
    return SimpleNamespace(folder=folder, files=files)
