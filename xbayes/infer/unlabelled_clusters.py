"""Clusters of all rows, fitted without labels: by EM, variational Bayes or NUTS."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from xbayes.infer.em import fit_em, random_starts
from xbayes.infer.information_criteria import mean_log_lik
from xbayes.infer.mixture_draws import relabel
from xbayes.models.bayesian_mixture import VariationalParams, bayesian_mixture, point
from xbayes.models.gaussian_mixture import MixtureParams, gaussian_mixture, log_joint
from xbayes.models.measured import Measured

REGULARISER = 1e-2  # added to the variances of the clusters, in units of those of all sources
CANDIDATES = (1, 2, 3, 4, 6, 8)  # numbers of clusters tried for components: auto
SEED = 1  # of the starts of EM
BOUND_TOL, BOUND_STEPS = 1e-5, 1000  # of variational Bayes, which empties components slowly

Concentration = float | Literal["auto"]


def fit_clusters(
    x: Measured,
    row_weight: Float[Array, "N"],
    n_components: int,
    *,
    n_starts: int,
    reg_covar: float = REGULARISER,
    mixture: str = "em",
    concentration: Concentration = "auto",
) -> MixtureParams:
    """The best of several fits from fixed random starts, by EM or by variational Bayes.

    Parameters
    ----------
    mixture
        "em", or the prior of the weights of a Bayesian mixture, "dirichlet" or "stick_breaking".
        The clusters are then the `point` of the posterior, and `n_components` is an upper bound:
        the weight of components that are not needed is close to zero.
    reg_covar
        Added to the variances: by EM at each step, to a Bayesian mixture after the fit.
    """
    if mixture == "em":
        model = gaussian_mixture(n_components, reg_covar=reg_covar)
        starts = random_starts(model, jax.random.key(SEED), x, row_weight, n_starts)
        return fit_em(model, starts, x, row_weight)[0]
    posterior = _variational(x, row_weight, n_components, n_starts, mixture, concentration)
    return _widened(point(posterior), reg_covar)


def _variational(
    x: Measured, row_weight, n_components: int, n_starts: int, mixture: str, concentration
) -> VariationalParams:
    given = None if concentration == "auto" else float(concentration)
    model = bayesian_mixture(n_components, mixture, given)
    starts = random_starts(model, jax.random.key(SEED), x, row_weight, n_starts)
    return fit_em(model, starts, x, row_weight, tol=BOUND_TOL, max_steps=BOUND_STEPS)[0]


def _widened(clusters: MixtureParams, reg_covar: float = REGULARISER) -> MixtureParams:
    wider = reg_covar * jnp.eye(clusters.mean.shape[-1], dtype=clusters.mean.dtype)
    return clusters._replace(covariance=clusters.covariance + wider)


def sample_clusters(
    x: Measured,
    row_weight: Float[Array, "N"],
    n_components: int,
    *,
    n_starts: int,
    concentration: Concentration = "auto",
    n_draws: int,
) -> MixtureParams:
    """Posterior samples [S ...] of a mixture with a Dirichlet prior, by two chains of NUTS.

    The chains start near the best variational fit, and take `n_draws` warm-up steps and as many
    samples each. All samples have their components in the order of that fit.
    """
    from xbayes.infer.mixture_mcmc import sample_posterior

    posterior = _variational(x, row_weight, n_components, n_starts, "dirichlet", concentration)
    key = jax.random.fold_in(jax.random.key(SEED), 1)
    chains = sample_posterior(
        key, posterior, x, row_weight, n_warmup=n_draws, n_draws=n_draws, n_chains=2
    ).params
    draws = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), chains)
    reference = jax.nn.softmax(log_joint(point(posterior), x))
    return _widened(relabel(draws, x, reference, row_weight).draws)


def choose_components(
    x: Measured,
    training: Bool[np.ndarray, "N"],
    *,
    n_starts: int,
    mixture: str = "em",
    concentration: Concentration = "auto",
    n_folds: int = 3,
) -> int:
    """The candidate number of clusters with the greatest likelihood on held-out rows."""
    fold = np.cumsum(training) % n_folds
    score = {}
    for k in CANDIDATES:
        if k > training.sum() // 2:
            break
        model, total = gaussian_mixture(k, reg_covar=REGULARISER), 0.0
        for j in range(n_folds):
            fitted, held_out = training & (fold != j), training & (fold == j)
            clusters = fit_clusters(
                x,
                jnp.asarray(fitted, x.value.dtype),
                k,
                n_starts=n_starts,
                mixture=mixture,
                concentration=concentration,
            )
            weight = jnp.asarray(held_out, x.value.dtype)
            total += float(mean_log_lik(model, clusters, x, weight))
        score[k] = total
    return max(score, key=lambda k: score[k])
