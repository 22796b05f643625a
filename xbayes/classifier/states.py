"""The states of a value that the training sources showed; any other state is not available.

If a feature was measured in every training source, its probability of not being detected is a
constant of the smoothing, which is no evidence. A source in which it is not detected is therefore
treated as if nobody had looked.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from xbayes.types import Features


class StatesSeen(NamedTuple):
    """Per feature, whether it was not detected in at least one training source."""

    not_detected: Bool[Array | np.ndarray, "F"]


def states_seen(features: Features, training: Bool[np.ndarray, "N"]) -> StatesSeen:
    """The states that the training rows show."""
    not_detected = np.asarray(features.available) & ~np.asarray(features.measured)
    return StatesSeen(not_detected=np.any(not_detected[training], axis=0))


def as_trained(states: StatesSeen, features: Features) -> Features:
    """The features, not available where their state was never seen in training."""
    seen = jnp.asarray(states.not_detected)
    available = jnp.asarray(features.available) & (jnp.asarray(features.measured) | seen)
    return features._replace(available=available)
