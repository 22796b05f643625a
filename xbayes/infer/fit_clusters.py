"""Learn the clusters and what the classes do inside them: a `Density` over joint properties.

    rows -> EM, or variational Bayes (no labels) -> split by class (prior: the cluster)
         -> a few steps on the log loss, and, where asked, on the smooth F1 of a class

The gradient makes the class densities tell classes apart where Gaussians do not fit; it stays near
the split, and few steps are part of the regularisation (chosen on held-out data, see the
experiment).
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from xbayes.infer.draw_clusters import ClusterSmoothing, draw, split
from xbayes.infer.em import fit_em, random_starts
from xbayes.infer.f1 import SHARPNESS, smooth_f1
from xbayes.infer.gradient import log_loss_of_scores, minimise
from xbayes.infer.information_criteria import mean_log_lik
from xbayes.models.base import Density
from xbayes.models.bayesian_mixture import bayesian_mixture, point
from xbayes.models.cluster_label import (
    ClusterParams,
    Patterns,
    by_component,
    class_log_density,
    inverse_lower,
    log_terms,
    marginal_density,
    share_below,
    tilted,
)
from xbayes.models.gaussian_mixture import MixtureParams, gaussian_mixture
from xbayes.models.grid import presence_log_lik
from xbayes.models.measured import Measured
from xbayes.types import Features

REGULARISER = 1e-2  # of the clusters' variances, in units of those of all sources
TRIED = (1, 2, 3, 4, 6, 8)  # numbers of clusters, for components: auto
SEED = 1  # of the starts of EM
BOUND_TOL, BOUND_STEPS = 1e-5, 1000  # of variational Bayes, which empties components slowly
START_TEMPERATURE = 0.5
PRESENCE_SOURCES = 1.0
MOST_PATTERNS = 512
SHOWN, NODES = 4.0, 256  # the curves: so many standard deviations either way


class ClusterOptions(NamedTuple):
    """How clusters are made and used."""

    components: int | Literal["auto"] = 4  # auto: by held-out likelihood
    learn: str = "mixture"  # none, assignment or mixture
    mean_sources: float = 5.0  # what the cluster counts for in a class's mean there,
    covariance_sources: float = 20.0  # and in its covariance
    steps: int = 15  # of the gradient
    penalty: float = 10.0  # of the pull back to the split
    starts: int = 4  # of EM
    focus: int = -1  # the class whose F1 the gradient goes on to raise; -1: none
    mixture: str = "em"  # or the weights of a Bayesian mixture: dirichlet, stick_breaking
    concentration: float | Literal["auto"] = "auto"  # of those weights


class ClusterGrid(NamedTuple):
    """The rows, and the clusters they fall into whatever their class."""

    rows: Measured  # standardised
    patterns: Patterns | None  # of what is missing in them, if they are exact
    observed: Bool[Array, "N F"]
    available: Bool[Array, "N F"]
    shift: Float[Array, "F"]
    scale: Float[Array, "F"]
    clusters: Any  # MixtureParams
    responsibility: Float[Array, "N K"]


class _Free(NamedTuple):
    """What the gradient moves."""

    log_share: Float[Array, "C K"]
    mean: Float[Array, "C K F"]
    whiten: Float[Array, "C K F F"]
    log_temperature: Float[Array, ""]
    offset: Float[Array, "C"]


def cluster_density(evidence: np.ndarray, n_classes: int, options: ClusterOptions) -> Density:
    """A joint density over all its properties, learned on the rows it is given.

    `evidence` says of which properties it tells the class that nothing was found.
    """
    return _cluster_density(tuple(evidence.tolist()), n_classes, options)


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def _cluster_density(known: tuple[bool, ...], n_classes: int, options: ClusterOptions) -> Density:
    return Density(
        lay_grid=partial(_lay_grid, options=options),
        count=count_members(n_classes),
        fit=jax.jit(partial(_fit, evidence=known, options=options)),
        log_lik=jax.jit(_log_lik),
        share_below=jax.jit(lambda params, f: share_below(params, measured_rows(f))),
        curves=_curves,
        by_component=jax.jit(_by_component),
        tilted=tilted,
        smooth=jax.jit(partial(_smooth, evidence=known, options=options)),
        draw=jax.jit(partial(_draw, evidence=known, options=options)),
    )


def _log_lik(params: ClusterParams, features: Features) -> Float[Array, "N F C"]:
    terms = log_terms(params, measured_rows(features))
    return presence_log_lik(features, params.log_present, params.log_missing, terms)


def _by_component(params: ClusterParams, features: Features) -> Float[Array, "N K C"]:
    nothing = jnp.zeros((*features.value.shape, params.log_present.shape[1]))
    presence = presence_log_lik(features, params.log_present, params.log_missing, nothing)
    return by_component(params, measured_rows(features)) + presence.sum(1)[:, None]


def _curves(params: ClusterParams):
    shift, scale = np.asarray(params.shift), np.asarray(params.scale)
    node = shift[:, None] + scale[:, None] * np.linspace(-SHOWN, SHOWN, NODES)
    return node, np.asarray(marginal_density(params, jnp.asarray(node)))


def _lay_grid(features: Features, training: np.ndarray, options: ClusterOptions) -> ClusterGrid:
    """Clusters of the training rows, found without their classes."""
    x, shift, scale = standardise(features, training)
    weight = jnp.asarray(training, x.value.dtype)
    k = options.components
    how = (options.mixture, options.concentration)
    k = choose_components(x, training, options.starts, *how) if k == "auto" else int(k)
    clusters = fit_clusters(x, weight, k, options.starts, REGULARISER, *how)
    joint = gaussian_mixture(k, reg_covar=REGULARISER).log_joint(clusters, x)
    responsibility = jax.nn.softmax(joint)
    return ClusterGrid(
        x,
        _patterns(x),
        jnp.asarray(features.measured),
        jnp.asarray(features.available),
        jnp.asarray(shift),
        jnp.asarray(scale),
        clusters,
        responsibility,
    )


def _patterns(rows: Measured) -> Patterns | None:
    """What is missing together, where rows are exact and the patterns few enough to keep."""
    if rows.observed is None or rows.noise is not None:
        return None
    seen, of_row = np.unique(np.asarray(rows.observed), axis=0, return_inverse=True)
    few = len(seen) <= MOST_PATTERNS
    return Patterns(jnp.asarray(seen), jnp.asarray(of_row.ravel())) if few else None


def measured_rows(features: Features) -> Measured:
    """Values, holes and error variances; a value whose error is unknown counts as missing."""
    error = jnp.asarray(features.error)
    known = jnp.isfinite(error)
    observed = jnp.asarray(features.measured) & known
    return Measured(jnp.asarray(features.value), observed, jnp.where(known, error, 0.0) ** 2)


def standardise(features: Features, training: np.ndarray):
    """Rows in standard deviations of the training rows from their mean, which are returned too.

    What no row has (holes, errors) is None in them, so that mixtures take the fast path.
    """
    value, observed, noise = map(np.asarray, measured_rows(features))
    here = observed & training[:, None]
    size = np.maximum(here.sum(0), 1)
    shift = (value * here).sum(0) / size
    scale = np.sqrt((((value - shift) * here) ** 2).sum(0) / size)
    scale = np.where(scale > 0, scale, 1.0)
    rows = Measured(
        jnp.asarray(np.where(observed, (value - shift) / scale, 0.0)),
        None if observed.all() else jnp.asarray(observed),
        jnp.asarray(noise / scale**2) if noise.any() else None,
    )
    return rows, shift, scale


def fit_clusters(
    x: Measured,
    row_weight,
    n_components: int,
    n_starts: int,
    reg_covar: float = REGULARISER,
    mixture: str = "em",
    concentration: float | Literal["auto"] = "auto",
) -> MixtureParams:
    """The best of several fits, from fixed random starts: by EM, or by variational Bayes.

    `mixture`: "em", or the prior of the weights, "dirichlet" or "stick_breaking". Then the clusters
    are the posterior's `point`, `n_components` are the most there may be (those not needed get next
    to no weight), and `reg_covar` is added to the covariances at the end, as EM does at each step.
    """
    key = jax.random.key(SEED)
    if mixture == "em":
        model = gaussian_mixture(n_components, reg_covar=reg_covar)
        starts = random_starts(model, key, x, row_weight, n_starts)
        return fit_em(model, starts, x, row_weight)[0]
    given = None if concentration == "auto" else float(concentration)
    model = bayesian_mixture(n_components, mixture, given)
    starts = random_starts(model, key, x, row_weight, n_starts)
    clusters = point(fit_em(model, starts, x, row_weight, BOUND_TOL, BOUND_STEPS)[0])
    wider = reg_covar * jnp.eye(clusters.mean.shape[1], dtype=clusters.mean.dtype)
    return clusters._replace(covariance=clusters.covariance + wider)


def choose_components(
    x: Measured,
    training: np.ndarray,
    n_starts: int,
    mixture: str = "em",
    concentration: float | Literal["auto"] = "auto",
    n_folds: int = 3,
) -> int:
    """The number of clusters of greatest likelihood for rows that the fit has not seen."""
    fold = np.cumsum(training) % n_folds
    score = {}
    for k in TRIED:
        if k > training.sum() // 2:
            break
        model, total = gaussian_mixture(k, reg_covar=REGULARISER), 0.0
        for j in range(n_folds):
            seen, left = training & (fold != j), training & (fold == j)
            known = jnp.asarray(seen, x.value.dtype)
            how = (REGULARISER, mixture, concentration)
            clusters = fit_clusters(x, known, k, n_starts, *how)
            weight = jnp.asarray(left, x.value.dtype)
            total += float(mean_log_lik(model, clusters, x, weight))
        score[k] = total
    return max(score, key=lambda k: score[k])


def _fit(grid: ClusterGrid, membership: Float[Array, "N C"], evidence, options: ClusterOptions):
    return _smooth(grid, membership, evidence, options).fitted


def _smooth(grid: ClusterGrid, membership, evidence, options: ClusterOptions) -> ClusterSmoothing:
    """The classes as fitted, and the split they begin at."""
    begin = split(grid, membership, options.mean_sources, options.covariance_sources)
    presence = _presence(grid, membership, jnp.asarray(evidence)[:, None])
    none = jnp.zeros_like(grid.shift)  # the rows are standardised
    params = ClusterParams(none, none + 1, *begin, *presence)
    if options.learn != "none":
        params = _refined(grid, membership, params, options)
    return ClusterSmoothing(params._replace(shift=grid.shift, scale=grid.scale), *begin)


def _draw(key, grid: ClusterGrid, smoothing, membership, evidence, options: ClusterOptions):
    presence = _presence(grid, membership, jnp.asarray(evidence)[:, None])
    prior = (options.mean_sources, options.covariance_sources)
    return draw(key, grid, smoothing, membership, presence, *prior)


def _presence(grid: ClusterGrid, membership, evidence):
    """log P(found | available, c) and its complement, a pseudo-source each way."""
    found = grid.observed.T.astype(membership.dtype) @ membership
    sought = grid.available.T.astype(membership.dtype) @ membership
    present = (found + PRESENCE_SOURCES) / (sought + 2 * PRESENCE_SOURCES)
    return tuple(jnp.where(evidence, jnp.log(p), 0.0) for p in (present, 1 - present))


def _refined(grid: ClusterGrid, membership, params: ClusterParams, options: ClusterOptions):
    """A few steps down the penalised log loss of the labelled rows."""
    size = membership.sum(0)
    total = jnp.maximum(size.sum(), 1.0)  # with folds left out nobody may be left
    log_prior = jnp.log(jnp.maximum(size, 1e-3) / total)
    row_weight, truth = membership.sum(1), membership.argmax(1)
    unwhiten = inverse_lower(params.whiten)
    begin = _Free(
        *params[2:5], jnp.log(jnp.asarray(START_TEMPERATURE, size.dtype)), jnp.zeros_like(size)
    )

    def placed(free: _Free) -> ClusterParams:
        shape = (free.mean, jnp.tril(free.whiten))
        if options.learn == "assignment":
            shape = (params.mean, params.whiten)
        share = jax.nn.log_softmax(free.log_share)
        return ClusterParams(*params[:2], share, *shape, *params[5:])

    def scored(free: _Free):
        """Scores of the rows, and the pull back to the split."""
        now = placed(free)
        log_density = class_log_density(now, grid.rows, grid.patterns)
        score = log_prior + free.offset + jnp.exp(free.log_temperature) * log_density
        moved = jnp.einsum("ckgf,ckf->ckg", params.whiten, now.mean - params.mean)
        turned = now.whiten @ unwhiten - jnp.eye(now.mean.shape[-1])
        shared = now.log_share - params.log_share
        pull = (moved**2).sum() + (turned**2).sum() + 0.1 * (shared**2).sum()
        return score, options.penalty / total * pull

    def loss(free: _Free):
        score, pull = scored(free)
        return log_loss_of_scores(score, truth, row_weight) + pull

    def missed(sharpness, free: _Free):
        score, pull = scored(free)
        is_focus = (truth == options.focus) & (row_weight > 0)
        return 1.0 - smooth_f1(score, is_focus, row_weight, options.focus, sharpness) + pull

    def stage(free: _Free, sharpness):
        return minimise(partial(missed, sharpness), free, options.steps)[0], None

    free = minimise(loss, begin, options.steps)[0]
    if options.focus >= 0:
        # A scan, so that all stages are one program to compile.
        stages = jnp.asarray(SHARPNESS, size.dtype)
        free, _ = jax.lax.scan(stage, free, stages)
    return placed(free)


def count_members(n_classes: int) -> Callable[..., Float[Array, "J N C"]]:
    """`Density.count` where the counts of a fold are its rows, each with its class.

    Sets of rows add and subtract as counts on a grid do.
    """

    def count(grid, features, class_index, fold, n_folds, row_weight=None):
        del grid, features
        mine = (fold[None] == jnp.arange(n_folds)[:, None]) & (class_index >= 0)
        member = jax.nn.one_hot(class_index, n_classes)
        return mine[..., None] * (member if row_weight is None else member * row_weight[:, None])

    return count
