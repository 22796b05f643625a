"""Weights of highest F1 by differential evolution (Storn & Price 1997), as published; a baseline.

Tranin et al. 2022 (A&A 657, A138) search alpha in [0, 10] and the exponent of P(missing | class) in
[0, 1] for the highest F1 of one class, F1 = 2 / (1/recall + 1/precision). The objective is the F1
itself, a step function, without a penalty on the weights.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.infer.gradient import GradientInfo
from xbayes.models.base import Params, ReweighMissingFn, ScoreModel

FEWEST, MOST = (
    60,
    300,
)  # limits of the population size, which is 15 times the number of free parameters
GENERATIONS = 200
AT_ONCE = 16  # members scored together, to limit memory


class Evolved(NamedTuple):
    """The parameters of highest F1."""

    params: Params
    missing_weight: float  # exponent of P(missing | class)
    info: GradientInfo  # its loss is 1 - F1 on the training rows


def f1_of(
    log_joint: Float[Array, "N C"],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
    focus: int,
) -> Float[Array, ""]:
    """F1 of class `focus` if each row is given its most probable class; 0 if undefined."""
    chosen = row_weight * (log_joint.argmax(-1) == focus)
    actual = row_weight * (class_index == focus)
    hit = (chosen * (class_index == focus)).sum()
    return 2 * hit / jnp.maximum(chosen.sum() + actual.sum(), 1e-12)


def evolve_f1(
    model: ScoreModel,
    like: Params,
    log_lik: Float[Array, "N F C"],
    measured: Bool[Array, "N ..."],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
    *,
    focus: int,
    seed: int,
    reweigh_missing: ReweighMissingFn | None = None,
    available: Bool[Array, "N ..."] | None = None,
    watch: Callable[[Params, float], object] = lambda params, missing_weight: None,
) -> Evolved:
    """Parameters of highest F1 of class `focus`.

    Parameters
    ----------
    like : parameters that supply the values that are not searched, such as the log prior.
    log_lik : out-of-fold log-likelihoods, with exponent 1 of P(missing | class).
    reweigh_missing : applies another exponent of P(missing | class), which is then searched too.
    available : which features are measured or not detected; None: all of them.
    watch : called after every generation with the best parameters and exponent so far.
    """
    from scipy.optimize import differential_evolution

    search: Any = differential_evolution  # its type stubs lack arrays for init, and rng
    low, high = model.box.low, model.box.high
    if reweigh_missing is not None:
        low, high = (*low, 0.0), (*high, 1.0)
    scored = partial(
        _scores,
        model,
        focus,
        reweigh_missing,
        like=like,
        log_lik=log_lik,
        measured=measured,
        available=jnp.ones_like(measured) if available is None else available,
        truth=class_index,
        row_weight=row_weight,
    )

    def loss(vectors):  # [P, S]: SciPy passes a whole population
        return 1.0 - np.asarray(scored(jnp.asarray(vectors.T, log_lik.dtype)), np.float64)

    def unpack(vector) -> tuple[Params, float]:
        alphas = jnp.asarray(vector[: len(model.box.low)], log_lik.dtype)
        exponent = 1.0 if reweigh_missing is None else float(vector[-1])
        return model.box.params(like, alphas), exponent

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
    params, missing_weight = unpack(result.x)
    info = GradientInfo(
        loss=jnp.asarray(result.fun),
        gradient_norm=jnp.asarray(jnp.nan),
        n_steps=jnp.asarray(result.nit),
        converged=jnp.asarray(result.success),
    )
    return Evolved(params=params, missing_weight=missing_weight, info=info)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _scores(
    model, focus, reweigh_missing, vectors, *, like, log_lik, measured, available, truth, row_weight
):
    """F1 of every member of a population `[S, P]`."""

    def one(vector):
        x = log_lik
        if reweigh_missing is not None:
            x = reweigh_missing(log_lik, measured, available, vector[-1])
        params = model.box.params(like, vector[: len(model.box.low)])
        return f1_of(model.log_joint(params, x), truth, row_weight, focus)

    return jax.lax.map(one, vectors, batch_size=AT_ONCE)


def _first_generation(low, high, seed: int) -> Float[np.ndarray, "S P"]:
    from scipy.stats import qmc

    size = int(np.clip(15 * len(low), FEWEST, MOST))
    return qmc.scale(qmc.LatinHypercube(len(low), rng=seed).random(size), low, high)
