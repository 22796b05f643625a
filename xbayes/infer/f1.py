"""Weights that maximise the F1 of one class: a smooth F1, annealed towards the true F1.

The true F1 counts sources, so its gradient is zero almost everywhere. The smooth F1 counts each
source by the probability that a sharpened softmax gives to the class (Jansche 2005, HLT/EMNLP, 692,
uses the same approximation for a binary logistic model). Sharpening it step by step, from the
log-loss optimum, leads to the F1 of the most probable class. Finally only a temperature and
offsets are refitted by log loss, so that the scores are calibrated log-odds again.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from xbayes.infer.gradient import GradientInfo, log_loss, minimise
from xbayes.models.base import Params, ScoreModel

SHARPNESS = (1.0, 2.0, 4.0, 8.0)
STEPS_PER_STAGE = 40


def smooth_f1(
    log_joint: Float[Array, "N C"],
    is_focus: Bool[Array, "N"],
    row_weight: Float[Array, "N"],
    focus: int,
    sharpness: float | Float[Array, ""],
) -> Float[Array, ""]:
    """Smooth F1 of class `focus`: 2 sum(w q y) / (sum(w q) + sum(w y)).

    Here w are the row weights, y is 1 for members of the class, and q is
    softmax(sharpness * log_joint)[focus]. F1 = 2 TP / (TP + FP + TP + FN) is the limit of infinite
    sharpness, in which q is 1 where the class is the most probable one.
    """
    chosen = row_weight * jax.nn.softmax(sharpness * log_joint)[:, focus]
    actual = row_weight * is_focus
    return 2 * (chosen * is_focus).sum() / jnp.maximum(chosen.sum() + actual.sum(), 1e-12)


def fit_f1(
    model: ScoreModel,
    start: Params,
    x: Float[Array, "N F C"],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
    *,
    penalty: Float[Array, ""] | float,
    focus: int,
    stages: tuple[float, ...] = SHARPNESS,
) -> tuple[Params, GradientInfo]:
    """Recalibrated parameters that maximise the penalised F1 near the log-loss optimum `start`.

    `stages` are the values of the sharpness, one after the other. The returned info is that of the
    recalibration.
    """
    total = jnp.maximum(row_weight.sum(), 1.0)
    is_focus = class_index == focus

    def stage(params, sharpness):
        def loss(params):
            f1 = smooth_f1(model.log_joint(params, x), is_focus, row_weight, focus, sharpness)
            return 1.0 - f1 + penalty / total * model.penalty(params)

        return minimise(loss, params, STEPS_PER_STAGE)[0], None

    # A scan, so that all stages are compiled as one program.
    params, _ = jax.lax.scan(stage, start, jnp.asarray(stages, x.dtype))
    return recalibrate(model, params, x, class_index, row_weight)


def recalibrate(
    model: ScoreModel,
    params: Params,
    x: Float[Array, "N F C"],
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
        return log_loss(model, rescaled(change), x, class_index, row_weight)

    zero = jnp.zeros((), x.dtype), jnp.zeros_like(params.offset)
    change, info = minimise(loss, zero)
    return rescaled(change), info
