"""Posterior probabilities from class scores, and quantities derived from a posterior.

All output probabilities sum to one in float64. `exact` normalises those that were computed inside
jit in the precision of JAX.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

CLIP = 1e-6  # probabilities below are raised to it before the log


def class_posterior(log_joint: Float[np.ndarray, "*N C"]) -> Float[np.ndarray, "*N C"]:
    """Softmax over the last axis."""
    shifted = np.asarray(log_joint, np.float64)
    weight = np.exp(shifted - shifted.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)


def clipped(posterior: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N C"]:
    """Probabilities clipped at CLIP and renormalised, for the log loss."""
    bounded = np.clip(posterior, CLIP, 1.0)
    return bounded / bounded.sum(-1, keepdims=True)


def with_prior(
    posterior: Float[np.ndarray, "N C"], old: Float[np.ndarray, "C"], new: Float[np.ndarray, "C"]
) -> Float[np.ndarray, "N C"]:
    """The posterior under another prior; exact, because the score contains the log prior."""
    weight = posterior * (np.asarray(new) / np.asarray(old))
    return weight / weight.sum(-1, keepdims=True)


def margin(posterior: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N"]:
    """2 P_max - 1 (Tranin et al. 2022): 1 when certain, negative when no class has half."""
    return 2.0 * posterior.max(-1) - 1.0


def entropy(posterior: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N"]:
    """Shannon entropy in nats; 0 when certain, log C when ignorant."""
    return -np.sum(posterior * np.log(np.maximum(posterior, 1e-300)), axis=-1) + 0.0


def alternative(
    without: Float[Array | np.ndarray, "N G C"],
    prediction: Int[Array | np.ndarray, "N"],
) -> Int[Array, "N"]:
    """The class that would be predicted instead if one category were left out; -1 if none.

    `without` holds the class scores with each category left out in turn. Among several such
    classes, the one with the largest posterior is returned.
    """
    without = jax.nn.softmax(without)
    winner, height = without.argmax(-1), without.max(-1)
    height = jnp.where(winner == prediction[:, None], -1.0, height)
    best = height.argmax(-1)[:, None]
    largest = jnp.take_along_axis(height, best, 1)
    return jnp.where(largest > 0, jnp.take_along_axis(winner, best, 1), -1)[:, 0]


def exact(probability: Float[Array, "*N C"]) -> Float[np.ndarray, "*N C"]:
    """The probabilities in float64, normalised there unless JAX already computed in float64."""
    values = np.asarray(probability)
    if values.dtype == np.float64:
        return values
    values = values.astype(np.float64)
    return values / values.sum(-1, keepdims=True)
