"""The states of a value that the training sources showed; any other state is not available.

If a feature was measured in every training source, its probability of not being detected is a
constant of the smoothing, which is no evidence. A source in which it is not detected is therefore
treated as if nobody had looked.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

from xbayes.types import Features


class StatesSeen(NamedTuple):
    """What the training sources showed of each feature."""

    not_detected: Bool[Array | np.ndarray, "F"]  # in at least one of them
    absent: Float[Array | np.ndarray, "F"]  # share of them in which it was not available


def states_seen(features: Features, training: Bool[np.ndarray, "N"]) -> StatesSeen:
    """The states that the training rows show."""
    part = features.rows(training)
    not_detected = np.any(part.available & ~part.measured, axis=0)
    return StatesSeen(not_detected=not_detected, absent=1 - np.mean(part.available, axis=0))


def as_trained(states: StatesSeen, features: Features) -> Features:
    """The features, not available where their state was never seen in training.

    Without a function of JAX, which outside jit would compile for every number of rows.
    """
    available = features.available & (features.measured | states.not_detected)
    return features._replace(available=available)


def available_as_trained(states: StatesSeen, features: Features) -> Bool[np.ndarray, "N F"]:
    """Whether each feature is available, as `as_trained` says, outside jit."""
    arrays = Features._make(np.asarray(array) for array in features)
    seen = StatesSeen._make(np.asarray(array) for array in states)
    return np.asarray(as_trained(seen, arrays).available)
