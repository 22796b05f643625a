"""The two contracts everything else is built on: a density, and a model.

A density turns properties into log-likelihoods `[N, F, C]`. A model turns its input into
`log_joint [N, K]`: log-sum-exp over K is a density, softmax over K is responsibilities or a class
posterior. Drivers in `infer/` take any of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, PRNGKeyArray

from xbayes.types import Features

Params = Any  # a NamedTuple of arrays; each model file has its own


class Density(NamedTuple):
    """Class densities, read a property at a time.

    Where properties are not independent, the term of each is given those before it (chain rule).
    Fitting goes through counts on a grid, and counts add: leaving a fold out is a subtraction,
    which is what makes out-of-fold likelihoods, and folds inside folds, cheap.
    """

    lay_grid: Callable[..., Any]  # (features, training[N]) -> grid; what the training rows span
    # (grid, features, class_index[N], fold[N], n_folds, row_weight[N] = 1) -> counts [J ...]
    count: Callable[..., Any]
    fit: Callable[[Any, Any], Params]  # (grid, counts) -> params
    log_lik: Callable[[Params, Features], Float[Array, "N F C"]]
    share_below: Callable[[Params, Features], Float[Array, "N F C"]]  # of a class below the value
    curves: Callable[[Params], Any]  # params -> nodes [F B] and densities there [F B C], to look at
    # Of a mixture only: log P(k | c) p(x | k, c) by component, and the same density with
    # P(k | c) times exp(tilt), whose normaliser's logarithm comes with it.
    by_component: Callable[[Params, Features], Float[Array, "N K C"]] | None = None
    tilted: Callable[[Params, Float[Array, "K C"]], tuple[Params, Float[Array, "C"]]] | None = None
    # Of a density that can be drawn: what fitting `counts` chooses (grid, counts) -> smoothing, and
    # (key, grid, smoothing, counts of rows weighted at random) -> params.
    smooth: Callable[[Any, Any], Any] | None = None
    draw: Callable[..., Params] | None = None


class Statistics(NamedTuple):
    """What EM keeps of rows it has read. Statistics of two sets of rows add, leaf by leaf."""

    log_lik: Float[Array, ""]  # sum over rows of weight times log density
    weight: Float[Array, ""]  # sum of the row weights
    count: Float[Array, "K"]  # sum of weight times responsibility
    moments: Any  # the model's own


DEAD = 1e-8  # of all weight: a component with less is empty, in either precision


def dead(statistics: Statistics) -> Bool[Array, "K"]:
    """Components that hold no rows; EM's `Model.maximise` seeds them anew."""
    return ~(statistics.count > DEAD * statistics.weight)


class Model(NamedTuple):
    """What a driver in `infer/` needs of a model.

    Only EM reads `statistics` and `maximise`: together they are `m_step`, cut where rows can be
    read in pieces. maximise(params, statistics(params, x, row_weight)) is one iteration.
    """

    init: Callable[..., Params]  # (key, x[N ...]) -> params; a mixture also takes row_weight[N]
    log_joint: Callable[[Params, Any], Float[Array, "N K"]]  # (params, rows): arrays or `Measured`
    m_step: Callable[..., Params] | None = None  # (params, x, resp[N K]) -> params; None: gradient
    # What shrinkage costs, unscaled; EM takes it off the log-likelihood of all rows.
    penalty: Callable[[Params], Float[Array, ""]] | None = None
    statistics: Callable[..., Statistics] | None = None  # (params, x, row_weight[N]) -> statistics
    maximise: Callable[[Params, Statistics], Params] | None = None
    reseeds: bool = True  # maximise seeds empty components anew; False: they may stay empty


class Box(NamedTuple):
    """The free numbers of a model as one vector between limits, for searches without gradient."""

    low: tuple[float, ...]  # P; tuples, so that a model can be a static argument of jit
    high: tuple[float, ...]  # P
    params: Callable[[Params, Float[Array, "P"]], Params]  # (any params of the model, vector)


@dataclass(frozen=True)
class ScoreModel:
    """A model whose K are classes, as far as the drivers know it.

    log_joint = log prior + scores(params, design(x)). A driver that steps many times over the same
    rows computes their design once.
    """

    init: Callable[[PRNGKeyArray, Float[Array, "N ..."]], Params]
    log_joint: Callable[[Params, Float[Array, "N ..."]], Float[Array, "N C"]]
    design: Callable[[Float[Array, "N ..."]], Float[Array, "N D"]]
    scores: Callable[[Params, Float[Array, "N D"]], Float[Array, "N C"]]
    # Where scores are linear in it, scores = design @ coefficient; it gives the curvature.
    coefficient: Callable[[Params], Float[Array, "D C"]] | None
    penalty: Callable[[Params], Float[Array, ""]]  # the sum of squares of the deviations
    deviations: Callable[[Params], Float[Array, "Q"]]
    rescale: Callable[..., Params]  # (params, log temperature, added offset[C]) -> params
    box: Box


@dataclass(frozen=True)
class ClassModel(ScoreModel):
    """A model whose scores are sums of named terms."""

    contributions: Callable[[Params, Float[Array, "N F C"]], Float[Array, "N F C"]]
    # The contributions summed over the properties of each category.
    category_scores: Callable[[Params, Float[Array, "N F C"]], Float[Array, "N G C"]]
    alpha: Callable[[Params], Float[Array, "F C"]]  # non-negative weight of property and class
