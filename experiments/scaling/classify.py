"""`xbayes classify` on HATS catalogues: rate, memory, growth, workers.

python experiments/scaling/classify.py RUN CATALOG... [--workers 1 2]

Prints one row a catalogue and number of workers: seconds from start to end of the command, sources
a second, CPU seconds of all processes, the largest sum of their memory, and the load of the machine
before. On a machine that does other work too, CPU seconds tell more than seconds. A command with
fewer workers than cores gets as many cores as workers (on Linux), for all its processes.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

XBAYES = str(Path(sys.executable).with_name("xbayes"))


class Measured(NamedTuple):
    """One command."""

    seconds: float
    gigabytes: float  # largest sum of the unshared memory of its processes
    cpu: float  # seconds of all its processes
    load: float  # of the machine, before
    said: str


def measured(command: list[str], n_cores: int) -> Measured:
    """Run a command on some cores and watch the memory of all its processes."""
    cores = sorted(os.sched_getaffinity(0))[:n_cores]
    load, start, largest = os.getloadavg()[0], time.monotonic(), 0
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT)
        os.sched_setaffinity(process.pid, cores)  # before it starts threads and processes
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            largest = max(largest, _memory(watched))
            with suppress(subprocess.TimeoutExpired):
                process.wait(2)
        seconds = time.monotonic() - start
        told.seek(0)
        said = told.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{said}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(seconds=seconds, gigabytes=largest / 1e9, cpu=cpu, load=load, said=said)


def _memory(process: psutil.Process) -> int:
    """Private memory: libraries that processes share count once at most."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_full_info().uss
        except psutil.Error:
            continue  # it has ended
    return total


def main() -> int:
    """Measure all combinations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("catalogs", type=Path, nargs="+")
    parser.add_argument("--workers", type=int, nargs="+", default=[2])
    given = parser.parse_args()
    print("| catalogue | sources | workers | s | sources/s | CPU s | GB | load before |")
    print("|---|---|---|---|---|---|---|---|")
    for catalog in given.catalogs:
        for workers in given.workers:
            with tempfile.TemporaryDirectory(dir=catalog.parent) as scratch:
                out = Path(scratch) / "out.hats"
                command = [XBAYES, "classify", str(given.run), str(catalog), "--out", str(out)]
                done = measured([*command, "--workers", str(workers)], workers)
                shutil.rmtree(out)
            line = next(s for s in done.said.splitlines() if "sources classified" in s)
            n = int(line.split()[0])
            print(
                f"| {catalog.name} | {n:,} | {workers} | {done.seconds:.1f} | "
                f"{n / done.seconds:,.0f} | {done.cpu:.1f} | {done.gigabytes:.2f} | "
                f"{done.load:.1f} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
