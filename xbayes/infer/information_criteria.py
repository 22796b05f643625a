"""Number of components of a mixture: information criteria and held-out likelihood."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from xbayes.errors import InputError
from xbayes.infer.em import fit_em, random_starts
from xbayes.models.base import Model, Params
from xbayes.models.gaussian_mixture import free_parameters, gaussian_mixture
from xbayes.models.measured import Rows, as_measured

ELBOW = 0.25  # of the largest gain in BIC


class Criterion(NamedTuple):
    """BIC of every run at every number of components, and the numbers it suggests."""

    n_components: Int[np.ndarray, "M"]
    bic: Float[np.ndarray, "M R"]
    lowest: int  # the number with the least mean BIC
    elbow: int  # beyond it, no component gains a quarter of the largest gain in mean BIC
    taken: int  # the smaller of the two


def bic(total_log_lik: float, n_free: int, n_rows: int | float) -> float:
    """Bayesian information criterion, -2 log L + n_free log(n_rows); lower is better.

    Schwarz 1978, Ann. Stat. 6, 461.
    """
    return -2.0 * total_log_lik + n_free * float(np.log(n_rows))


def aic(total_log_lik: float, n_free: int) -> float:
    """Akaike information criterion, -2 log L + 2 n_free; lower is better.

    Akaike 1974, IEEE Trans. Autom. Control 19, 716.
    """
    return -2.0 * total_log_lik + 2.0 * n_free


def mean_log_lik(
    model: Model, params: Params, x: Rows, row_weight: Float[Array, "N"]
) -> Float[Array, ""]:
    """Weighted mean log density of the rows; on rows left out of the fit it is a fair score."""
    log_lik = jax.nn.logsumexp(model.log_joint(params, x), axis=1)
    return (row_weight * log_lik).sum() / row_weight.sum()


def bic_by_components(
    x: Rows,
    row_weight: Float[Array, "N"],
    n_components: range,
    n_runs: int,
    key: PRNGKeyArray,
    reg_covar: float,
) -> Criterion:
    """BIC of `n_runs` EM fits from different starts, for each number of components.

    Raises
    ------
    InputError
        There are no more rows than components.
    """
    n_rows = int(jnp.sum(row_weight > 0))
    if n_rows <= max(n_components):
        raise InputError(
            f"{max(n_components)} components need more rows than that; found {n_rows}; "
            "lower the largest number of components"
        )
    n_features = as_measured(x).value.shape[1]
    scores = []
    for k in n_components:
        model = gaussian_mixture(k, reg_covar=reg_covar)
        starts = random_starts(model, jax.random.fold_in(key, k), x, row_weight, n_runs)
        n_free = free_parameters("full", k, n_features)
        runs = []
        for r in range(n_runs):
            start = jax.tree.map(lambda leaf, r=r: leaf[r : r + 1], starts)
            _, info = fit_em(model, start, x, row_weight)
            runs.append(bic(float(info.log_lik) * n_rows, n_free, n_rows))
        scores.append(runs)
    return choose(np.array(list(n_components)), np.array(scores))


def choose(n_components: Int[np.ndarray, "M"], bic: Float[np.ndarray, "M R"]) -> Criterion:
    """The numbers of components suggested by the BIC of several runs each."""
    mean = bic.mean(1)
    gain = -np.diff(mean)  # of each additional component
    large = np.flatnonzero(gain >= ELBOW * max(gain.max(initial=0.0), 0.0))
    lowest = int(n_components[mean.argmin()])
    any_gain = len(large) > 0 and gain.max() > 0
    elbow = int(n_components[large[-1] + 1]) if any_gain else int(n_components[0])
    return Criterion(
        n_components=n_components, bic=bic, lowest=lowest, elbow=elbow, taken=min(lowest, elbow)
    )
