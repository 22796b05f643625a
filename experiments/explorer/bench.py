"""Speed and memory of the explorer: each question 20 times, then 50 people at once.

Starts the server on a classified Parquet file:
    .venv/bin/python experiments/explorer/bench.py RUN CLASSIFIED.parquet [--users 50]
"""

import argparse
import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq

REPEATS = 20
SHOWN = 6  # columns of numbers that people plot


def questions(seed: int, columns: list[str], classes: list[str]) -> dict[str, str]:
    """One address of each kind; a seed gives other values, so that no answer is known before."""
    rng = random.Random(seed)
    ra, dec = rng.uniform(0, 360), np.degrees(np.arcsin(rng.uniform(-1, 1)))
    x, y = rng.sample(columns, 2)
    chosen, low = rng.choice(classes), f"{rng.uniform(0, 0.5):.6f}"
    zoom = [rng.uniform(-1, 0.5), rng.uniform(-0.5, 0.2)]
    window = f"x0={zoom[0]:.4f}&x1={zoom[0] + 0.4:.4f}&y0={zoom[1]:.4f}&y1={zoom[1] + 0.2:.4f}"
    return {
        "first page": "/",
        "page 2 to 100": f"/?offset={50 * rng.randint(1, 100)}",
        "cone search, page": f"/?ra={ra:.5f}&dec={dec:.5f}&radius=10arcmin",
        "cone search, JSON": f"/api/sources?ra={ra:.5f}&dec={dec:.5f}&radius=0.5",
        "filter and sort": f"/?class={chosen}&f.outlier_p={low}..&sort=-{x}",
        "name": f"/?q=SIM+0{rng.randint(10000, 99999)}",
        "sky, whole": "/api/sky",
        "sky, filtered": f"/api/sky?class={chosen}&p_min={low}",
        "sky, zoomed": f"/api/sky?{window}",
        "scatter": f"/api/scatter?x={x}&y={y}",
        "scatter, filtered": f"/api/scatter?x={x}&y={y}&class={chosen}&p_min={low}",
    }


