"""Penalised maximum likelihood by gradient descent (optax L-BFGS), for any `ScoreModel`."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from xbayes.infer.curvature import log_loss_curvature, whitening
from xbayes.models.base import Model, Params, ScoreModel

NEAR_TOL = 1e-3  # loss within 1e-6 of the minimum: enough to compare penalties and starts
MAX_STEPS = 300
STEPS_PER_CURVATURE = 5
MANY_ROWS = 8192  # from this size on, computing a curvature takes less time than the steps it saves


class GradientInfo(NamedTuple):
    """How a minimisation ended."""

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    n_steps: Int[Array, ""]
    converged: Bool[Array, ""]


def fine_tol() -> float:
    """Gradient norm below which a minimisation has converged, in JAX's current precision."""
    return 1e-5 if jnp.zeros(()).dtype == jnp.float64 else 1e-4


def minimise(
    loss: Callable[[Params], Float[Array, ""]],
    start: Params,
    max_steps: int = MAX_STEPS,
    tol: float | Float[Array, ""] | None = None,
    curvature: Float[Array, "P P"] | None = None,
) -> tuple[Params, GradientInfo]:
    """Parameters that minimise a smooth loss, and how the minimisation ended.

    The function is pure and can be batched: under vmap the slowest member ends the loop.

    Parameters
    ----------
    tol
        The gradient norm at which the minimisation stops; None: `fine_tol()`.
    curvature
        Curvature of the loss with respect to the raveled parameters. The search then runs in
        coordinates of unit curvature and takes few steps. `tol` bounds the gradient norm in these
        coordinates, so that the loss ends within about tol**2 of its minimum.
    """
    # Imported here because it is slow, and a fitted run is applied without it.
    import optax
    import optax.tree_utils as otu

    if curvature is not None:
        return _minimise_whitened(loss, start, max_steps, tol, whitening(curvature))
    optimiser = optax.lbfgs(memory_size=15)
    # One vector, not a tree: the compiled line search grows with the number of leaves.
    flat, unflatten = ravel_pytree(start)

    def flat_loss(vector):
        return loss(unflatten(vector))

    value_and_grad = optax.value_and_grad_from_state(flat_loss)
    tol = fine_tol() if tol is None else tol

    def step(carry):
        params, state = carry
        value, grad = value_and_grad(params, state=state)
        update, state = optimiser.update(
            grad, state, params, value=value, grad=grad, value_fn=flat_loss
        )
        return optax.apply_updates(params, update), state

    def unfinished(carry):
        _, state = carry
        count, grad = otu.tree_get(state, "count"), otu.tree_get(state, "grad")
        return (count == 0) | ((count < max_steps) & (otu.tree_norm(grad) > tol))

    params, state = jax.lax.while_loop(unfinished, step, (flat, optimiser.init(flat)))
    norm = otu.tree_norm(otu.tree_get(state, "grad"))
    return unflatten(jnp.asarray(params)), GradientInfo(
        loss=otu.tree_get(state, "value"),
        gradient_norm=norm,
        n_steps=otu.tree_get(state, "count"),
        converged=norm <= tol,
    )


def _minimise_whitened(loss, start, max_steps, tol, scale):
    flat, unflatten = ravel_pytree(start)

    def params_at(z):
        return unflatten(flat + scale @ z)

    z, info = minimise(lambda z: loss(params_at(z)), jnp.zeros_like(flat), max_steps, tol)
    return params_at(z), info


def log_loss(
    model: Model | ScoreModel,
    params: Params,
    x: Float[Array, "N ..."],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
) -> Float[Array, ""]:
    """Weighted mean of -log posterior of the true class."""
    return log_loss_of_scores(model.log_joint(params, x), class_index, row_weight)


def log_loss_of_scores(
    score: Float[Array, "N C"], class_index: Int[Array, "N"], row_weight: Float[Array, "N"]
) -> Float[Array, ""]:
    """Weighted mean of -log softmax(score)[true class]; rows without a class need weight zero."""
    truth = jnp.maximum(class_index, 0)
    row_loss = -jnp.take_along_axis(jax.nn.log_softmax(score), truth[:, None], axis=1)[:, 0]
    return (row_weight * row_loss).sum() / jnp.maximum(row_weight.sum(), 1.0)


def fit_log_loss(
    model: ScoreModel,
    start: Params,
    x: Float[Array, "N ..."],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
    *,
    penalty: Float[Array, ""] | float,
    max_steps: int = MAX_STEPS,
    tol: float | Float[Array, ""] | None = None,
) -> tuple[Params, GradientInfo]:
    """Parameters that minimise log loss + penalty / (sum of row weights) * model.penalty(params).

    The penalty is thus measured in sources: its effect shrinks as the sample grows.
    """
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
        params, last = minimise(loss, params, STEPS_PER_CURVATURE, tol, curvature)
        return params, last._replace(n_steps=info.n_steps + last.n_steps)

    # The curvature changes along the way, so it is recomputed every few steps.
    unknown = jnp.asarray(jnp.inf, design.dtype)
    begin = GradientInfo(
        loss=unknown, gradient_norm=unknown, n_steps=jnp.int32(0), converged=jnp.array(False)
    )
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
    *,
    penalty: Float[Array, ""] | float,
    tol: Float[Array, ""] | float,
) -> tuple[Params, GradientInfo]:
    """Result of `fit_log_loss` for a given design matrix.

    Compiled once for every start, fold, penalty and tolerance.
    """
    return _fit_design(model, start, design, class_index, row_weight, penalty, MAX_STEPS, tol)


def fit_from_starts(
    model: ScoreModel,
    key: PRNGKeyArray,
    x: Float[Array, "N ..."],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
    *,
    log_prior: Float[Array, "C"],
    penalty: Float[Array, ""] | float,
    n_starts: int,
) -> tuple[Params, GradientInfo]:
    """Parameters of the best of `n_starts` random starts, and how its minimisation ended.

    Each start is taken near its minimum (`NEAR_TOL`); only the best is minimised to `fine_tol()`.
    """
    design = jax.jit(model.design)(x)
    penalty = jnp.asarray(penalty, x.dtype)
    near, infos, init = [], [], jax.jit(model.init)
    for start_key in jax.random.split(key, n_starts):
        start = init(start_key, x)._replace(log_prior=log_prior)
        params, info = fit_design(
            model, start, design, class_index, row_weight, penalty=penalty, tol=NEAR_TOL
        )
        near.append(params)
        infos.append(info)
    best = int(np.nanargmin([float(info.loss) for info in infos]))
    params, last = fit_design(
        model, near[best], design, class_index, row_weight, penalty=penalty, tol=fine_tol()
    )
    return params, last._replace(n_steps=infos[best].n_steps + last.n_steps)
