"""The curvature of a penalised log loss, which makes its minimum a matter of a few steps.

Weights of properties that say much and little, and of classes of many and few sources, differ in
curvature by orders of magnitude; L-BFGS then creeps. In coordinates in which the curvature is one
in every direction it takes about as many steps as Newton's method. The minimum stays where it is,
so the curvature may come from a part of the rows.
"""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from xbayes.models.base import ClassModel, Model, Params

MAX_ROWS = 2048  # whose curvature is computed
FLOOR = 1e-6  # of the largest curvature, in directions that have none


def log_loss_curvature(
    model: Model | ClassModel,
    params: Params,
    x: Float[Array, "N ..."],
    row_weight: Float[Array, "N"],
    strength: Float[Array, ""] | float,
) -> Float[Array, "P P"]:
    """Gauss-Newton matrix of `fit_log_loss` over the P numbers of the parameters.

    Every k-th row stands for all, so that there are at most about MAX_ROWS.
    """
    flat, unflatten = ravel_pytree(params)
    each = slice(None, None, -(-x.shape[0] // MAX_ROWS))
    rows, weight = x[each], row_weight[each] / jnp.maximum(row_weight[each].sum(), 1.0)

    def scores(vector):
        return model.log_joint(unflatten(vector), rows)

    slope = jax.jacfwd(scores)(flat)  # [n, K, P]
    posterior = jax.nn.softmax(scores(flat))[..., None]
    centred = slope - (posterior * slope).sum(1, keepdims=True)
    root = (jnp.sqrt(weight[:, None, None] * posterior) * centred).reshape(-1, flat.size)
    curvature = root.T @ root
    penalty = model.penalty
    if penalty is None:
        return curvature
    cost = jax.hessian(lambda vector: penalty(unflatten(vector)))(flat)
    return curvature + strength / jnp.maximum(row_weight.sum(), 1.0) * cost


def whitening(curvature: Float[Array, "P P"]) -> Float[Array, "P P"]:
    """S with S^T |curvature| S = 1: parameters = start + S z.

    A penalty on softplus weights can curve down; there only the size of its curvature is used.
    """
    value, vector = jnp.linalg.eigh(curvature)
    size = jnp.abs(value)
    return vector / jnp.sqrt(jnp.maximum(size, FLOOR * size.max()))
