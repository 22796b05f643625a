# ruff: noqa: D102 (the docstring of a protocol describes its only method)
"""The two contracts of the package: `Density` and `Model`.

A density turns features into log-likelihoods `[N, F, C]`. A model turns its input into
`log_joint [N, K]`: its log-sum-exp over K is a log density, its softmax over K gives
responsibilities or class posteriors. The drivers in `infer/` accept any of them. Both are records
of pure functions. The protocols below name the arguments of these functions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from xbayes.models.measured import Rows
from xbayes.types import Features

Params = PyTree  # a NamedTuple of arrays; each model file defines its own
Prepared = PyTree  # learned from the training rows without their classes: a grid, or clusters
DensityStatistics = PyTree  # additive over rows: counts on a grid, or class memberships of rows


@runtime_checkable
class PrepareFn(Protocol):
    """Learns from the training rows what does not depend on their classes."""

    def __call__(self, features: Features, training: Bool[np.ndarray, "N"]) -> Prepared: ...


@runtime_checkable
class StatisticsFn(Protocol):
    """Sufficient statistics of the rows of each fold, with a leading axis J.

    Rows with a negative class or fold are ignored. `row_weight` defaults to 1.
    """

    def __call__(
        self,
        prepared: Prepared,
        features: Features,
        class_index: Int[Array, "N"],
        fold: Int[Array, "N"],
        n_folds: int,
        row_weight: Float[Array, "N"] | None = None,
    ) -> DensityStatistics: ...


@runtime_checkable
class FitFn(Protocol):
    """Parameters fitted to the summed statistics of some folds (no axis J)."""

    def __call__(self, prepared: Prepared, statistics: DensityStatistics) -> Params: ...


@runtime_checkable
class FeatureClassFn(Protocol):
    """A number for each row, feature and class."""

    def __call__(self, params: Params, features: Features) -> Float[Array, "N F C"]: ...


@runtime_checkable
class ByComponentFn(Protocol):
    """log P(k | c) p(x | k, c) of each row, component and class."""

    def __call__(self, params: Params, features: Features) -> Float[Array, "N K C"]: ...


@runtime_checkable
class TiltedFn(Protocol):
    """Parameters with P(k | c) multiplied by exp(tilt), and the log of their normalisation."""

    def __call__(
        self, params: Params, tilt: Float[Array, "K C"]
    ) -> tuple[Params, Float[Array, "C"]]: ...


@runtime_checkable
class PrepareSamplingFn(Protocol):
    """The part of the fit that all posterior samples share, such as bandwidths."""

    def __call__(self, prepared: Prepared, statistics: DensityStatistics) -> PyTree: ...


@runtime_checkable
class SampleFn(Protocol):
    """Parameters sampled from the posterior, given statistics of randomly weighted rows."""

    def __call__(
        self,
        key: PRNGKeyArray,
        prepared: Prepared,
        smoothing: PyTree,
        statistics: DensityStatistics,
    ) -> Params: ...


@runtime_checkable
class ReweighMissingFn(Protocol):
    """Log-likelihoods computed with exponent 1 of P(not detected | class), with another one."""

    def __call__(
        self,
        log_lik: Float[Array, "N F C"],
        measured: Bool[Array, "N F"],
        available: Bool[Array, "N F"],
        missing_weight: float | Float[Array, ""],
    ) -> Float[Array, "N F C"]: ...


@runtime_checkable
class WithMissingWeightFn(Protocol):
    """Parameters fitted with exponent 1 of P(not detected | class), with another exponent."""

    def __call__(self, params: Params, missing_weight: float) -> Params: ...


class Density(NamedTuple):
    """Class densities with one log-likelihood per feature.

    For dependent features the terms follow the chain rule: each feature is conditioned on those
    before it. Statistics are additive, so leaving a fold out is a subtraction. This makes
    out-of-fold and nested out-of-fold likelihoods cheap.
    """

    prepare: PrepareFn
    statistics: StatisticsFn
    fit: FitFn
    log_lik: FeatureClassFn
    share_below: FeatureClassFn  # the cumulative distribution function of each class
    # Nodes and the densities at the nodes, for plots.
    curves: Callable[[Params], tuple[Float[np.ndarray, "F B"], Float[np.ndarray, "F B C"]]]
    by_component: ByComponentFn | None = None  # mixtures only, as is `tilted`
    tilted: TiltedFn | None = None
    prepare_sampling: PrepareSamplingFn | None = None  # None, as `sample`: no posterior samples
    sample: SampleFn | None = None
    # None, as `with_missing_weight`: no exponent of P(not detected | class) can be searched.
    reweigh_missing: ReweighMissingFn | None = None
    with_missing_weight: WithMissingWeightFn | None = None


class Statistics(NamedTuple):
    """Sufficient statistics of EM. Statistics of two sets of rows add, leaf by leaf."""

    log_lik: Float[Array, ""]  # sum over rows of weight times log density
    weight: Float[Array, ""]  # sum of the row weights
    count: Float[Array, "K"]  # sum of weight times responsibility
    moments: PyTree  # each model defines its own


DEAD = 1e-8  # a component with a smaller share of the weight is empty, in either precision


def dead(statistics: Statistics) -> Bool[Array, "K"]:
    """Components that hold no rows; EM's `Model.maximise` gives them new starting values."""
    return ~(statistics.count > DEAD * statistics.weight)


