"""Choose the penalty on inner folds: the strength of least held-out log loss."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from xbayes.infer.gradient import fit_log_loss, log_loss
from xbayes.models.base import ClassModel

TOL = 1e-3  # a loss within 1e-6 of the minimum, far below what tells strengths apart
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Selection(NamedTuple):
    """What the inner folds say of each strength."""

    strength: Float[Array, ""]
    held_out_loss: Float[Array, "L"]  # mean log loss by strength
    log_joint: Float[Array, "N K"]  # of each row, densities and weights both without its fold


def select_strength(
    model: ClassModel,
    key: PRNGKeyArray,
    log_prior: Float[Array, "C"],
    nested: Float[Array, "J N F C"],
    class_index: Int[Array, "N"],
    fold: Int[Array, "N"],
    strengths: Float[Array, "L"],
) -> Selection:
    """Fit without each fold in turn, at every strength, and score that fold.

    `nested[j]` holds log-likelihoods whose densities never saw fold j, so neither did the weights.
    """
    start = model.init(key, nested[0])._replace(log_prior=log_prior)
    labelled = (class_index >= 0) & (fold >= 0)

    def one_fold(args):
        j, x = args
        training = (labelled & (fold != j)).astype(x.dtype)
        held_out = (labelled & (fold == j)).astype(x.dtype)

        def one_strength(near, strength):
            params, _ = fit_log_loss(model, near, x, class_index, training, strength, tol=TOL)
            score = log_loss(model, params, x, class_index, held_out) * held_out.sum()
            return params, (score, model.log_joint(params, x))

        # From the strongest, whose minimum is near the start, each leads to the next.
        return jax.lax.scan(one_strength, start, strengths, reverse=True)[1]

    score, log_joint = jax.lax.map(
        one_fold, (jnp.arange(nested.shape[0]), nested)
    )  # [J L], [J L N K]
    loss = score.sum(0) / jnp.maximum(labelled.sum(), 1)
    best = jnp.nanargmin(loss)
    rows = jnp.arange(fold.shape[0])
    return Selection(strengths[best], loss, log_joint[jnp.maximum(fold, 0), best, rows])
