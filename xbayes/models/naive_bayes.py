"""The alpha-weighted naive Bayes: class scores as a sum of one contribution per feature.

    score_c = log prior(c) + b_c + sum over features f of contribution[f, c]

with r[f, c] = log L(f|c) - mean over classes of log L(f|.). `weights` selects the contributions:

    category        alpha_t r[f, c], t the category of f
    property        alpha_f r[f, c]
    property_class  alpha_fc r[f, c]
    matrix          sum over c' of W[f, c, c'] r[f, c']
    none            r[f, c], the plain naive Bayes: only the offsets are learned

Each is shrunk towards the one above it, and the first towards alpha = 1, the plain naive Bayes.
`normalise` divides alpha_t by the sum of alpha, which is the published formula (Tranin et al. 2022,
A&A 657, A138): P(c|D) is proportional to P(c) (prod over t of L(t|c)^alpha_t)^(1 / sum alpha).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from xbayes.models.base import Box, ClassModel

SOFTPLUS_ONE = 0.5413  # softplus(SOFTPLUS_ONE) = 1
KINDS = ("category", "property", "property_class", "matrix")
PLAIN = "none"
MOST_ALPHA = 10.0  # upper limit of the published search (Tranin et al. 2022)
MOST_MIXING = MOST_OFFSET = 5.0
RAW_ZERO = -1e3  # softplus(RAW_ZERO) is exactly 0


class NaiveBayesParams(NamedTuple):
    """Learned values; alpha = softplus(raw) at each level of the hierarchy."""

    log_prior: Float[Array, "C"]  # given, never learned
    offset: Float[Array, "C"]
    raw_category: Float[Array, "G"]
    raw_property: Float[Array, "F"]
    raw_class: Float[Array, "F C"]
    mixing: Float[Array, "F C C"]  # W - alpha_f times the identity


def naive_bayes(
    category: Sequence[int],
    n_classes: int,
    weights: str = "matrix",
    normalise: bool = False,
    offsets: bool = True,
) -> ClassModel:
    """The alpha-weighted naive Bayes over log-likelihoods x `[N, F, C]`.

    Parameters
    ----------
    category : index of the category of each feature.
    weights : none, category, property, property_class or matrix, see above.
    normalise : divide the weights by their sum over categories, as published.
    offsets : learn an offset per class.
    """
    if weights not in (*KINDS, PLAIN):
        raise ValueError(f"naive_bayes needs weights in {(*KINDS, PLAIN)}; got {weights!r}")
    if normalise and weights != "category":
        raise ValueError(
            "normalise is the published form of weights='category'; got "
            f"weights={weights!r}; set normalise=False"
        )
    return _naive_bayes(tuple(map(int, category)), n_classes, weights, normalise, offsets)


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def _naive_bayes(
    category: tuple[int, ...], n_classes: int, weights: str, normalise: bool, offsets: bool
) -> ClassModel:
    group = np.array(
        category, np.int32
    )  # [F]; 32 bits exist in both precisions, which share the model
    n_features, n_categories = len(group), int(group.max()) + 1

    def init(key, x):
        del x  # the start does not depend on the data
        return _random_start(key, n_categories, n_features, n_classes)

    def alpha(params):
        if weights == PLAIN:
            return jnp.ones((n_features, n_classes), params.raw_property.dtype)
        if weights == "property_class":
            return jax.nn.softplus(params.raw_class)
        each = jax.nn.softplus(params.raw_property)
        if weights == "category":
            by_category = jax.nn.softplus(params.raw_category)
            scale = by_category.sum() if normalise else 1.0
            each = (by_category / scale)[group]
        return jnp.broadcast_to(each[:, None], (n_features, n_classes))

    def matrix(params):
        """The weights as a matrix W[f, c, c'] that multiplies r[f, c'], whatever their kind."""
        diagonal = alpha(params)[:, :, None] * jnp.eye(n_classes)
        return diagonal + params.mixing if weights == "matrix" else diagonal

    def contributions(params, x):
        return jnp.einsum("nfd,fcd->nfc", _relative(x), matrix(params))

    def category_scores(params, x):
        """One matrix product, many times faster than summing the contributions."""
        flat = _relative(x).reshape(x.shape[0], -1)  # [N, F C]
        member = jnp.eye(n_categories)[group][:, None, :, None]  # [F, 1, G, 1]
        joined = member * matrix(params).transpose(0, 2, 1)[:, :, None]  # [F, C, G, C]
        scores = flat @ joined.reshape(flat.shape[1], -1)
        return scores.reshape(-1, n_categories, n_classes)

    def design(x):
        """r of all features and classes in one row, and whether any feature gives evidence."""
        measured = jnp.any(x != 0, axis=(1, 2))[:, None]
        flat = _relative(x).reshape(x.shape[0], -1)
        return jnp.concatenate([flat, measured.astype(x.dtype)], axis=1)

    def coefficient(params):
        joined = matrix(params).transpose(0, 2, 1).reshape(-1, n_classes)  # [F C, C]
        offset = params.offset if offsets else jnp.zeros_like(params.offset)
        return jnp.concatenate([joined, offset[None]])

    def scores(params, design):
        return design @ coefficient(params)

    def log_joint(params, x):
        """Class scores; exactly the log prior where no feature gives evidence."""
        log_prior = jax.lax.stop_gradient(params.log_prior)
        # One matrix product, many times faster than summing the contributions.
        return log_prior + scores(params, design(x))

    def deviations(params):
        """Differences between the levels of the hierarchy."""
        by_category = jax.nn.softplus(params.raw_category)
        by_feature = jax.nn.softplus(params.raw_property)
        by_class = jax.nn.softplus(params.raw_class)
        parts = [by_category - 1.0]
        if weights != "category":
            parts.append(by_feature - by_category[group])
        if weights == "property_class":
            parts.append((by_class - by_feature[:, None]).ravel())
        if weights == "matrix":
            parts.append(params.mixing.ravel())
        return jnp.concatenate(parts)

    def penalty(params):
        return (deviations(params) ** 2).sum()

    return ClassModel(
        init=init,
        log_joint=log_joint,
        design=design,
        scores=scores,
        coefficient=coefficient,
        penalty=penalty,
        deviations=deviations,
        contributions=contributions,
        category_scores=category_scores,
        alpha=alpha,
        rescale=_rescaled,
        box=_box(weights, n_categories, n_features, n_classes, offsets),
    )


def _box(weights: str, n_categories: int, n_features: int, n_classes: int, offsets: bool) -> Box:
    """Alpha in [0, 10], as published; mixing matrices and offsets within +-5."""
    free: list[tuple[str, tuple[int, ...], float, float]] = [
        {
            "category": ("raw_category", (n_categories,), 0.0, MOST_ALPHA),
            "property_class": ("raw_class", (n_features, n_classes), 0.0, MOST_ALPHA),
        }.get(weights, ("raw_property", (n_features,), 0.0, MOST_ALPHA))
    ]
    if weights == "matrix":
        free.append(("mixing", (n_features, n_classes, n_classes), -MOST_MIXING, MOST_MIXING))
    if offsets:
        free.append(("offset", (n_classes,), -MOST_OFFSET, MOST_OFFSET))
    sizes = [int(np.prod(shape)) for _, shape, _, _ in free]

    def params(like, vector):
        values, parts = {}, jnp.split(vector, np.cumsum(sizes)[:-1])
        for (name, shape, low, _), part in zip(free, parts, strict=True):
            part = part.reshape(shape)
            values[name] = _inverse_softplus(jnp.maximum(part, 1e-6)) if low == 0 else part
        return like._replace(**values)

    low, high = (tuple(np.repeat([f[end] for f in free], sizes).tolist()) for end in (2, 3))
    return Box(low=low, high=high, params=params)


def _random_start(key, n_categories: int, n_features: int, n_classes: int) -> NaiveBayesParams:
    """Random alpha near one, so that starts differ."""
    keys = jax.random.split(key, 3)

    def near_one(key, *shape):
        return SOFTPLUS_ONE + 0.5 * jax.random.normal(key, shape)

    return NaiveBayesParams(
        log_prior=jnp.full(n_classes, -jnp.log(n_classes)),
        offset=jnp.zeros(n_classes),
        raw_category=near_one(keys[0], n_categories),
        raw_property=near_one(keys[1], n_features),
        raw_class=near_one(keys[2], n_features, n_classes),
        mixing=jnp.zeros((n_features, n_classes, n_classes)),
    )


def with_alpha(
    like: NaiveBayesParams, category: Sequence[int], alpha: Sequence[float]
) -> NaiveBayesParams:
    """The parameters with these weights of the categories instead of learned ones.

    Parameters
    ----------
    like : parameters that supply the log prior and the shapes.
    category : index of the category of each feature.
    alpha : weight of each category, at least 0. Offsets and mixing are zero.
    """
    given = jnp.asarray(alpha, like.raw_category.dtype)
    raw = jnp.where(given > 0, _inverse_softplus(given), RAW_ZERO)
    by_feature = raw[np.array(category, np.int32)]
    return like._replace(
        offset=jnp.zeros_like(like.offset),
        raw_category=raw,
        raw_property=by_feature,
        raw_class=jnp.broadcast_to(by_feature[:, None], like.raw_class.shape),
        mixing=jnp.zeros_like(like.mixing),
    )


def _rescaled(params: NaiveBayesParams, log_scale, added) -> NaiveBayesParams:
    """All weights are multiplied by exp(log_scale), and `added` shifts the offsets."""

    def scaled(raw):
        return _inverse_softplus(jax.nn.softplus(raw) * jnp.exp(log_scale))

    return params._replace(
        offset=params.offset + added,
        raw_category=scaled(params.raw_category),
        raw_property=scaled(params.raw_property),
        raw_class=scaled(params.raw_class),
        mixing=params.mixing * jnp.exp(log_scale),
    )


def _inverse_softplus(positive):
    return positive + jnp.log(-jnp.expm1(-jnp.maximum(positive, 1e-30)))


def _relative(log_lik: Float[Array, "N F C"]) -> Float[Array, "N F C"]:
    """r, which does not depend on the units of the features."""
    return log_lik - log_lik.mean(-1, keepdims=True)
