"""The two contracts everything else is built on: a density, and a model.

A density turns properties into log-likelihoods `[N, F, C]`. A model turns its input into
`log_joint [N, K]`: log-sum-exp over K is a density, softmax over K is responsibilities or a class
posterior. Drivers in `infer/` take any of them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Float, PRNGKeyArray

from xbayes.types import Features

Params = Any  # a NamedTuple of arrays; each model file has its own


class Density(NamedTuple):
    """One-dimensional class densities, a property at a time.

    Fitting goes through counts on a grid, and counts add: leaving a fold out is a subtraction,
    which is what makes out-of-fold likelihoods, and folds inside folds, cheap.
    """

    lay_grid: Callable[..., Any]  # (features, training[N]) -> grid; what the training rows span
    count: Callable[
        ..., Any
    ]  # (grid, features, class_index[N], fold[N], n_folds) -> counts [J ...]
    fit: Callable[[Any, Any], Params]  # (grid, counts) -> params
    log_lik: Callable[[Params, Features], Float[Array, "N F C"]]
    share_below: Callable[[Params, Features], Float[Array, "N F C"]]  # of a class below the value


class Model(NamedTuple):
    """What a driver in `infer/` needs of a model."""

    init: Callable[[PRNGKeyArray, Float[Array, "N ..."]], Params]
    log_joint: Callable[[Params, Float[Array, "N ..."]], Float[Array, "N K"]]
    m_step: Callable[..., Params] | None = None  # (params, x, resp[N K]) -> params; None: gradient
    penalty: Callable[[Params], Float[Array, ""]] | None = None  # what shrinkage costs, unscaled


class Box(NamedTuple):
    """The free numbers of a model as one vector between limits, for searches without gradient."""

    low: tuple[float, ...]  # P; tuples, so that a model can be a static argument of jit
    high: tuple[float, ...]  # P
    params: Callable[[Params, Float[Array, "P"]], Params]  # (any params of the model, vector)


class ClassModel(NamedTuple):
    """A model whose K are classes and whose scores are sums of named terms."""

    init: Callable[[PRNGKeyArray, Float[Array, "N ..."]], Params]
    log_joint: Callable[[Params, Float[Array, "N ..."]], Float[Array, "N C"]]
    penalty: Callable[[Params], Float[Array, ""]]
    contributions: Callable[[Params, Float[Array, "N F C"]], Float[Array, "N F C"]]
    # The contributions summed over the properties of each category.
    category_scores: Callable[[Params, Float[Array, "N F C"]], Float[Array, "N G C"]]
    alpha: Callable[[Params], Float[Array, "F C"]]  # non-negative weight of property and class
    rescale: Callable[..., Params]  # (params, log temperature, added offset[C]) -> params
    box: Box
