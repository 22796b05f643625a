"""Fit of clusters and of the classes inside them: a `Density` joint over its features.

    rows -> clusters by EM or variational Bayes, without labels
         -> split by class, with the cluster as prior
         -> a few gradient steps on the log loss

The gradient improves the separation of classes that are not Gaussian. It stays near the split: a
small number of steps is part of the regularisation, selected on held-out data
(`experiments/cluster_number`).
"""

from functools import lru_cache, partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from xbayes.infer.draw_clusters import (
    ClassSplit,
    ClusterSmoothing,
    PreparedClusters,
    draw,
    split,
)
from xbayes.infer.gradient import log_loss_of_scores, minimise
from xbayes.infer.mixture_draws import posterior_mean, responsibilities
from xbayes.infer.unlabelled_clusters import (
    REGULARISER,
    Concentration,
    choose_components,
    fit_clusters,
    sample_clusters,
)
from xbayes.models.base import Density, StatisticsFn
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
from xbayes.models.gaussian_mixture import MixtureParams, gaussian_mixture, log_joint
from xbayes.models.grid import presence_log_lik
from xbayes.models.measured import Measured
from xbayes.types import Features

START_TEMPERATURE = 0.5
PSEUDO_SOURCES = 1.0  # measured, and as many not detected
SHARE_PULL = 0.1  # of log shares, relative to means and covariances
MAX_PATTERNS = 512
CURVE_WIDTH, CURVE_NODES = 4.0, 256  # in standard deviations on either side


class ClusterOptions(NamedTuple):
    """How the clusters are fitted and used; the keys of `model.clusters` in a config."""

    components: int | Literal["auto"] = 4  # auto: by held-out likelihood
    learn: str = "mixture"  # none, assignment or mixture
    mean_sources: float = 5.0  # weight of the cluster in the mean of a class inside it
    covariance_sources: float = 20.0  # and in its covariance
    steps: int = 15  # of the gradient
    penalty: float = 10.0  # on the distance from the split
    starts: int = 4  # of EM
    # Or the prior of a Bayesian mixture (dirichlet, stick_breaking), or nuts: dirichlet, sampled.
    mixture: str = "em"
    concentration: Concentration = "auto"  # of that prior
    draws: int = 100  # of each chain of NUTS


class _Free(NamedTuple):
    """The parameters that the gradient changes."""

    split: ClassSplit
    log_temperature: Float[Array, ""]
    offset: Float[Array, "C"]


def cluster_density(
    evidence: Bool[np.ndarray, "F"], n_classes: int, options: ClusterOptions
) -> Density:
    """A joint density over all its features.

    `evidence` marks the features for which "not detected" is evidence for or against a class.
    """
    return _cluster_density(tuple(evidence.tolist()), n_classes, options)


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def _cluster_density(
    evidence: tuple[bool, ...], n_classes: int, options: ClusterOptions
) -> Density:
    fit_classes = partial(_fit_classes, evidence=evidence, options=options)
    return Density(
        prepare=partial(_prepare, options=options),
        statistics=membership_statistics(n_classes),
        fit=jax.jit(lambda prepared, statistics: fit_classes(prepared, statistics).fitted),
        log_lik=jax.jit(_log_lik),
        share_below=jax.jit(lambda params, features: share_below(params, measured_rows(features))),
        curves=_curves,
        by_component=jax.jit(_by_component),
        tilted=tilted,
        prepare_sampling=jax.jit(fit_classes),
        sample=jax.jit(partial(_sample, evidence=evidence, options=options)),
    )


def _log_lik(params: ClusterParams, features: Features) -> Float[Array, "N F C"]:
    terms = log_terms(params, measured_rows(features))
    return presence_log_lik(features, params.log_present, params.log_missing, terms)


def _by_component(params: ClusterParams, features: Features) -> Float[Array, "N K C"]:
    zero = jnp.zeros((*features.value.shape, params.log_present.shape[1]))
    presence = presence_log_lik(features, params.log_present, params.log_missing, zero)
    return by_component(params, measured_rows(features)) + presence.sum(1)[:, None]


