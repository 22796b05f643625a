"""Weights for the F1 of one class: log loss + lambda (1 - smooth F1), from the log-loss optimum.

The true F1 counts sources, so its gradient is zero almost everywhere. The smooth F1 counts each
source by its posterior p of the class (Jansche 2005, HLT/EMNLP, 692). As p is the share of
thresholds t in [0, 1] with p >= t, this integrates the counts over all thresholds:

    smooth F1 = 2 int TP(t) dt / int (TP(t) + FP(t)) dt + TP(0)),   TP(0) = members of the class

The F1 of few sources is noisy. The log loss, which uses all sources, keeps the weights near its own
optimum, and lambda is chosen on held-out sources (`xbayes.classifier.f1_weight`). Finally only a
temperature and offsets are refitted by log loss, so that the scores are calibrated log-odds again.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from xbayes.infer.gradient import GradientInfo, log_loss_of_scores, minimise
from xbayes.models.base import Params, ScoreModel

F1_WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)  # values of lambda; 0 is the log loss alone
STEPS = 30  # at each of them


def smooth_f1(
    log_joint: Float[Array, "N C"],
    is_focus: Bool[Array, "N"],
    row_weight: Float[Array, "N"],
    focus: int,
) -> Float[Array, ""]:
    """Smooth F1 of class `focus`: 2 sum(w p y) / (sum(w p) + sum(w y)).

    Here w are the row weights, y is 1 for members of the class, and p is the posterior of the
    class.
    """
    chosen = row_weight * jax.nn.softmax(log_joint)[:, focus]
    actual = row_weight * is_focus
    return 2 * (chosen * is_focus).sum() / jnp.maximum(chosen.sum() + actual.sum(), 1e-12)


@partial(jax.jit, static_argnums=0, static_argnames="focus")
def fit_f1(
    model: ScoreModel,
    start: Params,
    design: Float[Array, "N D"],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
    *,
    penalty: Float[Array, ""] | float,
    focus: int,
    f1_weights: Float[Array, "L"],
) -> tuple[Params, GradientInfo]:
    """Recalibrated parameters for each weight of the F1 term, `[L ...]`.

    They minimise log loss + penalty / (sum of row weights) * model.penalty(params)
    + f1_weight * (1 - smooth F1), where each fit starts from the one before.

    Parameters
    ----------
    start
        The parameters of least penalised log loss. A weight of 0 gives exactly these.
    f1_weights
        In increasing order.

    Returns
    -------
    params, info
        The info is that of the recalibration.
    """
    total = jnp.maximum(row_weight.sum(), 1.0)
    is_focus = class_index == focus

    def fit(params, f1_weight):
        def loss(params):
            score = jax.lax.stop_gradient(start.log_prior) + model.scores(params, design)
            fit = log_loss_of_scores(score, class_index, row_weight)
            f1 = smooth_f1(score, is_focus, row_weight, focus)
            return fit + penalty / total * model.penalty(params) + f1_weight * (1.0 - f1)

        params, _ = minimise(loss, params, STEPS)
        refitted, info = recalibrate(model, params, design, class_index, row_weight)
        given = jax.tree.map(lambda new, old: jnp.where(f1_weight > 0, new, old), refitted, start)
        return params, (given, info)

    # A scan, so that all weights are compiled as one program.
    return jax.lax.scan(fit, start, f1_weights)[1]


def recalibrate(
    model: ScoreModel,
    params: Params,
    design: Float[Array, "N D"],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
) -> tuple[Params, GradientInfo]:
    """Parameters with one temperature and the offsets refitted by log loss.

    The ratios of the weights stay.
    """

    def rescaled(change):
        log_temperature, added_offset = change
        return model.rescale(params, log_temperature, added_offset)

    def loss(change):
        score = params.log_prior + model.scores(rescaled(change), design)
        return log_loss_of_scores(score, class_index, row_weight)

    zero = jnp.zeros((), design.dtype), jnp.zeros_like(params.offset)
    change, info = minimise(loss, zero)
    return rescaled(change), info
