"""Penalised maximum likelihood by gradient (optax L-BFGS), for any `Model`."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.tree_utils as otu
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from xbayes.infer.curvature import log_loss_curvature, whitening
from xbayes.models.base import Model, Params, ScoreModel

NEAR_TOL = 1e-3  # a loss within 1e-6 of the minimum: enough to compare penalties and starts
MAX_STEPS = 300
ROUND = 5  # steps with one curvature
MANY_ROWS = 8192  # from so many on, a curvature costs less than the steps it saves


class GradientInfo(NamedTuple):
    """How a minimisation ended."""

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    n_steps: Int[Array, ""]
    converged: Bool[Array, ""]


def fine_tol() -> float:
    """The gradient norm at which a minimum counts as reached, by JAX's precision."""
    return 1e-5 if jnp.zeros(()).dtype == jnp.float64 else 1e-4


def minimise(
    loss: Callable[[Params], Float[Array, ""]],
    start: Params,
    max_steps: int = MAX_STEPS,
    tol: float | Float[Array, ""] | None = None,
    curvature: Float[Array, "P P"] | None = None,
) -> tuple[Params, GradientInfo]:
    """Minimise a smooth loss from `start` until the gradient norm is below `tol`.

    With the curvature of the loss over the raveled parameters it takes a few steps; the norm is
    then that of the gradient in coordinates of unit curvature, and the loss within tol**2 of its
    minimum.

    Pure and batchable: under vmap the slowest member decides when the loop ends.
    """
    if curvature is not None:
        return _minimise_whitened(loss, start, max_steps, tol, whitening(curvature))
    optimiser = optax.lbfgs(memory_size=15)
    # One vector, not a tree: the program of the search is as long as the tree has leaves.
    flat, unflatten = ravel_pytree(start)

    def flat_loss(vector):
        return loss(unflatten(vector))

    value_and_grad = optax.value_and_grad_from_state(flat_loss)
    tol = fine_tol() if tol is None else tol

    def step(carry):
        params, state = carry
        value, grad = value_and_grad(params, state=state)
        last = {"value": value, "grad": grad, "value_fn": flat_loss}
        update, state = optimiser.update(grad, state, params, **last)
        return optax.apply_updates(params, update), state

    def unfinished(carry):
        _, state = carry
        count, grad = otu.tree_get(state, "count"), otu.tree_get(state, "grad")
        return (count == 0) | ((count < max_steps) & (otu.tree_norm(grad) > tol))

    params, state = jax.lax.while_loop(unfinished, step, (flat, optimiser.init(flat)))
    norm = otu.tree_norm(otu.tree_get(state, "grad"))
    return unflatten(jnp.asarray(params)), GradientInfo(
        otu.tree_get(state, "value"), norm, otu.tree_get(state, "count"), norm <= tol
    )


def _minimise_whitened(loss, start, max_steps, tol, scale):
    flat, unflatten = ravel_pytree(start)

    def place(z):
        return unflatten(flat + scale @ z)

    z, info = minimise(lambda z: loss(place(z)), jnp.zeros_like(flat), max_steps, tol)
    return place(z), info


def log_loss(
    model: Model | ScoreModel,
    params: Params,
    x: Float[Array, "N ..."],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
) -> Float[Array, ""]:
    """Mean of -log posterior of the true class, over rows of positive weight."""
    return log_loss_of_scores(model.log_joint(params, x), class_index, row_weight)


def log_loss_of_scores(
    score: Float[Array, "N C"], class_index: Int[Array, "N"], row_weight: Float[Array, "N"]
) -> Float[Array, ""]:
    """`log_loss` of scores at hand."""
    truth = jnp.maximum(class_index, 0)  # rows without a class have weight zero
    each = -jnp.take_along_axis(jax.nn.log_softmax(score), truth[:, None], axis=1)[:, 0]
    return (row_weight * each).sum() / jnp.maximum(row_weight.sum(), 1.0)


def fit_log_loss(
    model: ScoreModel,
    start: Params,
    x: Float[Array, "N ..."],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
    penalty: Float[Array, ""] | float,
    max_steps: int = MAX_STEPS,
    tol: float | Float[Array, ""] | None = None,
) -> tuple[Params, GradientInfo]:
    """Parameters of least penalised log loss; `penalty` counts sources, as the penalty does."""
    design = model.design(x)  # once, not at every step
    return _fit_design(model, start, design, class_index, row_weight, penalty, max_steps, tol)


def _fit_design(model, start, design, class_index, row_weight, penalty, max_steps, tol):
    total = jnp.maximum(row_weight.sum(), 1.0)

    def loss(params):
        score = jax.lax.stop_gradient(start.log_prior) + model.scores(params, design)
        fit = log_loss_of_scores(score, class_index, row_weight)
        return fit + penalty / total * model.penalty(params)

    if len(design) < MANY_ROWS or model.coefficient is None:
        return minimise(loss, start, max_steps, tol)

    def step(carry):
        params, info = carry
        curvature = log_loss_curvature(model, params, design, row_weight, penalty)
        params, last = minimise(loss, params, ROUND, tol, curvature)
        return params, last._replace(n_steps=info.n_steps + last.n_steps)

    # The curvature changes on the way, so it is taken anew every few steps.
    unknown = jnp.asarray(jnp.inf, design.dtype)
    begin = GradientInfo(unknown, unknown, jnp.int32(0), jnp.array(False))
    return jax.lax.while_loop(
        lambda carry: ~carry[1].converged & (carry[1].n_steps < max_steps), step, (start, begin)
    )


@partial(jax.jit, static_argnums=0)
def fit_design(
    model: ScoreModel,
    start: Params,
    design: Float[Array, "N D"],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
    penalty: Float[Array, ""] | float,
    tol: Float[Array, ""] | float,
) -> tuple[Params, GradientInfo]:
    """`fit_log_loss` of a design, compiled once for every start, fold, penalty and tolerance."""
    return _fit_design(model, start, design, class_index, row_weight, penalty, MAX_STEPS, tol)


def fit_from_starts(
    model: ScoreModel,
    key: PRNGKeyArray,
    log_prior: Float[Array, "C"],
    x: Float[Array, "N ..."],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
    penalty: Float[Array, ""] | float,
    n_starts: int,
) -> tuple[Params, GradientInfo]:
    """The best of several random starts, each taken near its minimum, the best all the way."""
    design = jax.jit(model.design)(x)
    rows = (design, class_index, row_weight, jnp.asarray(penalty, x.dtype))
    near, info, init = [], [], jax.jit(model.init)
    for each in jax.random.split(key, n_starts):
        start = init(each, x)._replace(log_prior=log_prior)
        params, last = fit_design(model, start, *rows, NEAR_TOL)
        near.append(params)
        info.append(last)
    best = int(np.nanargmin([float(last.loss) for last in info]))
    params, last = fit_design(model, near[best], *rows, fine_tol())
    return params, last._replace(n_steps=info[best].n_steps + last.n_steps)
