"""Speed of the Gaussian mixture and of scikit-learn's: experiments/bench_mixture/run.py --help."""

import argparse
import resource
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture as TheirBayesian
from sklearn.mixture import GaussianMixture as Theirs
from threadpoolctl import threadpool_limits

from xbayes.estimators import BayesianGaussianMixture, GaussianMixture
from xbayes.infer.em import COMPILER_OPTIONS, em_step, fit_chunks
from xbayes.models.gaussian_mixture import gaussian_mixture

K, F = 6, 12
CHUNK = 1 << 18


def sky(n_rows: int, n_features: int, seed: int, centre_seed: int = 0) -> np.ndarray:
    """Six overlapping, correlated clumps."""
    shape, rng = np.random.default_rng(centre_seed), np.random.default_rng(seed)
    centre = 1.5 * shape.normal(size=(K, n_features))
    root = shape.normal(size=(K, n_features, n_features)) / 4 + np.eye(n_features)
    label = rng.integers(K, size=n_rows)
    rows = rng.normal(size=(n_rows, n_features))
    for k in range(K):
        rows[label == k] = centre[k] + rows[label == k] @ root[k].T
    return rows


def seconds(call, repeats: int, clock=time.perf_counter) -> float:
    """The time of the fastest of several calls, after one that compiles."""
    call()
    times = []
    for _ in range(repeats):
        began = clock()
        call()
        times.append(clock() - began)
    return min(times)


def their_seconds(call, repeats: int) -> float:
    """The faster of one and two threads of scikit-learn: on busy cores two can be slower."""
    times = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            times.append(seconds(call, repeats))
    return min(times)


def one_iteration(n_rows: int) -> None:
    """One EM iteration from the same start, in both precisions."""
    rows = sky(n_rows, F, seed=1)
    start = {
        "weights_init": np.full(K, 1 / K),
        "means_init": rows[:K],
        "precisions_init": np.tile(np.linalg.inv(np.cov(rows[:10_000].T)), (K, 1, 1)),
    }
    for dtype in ("float64", "float32"):
        x = rows.astype(dtype)
        with jax.enable_x64(dtype == "float64"), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            theirs = Theirs(K, max_iter=1, **start).fit(x)
            state = theirs._get_parameters()

            def their_step(x=x, theirs=theirs, state=state):
                theirs.weights_, theirs.means_, theirs.covariances_, chol = state
                theirs.precisions_cholesky_ = chol
                log_lik, log_resp = theirs._e_step(x)
                theirs._m_step(x, log_resp)
                return log_lik

            model = gaussian_mixture(K)
            params = model.init(jax.random.key(0), jnp.asarray(x[:1000]))._replace(
                log_weight=jnp.log(jnp.asarray(state[0], dtype)),
                mean=jnp.asarray(state[1], dtype),
                covariance=jnp.asarray(state[2], dtype),
            )
            x_jax, ones = jnp.asarray(x), jnp.ones(n_rows, dtype)
            step = jax.jit(
                partial(em_step, model), compiler_options=COMPILER_OPTIONS
            )  # as in fit_em
            new, info = step(params, x_jax, ones)
            t_theirs = their_seconds(their_step, 3)
            t_ours = seconds(lambda: jax.block_until_ready(step(params, x_jax, ones)), 5)  # noqa: B023
            log_lik_change = abs(float(info.log_lik / info.weight) - float(their_step()))
            covariance_change = np.abs(np.asarray(new.covariance) - theirs.covariances_).max()
        print(
            f"| one iteration, {n_rows:,} x {F}, {dtype} | {t_theirs:.3f} s | {t_ours:.3f} s "
            f"| {t_theirs / t_ours:.1f} | log-likelihood {log_lik_change:.1e}, "
            f"covariances {covariance_change:.1e} |",
            flush=True,
        )


