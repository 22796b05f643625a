"""Class scores become posteriors, and posteriors become what each source gets.

Probabilities that leave the program sum to one in float64; `exact` sees to it for those that were
computed inside jit, where the precision is JAX's.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

CLIP = 1e-6  # probabilities are clipped here and renormalised before the log


def class_posterior(log_joint: Float[np.ndarray, "*N C"]) -> Float[np.ndarray, "*N C"]:
    """Softmax over the last axis."""
    shifted = np.asarray(log_joint, np.float64)
    weight = np.exp(shifted - shifted.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)


def clipped(posterior: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N C"]:
    """Probabilities as the log loss sees them."""
    bounded = np.clip(posterior, CLIP, 1.0)
    return bounded / bounded.sum(-1, keepdims=True)


def with_prior(
    posterior: Float[np.ndarray, "N C"], old: Float[np.ndarray, "C"], new: Float[np.ndarray, "C"]
) -> Float[np.ndarray, "N C"]:
    """The posterior under another prior; exact, since the prior enters the score as its log."""
    weight = posterior * (np.asarray(new) / np.asarray(old))
    return weight / weight.sum(-1, keepdims=True)


def margin(posterior: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N"]:
    """2 P_max - 1 (Tranin et al. 2022): 1 when certain, negative when no class has half."""
    return 2.0 * posterior.max(-1) - 1.0


def entropy(posterior: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N"]:
    """Shannon entropy in nats; 0 when certain, log C when ignorant."""
    return -np.sum(posterior * np.log(np.maximum(posterior, 1e-300)), axis=-1) + 0.0


def by_category(
    contribution: Float[Array | np.ndarray, "N F C"], category: Sequence[int], n_categories: int
) -> Float[Array, "N G C"]:
    """Contributions to the score, summed over the properties of each category."""
    member = jnp.eye(n_categories)[jnp.asarray(category)]  # [F, G]
    return jnp.einsum("nfc,fg->ngc", contribution, member)


def alternative(
    without: Float[Array | np.ndarray, "N G C"],
    prediction: Int[Array | np.ndarray, "N"],
) -> Int[Array, "N"]:
    """The most probable other class that wins when one category is left out; -1 if none.

    `without` holds the class scores with each category left out in turn.
    """
    without = jax.nn.softmax(without)
    winner, height = without.argmax(-1), without.max(-1)
    height = jnp.where(winner == prediction[:, None], -1.0, height)
    best = height.argmax(-1)[:, None]
    found = jnp.take_along_axis(winner, best, 1), jnp.take_along_axis(height, best, 1)
    return jnp.where(found[1] > 0, found[0], -1)[:, 0]


def exact(probability: Float[Array, "*N C"]) -> Float[np.ndarray, "*N C"]:
    """As float64 that sums to one; what JAX computed in float64 does already."""
    got = np.asarray(probability)
    if got.dtype == np.float64:
        return got
    got = got.astype(np.float64)
    return got / got.sum(-1, keepdims=True)
