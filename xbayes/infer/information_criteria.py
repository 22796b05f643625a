"""How many components: information criteria and the likelihood of rows a fit has not seen."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from xbayes.infer.em import fit_em, random_starts
from xbayes.models.base import Model, Params
from xbayes.models.gaussian_mixture import free_parameters, gaussian_mixture
from xbayes.types import InputError


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


class Criterion(NamedTuple):
    """BIC of every run at every number of components, and what to take."""

    n_components: Int[np.ndarray, "M"]
    bic: Float[np.ndarray, "M R"]
    lowest: int  # of least mean BIC
    elbow: int  # from where on no component gains a quarter of what the best one gained
    taken: int  # the smaller of the two


ELBOW = 0.25


def bic_by_components(
    x: Any,
    row_weight: Float[Array, "N"],
    n_components: range,
    n_runs: int,
    key: PRNGKeyArray,
    reg_covar: float,
) -> Criterion:
    """BIC of `n_runs` EM fits from different starts, for each number of components.

    Raises `InputError` with fewer rows than components.
    """
    n_rows = int(jnp.sum(row_weight > 0))
    if n_rows <= max(n_components):
        raise InputError(
            f"{max(n_components)} components need more rows than that; found {n_rows}; "
            "lower the largest number of components"
        )
    n_features = (x.value if hasattr(x, "value") else x).shape[1]
    found = []
    for k in n_components:
        model = gaussian_mixture(k, reg_covar=reg_covar)
        starts = random_starts(model, jax.random.fold_in(key, k), x, row_weight, n_runs)
        free = free_parameters("full", k, n_features)
        runs = []
        for r in range(n_runs):
            start = jax.tree.map(lambda leaf, r=r: leaf[r : r + 1], starts)
            _, info = fit_em(model, start, x, row_weight)
            runs.append(bic(float(info.log_lik) * n_rows, free, n_rows))
        found.append(runs)
    return choose(np.array(list(n_components)), np.array(found))


def choose(n_components: Int[np.ndarray, "M"], found: Float[np.ndarray, "M R"]) -> Criterion:
    """The number of components to take from the BIC of several runs each."""
    mean = found.mean(1)
    gain = -np.diff(mean)  # of each component more
    worth = np.flatnonzero(gain >= ELBOW * max(gain.max(initial=0.0), 0.0))
    lowest = int(n_components[mean.argmin()])
    some = len(worth) > 0 and gain.max() > 0
    elbow = int(n_components[worth[-1] + 1]) if some else int(n_components[0])
    return Criterion(n_components, found, lowest, elbow, min(lowest, elbow))
