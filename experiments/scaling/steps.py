"""Cost of a source by step, its growth, and what 10^9 sources would take.

python experiments/scaling/steps.py RUN CATALOG [--sizes 10000 100000 1000000]

Each size is classified in this process with one thread; the numbers are CPU seconds, which other
work on the machine changes little. CATALOG is a HATS catalogue with at least the largest size.
A line seconds = start + cost * n is fitted to the sizes, once without the largest, which it then
predicts. For several workers the part that only the scheduler's process does is added.
"""

import argparse
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import xbayes
from xbayes.catalog.columns import FileColumn, to_table
from xbayes.catalog.format_arrow import to_arrow
from xbayes.catalog.format_parquet import columns_of_arrow
from xbayes.catalog.match import ColumnOptions
from xbayes.classifier.blocks import SMALLEST_CHUNK, in_blocks, padded_size
from xbayes.hats.part import ROWS
from xbayes.hats.partitions import open_hats, repeated_ids
from xbayes.output.run_directory import resolution
from xbayes.output.table import output_columns
from xbayes.tasks.absent_features import patterns_of
from xbayes.tasks.classify import products_of, rows_of
from xbayes.tasks.classify_parts import columns_to_read
from xbayes.tasks.fitted_run import FittedRun
from xbayes.tasks.precision import use_precision
from xbayes.tasks.survey import uniform_chunk

STEPS = ("read", "features", "likelihood", "posterior", "write")
LARGE, WORKERS = 1e9, (1, 16, 256)
START = 16.0  # seconds to import, open and start workers: from 10 and 20 million on two workers


class Clock:
    """CPU seconds by step."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STEPS, 0.0)

    def time(self, step: str, make: Callable):
        """The result of a step, whose CPU seconds are added."""
        before = time.process_time()
        made = make()
        self.seconds[step] += time.process_time() - before
        return made


def classify(fit: FittedRun, files: list[str], n: int, needed: list[str]) -> dict[str, float]:
    """CPU seconds of each step for the first n sources."""
    clock, left, model = Clock(), n, fit.model
    patterns, density = patterns_of(model, kept={}), model.recipe.scoring.density
    size, names = padded_size(ROWS), model.recipe.names
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(min(ROWS, left)):
            part = pa.Table.from_batches([batch])[:left]

            def read(part=part):
                table = to_table(columns_of_arrow(part.select(needed), None), {})
                return uniform_chunk(model, table)

            table = clock.time("read", read)
            rows = clock.time("features", lambda table=table: rows_of(model, table, 0))

            def likelihood(rows=rows):
                def block(first: int, size: int):
                    own = rows.features.rows(slice(first, first + size))
                    found = density.log_lik(model.classifier.density, own.padded(size))
                    return (np.asarray(found)[: len(own.value)],)

                return in_blocks(block, len(rows.features.value), size, SMALLEST_CHUNK)

            clock.time("likelihood", likelihood)
            products = clock.time(
                "posterior",
                lambda rows=rows: products_of(model, rows, patterns, size, short=SMALLEST_CHUNK),
            )

            def write(products=products, part=part):
                made = output_columns(products, names, resolution(model.classifier))
                columns = [
                    FileColumn(name=name, values=np.asarray(v), missing=np.zeros(len(v), bool))
                    for name, v, _, _ in made
                ]
                arrow = to_arrow(columns)
                for name in part.column_names:
                    arrow = arrow.append_column(name, part[name])
                pq.write_table(arrow, io.BytesIO())

            clock.time("write", write)
            left -= len(part)
            if left <= 0:
                # The posterior contains the likelihood, which was computed once more to be timed.
                clock.seconds["posterior"] -= clock.seconds["likelihood"]
                return clock.seconds
    raise SystemExit(f"the catalogue has fewer than {n} sources")


def line(n: np.ndarray, seconds: np.ndarray) -> tuple[float, float]:
    """Start and cost a source, with errors in proportion to the seconds."""
    design = np.stack([np.ones(len(n)), n], 1) / seconds[:, None]
    start, cost = np.linalg.lstsq(design, np.ones(len(n)), rcond=None)[0]
    return float(start), float(cost)


def main() -> int:
    """Measure, fit, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10**4, 10**5, 10**6])
    given = parser.parse_args()
    fit = xbayes.load(given.run)
    use_precision(fit.config)
    table = open_hats(given.catalog).main
    files = [partition.file for partition in table.partitions]
    needed = columns_to_read(fit.model, table.schema.names, ColumnOptions())
    classify(fit, files, min(given.sizes), needed)  # compiles
    totals = []
    print(f"CPU microseconds a source on {jax.devices()[0].platform}")
    print(f"| sources | {' | '.join(STEPS)} | all |\n|{'---|' * (len(STEPS) + 2)}")
    for n in sorted(given.sizes):
        cost = classify(fit, files, n, needed)
        totals.append(sum(cost.values()))
        each = " | ".join(f"{1e6 * s / n:.2f}" for s in cost.values())
        print(f"| {n:,} | {each} | {1e6 * totals[-1] / n:.2f} |", flush=True)
    n, seconds = np.array(sorted(given.sizes), float), np.array(totals)
    start, cost = line(n[:-1], seconds[:-1])
    print(
        f"largest size predicted from the others: {start + cost * n[-1]:.2f} s, "
        f"measured {seconds[-1]:.2f} s"
    )
    _, cost = line(n, seconds)
    before = time.process_time()
    repeated_ids(table, fit.config.catalog.id)
    alone = (time.process_time() - before) / table.n_rows  # repeated ids are sought by one process
    print(f"sought by one process: repeated ids, {1e6 * alone:.2f} microseconds a source")
    for workers in WORKERS:
        hours = (START + LARGE * (alone + cost / workers)) / 3600
        print(f"10^9 sources on {workers} workers of one core: {hours:.2f} h")
    return 0


if __name__ == "__main__":
    sys.exit(main())
