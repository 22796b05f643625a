"""Selection of the penalty: the penalty with the least held-out log loss on the inner folds."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from xbayes.errors import InputError
from xbayes.infer.gradient import NEAR_TOL, fit_design, log_loss_of_scores
from xbayes.models.base import Params, ScoreModel

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
NO_F1 = np.zeros(0)


class Selection(NamedTuple):
    """The selected penalty, and the scores of the inner folds."""

    penalty: float
    held_out_loss: Float[np.ndarray, "L"]  # mean log loss of each penalty
    # Held-out scores at the selected penalty: neither densities nor weights saw the row's fold.
    log_joint: Float[Array, "N K"]
    weights: tuple[Params, ...] = ()  # at the selected penalty, without each fold
    f1_weight: float = 0.0  # lambda of `objective: f1`
    held_out_f1: Float[np.ndarray, "L"] = NO_F1  # of each candidate lambda


def select_penalty(
    model: ScoreModel,
    key: PRNGKeyArray,
    nested: Float[Array, "J N F C"],
    class_index: Int[Array, "N"],
    fold: Int[Array, "N"],
    *,
    log_prior: Float[Array, "C"],
    penalties: Sequence[float],
    row_weight: Float[Array, "N"] | None = None,
    judged: Bool[np.ndarray, "N"] | None = None,
) -> Selection:
    """Penalty with the least log loss on rows whose fold was left out of the fit.

    Parameters
    ----------
    nested
        Log-likelihoods; the densities of `nested[j]` never saw fold j, so the weights fitted on it
        without fold j did not either (`out_of_fold`).
    penalties
        Candidate penalties in increasing order.
    row_weight
        Weights of the rows in the fits. All held-out rows count alike in the log loss.
    judged
        Rows that count in the log loss; None: all.

    Raises
    ------
    InputError
        No penalty gives a finite loss.
    """
    start = jax.jit(model.init)(key, nested[0])._replace(log_prior=log_prior)
    labelled = np.asarray((class_index >= 0) & (fold >= 0))
    counted = labelled if judged is None else labelled & judged
    inner, loss, scores, paths = np.asarray(fold), np.zeros(len(penalties)), [], []
    for j, x in enumerate(nested):
        design = _design(model, x)
        training = jnp.asarray(labelled & (inner != j), x.dtype)
        training = training if row_weight is None else training * row_weight
        path, near = [], start
        # The largest penalty has its minimum near the start; each minimum starts the next fit.
        for penalty in penalties[::-1]:
            near, _ = fit_design(
                model,
                near,
                design,
                class_index,
                training,
                penalty=jnp.asarray(penalty, x.dtype),
                tol=NEAR_TOL,
            )
            path.insert(0, near)
        held_out, weight = (jnp.asarray(rows & (inner == j)) for rows in (labelled, counted))
        fold_loss, fold_score = _scores(model, path, design, class_index, held_out, weight)
        loss = loss + np.asarray(fold_loss)
        scores.append(fold_score)
        paths.append(path)
    loss = loss / max(counted.sum(), 1)
    if np.isnan(loss).all():
        raise InputError(
            "the likelihoods of held-out sources are not finite; a feature may have values of very "
            "different size: scale it (scale: log10) or leave it out"
        )
    best = int(np.nanargmin(loss))
    # Each row has a score from its own fold, and zero from the other folds.
    return Selection(
        penalty=penalties[best],
        held_out_loss=loss,
        log_joint=sum(scores[1:], scores[0])[best],
        weights=tuple(path[best] for path in paths),
    )


@partial(jax.jit, static_argnums=0)
def _design(model: ScoreModel, x):
    return model.design(x)


@partial(jax.jit, static_argnums=0)
def _scores(model: ScoreModel, path, design, class_index, held_out, counted):
    """Summed log loss of the counted rows, and held-out scores, by penalty; other rows are zero."""
    weight = counted.astype(design.dtype)
    score = jnp.stack([p.log_prior + model.scores(p, design) for p in path])  # [L, N, C]
    mean_loss = jax.vmap(log_loss_of_scores, (0, None, None))(score, class_index, weight)
    return mean_loss * weight.sum(), jnp.where(held_out[:, None], score, 0.0)
