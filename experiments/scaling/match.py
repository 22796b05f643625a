"""Cross-match of HATS catalogues by LSDB, against the time to read both once.

python experiments/scaling/match.py FOLDER [--left 1000000] [--right 10000000]

Positions are made in FOLDER, unless they are there; --remove removes them.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

import lsdb
import pyarrow.parquet as pq
from distributed import Client, LocalCluster
from sky import positions

from xbayes.enhance.hats_objects import matched_catalogues
from xbayes.hats.create import Layout, write_hats

RADIUS = 2.0  # arcsec


def _read(files: list[str]) -> int:
    return sum(pq.ParquetFile(file).read().num_rows for file in files)


def main() -> int:
    """Make, read, match."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--left", type=int, default=1_000_000)
    parser.add_argument("--right", type=int, default=10_000_000)
    parser.add_argument("--order", type=int, default=2)
    parser.add_argument("--remove", action="store_true")
    given = parser.parse_args()
    left, right = given.folder / f"left{given.left}", given.folder / f"right{given.right}"
    layout = Layout(order=given.order)
    if not left.exists():
        write_hats(positions(given.left, 1), left, layout, name="left")
    if not right.exists():
        like = positions(given.left, 1)
        write_hats(positions(given.right, 2, like), right, layout, name="right")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        client.run(lambda: __import__("lsdb"))  # imports are no part of the times
        load, start = os.getloadavg()[0], time.monotonic()
        files = [str(f) for c in (left, right) for f in c.rglob("Npix=*.parquet")]
        parts = [files[n::64] for n in range(64)]
        n_rows = sum(client.gather(client.map(_read, parts, pure=False)))
        reading = time.monotonic() - start
        start = time.monotonic()
        opened = [lsdb.open_catalog(each) for each in (left, right)]
        for each in opened:
            each.map_partitions(len_of, meta=({"n": "int64"})).compute()
        reading_by_lsdb = time.monotonic() - start
        start = time.monotonic()
        found = matched_catalogues(*opened, RADIUS)
        counts = found.map_partitions(len_of, meta=({"n": "int64"})).compute()
        matching = time.monotonic() - start
    n_pairs = int(counts["n"].sum())
    print(
        f"{given.left:,} against {given.right:,} positions on 2 workers, load before {load:.1f}: "
        f"reading {n_rows:,} rows {reading:.1f} s by pyarrow and {reading_by_lsdb:.1f} s by LSDB, "
        f"matching {matching:.1f} s = {matching / reading:.2f} and "
        f"{matching / reading_by_lsdb:.2f} times; {n_pairs:,} pairs within {RADIUS:g} arcsec"
    )
    if given.remove:
        shutil.rmtree(left)
        shutil.rmtree(right)
    return 0


def len_of(frame):
    """The number of pairs of a partition."""
    import pandas as pd

    return pd.DataFrame({"n": [len(frame)]})


if __name__ == "__main__":
    sys.exit(main())