def _curves(params: ClusterParams):
    shift, scale = np.asarray(params.shift), np.asarray(params.scale)
    z = np.linspace(-CURVE_WIDTH, CURVE_WIDTH, CURVE_NODES)
    node = shift[:, None] + scale[:, None] * z
    return node, np.asarray(marginal_density(params, jnp.asarray(node)))


def _prepare(
    features: Features, training: Bool[np.ndarray, "N"], options: ClusterOptions
) -> PreparedClusters:
    """Clusters of the training rows, fitted without their classes."""
    x, shift, scale = standardise(features, training)
    weight = jnp.asarray(training, x.value.dtype)
    draws = None
    fit_options = {
        "n_starts": options.starts,
        "mixture": options.mixture,
        "concentration": options.concentration,
    }
    auto = options.components == "auto"
    k = choose_components(x, training, **fit_options) if auto else int(options.components)
    if options.mixture == "nuts":
        draws = sample_clusters(
            x,
            weight,
            k,
            n_starts=options.starts,
            concentration=options.concentration,
            n_draws=options.draws,
        )
        clusters = posterior_mean(draws)
        responsibility = responsibilities(draws, x).mean(0)
    else:
        clusters = fit_clusters(x, weight, k, **fit_options)
        joint = gaussian_mixture(k, reg_covar=REGULARISER).log_joint(clusters, x)
        responsibility = jax.nn.softmax(joint)
    return PreparedClusters(
        rows=x,
        patterns=_patterns(x),
        measured=jnp.asarray(features.measured),
        available=jnp.asarray(features.available),
        shift=jnp.asarray(shift),
        scale=jnp.asarray(scale),
        clusters=clusters,
        responsibility=responsibility,
        draws=draws,
    )


def _patterns(rows: Measured) -> Patterns | None:
    """The sets of features measured together; None if rows have errors or the sets are many."""
    if rows.observed is None or rows.noise is not None:
        return None
    seen, of_row = np.unique(np.asarray(rows.observed), axis=0, return_inverse=True)
    if len(seen) > MAX_PATTERNS:
        return None
    return Patterns(seen=jnp.asarray(seen), of_row=jnp.asarray(of_row.ravel()))


def measured_rows(features: Features) -> Measured:
    """Values with error variances; a value of unknown error counts as not measured."""
    error = jnp.asarray(features.error)
    known = jnp.isfinite(error)
    return Measured(
        value=jnp.asarray(features.value),
        observed=jnp.asarray(features.measured) & known,
        noise=jnp.where(known, error, 0.0) ** 2,
    )


def standardise(features: Features, training: Bool[np.ndarray, "N"]):
    """The rows in units of the standard deviation of the training rows, the shift and the scale.

    `observed` or `noise` of the rows is None where no row needs it: mixtures then take a fast path.
    """
    value, observed, noise = map(np.asarray, measured_rows(features))
    used = observed & training[:, None]
    size = np.maximum(used.sum(0), 1)
    shift = (value * used).sum(0) / size
    scale = np.sqrt((((value - shift) * used) ** 2).sum(0) / size)
    scale = np.where(scale > 0, scale, 1.0)
    rows = Measured(
        value=jnp.asarray(np.where(observed, (value - shift) / scale, 0.0)),
        observed=None if observed.all() else jnp.asarray(observed),
        noise=jnp.asarray(noise / scale**2) if noise.any() else None,
    )
    return rows, shift, scale


def _fit_classes(
    prepared: PreparedClusters,
    statistics: Float[Array, "N C"],
    evidence: tuple[bool, ...],
    options: ClusterOptions,
) -> ClusterSmoothing:
    """The fitted classes, and the split that their fit started from."""
    start = split(prepared, statistics, options.mean_sources, options.covariance_sources)
    log_present, log_missing = _log_detected(prepared, statistics, evidence)
    zero = jnp.zeros_like(prepared.shift)  # the rows are standardised
    params = ClusterParams(
        shift=zero,
        scale=zero + 1,
        log_share=start.log_share,
        mean=start.mean,
        whiten=start.whiten,
        log_present=log_present,
        log_missing=log_missing,
    )
    if options.learn != "none":
        params = _refined(prepared, statistics, params, options)
    params = params._replace(shift=prepared.shift, scale=prepared.scale)
    return ClusterSmoothing(fitted=params, start=start)


