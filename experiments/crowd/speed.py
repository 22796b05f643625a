"""Seconds and memory of `xbayes crowd aggregate` for a million votes, from a file."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from xbayes.crowd.simulate import Crowd, simulate_votes


def speed(sources: int = 100_000, users: int = 10_000, per_source: int = 10) -> None:
    """Print wall seconds and peak memory, with and without intervals."""
    rng = np.random.default_rng(7)
    truth = rng.choice(4, sources, p=(0.55, 0.25, 0.12, 0.08))
    crowd = Crowd(users // 10, users * 8 // 10, users // 10, 0)
    number = np.full(sources, per_source)
    made = simulate_votes(truth, 4, crowd, votes_per_source=number, seed=7).votes
    answers = np.array(["AGN", "Star", "XRB", "CV", "other", "unknown"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        columns = {
            "source": np.char.add("S", made.source.astype(str)),
            "user": np.char.add("u", made.user.astype(str)),
            "answer": answers[made.answer],
        }
        pa.csv.write_csv(pa.table(columns), folder / "votes.csv")
        print(f"{len(made.source)} votes by {users} volunteers on {sources} sources", flush=True)
        for option in ("--no-intervals", "--intervals"):
            started = time.monotonic()
            command = [sys.executable, "-c", "from xbayes.cli.app import main; main()", "crowd"]
            command += ["aggregate", folder / "votes.csv", option, "--overwrite"]
            command += ["--classes", "AGN,Star,XRB,CV", "--out", folder / "labels.csv"]
            subprocess.run(command, check=True)
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
            print(
                f"{option}: {time.monotonic() - started:.0f} s, peak memory {peak:.2f} GiB",
                flush=True,
            )
