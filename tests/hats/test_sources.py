"""`xbayes sources` on HATS catalogues: detections of a source in several partitions."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import xbayes
from xbayes.catalog.read import read_catalog
from xbayes.hats.classify import classify_hats
from xbayes.hats.sources import pool_hats
from xbayes.hats.workers import Work

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def classified(sky, small, cluster, tmp_path_factory):
    """The classified detections; read only."""
    out = tmp_path_factory.mktemp("detections") / "out.hats"
    work = Work(scheduler=cluster.scheduler_address)
    classify_hats(xbayes.load(small.folder), sky, out, work=work)
    return out


def in_memory(folder):
    files = (folder / "sky" / "dataset").glob("Norder=0/Dir=0/Npix=*.parquet")
    ordered = sorted(files, key=lambda file: int(file.stem.partition("=")[2]))
    return pa.concat_tables([pq.ParquetFile(file).read() for file in ordered])


@pytest.mark.parametrize("rows", [10_000, 150], ids=["one bucket", "many buckets"])
def test_sources_are_those_of_a_table_in_memory(classified, small, rows, monkeypatch):
    monkeypatch.setattr("xbayes.hats.sources.ROWS", rows)
    fit = xbayes.load(small.folder)
    pooled = pool_hats(classified, "star", run=fit)
    want = xbayes.sources(in_memory(classified), "star", run=fit)
    assert pooled.rho == want.meta["RHO"] and pooled.origin == want.meta["RHO_FROM"]
    found = pooled.table[np.argsort(pooled.table["star"])]
    want = want[np.argsort(want["star"])]
    assert found.colnames == want.colnames and len(found) == len(want)
    assert (want["n_detections"] > 1).sum() > 100
    for name in want.colnames:
        if np.asarray(want[name]).dtype.kind == "f":
            np.testing.assert_allclose(found[name], want[name], rtol=0, atol=1e-12)
        else:
            assert found[name].tolist() == want[name].tolist()


def test_the_command(classified, small, done, refused, tmp_path):
    out = tmp_path / "sources.fits"
    err = done("sources", classified, "--by", "star", "--out", out, "--run", small.folder)
    assert "2000 detections of" in err and "rho = " in err
    assert read_catalog(out)["combined_class"].description
    more = ("sources", classified, "--out", tmp_path / "other.fits")
    refused(*more, "--by", "stars", says=("lacks column 'stars'", "did you mean 'star'"))
