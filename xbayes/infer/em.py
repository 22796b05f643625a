"""Expectation maximisation (Dempster, Laird & Rubin 1977) for any `Model` that has both steps.

`run_em` is pure and batchable; `fit_em` takes the best of several starts and refuses what is not
finite; `fit_chunks` reads the rows anew in each iteration, so that they never need fit in memory.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from xbayes.models.base import Model, Params, Statistics, dead
from xbayes.types import InputError

# Starts under way at once. XLA runs the small steps of a loop on one core, and what one thread asks
# for in order, so each core gets a thread.
AT_ONCE = min(os.cpu_count() or 1, 8)  # each holds memory of its own
# Lets XLA run the independent loops of one computation on two cores.
SIDE_BY_SIDE = {"xla_cpu_enable_concurrency_optimized_scheduler": True}


class EMInfo(NamedTuple):
    """How a fit ended. Log-likelihoods are means over the row weight, before each M step.

    A model's penalty is taken off: for a variational posterior they are the lower bound.
    """

    log_lik: Float[Array, ""]  # of the last iteration; the params are one M step further
    history: Float[Array, "T"]  # one an iteration; zero after n_steps
    n_steps: Int[Array, ""]
    converged: Bool[Array, ""]
    n_reseeded: Int[Array, ""]  # empty components seeded anew, after which log_lik may fall once


def em_step(model: Model, params: Params, x: Any, row_weight: Float[Array, "N"]):
    """One iteration: (params, statistics of the params it started from)."""
    if model.statistics is not None and model.maximise is not None:
        found = model.statistics(params, x, row_weight)
        return model.maximise(params, found), found
    if model.m_step is None:
        raise ValueError("EM needs a model with an m_step; fit this one with infer/gradient")
    log_joint = model.log_joint(params, x)
    log_lik = jax.nn.logsumexp(log_joint, axis=1)
    resp = jnp.exp(log_joint - log_lik[:, None]) * row_weight[:, None]
    total = jnp.where(row_weight > 0, row_weight * log_lik, 0.0).sum()
    found = Statistics(total, row_weight.sum(), resp.sum(0), None)
    return model.m_step(params, x, resp), found


def run_em(
    model: Model,
    start: Params,
    x: Any,
    row_weight: Float[Array, "N"],
    tol: Float[Array, ""] | float,
    max_steps: Int[Array, ""] | int,
    capacity: int,
    previous: Float[Array, ""] | float = -np.inf,
) -> tuple[Params, EMInfo]:
    """Iterate from `start` until the mean log-likelihood changes by less than `tol`.

    `max_steps` may be traced; `capacity` bounds it and is the length of the history. `previous` is
    the log-likelihood to compare the first iteration with, where a fit is taken up again.
    """

    def step(carry):
        params, info = carry
        new, found = em_step(model, params, x, row_weight)
        return new, _after(model, params, info, found, tol)

    def unfinished(carry):
        _, info = carry
        going = ~info.converged & ~jnp.isnan(info.log_lik)
        return going & (info.n_steps < jnp.minimum(max_steps, capacity))

    dtype = row_weight.dtype
    info = _nothing_yet(jnp.asarray(previous, dtype), jnp.zeros(capacity, dtype))
    return jax.lax.while_loop(unfinished, step, (start, info))


@partial(
    jax.jit, static_argnames=("model", "capacity", "batch_size"), compiler_options=SIDE_BY_SIDE
)
def _run_starts(model, starts, x, row_weight, tol, max_steps, previous, capacity, batch_size):
    def one(start):
        return run_em(model, start, x, row_weight, tol, max_steps, capacity, previous)

    return jax.lax.map(one, starts, batch_size=batch_size)


@partial(jax.jit, static_argnames="model")
def _run_random_starts(model, keys, x, row_weight):
    # XLA takes out of the loop what no key changes, such as sorting the rows.
    return jax.lax.map(lambda key: model.init(key, x, row_weight), keys)


def random_starts(
    model: Model, key: PRNGKeyArray, x: Any, row_weight: Float[Array, "N"], n_starts: int
) -> Params:
    """`n_starts` different starts, stacked along a first axis."""
    x, row_weight = jax.tree.map(jnp.asarray, (x, row_weight))
    each = -(-n_starts // AT_ONCE)
    n_groups = -(-n_starts // each)
    last = np.minimum(np.arange(each * n_groups), n_starts - 1)  # equal groups compile once
    keys = jax.random.split(key, n_starts)[last].reshape(n_groups, each)
    groups = _side_by_side(
        lambda keys: _run_random_starts(model, keys, x, row_weight),
        list(keys),
        (model, each, *_shapes((x, row_weight))),
    )
    return jax.tree.map(lambda *each: jnp.asarray(np.concatenate(each)[:n_starts]), *groups)


def _side_by_side(call: Callable, items: Iterable, compiles: tuple) -> list:
    """Results for all items, in threads; `compiles` is all that its compilation depends on.

    Threads that meet a new compilation would each do it, so there the first item goes ahead.
    """
    wide = bool(jax.config.read("jax_enable_x64"))  # threads do not inherit it
    what = hash((wide, *compiles))

    def one(item):
        with jax.enable_x64(wide):
            return jax.device_get(call(item))

    items, found = list(items), []
    if what not in _compiled:
        found = [one(items.pop(0))]
        _compiled.add(what)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return found + list(pool.map(one, items))


_compiled: set[int] = set()  # hashes, which keep no model alive


def _shapes(tree: Any) -> tuple:
    leaves, structure = jax.tree.flatten(tree)
    return structure, *((leaf.shape, leaf.dtype) for leaf in leaves)


def fit_em(
    model: Model,
    starts: Params,
    x: Any,
    row_weight: Float[Array, "N"],
    tol: float = 1e-4,
    max_steps: int = 200,
    previous: float = -np.inf,
    batch_size: int | None = None,
) -> tuple[Params, EMInfo]:
    """The best of several starts (a first axis of S on each leaf), with how each ended.

    Each start ends when it has converged, as many at once as there are cores. `batch_size` of
    them wait for the slowest of them in one computation, which pays on a GPU only.
    Compiles once for equal shapes, whatever `tol` and `max_steps` (128, or the next power of two).

    Raises
    ------
    InputError
        No start gave a finite likelihood: a covariance became singular, or x is not finite.
    """
    capacity = max(128, 1 << max(int(max_steps) - 1, 0).bit_length())
    starts, size = jax.device_get(starts), batch_size or 1
    x, row_weight = jax.tree.map(jnp.asarray, (x, row_weight))

    def run(first: int):
        group = jax.tree.map(lambda leaf: leaf[first : first + size], starts)
        return _run_starts(
            model, group, x, row_weight, tol, max_steps, previous, capacity, batch_size
        )

    n_starts = jax.tree.leaves(starts)[0].shape[0]
    compiles = (model, capacity, batch_size, *_shapes((starts, x, row_weight)))
    ended = _side_by_side(run, range(0, n_starts, size), compiles)
    params, info = jax.tree.map(lambda *each: np.concatenate(each), *ended)
    finite = _finite(params) & ~np.isnan(info.log_lik)
    if not finite.any():
        raise InputError(NOT_FINITE)
    best = int(np.argmax(np.where(finite, info.log_lik, -np.inf)))
    if not finite[best]:  # max_steps = 0: every likelihood is -inf
        best = int(np.argmax(finite))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[best]), (params, info))


NOT_FINITE = (
    "the mixture has an ill-defined covariance (a component collapsed onto a point or a plane) or "
    "the input is not finite; lower the number of components, raise reg_covar, scale the input"
)


def fit_chunks(
    model: Model,
    start: Params,
    make_chunks: Callable[[], Iterable[tuple[Any, Any]]],
    tol: float = 1e-4,
    max_steps: int = 200,
) -> tuple[Params, EMInfo]:
    """EM over rows that do not fit in memory.

    `make_chunks()` opens the rows anew, once an iteration, and gives (x, row_weight) by chunks.
    Only sums outlive a chunk. Shorter chunks are padded with rows of weight zero to the longest
    so far, so that equal chunks compile once.

    Raises
    ------
    InputError
        No rows, or a likelihood that is not finite.
    """
    params, info = start, _nothing_yet(jnp.asarray(-np.inf), jnp.zeros(max_steps))
    for _ in range(max_steps):
        found = accumulate(model, params, make_chunks())
        info = _after(model, params, info, found, tol)
        params = _maximise(model, params, found)
        if not _finite(jax.tree.map(lambda leaf: leaf[None], jax.device_get(params)))[0]:
            raise InputError(NOT_FINITE)
        if bool(info.converged):
            break
    return params, info


def accumulate(model: Model, params: Params, chunks: Iterable[tuple[Any, Any]]) -> Statistics:
    """Statistics of all chunks (x, row_weight) under the same params, summed."""
    total, longest = None, 0
    for x, row_weight in chunks:
        longest = max(longest, row_weight.shape[0])
        x, row_weight = pad_rows((x, row_weight), longest)
        found = _statistics(model, params, x, row_weight)
        total = found if total is None else jax.tree.map(jnp.add, total, found)
        jax.block_until_ready(total)  # or chunks would be read faster than used, and pile up
    if total is None:
        raise InputError("no rows: make_chunks() gave no chunk")
    return total


def pad_rows(tree: Any, n_rows: int) -> Any:
    """Zeros below the rows of every leaf; with row weight zero they count for nothing."""

    def pad(leaf):
        missing = n_rows - leaf.shape[0]
        return leaf if missing == 0 else np.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1))

    return jax.tree.map(pad, tree)


@partial(jax.jit, static_argnames="model", compiler_options=SIDE_BY_SIDE)
def _statistics(model, params, x, row_weight):
    return model.statistics(params, x, row_weight)


@partial(jax.jit, static_argnames="model")
def _maximise(model, params, found):
    return model.maximise(params, found)


def _nothing_yet(previous, history) -> EMInfo:
    zero = jnp.zeros((), int)
    return EMInfo(previous, history, zero, jnp.zeros((), bool), zero)


def _after(model, params, info: EMInfo, found: Statistics, tol) -> EMInfo:
    cost = 0.0 if model.penalty is None else model.penalty(params)
    log_lik = ((found.log_lik - cost) / found.weight).astype(info.log_lik.dtype)
    n_dead = (dead(found) & model.reseeds).sum().astype(info.n_reseeded.dtype)
    # A component seeded anew has not moved yet: that is no place to stop.
    converged = (jnp.abs(log_lik - info.log_lik) < tol) & (n_dead == 0)
    history = info.history.at[info.n_steps].set(log_lik)
    return EMInfo(log_lik, history, info.n_steps + 1, converged, info.n_reseeded + n_dead)


def _finite(params: Params) -> Bool[np.ndarray, "S"]:
    """Which of the stacked params have no NaN and no covariance beyond all numbers."""
    leaves = [np.isnan(leaf).reshape(leaf.shape[0], -1).any(1) for leaf in jax.tree.leaves(params)]
    return np.asarray(~np.stack(leaves).any(0))
