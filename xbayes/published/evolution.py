"""Differential evolution (Storn & Price 1997, SciPy's): the published way to weights of best F1.

Tranin et al. 2022 search alpha in [0, 10], and the exponent of P(missing | class) in [0, 1], for
the largest F1 of one class. The F1 itself is the target here, steps and all; nothing shrinks the
weights. Kept as the baseline that the gradient has to beat.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.infer.gradient import GradientInfo
from xbayes.models.base import Params, ScoreModel

FEWEST, MOST = 60, 300  # members of the population; 15 for each free number in between
GENERATIONS = 200
AT_ONCE = 16  # members scored together: bounded memory


class Evolved(NamedTuple):
    """The best found."""

    params: Params
    missing_weight: float  # exponent of P(missing | class)
    info: GradientInfo  # its loss is 1 - F1 on the training rows


def f1_of(
    log_joint: Float[Array, "N C"],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
    focus: int,
) -> Float[Array, ""]:
    """F1 of the class under the most probable class; 0 where none is chosen and none is there."""
    chosen = row_weight * (log_joint.argmax(-1) == focus)
    actual = row_weight * (class_index == focus)
    hit = (chosen * (class_index == focus)).sum()
    return 2 * hit / jnp.maximum(chosen.sum() + actual.sum(), 1e-12)


def evolve_f1(
    model: ScoreModel,
    like: Params,
    log_lik: Float[Array, "N F C"],
    observed: Bool[Array, "N ..."],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
    focus: int,
    seed: int,
    search_missing: bool = False,
    watch: Callable[[Params, float], Any] = lambda params, missing_weight: None,
) -> Evolved:
    """Parameters of largest F1 of class `focus`; what is not searched is that of `like`.

    With `search_missing` the exponent of P(missing | class) is searched too; `log_lik` must hold it
    with exponent 1. `watch` is called after every generation with the best so far.
    """
    from scipy.optimize import differential_evolution

    search: Any = differential_evolution  # its stubs know neither arrays of starts nor rng
    low, high = model.box.low, model.box.high
    if search_missing:
        low, high = (*low, 0.0), (*high, 1.0)
    data = (like, log_lik, observed, class_index, row_weight)

    def loss(vectors):  # [P, S], as SciPy hands over a population
        batch = jnp.asarray(vectors.T, log_lik.dtype)
        return 1.0 - np.asarray(_scores(model, focus, search_missing, batch, *data), np.float64)

    def unpack(vector) -> tuple[Params, float]:
        alphas = jnp.asarray(vector[: len(model.box.low)], log_lik.dtype)
        return model.box.params(like, alphas), float(vector[-1]) if search_missing else 1.0

    result = search(
        loss,
        list(zip(low, high, strict=True)),
        maxiter=GENERATIONS,
        init=_first_generation(low, high, seed),
        rng=np.random.default_rng(seed),
        vectorized=True,
        updating="deferred",
        polish=False,
        callback=lambda x, convergence: watch(*unpack(x)),
    )
    info = GradientInfo(*map(jnp.asarray, (result.fun, jnp.nan, result.nit, result.success)))
    return Evolved(*unpack(result.x), info)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _scores(model, focus, search_missing, vectors, like, log_lik, observed, truth, row_weight):
    """F1 of every member of a population `[S, P]`."""

    def one(vector):
        x = log_lik
        if search_missing:
            x = jnp.where(observed[..., None], log_lik, vector[-1] * log_lik)
        params = model.box.params(like, vector[: len(model.box.low)])
        return f1_of(model.log_joint(params, x), truth, row_weight, focus)

    return jax.lax.map(one, vectors, batch_size=AT_ONCE)


def _first_generation(low, high, seed: int) -> Float[np.ndarray, "S P"]:
    from scipy.stats import qmc

    size = int(np.clip(15 * len(low), FEWEST, MOST))
    return qmc.scale(qmc.LatinHypercube(len(low), rng=seed).random(size), low, high)
