"""Scores of classes from scores of their subclasses, still as sums of named terms.

The posterior of a class is the sum over its subclasses t:

    p(c | data) = sum over t of p(t | data),   so   score_c = log sum over t of exp(score_t)

With the responsibility r_t = p(t | data) / p(c | data) of a subclass and its prior share P(t | c),

    score_c = log P(c) + sum over t of r_t contribution_t - sum over t of r_t log(r_t / P(t | c))

exactly. This is the identity behind the lower bound of EM, which is tight at these r (Neal & Hinton
1998). The last term is never positive: minus the divergence of the responsibilities from the prior
shares, that is, the information in the data about the subclass.

If no class has subclasses, scores and values are returned unchanged.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

_LOG_ZERO = -1e30  # finite, so that gradients have no NaN

Values = Array | np.ndarray
ClassOf = Sequence[int]  # [T], the class of each subclass


def class_scores(score: Float[Values, "*N T"], class_of: ClassOf) -> Float[Values, "*N C"]:
    """Class scores: the log-sum-exp over the subclasses of each class."""
    if not _has_subclasses(class_of):
        return score
    return jax.nn.logsumexp(jnp.where(_membership(class_of), score[..., None], _LOG_ZERO), axis=-2)


def class_sums(probability: Float[Values, "*N T"], class_of: ClassOf) -> Float[Array, "*N C"]:
    """Class probabilities: the sum over the subclasses of each class."""
    probability = jnp.asarray(probability)
    return probability @ _membership(class_of).astype(probability.dtype)


def responsibilities(score: Float[Values, "*N T"], class_of: ClassOf) -> Float[Values, "*N T"]:
    """The probability of each subclass within its class."""
    return jnp.exp(score - class_scores(score, class_of)[..., np.asarray(class_of)])


def class_means(
    of_subclass: Float[Values, "N *F T"], responsibility: Float[Values, "N T"], class_of: ClassOf
) -> Float[Array, "N *F C"]:
    """Means over the subclasses of each class, weighted by their responsibilities."""
    of_subclass = jnp.asarray(of_subclass)
    between = (1,) * (of_subclass.ndim - 2)
    weight = responsibility.reshape(responsibility.shape[0], *between, responsibility.shape[-1])
    # A subclass of zero responsibility adds nothing, even if its value is not finite.
    weighted = jnp.where(weight > 0, weight * of_subclass, 0.0)
    return weighted @ _membership(class_of).astype(weighted.dtype)


def subclass_term(
    responsibility: Float[Values, "N T"], log_share: Float[Values, "*R T"], class_of: ClassOf
) -> Float[Array, "N C"]:
    """The last term of a class score: -sum over t of r_t log(r_t / P(t | c))."""
    return -class_means(jnp.log(responsibility) - log_share, responsibility, class_of)


def log_shares(log_prior: Float[Values, "*R T"], class_of: ClassOf) -> Float[Array, "*R T"]:
    """log P(t | c), from a prior over the subclasses."""
    return jnp.asarray(log_prior) - class_scores(log_prior, class_of)[..., np.asarray(class_of)]


def prior_of_subclasses(
    log_prior: Float[Values, "*R C"], trained: Float[Values, "T"], class_of: ClassOf
) -> Float[Array, "*R T"]:
    """A class prior extended to the subclasses, whose shares P(t | c) are those of `trained`."""
    of_class = jnp.asarray(log_prior, trained.dtype)[..., np.asarray(class_of)]
    return of_class + log_shares(trained, class_of)


def most_probable_subclass(
    score: Float[Values, "N T"], prediction: Values, class_of: ClassOf
) -> Int[Array, "N"]:
    """The most probable subclass of the predicted class."""
    member = np.asarray(class_of) == prediction[:, None]
    return jnp.where(member, score, -jnp.inf).argmax(-1)


def _has_subclasses(class_of: ClassOf) -> bool:
    """Whether any class has more than one subclass."""
    return len(set(class_of)) < len(class_of)


def _membership(class_of: ClassOf) -> np.ndarray:
    """[T, C], true where the subclass belongs to the class."""
    return np.asarray(class_of)[:, None] == np.arange(max(class_of) + 1)
