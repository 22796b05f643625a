"""Hierarchical priors of the weights and of the assignment matrix, as NumPyro programs.

    raw_category = base + scale_category z      base ~ N(softplus^-1(1), 1)
    raw_property = raw_category + scale_property z      (one per feature)
    raw_class    = raw_property + scale_class z
    alpha        = softplus(raw)                at the level of `weights`
    W - alpha 1  = scale_mixing z               traceless; rows and columns sum to zero

with z ~ N(0, 1) and log scale ~ N(log 0.5, 0.5). The weight of a feature is shrunk towards that of
its category, and the weight of a class towards that of its feature; the scales are learned.
`temperature` = softplus(base) is common to all weights. Offsets sum to zero and are N(0, OFFSET).
The rows of the assignment matrix are Dirichlet around those from counts of labelled sources.

Sites named `z_*` are auxiliary. The identified parameters, which are reported, are `alpha`,
`mixing`, `offset`, `temperature`, `assignment`, `concentration` and the scales.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

from xbayes.models.assignment_matrix import AssignmentParams
from xbayes.models.naive_bayes import PLAIN, SOFTPLUS_ONE, NaiveBayesParams

OFFSET = 1.5
LOG_SCALE, LOG_SCALE_SD = float(np.log(0.5)), 0.5
TEMPERATURE = 0.5  # standard deviation of log T of an assignment
LOG_CONCENTRATION, LOG_CONCENTRATION_SD = float(np.log(10.0)), 1.0  # pseudo-sources of a row of A
DIRICHLET_FLOOR = 0.5


class Given(NamedTuple):
    """The data that a prior program is conditioned on."""

    log_prior: Float[Array, "C"]
    counted: Float[Array, "K C"]  # P(c | k) from counts; K = 0 without clusters


Program = Callable[[Given], NaiveBayesParams | AssignmentParams]


@lru_cache
def weight_prior(
    weights: str, category: tuple[int, ...], n_classes: int, offsets: bool = True
) -> Program:
    """The prior of `naive_bayes(category, n_classes, weights, offsets=offsets)`.

    The program samples the sites named above and returns the parameters.
    """
    group = np.asarray(category, np.int32)  # in either precision
    n_features, n_categories = len(group), int(group.max()) + 1
    direction = mixing_directions(n_classes)

    def program(given):
        like = _plain(given.log_prior, n_categories, n_features, n_classes)
        if offsets:
            like = like._replace(offset=_offset(n_classes))
        if weights == PLAIN:
            return like
        base = numpyro.sample("base", dist.Normal(SOFTPLUS_ONE, 1.0))
        numpyro.deterministic("temperature", jax.nn.softplus(base))
        raw = base + _deviation("category", n_categories)
        like = like._replace(raw_category=raw)
        if weights != "category":
            raw = raw[group] + _deviation("property", n_features)
            like = like._replace(raw_property=raw)
        if weights == "property_class":
            raw = raw[:, None] + _deviation("class", n_features, n_classes)
            like = like._replace(raw_class=raw)
        numpyro.deterministic("alpha", jax.nn.softplus(raw))
        # With two classes a matrix has no more freedom than alpha and the offsets.
        if weights == "matrix" and len(direction) > 0:
            mixing = _deviation("mixing", n_features, len(direction))
            mixing = jnp.einsum("fk,kcd->fcd", mixing, direction)
            like = like._replace(mixing=numpyro.deterministic("mixing", mixing))
        return like

    return program


def assignment_prior(given: Given) -> AssignmentParams:
    """The prior program of `assignment_model`; rows are Dirichlet around the counted P(c | k)."""
    n_classes = given.counted.shape[1]
    concentration = dist.LogNormal(LOG_CONCENTRATION, LOG_CONCENTRATION_SD)
    size = numpyro.sample("concentration", concentration)
    around = dist.Dirichlet(size * given.counted + DIRICHLET_FLOOR)
    row = jnp.asarray(numpyro.sample("assignment", around.to_event(1)))
    log_temperature = jnp.asarray(numpyro.sample("log_temperature", dist.Normal(0.0, TEMPERATURE)))
    numpyro.deterministic("temperature", jnp.exp(log_temperature))
    tilt = jnp.log(row) - jnp.log(given.counted)
    return AssignmentParams(
        log_prior=given.log_prior,
        offset=_offset(n_classes),
        log_temperature=log_temperature,
        tilt=tilt - tilt.mean(),  # a constant tilt equals an offset common to all classes
    )


def mixing_directions(n_classes: int) -> Float[np.ndarray, "Q C C"]:
    """An orthonormal basis of the identifiable part of a mixing matrix.

    A constant added to a row has no effect, because r sums to zero. A constant added to a column
    shifts all scores equally. A multiple of the identity is part of alpha. The remaining space has
    (C - 1)^2 - 1 dimensions.
    """
    centre = np.eye(n_classes) - 1.0 / n_classes
    helmert = np.linalg.svd(centre)[0][:, : n_classes - 1]  # [C, C-1]
    square = np.einsum("ci,dj->ijcd", helmert, helmert).reshape(-1, n_classes, n_classes)
    flat = square.reshape(len(square), -1)
    identity = centre.ravel() / np.linalg.norm(centre)
    rest = flat - (flat @ identity)[:, None] * identity
    basis = np.linalg.svd(rest, full_matrices=False)[2]
    return basis[: len(square) - 1].reshape(-1, n_classes, n_classes)


def _deviation(name: str, *shape: int) -> Float[Array, "..."]:
    """scale z, with a scale common to all members of the level."""
    scale = numpyro.sample(f"scale_{name}", dist.LogNormal(LOG_SCALE, LOG_SCALE_SD))
    z = numpyro.sample(f"z_{name}", dist.Normal(0.0, 1.0).expand(shape).to_event())
    return jnp.asarray(scale) * jnp.asarray(z)


def _offset(n_classes: int) -> Float[Array, "C"]:
    """Offsets that sum to zero, because a common offset has no effect."""
    basis = np.linalg.svd(np.eye(n_classes) - 1.0 / n_classes)[0][:, : n_classes - 1]
    z = numpyro.sample("z_offset", dist.Normal(0.0, OFFSET).expand([n_classes - 1]).to_event())
    return jnp.asarray(numpyro.deterministic("offset", basis @ jnp.asarray(z)))


def _plain(log_prior, n_categories: int, n_features: int, n_classes: int) -> NaiveBayesParams:
    one = jnp.asarray(SOFTPLUS_ONE, log_prior.dtype)
    return NaiveBayesParams(
        log_prior=log_prior,
        offset=jnp.zeros_like(log_prior),
        raw_category=jnp.full(n_categories, one),
        raw_property=jnp.full(n_features, one),
        raw_class=jnp.full((n_features, n_classes), one),
        mixing=jnp.zeros((n_features, n_classes, n_classes), log_prior.dtype),
    )
