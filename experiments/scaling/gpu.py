"""Every number of this folder that is for a GPU, with its fraction of the limit, in one command.

python experiments/scaling/gpu.py

On a machine without a GPU it runs on the CPU with fewer rows, and says so: the fractions are then
those of the CPU, scaled to the full number of rows.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ruamel.yaml import YAML

import xbayes
from xbayes.classifier.blocks import over_devices
from xbayes.classifier.learned import subclass_log_prior
from xbayes.classifier.predict import Products, _score, classify
from xbayes.features.build import build_features
from xbayes.infer.em import em_step
from xbayes.models.gaussian_mixture import gaussian_mixture
from xbayes.types import Features

HERE = Path(__file__).parent
ON_GPU = jax.default_backend() != "cpu"
SHARE = 1 if ON_GPU else 50  # of the rows of a GPU, on a CPU
DRAWS = 200


def seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """The median time of a call that was compiled before."""
    jax.block_until_ready(call())
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def report(what: str, value: float, limit: float, unit: str, larger_is_better: bool = False):
    """One line: the number, the limit, and the fraction of the limit."""
    fraction = limit / value if larger_is_better else value / limit
    word = "at least" if larger_is_better else "at most"
    print(f"{what}: {value:,.4g} {unit} ({word} {limit:,.4g}; {fraction:.2f} of the limit)")


def em_iteration() -> None:
    """One iteration of EM on 10,000,000 x 12, K = 6."""
    n, model = 10_000_000 // SHARE, gaussian_mixture(6)
    with jax.enable_x64(False):
        x = jax.random.normal(jax.random.key(1), (n, 12), jnp.float32)
        weight = jnp.ones(n, jnp.float32)
        params = model.init(jax.random.key(2), x[:50_000], weight[:50_000])
        step = jax.jit(lambda params: em_step(model, params, x, weight)[0])
        taken = seconds(lambda: step(params))
    report(f"EM iteration, {n:,} x 12, K = 6, scaled to 10^7 rows", 1e3 * SHARE * taken, 20, "ms")


def demo_run(folder: Path, name: str, more: dict) -> xbayes.FittedRun:
    """A run of the 14 features in single precision."""
    config = YAML(typ="safe").load((HERE / "config.yaml").read_text())
    config |= {"name": name, "precision": "float32", **more}
    return xbayes.run(config, catalog=xbayes.simulate(2000, seed=1), out=folder / name)


def repeated(features: Features, n: int) -> Features:
    """So many rows."""
    index = np.arange(n) % len(features.value)
    return jax.tree.map(np.asarray, features).rows(index)


def posterior_rate(fit: xbayes.FittedRun, features: Features) -> None:
    """Sources a second whose features are in the memory of the device."""
    n, model = (1 << 22) // (1 if ON_GPU else 128), fit.model
    prior = jnp.asarray(subclass_log_prior(model.recipe, model.classifier, None))
    learned = model.classifier._replace(held_out=None)
    size = (1 << 18) if ON_GPU else 8_192
    rows = jax.tree.map(jnp.asarray, repeated(features, size))
    rows = over_devices(rows)
    taken = seconds(lambda: _score(model.recipe.scoring, learned, rows, prior).posterior)
    report(
        f"posteriors from device memory, blocks of {size:,} ({n // size} of them in {n:,} rows)",
        size / taken, 50e6, "sources/s", larger_is_better=True,
    )  # fmt: skip


def intervals(fit: xbayes.FittedRun, features: Features) -> None:
    """Intervals of 1,000,000 sources from 200 samples, with transfer and quantiles."""
    n, model = 1_000_000 // SHARE, fit.model
    rows = repeated(features, n)

    def call() -> Products:
        return classify(model.recipe, model.classifier, rows)

    taken = seconds(call, repeats=1)
    report(f"{DRAWS}-draw intervals of {n:,} sources, scaled to 10^6", SHARE * taken, 5, "s")


def in_double(leaf: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
    """The same numbers in double precision."""
    return np.asarray(leaf, np.float64) if np.asarray(leaf).dtype == np.float32 else leaf


def precision(fit: xbayes.FittedRun) -> None:
    """The largest difference of posteriors in single and double precision."""
    table, model = xbayes.simulate(20_000, seed=3), fit.model
    double = model.config.model_copy(update={"precision": "float64"})
    with jax.enable_x64(True):
        wide = jax.tree.map(in_double, model.classifier)
    other = type(fit)(model._replace(config=double, classifier=wide))
    here, there = fit.classify(table), other.classify(table)
    worst = max(np.abs(here[f"p_{c}"] - there[f"p_{c}"]).max() for c in fit.classes)
    report("largest difference of posteriors, float32 against float64", worst, 1e-4, "")


def main() -> int:
    """Print every number."""
    where = ", ".join(sorted({d.device_kind for d in jax.local_devices()}))
    print(f"{jax.local_device_count()} device: {where} ({jax.default_backend()})")
    if not ON_GPU:
        print("no GPU here: fewer rows on the CPU; these numbers are not those of a GPU")
    em_iteration()
    with tempfile.TemporaryDirectory() as scratch:
        point = demo_run(Path(scratch), "point", {})
        samples = {"method": "laplace", "samples": DRAWS, "densities": False}
        drawn = demo_run(Path(scratch), "drawn", {"variant": "bayes", "posterior": samples})
        with jax.enable_x64(False):
            features, _ = build_features(xbayes.simulate(8_192, seed=2), point.config)
            posterior_rate(point, features)
            intervals(drawn, features)
        precision(point)
    return 0


if __name__ == "__main__":
    sys.exit(main())
