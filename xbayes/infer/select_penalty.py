"""Choose the penalty on inner folds: the penalty of least held-out log loss."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from xbayes.infer.gradient import NEAR_TOL, fit_design, log_loss_of_scores
from xbayes.models.base import ScoreModel
from xbayes.types import InputError

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Selection(NamedTuple):
    """What the inner folds say of each penalty."""

    penalty: float
    held_out_loss: Float[np.ndarray, "L"]  # mean log loss by penalty
    log_joint: Float[Array, "N K"]  # of each row, densities and weights both without its fold


def select_strength(
    model: ScoreModel,
    key: PRNGKeyArray,
    log_prior: Float[Array, "C"],
    nested: Float[Array, "J N F C"],
    class_index: Int[Array, "N"],
    fold: Int[Array, "N"],
    penalties: Sequence[float],
    row_weight: Float[Array, "N"] | None = None,
) -> Selection:
    """Fit without each fold in turn, at every penalty, and score that fold.

    `row_weight` counts in the fits; scored are all rows alike.

    `nested[j]` holds log-likelihoods whose densities never saw fold j, so neither did the weights.
    Raises `InputError` where no penalty gives a finite loss.
    """
    start = jax.jit(model.init)(key, nested[0])._replace(log_prior=log_prior)
    labelled = np.asarray((class_index >= 0) & (fold >= 0))
    inner, loss, scores = np.asarray(fold), np.zeros(len(penalties)), []
    for j, x in enumerate(nested):
        design = _design(model, x)
        training = jnp.asarray(labelled & (inner != j), x.dtype)
        training = training if row_weight is None else training * row_weight
        path, near = [], start
        # From the strongest, whose minimum is near the start, each leads to the next.
        for penalty in penalties[::-1]:
            rows = (design, class_index, training, jnp.asarray(penalty, x.dtype))
            near, _ = fit_design(model, near, *rows, NEAR_TOL)
            path.insert(0, near)
        own = _scores(model, path, design, class_index, jnp.asarray(labelled & (inner == j)))
        loss = loss + np.asarray(own[0])
        scores.append(own[1])
    loss = loss / max(labelled.sum(), 1)
    if np.isnan(loss).all():
        raise InputError(
            "the likelihoods of held-out sources are not finite; a feature may have values of very "
            "different size: scale it (scale: log10) or leave it out"
        )
    best = int(np.nanargmin(loss))
    # A row has a score of its own fold, and zero of the others.
    return Selection(penalties[best], loss, sum(scores[1:], scores[0])[best])


@partial(jax.jit, static_argnums=0)
def _design(model: ScoreModel, x):
    return model.design(x)


@partial(jax.jit, static_argnums=0)
def _scores(model: ScoreModel, path, design, class_index, held_out):
    """By penalty: the summed log loss of the held-out rows, and their scores; other rows zero."""
    weight = held_out.astype(design.dtype)
    score = jnp.stack([p.log_prior + model.scores(p, design) for p in path])  # [L N C]
    each = jax.vmap(log_loss_of_scores, (0, None, None))(score, class_index, weight)
    return each * weight.sum(), jnp.where(held_out[:, None], score, 0.0)
