"""How many components: information criteria and the likelihood of rows a fit has not seen."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from xbayes.models.base import Model, Params


def bic(total_log_lik: float, n_free: int, n_rows: int | float) -> float:
    """Schwarz 1978: -2 log-likelihood + free numbers times log rows; lower is better."""
    return -2.0 * total_log_lik + n_free * float(np.log(n_rows))


def aic(total_log_lik: float, n_free: int) -> float:
    """Akaike 1974: -2 log-likelihood + twice the free numbers; lower is better."""
    return -2.0 * total_log_lik + 2.0 * n_free


def mean_log_lik(
    model: Model, params: Params, x: Any, row_weight: Float[Array, "N"]
) -> Float[Array, ""]:
    """Mean log density of rows, by weight; on rows kept out of the fit, the honest score."""
    log_lik = jax.nn.logsumexp(model.log_joint(params, x), axis=1)
    return (row_weight * log_lik).sum() / row_weight.sum()
