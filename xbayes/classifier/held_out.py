"""The labelled sample as the classifier sees new sources: out-of-fold posteriors of its rows.

It is stored with the model. The decision rule learns its threshold from it, and `--prior estimate`
compares a catalogue with it.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int


class HeldOutSample(NamedTuple):
    """Calibrated out-of-fold posteriors of the labelled rows, under the training prior."""

    posterior: Float[Array | np.ndarray, "L C"]
    class_index: Int[Array | np.ndarray, "L"]
    group: Int[Array | np.ndarray, "L"]  # rows of one group are not independent
    outlier_p: Float[Array | np.ndarray, "L"]
    # Of each row under `model.prior`, if that depends on the source.
    log_prior: Float[Array | np.ndarray, "L C"] | None = None


def reweighted(
    posterior: Float[np.ndarray, "L C"],
    log_prior: Float[np.ndarray, "*P C"],
    new_log_prior: Float[np.ndarray, "*R C"],
) -> tuple[Float[np.ndarray, "L C"], Float[np.ndarray, "L"]]:
    """Posteriors and row weights of the same sample under other class proportions.

    If only the proportions change, from pi to pi', the density of the data changes by the factor
    sum over c of P(c | x) pi'_c / pi_c. This is the weight of a row; its label is not used. Either
    prior may be one for each row.
    """
    joint = np.asarray(posterior, np.float64) * np.exp(new_log_prior - np.asarray(log_prior))
    weight = joint.sum(1)
    return joint / weight[:, None], weight
