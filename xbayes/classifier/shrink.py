"""Held-out sources unlike the training sources: their log-odds, shrunk as `classify` does."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from xbayes.classifier.novelty import FittedNovelty, fit_combined, fit_novelty, novelty_p
from xbayes.classifier.novelty import shrinkage as novelty_shrinkage
from xbayes.classifier.outlier import OutlierReference, shrinkage_factor, tail_probability
from xbayes.classifier.probabilities import class_posterior
from xbayes.classifier.recipe import Recipe
from xbayes.classifier.training_part import TrainingPart


def fit_joint_novelty(
    recipe: Recipe,
    training: TrainingPart,
    outlier: OutlierReference,
    unusual: Float[Array, "N T"],
    seed: int,
) -> FittedNovelty | None:
    """The joint densities of the classes with their held-out scores, if the recipe has them."""
    if not recipe.joint_novelty:
        return None
    truth, rows = np.asarray(training.truth), training.rows
    n_modelled = len(recipe.names.modelled)
    fitted = fit_novelty(training.features, truth, np.asarray(training.fold), n_modelled, seed)
    p_weighted, p_joint = np.ones(len(truth)), np.ones(len(truth))
    p_weighted[rows] = tail_probability(outlier, np.asarray(unusual)[rows], truth[rows])
    p_joint[rows] = novelty_p(fitted.novelty, fitted.score[rows], truth[rows])
    combined = fit_combined(fitted.novelty, p_weighted, p_joint, truth)
    return fitted._replace(novelty=jax.tree.map(jnp.asarray, combined))


def shrunk(
    score: Float[np.ndarray, "N T"],
    log_prior: Float[np.ndarray, "T"],
    outlier: OutlierReference,
    unusual: Float[Array, "N T"],
    joint: FittedNovelty | None,
) -> Float[np.ndarray, "N T"]:
    """Held-out calibrated scores with the log-odds of outliers shrunk, as `classify` shrinks them.

    Rule and sets compare rows with these. With posterior samples the factor is that of their mean.
    """
    posterior = jnp.asarray(class_posterior(score), unusual.dtype)
    factor = np.asarray(shrinkage_factor(outlier, unusual, posterior), np.float64)
    if joint is not None:
        score_of_joint = jnp.asarray(joint.score, unusual.dtype)
        factor = factor * np.asarray(novelty_shrinkage(joint.novelty, score_of_joint, posterior))
    return log_prior + factor[:, None] * (score - log_prior)
