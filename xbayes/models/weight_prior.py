"""Hierarchical priors of the weights and of the assignment matrix, as NumPyro programs.

    raw_category = base + scale_category z      base ~ N(softplus^-1(1), 1)
    raw_property = raw_category + scale_property z
    raw_class    = raw_property + scale_class z
    alpha        = softplus(raw)                of the level the weights have
    W - alpha 1  = scale_mixing z               matrices without trace, rows and columns of sum zero

with z ~ N(0, 1) and log scale ~ N(log 0.5, 0.5): a property borrows from its category, a class from
its property, as much as the labels say. `temperature` = softplus(base) is what all weights share.
Offsets sum to zero and are N(0, OFFSET). Rows of the assignment matrix are Dirichlet around those
that counting labelled sources gives.

Sites named `z_*` only make the levels; what is identified, and goes into reports, is `alpha`,
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
SCALE = (float(np.log(0.5)), 0.5)  # of log scale
TEMPERATURE = 0.5  # standard deviation of log T of an assignment
LEVEL = ("category", "property", "property_class")
CONCENTRATION = (float(np.log(10.0)), 1.0)  # of log sources that the counted rows of A count for
DIRICHLET_FLOOR = 0.5


class Given(NamedTuple):
    """What a prior program is told."""

    log_prior: Float[Array, "C"]
    counted: Float[Array, "K C"]  # P(c | k) by counting; no rows where there are no clusters


Program = Callable[[Given], NaiveBayesParams | AssignmentParams]


@lru_cache
def weight_prior(
    weights: str, category: tuple[int, ...], n_classes: int, offsets: bool = True
) -> Program:
    """The prior of `naive_bayes(category, n_classes, weights, offsets=offsets)`.

    The program samples under the names above and returns the parameters.
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
        # Of two classes alpha and the offsets say all that a matrix could.
        if weights == "matrix" and len(direction) > 0:
            mixing = _deviation("mixing", n_features, len(direction))
            mixing = jnp.einsum("fk,kcd->fcd", mixing, direction)
            like = like._replace(mixing=numpyro.deterministic("mixing", mixing))
        return like

    return program


def assignment_prior(given: Given) -> AssignmentParams:
    """The prior of `assignment_model`, whose rows lie around the counted P(c | k); a program."""
    n_classes = given.counted.shape[1]
    spread = numpyro.sample("concentration", dist.LogNormal(*CONCENTRATION))
    around = dist.Dirichlet(spread * given.counted + DIRICHLET_FLOOR)
    row = jnp.asarray(numpyro.sample("assignment", around.to_event(1)))
    log_temperature = jnp.asarray(numpyro.sample("log_temperature", dist.Normal(0.0, TEMPERATURE)))
    numpyro.deterministic("temperature", jnp.exp(log_temperature))
    tilt = jnp.log(row) - jnp.log(given.counted)
    # A constant in the tilt is one in the offsets, which sum to zero.
    return AssignmentParams(
        given.log_prior, _offset(n_classes), log_temperature, tilt - tilt.mean()
    )


def mixing_directions(n_classes: int) -> Float[np.ndarray, "Q C C"]:
    """An orthonormal basis of what a mixing matrix can say that alpha and a softmax do not hide.

    A constant added to a row meets r, which sums to zero; one added to a column shifts all scores;
    a multiple of the identity is alpha's. What is left has (C - 1)^2 - 1 dimensions.
    """
    centre = np.eye(n_classes) - 1.0 / n_classes
    helmert = np.linalg.svd(centre)[0][:, : n_classes - 1]  # [C, C-1]
    square = np.einsum("ci,dj->ijcd", helmert, helmert).reshape(-1, n_classes, n_classes)
    flat = square.reshape(len(square), -1)
    alike = centre.ravel() / np.linalg.norm(centre)
    rest = flat - (flat @ alike)[:, None] * alike
    left = np.linalg.svd(rest, full_matrices=False)
    return left[2][: len(square) - 1].reshape(-1, n_classes, n_classes)


def _deviation(name: str, *shape: int) -> Float[Array, "..."]:
    """scale z, the scale learned from all members of the level."""
    scale = numpyro.sample(f"scale_{name}", dist.LogNormal(*SCALE))
    z = numpyro.sample(f"z_{name}", dist.Normal(0.0, 1.0).expand(shape).to_event())
    return jnp.asarray(scale) * jnp.asarray(z)


def _offset(n_classes: int) -> Float[Array, "C"]:
    """Sums to zero: what is common to all classes says nothing."""
    basis = np.linalg.svd(np.eye(n_classes) - 1.0 / n_classes)[0][:, : n_classes - 1]
    z = numpyro.sample("z_offset", dist.Normal(0.0, OFFSET).expand([n_classes - 1]).to_event())
    return jnp.asarray(numpyro.deterministic("offset", basis @ jnp.asarray(z)))


def _plain(log_prior, n_categories: int, n_features: int, n_classes: int) -> NaiveBayesParams:
    one = jnp.asarray(SOFTPLUS_ONE, log_prior.dtype)
    return NaiveBayesParams(
        log_prior,
        jnp.zeros_like(log_prior),
        jnp.full(n_categories, one),
        jnp.full(n_features, one),
        jnp.full((n_features, n_classes), one),
        jnp.zeros((n_features, n_classes, n_classes), log_prior.dtype),
    )