@runtime_checkable
class InitFn(Protocol):
    """Random starting values; all rows have weight 1 unless `row_weight` is given."""

    def __call__(
        self, key: PRNGKeyArray, x: Rows, row_weight: Float[Array, "N"] | None = None
    ) -> Params: ...


@runtime_checkable
class LogJointFn(Protocol):
    """Log joint density of each row and component, or of each row and class."""

    def __call__(self, params: Params, x: Rows) -> Float[Array, "N K"]: ...


@runtime_checkable
class MStepFn(Protocol):
    """The parameters that maximise the expected log-likelihood under `resp`."""

    def __call__(self, params: Params, x: Rows, resp: Float[Array, "N K"]) -> Params: ...


@runtime_checkable
class EStepFn(Protocol):
    """The E step: statistics of the rows under the current parameters."""

    def __call__(self, params: Params, x: Rows, row_weight: Float[Array, "N"]) -> Statistics: ...


@runtime_checkable
class MaximiseFn(Protocol):
    """The M step: new parameters from the statistics under the current ones."""

    def __call__(self, params: Params, statistics: Statistics) -> Params: ...


@runtime_checkable
class BoundFn(Protocol):
    """The objective after an M step, from the params before, their statistics, and the new ones."""

    def __call__(
        self, params: Params, statistics: Statistics, updated: Params
    ) -> Float[Array, ""]: ...


class Model(NamedTuple):
    """The functions of a model that the drivers in `infer/` call.

    `maximise(params, statistics(params, x, row_weight))` is one iteration of EM. It equals an
    `m_step` with the responsibilities of `params`, but rows can be read in pieces.
    """

    init: InitFn
    log_joint: LogJointFn
    m_step: MStepFn | None = None  # None: the model is fitted by gradient steps
    # EM subtracts the penalty, unscaled, from the total log-likelihood.
    penalty: Callable[[Params], Float[Array, ""]] | None = None
    statistics: EStepFn | None = None
    maximise: MaximiseFn | None = None
    reseeds: bool = True  # whether `maximise` gives empty components new starting values
    bound: BoundFn | None = None  # the objective, in place of the mean log-likelihood


@runtime_checkable
class FromVectorFn(Protocol):
    """`like` with its free parameters replaced by the entries of `vector`."""

    def __call__(self, like: Params, vector: Float[Array, "P"]) -> Params: ...


class Box(NamedTuple):
    """The free parameters of a model as one vector between limits, for gradient-free searches."""

    low: tuple[float, ...]  # P; tuples are hashable, so a model can be a static argument of jit
    high: tuple[float, ...]  # P
    params: FromVectorFn


@runtime_checkable
class ClassInitFn(Protocol):
    """Random starting values."""

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "N ..."]) -> Params: ...


@runtime_checkable
class ScoresFn(Protocol):
    """Class scores without the log prior."""

    def __call__(self, params: Params, design: Float[Array, "N D"]) -> Float[Array, "N C"]: ...


@runtime_checkable
class RescaleFn(Protocol):
    """Parameters whose weights are multiplied by exp(log_scale), with `added` to the offsets."""

    def __call__(
        self, params: Params, log_scale: Float[Array, ""], added: Float[Array, "C"]
    ) -> Params: ...


@runtime_checkable
class ContributionsFn(Protocol):
    """Contributions to the scores from log-likelihoods x."""

    def __call__(self, params: Params, x: Float[Array, "N F C"]) -> Float[Array, "N _ C"]: ...


@dataclass(frozen=True)
class ScoreModel:
    """A model whose components are classes.

    Its log joint is log prior + scores(params, design(x)). A driver that takes many steps on the
    same rows computes their design once.
    """

    init: ClassInitFn
    log_joint: LogJointFn
    design: Callable[[Float[Array, "N ..."]], Float[Array, "N D"]]  # free of parameters
    scores: ScoresFn
    # scores = design @ coefficient; None if the scores are not linear in the design.
    coefficient: Callable[[Params], Float[Array, "D C"]] | None
    penalty: Callable[[Params], Float[Array, ""]]  # the sum of squares of the deviations
    deviations: Callable[[Params], Float[Array, "Q"]]  # what the penalty shrinks to zero
    rescale: RescaleFn
    box: Box


@dataclass(frozen=True)
class ClassModel(ScoreModel):
    """A model whose scores are sums of one contribution per feature."""

    contributions: ContributionsFn  # [N F C], of each feature
    category_scores: ContributionsFn  # [N G C], summed over the features of each category
    alpha: Callable[[Params], Float[Array, "F C"]]  # non-negative weights
