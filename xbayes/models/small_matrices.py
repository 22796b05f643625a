"""Factors of many small matrices in plain operations.

Inside compiled loops the batched LAPACK routines behind jnp.linalg can wait for each other for ever
on a CPU of few cores (seen with jax 0.10 on two, in `lax.map` and `while_loop`).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def cholesky(matrix: Float[Array, "*A F F"]) -> Float[Array, "*A F F"]:
    """Lower factors, column by column; NaN where a matrix is not positive definite."""
    size = matrix.shape[-1]

    def column(f, lower):
        left = matrix[..., :, f] - jnp.einsum("...gh,...h->...g", lower, lower[..., f, :])
        here = left / jnp.sqrt(left[..., f])[..., None]
        return lower.at[..., f].set(jnp.where(jnp.arange(size) >= f, here, 0.0))

    return jax.lax.fori_loop(0, size, column, jnp.zeros_like(matrix))


def solve_lower(lower: Float[Array, "*A F F"], right: Float[Array, "*A F M"]):
    """Forward substitution."""

    def row(f, found):
        known = jnp.einsum("...h,...hm->...m", lower[..., f, :], found)
        here = (right[..., f, :] - known) / lower[..., f, f][..., None]
        return found.at[..., f, :].set(here)

    return jax.lax.fori_loop(0, lower.shape[-1], row, jnp.zeros_like(right))


def inverse_lower(lower: Float[Array, "*A F F"]) -> Float[Array, "*A F F"]:
    """Inverses of lower triangular matrices."""
    eye = jnp.eye(lower.shape[-1], dtype=lower.dtype)
    return solve_lower(lower, jnp.broadcast_to(eye, lower.shape))
