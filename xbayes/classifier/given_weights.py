"""Weights that the config gives, so that none are learned: `model.alpha`.

    score_c = log prior(c) + sum over features f of alpha_t r[f, c],  t the category of f

There are no offsets. With `normalise` the weights are divided by their sum.
"""

import jax
import jax.numpy as jnp
import numpy as np

from xbayes.classifier.recipe import Recipe
from xbayes.classifier.training_part import TrainingPart
from xbayes.infer.gradient import GradientInfo, log_loss_of_scores
from xbayes.infer.out_of_fold import OutOfFold
from xbayes.infer.select_penalty import Selection
from xbayes.models.naive_bayes import NaiveBayesParams, with_alpha


def apply_given_weights(
    recipe: Recipe, training: TrainingPart, log_lik: OutOfFold
) -> tuple[NaiveBayesParams, Selection, GradientInfo]:
    """The given weights, and the held-out scores of the training rows with them.

    No row had a part in the weights, so the out-of-fold log-likelihoods give held-out scores.
    """
    assert recipe.given_alpha is not None, "only a recipe with given weights has them"
    blank = recipe.model.init(jax.random.key(0), log_lik.single)
    blank = blank._replace(log_prior=training.log_prior)
    weights = with_alpha(blank, recipe.names.category, recipe.given_alpha)
    log_joint = jax.jit(recipe.model.log_joint)(weights, log_lik.single)
    row_weight = (training.fold >= 0).astype(log_joint.dtype)
    loss = log_loss_of_scores(log_joint, training.truth, row_weight)
    selection = Selection(penalty=np.nan, held_out_loss=np.zeros(0), log_joint=log_joint)
    info = GradientInfo(
        loss=loss,
        gradient_norm=jnp.zeros_like(loss),
        n_steps=jnp.zeros((), int),
        converged=jnp.ones((), bool),
    )
    return weights, selection, info
