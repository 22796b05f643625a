"""Seconds of the everyday commands, the first time and the second: whole processes, from outside.

    .venv/bin/python experiments/bench_commands/run.py [--command PATH]

The first time starts without compiled code; `--command` names another `xbayes` to compare with.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROW = ["ra=266.4", "dec=-29.0", "flux_hard=2e-13", "flux_soft=1e-14"]
COMMANDS = {
    "xbayes --help": ["--help"],
    "xbayes demo": ["demo", "--out", "demo", "--overwrite"],
    "xbayes classify --row": ["classify", "demo", "--row", *ROW],
    "xbayes classify (3,000 sources)": [
        *("classify", "demo", "demo-catalog.fits", "--out", "c.parquet", "--overwrite"),
    ],
    "xbayes explain, with figure": [
        *("explain", "demo", "demo-catalog.fits", "SIM 000007", "--out", "t.png", "--overwrite"),
    ],
}


def seconds(command: list[str], folder: Path, cache: Path) -> float:
    """Wall time of one process, which must succeed."""
    names = {"XBAYES_CACHE": str(cache), "JAX_COMPILATION_CACHE_DIR": str(cache)}
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=os.environ | names, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", type=Path, default=Path(sys.executable).with_name("xbayes"))
    command = str(parser.parse_args().command.absolute())
    print(f"| command | first | second |\n|---|---|---|  ({os.cpu_count()} cores)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, words in COMMANDS.items():
            cache = folder / f"compiled-{len(title)}"
            first, second = (seconds([command, *words], folder, cache) for _ in range(2))
            print(f"| `{title}` | {first:.1f} s | {second:.1f} s |", flush=True)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import xbayes"], check=True)
    print(f"`import xbayes`, with the start of Python: {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
