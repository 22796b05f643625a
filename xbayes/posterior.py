"""Class scores become posteriors, and posteriors become what each source gets.

Everything here is NumPy in float64: probabilities that leave the program sum to one.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int


def class_posterior(log_joint: Float[np.ndarray, "*N C"]) -> Float[np.ndarray, "*N C"]:
    """Softmax over the last axis."""
    shifted = np.asarray(log_joint, np.float64)
    weight = np.exp(shifted - shifted.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)


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
    contribution: Float[np.ndarray, "N F C"], category: Sequence[int], n_categories: int
) -> Float[np.ndarray, "N G C"]:
    """Contributions to the score, summed over the properties of each category."""
    member = np.eye(n_categories)[list(category)]  # [F, G]
    return np.einsum("nfc,fg->ngc", np.asarray(contribution, np.float64), member)


def track(
    category_score: Float[np.ndarray, "N G C"], log_prior: Float[np.ndarray, "C"]
) -> Float[np.ndarray, "N G C"]:
    """The probability track: the posterior that each category alone would give."""
    return class_posterior(category_score + np.asarray(log_prior, np.float64))


def alternative(
    log_joint: Float[np.ndarray, "N C"],
    category_score: Float[np.ndarray, "N G C"],
    prediction: Int[np.ndarray, "N"],
) -> Int[np.ndarray, "N"]:
    """The most probable other class that wins when one category is left out; -1 if none."""
    without = class_posterior(
        np.asarray(log_joint, np.float64)[:, None] - category_score
    )  # [N, G, C]
    winner, height = without.argmax(-1), without.max(-1)
    height = np.where(winner == prediction[:, None], -1.0, height)
    best = height.argmax(-1)
    rows = np.arange(len(prediction))
    return np.where(height[rows, best] > 0, winner[rows, best], -1)
