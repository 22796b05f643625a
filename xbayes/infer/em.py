"""Expectation maximisation (Dempster, Laird & Rubin 1977) for any `Model` with an M step.

`fit_em` returns the best of several starts and refuses results that are not finite. `fit_chunks`
reads the rows anew in each iteration, so that they need not fit in memory.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from xbayes.errors import InputError
from xbayes.models.base import Model, Params, Statistics, dead
from xbayes.models.measured import Rows

# XLA runs the small steps of a loop on one core and the requests of one thread in order, so each
# core gets a thread. Each thread needs its own memory.
MAX_THREADS = min(os.cpu_count() or 1, 8)
# Lets XLA run the independent loops of one computation on two cores.
COMPILER_OPTIONS = {"xla_cpu_enable_concurrency_optimized_scheduler": True}
MIN_CAPACITY = 128  # of the history

Chunk = tuple[Rows, Float[Array | np.ndarray, "N"]]  # x and row_weight

NOT_FINITE = (
    "the mixture has an ill-defined covariance (a component collapsed onto a point or a plane) or "
    "the input is not finite; lower the number of components, raise reg_covar, scale the input"
)


class EMInfo(NamedTuple):
    """How a fit ended.

    Log-likelihoods are means over the row weight, minus the model's penalty, before each M step.
    For a variational posterior they are the evidence lower bound. A model with a `bound` has that
    in their place.
    """

    log_lik: Float[Array, ""]  # of the last iteration; the params are one M step further
    history: Float[Array, "T"]  # by iteration; zero after n_steps
    n_steps: Int[Array, ""]
    converged: Bool[Array, ""]
    n_reseeded: Int[Array, ""]  # empty components that were reseeded; log_lik may fall once after


def em_step(model: Model, params: Params, x: Rows, row_weight: Float[Array, "N"]):
    """The next params, and the statistics of the rows under the current params.

    Raises
    ------
    ValueError
        The model has no M step.
    """
    if model.statistics is not None and model.maximise is not None:
        statistics = model.statistics(params, x, row_weight)
        return model.maximise(params, statistics), statistics
    if model.m_step is None:
        raise ValueError("EM needs a model with an m_step; fit this one with infer/gradient")
    log_joint = model.log_joint(params, x)
    log_lik = jax.nn.logsumexp(log_joint, axis=1)
    resp = jnp.exp(log_joint - log_lik[:, None]) * row_weight[:, None]
    statistics = Statistics(
        log_lik=jnp.where(row_weight > 0, row_weight * log_lik, 0.0).sum(),
        weight=row_weight.sum(),
        count=resp.sum(0),
        moments=None,
    )
    return model.m_step(params, x, resp), statistics


@partial(
    jax.jit,
    static_argnames=("model", "capacity", "batch_size", "keep_valid"),
    compiler_options=COMPILER_OPTIONS,
)
def _run_starts(
    model, starts, x, row_weight, tol, max_steps, previous, *, capacity, batch_size, keep_valid
):
    """Iterate each start until its mean log-likelihood changes by less than `tol`.

    `max_steps` is traced; `capacity` bounds it and is the length of the history.
    """

    def step(carry):
        params, info, _ = carry
        updated, statistics = em_step(model, params, x, row_weight)
        new = _updated_info(model, params, info, statistics, updated, tol)
        if not keep_valid:
            return updated, new, jnp.isnan(new.log_lik)
        collapsed = _any_nan(updated) & ~jnp.isnan(statistics.log_lik)
        updated, info = jax.tree.map(
            partial(jnp.where, collapsed), (params, _without_step(info, new)), (updated, new)
        )
        return updated, info, collapsed | jnp.isnan(info.log_lik)

    def unfinished(carry):
        _, info, failed = carry
        active = ~info.converged & ~failed
        return active & (info.n_steps < jnp.minimum(max_steps, capacity))

    dtype = row_weight.dtype
    info = _initial_info(jnp.asarray(previous, dtype), jnp.zeros(capacity, dtype))
    failed = jnp.zeros((), bool)
    return jax.lax.map(
        lambda start: jax.lax.while_loop(unfinished, step, (start, info, failed))[:2],
        starts,
        batch_size=batch_size,
    )


@partial(jax.jit, static_argnames="model")
def _run_random_starts(model, keys, x, row_weight):
    # XLA moves work that no key changes, such as sorting the rows, out of the loop.
    return jax.lax.map(lambda key: model.init(key, x, row_weight), keys)


def random_starts(
    model: Model, key: PRNGKeyArray, x: Rows, row_weight: Float[Array, "N"], n_starts: int
) -> Params:
    """Params of `n_starts` different starts, stacked along a first axis."""
    x, row_weight = jax.tree.map(jnp.asarray, (x, row_weight))
    size = -(-n_starts // MAX_THREADS)
    n_groups = -(-n_starts // size)
    index = np.minimum(np.arange(size * n_groups), n_starts - 1)  # equal groups compile once
    keys = jax.random.split(key, n_starts)[index].reshape(n_groups, size)
    groups = _run_in_threads(
        lambda keys: _run_random_starts(model, keys, x, row_weight),
        list(keys),
        (model, size, *_shapes((x, row_weight))),
    )
    return jax.tree.map(lambda *parts: jnp.asarray(np.concatenate(parts)[:n_starts]), *groups)


def _run_in_threads(call: Callable, items: Iterable, compilation: tuple) -> list:
    """Results of all items, computed in threads; `compilation` identifies the compiled program.

    Threads that meet a new program would each compile it, so its first item runs alone.
    """
    enable_x64 = bool(jax.config.read("jax_enable_x64"))  # threads do not inherit it
    identity = hash((enable_x64, *compilation))

    def run(item):
        with jax.enable_x64(enable_x64):
            return jax.device_get(call(item))

    items, results = list(items), []
    if identity not in _compiled:
        results = [run(items.pop(0))]
        _compiled.add(identity)
    with ThreadPoolExecutor(MAX_THREADS) as pool:
        return results + list(pool.map(run, items))


_compiled: set[int] = set()  # hashes, which keep no model alive


def _shapes(tree: PyTree) -> tuple:
    leaves, structure = jax.tree.flatten(tree)
    return structure, *((leaf.shape, leaf.dtype) for leaf in leaves)


def fit_em(
    model: Model,
    starts: Params,
    x: Rows,
    row_weight: Float[Array, "N"],
    *,
    tol: float = 1e-4,
    max_steps: int = 200,
    previous: float = -np.inf,
    batch_size: int | None = None,
    keep_valid: bool = False,
) -> tuple[Params, EMInfo]:
    """Params of the start that reaches the greatest log-likelihood, and how its fit ended.

    Compiled once for equal shapes, whatever `tol` and `max_steps` (up to 128, then up to the next
    power of two).

    Parameters
    ----------
    starts
        Params with a first axis over the starts, from `random_starts`.
    tol
        A start ends when its mean log-likelihood changes by less than `tol`.
    previous
        The log-likelihood that the first iteration is compared with, to resume a fit.
    batch_size
        Starts per computation, which lasts until the slowest has converged; pays only on a GPU.
    keep_valid
        Whether a start that an M step would make singular ends with its last valid params. It has
        then not converged, in fewer than `max_steps` steps. Otherwise it is not finite.

    Raises
    ------
    InputError
        No start gave a finite likelihood: a covariance became singular, or x is not finite.
    """
    capacity = max(MIN_CAPACITY, 1 << max(int(max_steps) - 1, 0).bit_length())
    starts, size = jax.device_get(starts), batch_size or 1
    x, row_weight = jax.tree.map(jnp.asarray, (x, row_weight))

    def run(first: int):
        group = jax.tree.map(lambda leaf: leaf[first : first + size], starts)
        return _run_starts(
            model,
            group,
            x,
            row_weight,
            tol,
            max_steps,
            previous,
            capacity=capacity,
            batch_size=batch_size,
            keep_valid=keep_valid,
        )

    n_starts = jax.tree.leaves(starts)[0].shape[0]
    compilation = (model, capacity, batch_size, keep_valid, *_shapes((starts, x, row_weight)))
    groups = _run_in_threads(run, range(0, n_starts, size), compilation)
    params, info = jax.tree.map(lambda *parts: np.concatenate(parts), *groups)
    finite = _without_nan(params) & ~np.isnan(info.log_lik)
    if not finite.any():
        raise InputError(NOT_FINITE)
    collapsed = keep_valid & ~info.converged & (info.n_steps < max_steps)
    if (finite & ~collapsed).any():
        finite = finite & ~collapsed
    best = int(np.argmax(np.where(finite, info.log_lik, -np.inf)))
    if not finite[best]:  # max_steps = 0: every likelihood is -inf
        best = int(np.argmax(finite))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[best]), (params, info))


def fit_chunks(
    model: Model,
    start: Params,
    make_chunks: Callable[[], Iterable[Chunk]],
    tol: float = 1e-4,
    max_steps: int = 200,
) -> tuple[Params, EMInfo]:
    """Params fitted by EM to rows that do not fit in memory, and how the fit ended.

    Only sums are kept of each chunk (Neal & Hinton 1998, section 3).

    Parameters
    ----------
    make_chunks
        Called once per iteration; yields (x, row_weight) of each chunk. A shorter chunk is padded
        with rows of weight zero to the longest chunk so far, so that equal chunks compile once.

    Raises
    ------
    InputError
        No rows, or a likelihood that is not finite.
    """
    return fit_sums(
        model, start, lambda params: accumulate(model, params, make_chunks()), tol, max_steps
    )


def fit_sums(
    model: Model,
    start: Params,
    statistics_of: Callable[[Params], Statistics],
    tol: float = 1e-4,
    max_steps: int = 200,
) -> tuple[Params, EMInfo]:
    """Params fitted by EM to rows that are elsewhere, and how the fit ended.

    Parameters
    ----------
    statistics_of
        Called once per iteration; gives the statistics of all rows under the params, summed over
        whatever holds them: chunks, partitions, machines.

    Raises
    ------
    InputError
        A likelihood that is not finite.
    """
    params, info = start, _initial_info(jnp.asarray(-np.inf), jnp.zeros(max_steps))
    for _ in range(max_steps):
        statistics = statistics_of(params)
        updated = _maximise(model, params, statistics)
        info = _updated_info(model, params, info, statistics, updated, tol)
        params = updated
        if not _without_nan(jax.tree.map(lambda leaf: leaf[None], jax.device_get(params)))[0]:
            raise InputError(NOT_FINITE)
        if bool(info.converged):
            break
    return params, info


def accumulate(model: Model, params: Params, chunks: Iterable[Chunk]) -> Statistics:
    """Statistics summed over all chunks (x, row_weight) under the same params."""
    total, longest = None, 0
    for x, row_weight in chunks:
        longest = max(longest, row_weight.shape[0])
        x, row_weight = pad_rows((x, row_weight), longest)
        statistics = _statistics(model, params, x, row_weight)
        total = statistics if total is None else jax.tree.map(jnp.add, total, statistics)
        jax.block_until_ready(total)  # otherwise chunks pile up: they are read faster than used
    if total is None:
        raise InputError("no rows to fit: make_chunks() yielded no chunk; check the input")
    return total


def pad_rows(tree: PyTree, n_rows: int) -> PyTree:
    """The tree with every leaf padded by zeros to `n_rows` rows; padding has row weight zero."""

    def pad(leaf):
        missing = n_rows - leaf.shape[0]
        return leaf if missing == 0 else np.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1))

    return jax.tree.map(pad, tree)


@partial(jax.jit, static_argnames="model", compiler_options=COMPILER_OPTIONS)
def _statistics(model, params, x, row_weight):
    return model.statistics(params, x, row_weight)


@partial(jax.jit, static_argnames="model")
def _maximise(model, params, statistics):
    return model.maximise(params, statistics)


def _initial_info(previous, history) -> EMInfo:
    return EMInfo(
        log_lik=previous,
        history=history,
        n_steps=jnp.zeros((), int),
        converged=jnp.zeros((), bool),
        n_reseeded=jnp.zeros((), int),
    )


def _updated_info(model, params, info: EMInfo, statistics, updated, tol) -> EMInfo:
    if model.bound is None:
        cost = 0.0 if model.penalty is None else model.penalty(params)
        log_lik = (statistics.log_lik - cost) / statistics.weight
    else:
        log_lik = model.bound(params, statistics, updated)
    log_lik = log_lik.astype(info.log_lik.dtype)
    n_dead = (dead(statistics) & model.reseeds).sum().astype(info.n_reseeded.dtype)
    return EMInfo(
        log_lik=log_lik,
        history=info.history.at[info.n_steps].set(log_lik),
        n_steps=info.n_steps + 1,
        # A component that was just reseeded has not moved yet, so the fit goes on.
        converged=(jnp.abs(log_lik - info.log_lik) < tol) & (n_dead == 0),
        n_reseeded=info.n_reseeded + n_dead,
    )


def _without_step(info: EMInfo, new: EMInfo) -> EMInfo:
    """How a fit ended whose last M step failed: its objective is known before that step only."""
    log_lik = jnp.where(jnp.isnan(new.log_lik), info.log_lik, new.log_lik)
    history = new.history.at[info.n_steps].set(log_lik)
    return new._replace(log_lik=log_lik, history=history, converged=jnp.zeros((), bool))


def _any_nan(params: Params) -> Bool[Array, ""]:
    return jnp.stack([jnp.isnan(leaf).any() for leaf in jax.tree.leaves(params)]).any()


def _without_nan(params: Params) -> Bool[np.ndarray, "S"]:
    """Which of the stacked params contain no NaN."""
    leaves = [np.isnan(leaf).reshape(leaf.shape[0], -1).any(1) for leaf in jax.tree.leaves(params)]
    return np.asarray(~np.stack(leaves).any(0))