def _sample(key, prepared: PreparedClusters, smoothing, statistics, evidence, options):
    if prepared.draws is not None:
        draw_key, key = jax.random.split(key)
        prepared = _with_one_draw(draw_key, prepared, prepared.draws)
    log_present, log_missing = _log_detected(prepared, statistics, evidence)
    return draw(
        key,
        prepared,
        smoothing,
        statistics,
        log_present=log_present,
        log_missing=log_missing,
        mean_sources=options.mean_sources,
        covariance_sources=options.covariance_sources,
    )


def _with_one_draw(key, prepared: PreparedClusters, draws: MixtureParams) -> PreparedClusters:
    """The rows with one posterior sample of the clusters, chosen at random."""
    chosen = jax.random.randint(key, (), 0, draws.mean.shape[0])
    clusters = jax.tree.map(lambda leaf: leaf[chosen], draws)
    joint = log_joint(clusters, prepared.rows)
    return prepared._replace(clusters=clusters, responsibility=jax.nn.softmax(joint))


def _log_detected(prepared: PreparedClusters, membership, evidence: tuple[bool, ...]):
    """log P(measured | available, c) and log of its complement, with a pseudo-source each."""
    measured = prepared.measured.T.astype(membership.dtype) @ membership
    available = prepared.available.T.astype(membership.dtype) @ membership
    rate = (measured + PSEUDO_SOURCES) / (available + 2 * PSEUDO_SOURCES)
    is_evidence = jnp.asarray(evidence)[:, None]
    return tuple(jnp.where(is_evidence, jnp.log(p), 0.0) for p in (rate, 1 - rate))


def _refined(
    prepared: PreparedClusters, membership, params: ClusterParams, options: ClusterOptions
) -> ClusterParams:
    """Parameters after a few gradient steps on the penalised log loss of the labelled rows.

    The penalty pulls towards the split: |W0 (mean - mean0)|^2 + |W W0^-1 - 1|^2 + 0.1 |log share -
    log share0|^2, summed over classes and clusters, with W the whitening matrices.
    """
    size = membership.sum(0)
    total = jnp.maximum(size.sum(), 1.0)  # without some folds there may be no row
    log_prior = jnp.log(jnp.maximum(size, 1e-3) / total)
    row_weight, truth = membership.sum(1), membership.argmax(1)
    unwhiten = inverse_lower(params.whiten)
    start = _Free(
        split=ClassSplit(log_share=params.log_share, mean=params.mean, whiten=params.whiten),
        log_temperature=jnp.log(jnp.asarray(START_TEMPERATURE, size.dtype)),
        offset=jnp.zeros_like(size),
    )

    def params_of(free: _Free) -> ClusterParams:
        moved = params._replace(log_share=jax.nn.log_softmax(free.split.log_share))
        if options.learn == "assignment":
            return moved
        return moved._replace(mean=free.split.mean, whiten=jnp.tril(free.split.whiten))

    def loss(free: _Free):
        now = params_of(free)
        log_density = class_log_density(now, prepared.rows, prepared.patterns)
        score = log_prior + free.offset + jnp.exp(free.log_temperature) * log_density
        moved = jnp.einsum("ckgf,ckf->ckg", params.whiten, now.mean - params.mean)
        turned = now.whiten @ unwhiten - jnp.eye(now.mean.shape[-1])
        shared = now.log_share - params.log_share
        pull = (moved**2).sum() + (turned**2).sum() + SHARE_PULL * (shared**2).sum()
        return log_loss_of_scores(score, truth, row_weight) + options.penalty / total * pull

    return params_of(minimise(loss, start, options.steps)[0])


def membership_statistics(n_classes: int) -> StatisticsFn:
    """`Density.statistics` that are the weighted class memberships of the rows, [J N C].

    Sets of rows add and subtract like counts on a grid.
    """

    def statistics(prepared, features, class_index, fold, n_folds, row_weight=None):
        del prepared, features
        in_fold = (fold[None] == jnp.arange(n_folds)[:, None]) & (class_index >= 0)
        member = jax.nn.one_hot(class_index, n_classes)
        return in_fold[..., None] * (member if row_weight is None else member * row_weight[:, None])

    return statistics