def restarts(n_rows: int) -> None:
    """Time ten restarts of xbayes and two of scikit-learn, to the same tolerance."""
    rows = sky(n_rows, 11, seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = {
            "ours": GaussianMixture(K, n_init=10, init_params="kmeans_scaled", random_state=0),
            "theirs": Theirs(K, n_init=2, random_state=0),
        }
        wall = {
            "theirs": their_seconds(lambda: fits["theirs"].fit(rows), 3),
            "ours": seconds(lambda: fits["ours"].fit(rows), 10),
        }
        with threadpool_limits(1):  # less affected by other programs on the cores
            processor = {
                name: seconds(partial(f.fit, rows), 10, time.process_time)
                for name, f in fits.items()
            }
    print(
        f"| restarts on {n_rows:,} x 11: 2 of scikit-learn, 10 of xbayes | "
        f"{wall['theirs']:.3f} s | {wall['ours']:.3f} s | {wall['theirs'] / wall['ours']:.1f} | "
        f"log-likelihood {fits['theirs'].lower_bound_:.4f}, {fits['ours'].lower_bound_:.4f}; "
        f"processor time {processor['theirs']:.3f} s, {processor['ours']:.3f} s |",
        flush=True,
    )


def default_fits(n_rows: int) -> None:
    """Time one fit of both estimators with default options and a small tolerance, k-means included.

    Both start from the same k-means and take the same iterations.
    """
    rows = sky(n_rows, F, seed=3)
    pairs = ((GaussianMixture, Theirs), (BayesianGaussianMixture, TheirBayesian))
    for ours, theirs in pairs:
        fits = [kind(n_components=K, random_state=0, tol=1e-6) for kind in (ours, theirs)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            times = [their_seconds(partial(fit.fit, rows), 3) for fit in fits]
        difference = abs(fits[0].score(rows) - fits[1].score(rows))
        print(
            f"| `{ours.__name__}` on {n_rows:,} x {F}, K = {K}, {fits[0].n_iter_} iterations | "
            f"{times[1]:.3f} s | {times[0]:.3f} s | {times[1] / times[0]:.1f} | "
            f"score {difference:.1e}; iterations {fits[1].n_iter_} |",
            flush=True,
        )


def from_parquet(n_rows: int, n_steps: int) -> None:
    """Time EM over a Parquet file that is read again in each iteration."""
    with tempfile.TemporaryDirectory() as folder, jax.enable_x64(False):
        path = Path(folder) / "rows.parquet"
        write(path, n_rows)
        model, ones = gaussian_mixture(K), np.ones(CHUNK, np.float32)

        def make_chunks():
            with pq.ParquetFile(
                path, pre_buffer=False
            ) as file:  # else the whole file stays in memory
                for batch in file.iter_batches(CHUNK):
                    x = np.stack([column.to_numpy() for column in batch.columns], axis=1)
                    yield x, ones[: len(x)]

        start = model.init(jax.random.key(0), jnp.asarray(next(make_chunks())[0]))
        before = peak_gib()
        began = time.perf_counter()
        _, info = fit_chunks(model, start, make_chunks, tol=0.0, max_steps=n_steps)
        per_step = (time.perf_counter() - began) / n_steps
        size = path.stat().st_size / 2**30
    print(
        f"| {n_rows:,} x {F} from Parquet ({size:.2f} GiB), float32 | | "
        f"{per_step:.1f} s per iteration | | peak memory {before:.2f} GiB before, "
        f"{peak_gib():.2f} GiB after {n_steps} iterations; "
        f"log-likelihood {float(info.log_lik):.5f} |",
        flush=True,
    )


def write(path: Path, n_rows: int) -> None:
    """Write the sky in row groups, one chunk at a time."""
    names = [f"p{f}" for f in range(F)]
    schema = pa.schema([(name, pa.float32()) for name in names])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as file:
        for seed, first in enumerate(range(0, n_rows, CHUNK)):
            rows = sky(min(CHUNK, n_rows - first), F, seed).astype(np.float32)
            file.write_table(pa.table(dict(zip(names, rows.T, strict=True)), schema=schema))


def peak_gib() -> float:
    """The peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Print the table; the Parquet run comes first, because peak memory never falls."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--parquet-rows", type=int, default=20_000_000)
    parser.add_argument("--parquet-steps", type=int, default=3)
    options = parser.parse_args()
    print("| benchmark | scikit-learn | xbayes | speed-up | difference |\n|---|---|---|---|---|")
    if options.parquet_rows:
        from_parquet(options.parquet_rows, options.parquet_steps)
    one_iteration(options.rows)
    restarts(10_000)
    default_fits(14_507)


if __name__ == "__main__":
    main()
