"""Penalised maximum likelihood by gradient (optax L-BFGS), for any `Model`."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
import optax.tree_utils as otu
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from xbayes.infer.curvature import log_loss_curvature, whitening
from xbayes.models.base import ClassModel, Model, Params

ROUND = 10  # steps with one curvature
MANY_ROWS = 8192  # from so many on, a curvature costs less than the steps it saves


class GradientInfo(NamedTuple):
    """How a minimisation ended."""

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    n_steps: Int[Array, ""]
    converged: Bool[Array, ""]


def minimise(
    loss: Callable[[Params], Float[Array, ""]],
    start: Params,
    max_steps: int = 300,
    tol: float | None = None,
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
    value_and_grad = optax.value_and_grad_from_state(loss)
    if tol is None:
        tol = 1e-5 if jnp.zeros(()).dtype == jnp.float64 else 1e-4

    def step(carry):
        params, state = carry
        value, grad = value_and_grad(params, state=state)
        update, state = optimiser.update(grad, state, params, value=value, grad=grad, value_fn=loss)
        return optax.apply_updates(params, update), state

    def unfinished(carry):
        _, state = carry
        count, grad = otu.tree_get(state, "count"), otu.tree_get(state, "grad")
        return (count == 0) | ((count < max_steps) & (otu.tree_norm(grad) > tol))

    params, state = jax.lax.while_loop(unfinished, step, (start, optimiser.init(start)))
    norm = otu.tree_norm(otu.tree_get(state, "grad"))
    return params, GradientInfo(
        otu.tree_get(state, "value"), norm, otu.tree_get(state, "count"), norm <= tol
    )


def _minimise_whitened(loss, start, max_steps, tol, scale):
    flat, unflatten = ravel_pytree(start)

    def place(z):
        return unflatten(flat + scale @ z)

    z, info = minimise(lambda z: loss(place(z)), jnp.zeros_like(flat), max_steps, tol)
    return place(z), info


def log_loss(
    model: Model | ClassModel,
    params: Params,
    x: Float[Array, "N ..."],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
) -> Float[Array, ""]:
    """Mean of -log posterior of the true class, over rows of positive weight."""
    log_posterior = jax.nn.log_softmax(model.log_joint(params, x))
    truth = jnp.maximum(class_index, 0)  # rows without a class have weight zero
    each = -jnp.take_along_axis(log_posterior, truth[:, None], axis=1)[:, 0]
    return (row_weight * each).sum() / jnp.maximum(row_weight.sum(), 1.0)


def fit_log_loss(
    model: Model | ClassModel,
    start: Params,
    x: Float[Array, "N ..."],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
    strength: Float[Array, ""] | float,
    max_steps: int = 300,
    tol: float | None = None,
) -> tuple[Params, GradientInfo]:
    """Parameters of least penalised log loss; `strength` counts sources, as the penalty does."""
    total = jnp.maximum(row_weight.sum(), 1.0)

    def loss(params):
        shrinkage = strength / total * model.penalty(params) if model.penalty else 0.0
        return log_loss(model, params, x, class_index, row_weight) + shrinkage

    if x.shape[0] < MANY_ROWS:
        return minimise(loss, start, max_steps, tol)

    def step(carry):
        params, info = carry
        curvature = log_loss_curvature(model, params, x, row_weight, strength)
        params, last = minimise(loss, params, ROUND, tol, curvature)
        return params, last._replace(n_steps=info.n_steps + last.n_steps)

    # The curvature changes on the way, so it is taken anew every few steps.
    unknown = jnp.asarray(jnp.inf, x.dtype)
    begin = GradientInfo(unknown, unknown, jnp.int32(0), jnp.array(False))
    return jax.lax.while_loop(
        lambda carry: ~carry[1].converged & (carry[1].n_steps < max_steps), step, (start, begin)
    )


def fit_from_starts(
    model: Model | ClassModel,
    key: PRNGKeyArray,
    log_prior: Float[Array, "C"],
    x: Float[Array, "N ..."],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
    strength: Float[Array, ""] | float,
    n_starts: int,
) -> tuple[Params, GradientInfo]:
    """The best of several random starts."""

    def one(key):
        start = model.init(key, x)._replace(log_prior=log_prior)
        return fit_log_loss(model, start, x, class_index, row_weight, strength)

    # One after the other: a batch would step until its slowest member is done.
    params, info = jax.lax.map(one, jax.random.split(key, n_starts))
    best = jnp.nanargmin(info.loss)
    pick = lambda leaf: leaf[best]  # noqa: E731
    return jax.tree.map(pick, params), jax.tree.map(pick, info)