def memory(pid: int) -> tuple[float, float]:
    """Resident memory of the server in MB: now and at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines if line.startswith(("VmRSS", "VmHWM")))
    return float(found["VmRSS"].split()[0]) / 1e3, float(found["VmHWM"].split()[0]) / 1e3


def one_by_one(address: str, columns: list[str], classes: list[str]) -> None:
    """Ask each kind of question in turn and print its times."""
    print("\n| question | first [ms] | median [ms] | 95 % [ms] |\n|---|---|---|---|")
    with httpx.Client(base_url=address, timeout=60) as client:
        for name in questions(0, columns, classes):
            taken = []
            for repeat in range(REPEATS):
                path = questions(repeat, columns, classes)[name]
                began = time.perf_counter()
                client.get(path, headers={"accept": "text/html"}).raise_for_status()
                taken.append(1e3 * (time.perf_counter() - began))
            middle, high = np.percentile(taken, [50, 95])
            print(f"| {name} | {taken[0]:.0f} | {middle:.0f} | {high:.0f} |", flush=True)


def visit(rng: random.Random, columns: list[str], classes: list[str]) -> dict[str, str]:
    """What a browser asks at once when someone does one thing: the page, and what its plots need.

    Filters have usual values, pages are the first ones, positions and zooms are new each time.
    """
    kind = rng.choices(["open", "filter", "sort or page", "search", "zoom", "plot"],
                       [20, 30, 20, 12, 12, 6])[0]  # fmt: skip
    other = questions(rng.randrange(10**9), columns, classes)
    chosen = f"class={rng.choice(classes)}"
    if rng.random() < 0.5:
        chosen += f"&p_min={rng.choice(['0.5', '0.8', '0.9', '0.95', '0.99'])}"
    if kind == "open":
        return {"first page": "/", "sky": "/api/sky", "scatter": "/api/scatter"}
    if kind == "filter":
        plots = {"sky": f"/api/sky?{chosen}", "scatter": f"/api/scatter?{chosen}"}
        return {"filter": f"/?{chosen}", **plots}
    if kind == "sort or page":
        order = rng.choice([f"sort=-{rng.choice(columns)}", f"offset={50 * rng.randint(1, 5)}"])
        return {"sort or page": f"/?{chosen}&{order}"}
    if kind == "search":
        cone = other["cone search, page"].removeprefix("/?")
        plots = {"sky": f"/api/sky?{cone}", "scatter": f"/api/scatter?{cone}"}
        return {"cone search": f"/?{cone}", **plots}
    return {"zoom": other["sky, zoomed"]} if kind == "zoom" else {"plot": other["scatter"]}


async def _person(client, name: int, until: float, thought: float, asked_of, taken: list) -> None:
    """Someone who looks around."""
    rng, (columns, classes) = random.Random(f"person {name}"), asked_of

    async def ask(kind: str, path: str) -> None:
        began = time.perf_counter()
        answer = await client.get(path, headers={"accept": "text/html"})
        taken.append((kind, 1e3 * (time.perf_counter() - began), answer.status_code))

    await asyncio.sleep(2 * thought * rng.random())
    while time.perf_counter() < until:
        asked = visit(rng, columns, classes)
        await asyncio.gather(*(ask(*one) for one in asked.items()))
        await asyncio.sleep(rng.expovariate(1 / thought))


async def _crowd(address: str, arguments, thought: float, asked_of) -> list:
    taken, users = [], arguments.users
    until = time.perf_counter() + arguments.seconds
    limits = httpx.Limits(max_connections=6 * users, keepalive_expiry=2)
    async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
        people = (_person(client, n, until, thought, asked_of, taken) for n in range(users))
        await asyncio.gather(*people)
    return taken


def together(address: str, arguments, columns: list[str], classes: list[str]) -> None:
    """Let people look around at once and print how long they waited."""
    for thought in arguments.thought:
        taken = asyncio.run(_crowd(address, arguments, thought, (columns, classes)))
        _print_waiting(arguments, thought, taken)


def _print_waiting(arguments, thought: float, taken: list) -> None:
    times = np.array([one[1] for one in taken])
    users, seconds = arguments.users, arguments.seconds
    print(f"\n{users} people for {seconds:.0f} s, {thought:g} s of thought between")
    statuses = dict(Counter(one[2] for one in taken))
    print(f"{len(taken)} answers, {len(taken) / arguments.seconds:.0f} a second; {statuses}")
    print("median {:.0f} ms, 95 % {:.0f} ms, longest {:.0f} ms".format(
        *np.percentile(times, [50, 95, 100])))  # fmt: skip
    for kind in dict.fromkeys(one[0] for one in taken):
        own = [one[1] for one in taken if one[0] == kind]
        print("  {:20s} median {:5.0f}  95 % {:5.0f}".format(kind, *np.percentile(own, [50, 95])))


def main() -> None:
    """Start the server, ask, and stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--thought", type=float, nargs="+", default=[5, 1], help="seconds")
    parser.add_argument("--port", type=int, default=8177)
    arguments = parser.parse_args()
    server = (
        "import sys; from pathlib import Path; from xbayes.app.serve import serve_site; "
        "from xbayes.app.site import SiteOptions, open_site; "
        f"serve_site(open_site([Path({str(arguments.run)!r})], Path({str(arguments.catalogue)!r}), "
        f"SiteOptions(port={arguments.port}, resolve=False, rate=10**9)), print)"
    )
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", server])
    address = f"http://127.0.0.1:{arguments.port}"
    try:
        while True:
            try:
                httpx.get(f"{address}/api/health").raise_for_status()
                break
            except httpx.TransportError:
                if process.poll() is not None:
                    sys.exit("the server did not start")
                time.sleep(0.1)
        print(f"{pq.read_metadata(arguments.catalogue).num_rows:,} sources; the server answers "
              f"after {time.perf_counter() - began:.1f} s")  # fmt: skip
        known = httpx.get(f"{address}/api/columns").json()
        numbers = [c["name"] for c in known if c["kind"] == "number"]
        columns = [n for n in numbers if n not in ("ra", "dec") and not n.startswith("p_")][:SHOWN]
        counted = httpx.get(f"{address}/api/sky").json()["counts"]
        one_by_one(address, columns, list(counted))
        together(address, arguments, columns, list(counted))
        print("memory of the server: {:.0f} MB, at most {:.0f} MB".format(*memory(process.pid)))
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
