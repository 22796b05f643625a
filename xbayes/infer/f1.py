"""Weights for the F1 of one class: a smooth F1, annealed towards the true one, by gradient.

The true F1 counts sources, so its gradient is zero; here each source counts by the probability
that a sharpened softmax gives the class. Sharpening step by step, from the log-loss optimum, leads
to the F1 of the most probable class. Afterwards only a temperature and offsets are refitted by log
loss, so that the scores are calibrated log-odds again.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from xbayes.infer.gradient import GradientInfo, log_loss, minimise
from xbayes.models.base import Params, ScoreModel

SHARPNESS = (1.0, 2.0, 4.0, 8.0)
STEPS = 40  # of each stage


def smooth_f1(
    log_joint: Float[Array, "N C"],
    is_focus: Bool[Array, "N"],
    row_weight: Float[Array, "N"],
    focus: int,
    sharpness: float | Float[Array, ""],
) -> Float[Array, ""]:
    """2 TP / (chosen + actual), a source chosen by softmax(sharpness * score)[focus].

    The limit of infinite sharpness is the F1 of the most probable class.
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
    penalty: Float[Array, ""] | float,
    focus: int,
    stages: tuple[float, ...] = SHARPNESS,
) -> tuple[Params, GradientInfo]:
    """Parameters of best penalised F1 near the log-loss optimum `start`, recalibrated."""
    total = jnp.maximum(row_weight.sum(), 1.0)
    is_focus = class_index == focus

    def stage(params, sharpness):
        def loss(params):
            gained = smooth_f1(model.log_joint(params, x), is_focus, row_weight, focus, sharpness)
            return 1.0 - gained + penalty / total * model.penalty(params)

        return minimise(loss, params, STEPS)[0], None

    # A scan, so that all stages are one program to compile.
    params, _ = jax.lax.scan(stage, start, jnp.asarray(stages, x.dtype))
    return recalibrate(model, params, x, class_index, row_weight)


def recalibrate(
    model: ScoreModel,
    params: Params,
    x: Float[Array, "N F C"],
    class_index: Int[Array, "N"],
    row_weight: Float[Array, "N"],
) -> tuple[Params, GradientInfo]:
    """Refit one temperature and the offsets by log loss; the pattern of the weights stays."""
    zero = jnp.zeros((), x.dtype), jnp.zeros_like(params.offset)

    def loss(scale):
        return log_loss(model, model.rescale(params, *scale), x, class_index, row_weight)

    scale, info = minimise(loss, zero)
    return model.rescale(params, *scale), info
