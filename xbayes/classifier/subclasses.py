"""A class is the sum of the kinds of source it joins, and its score still a sum of named terms.

    p(c | data) = sum over subclasses t of c of p(t | data)

so score_c = log sum over t of exp score_t. With the responsibility of a subclass within its class,
r_t = p(t | data) / p(c | data), and its share P(t | c) before any data,

    score_c = log P(c) + sum over t of r_t contribution_t - sum over t of r_t log(r_t / P(t | c))

exactly: the identity behind the bound of EM (Neal & Hinton 1998), which is tight at these r. The
last term, never above zero, is what the data had to tell which subclass it is.

Where no class has subclasses every function here gives back what it got.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

_FAR = -1e30  # log of nothing, and no NaN in its gradients

Values = Array | np.ndarray
ClassOf = Sequence[int]  # [T], of each subclass


def class_scores(score: Float[Values, "*N T"], class_of: ClassOf) -> Float[Values, "*N C"]:
    """Log sum of the exponentials over the subclasses of each class."""
    if not _joined(class_of):
        return score
    return jax.nn.logsumexp(jnp.where(_member(class_of), score[..., None], _FAR), axis=-2)


def class_sums(probability: Float[Values, "*N T"], class_of: ClassOf) -> Float[Array, "*N C"]:
    """Probabilities of the classes."""
    probability = jnp.asarray(probability)
    return probability @ _member(class_of).astype(probability.dtype)


def responsibilities(score: Float[Values, "*N T"], class_of: ClassOf) -> Float[Values, "*N T"]:
    """Of each subclass within its class; they sum to one over each class."""
    return jnp.exp(score - class_scores(score, class_of)[..., np.asarray(class_of)])


def class_means(
    of_subclass: Float[Values, "N *F T"], responsibility: Float[Values, "N T"], class_of: ClassOf
) -> Float[Array, "N *F C"]:
    """Means over the subclasses of each class, each as responsible as it is."""
    of_subclass = jnp.asarray(of_subclass)
    between = (1,) * (of_subclass.ndim - 2)
    weight = responsibility.reshape(responsibility.shape[0], *between, responsibility.shape[-1])
    # A subclass that is not responsible counts for nothing, whatever it says.
    weighed = jnp.where(weight > 0, weight * of_subclass, 0.0)
    return weighed @ _member(class_of).astype(weighed.dtype)


def told_apart(
    responsibility: Float[Values, "N T"], log_share: Float[Values, "T"], class_of: ClassOf
) -> Float[Array, "N C"]:
    """-sum over t of r_t log(r_t / P(t | c)), the last term of a class score."""
    return -class_means(jnp.log(responsibility) - log_share, responsibility, class_of)


def log_shares(log_prior: Float[Values, "T"], class_of: ClassOf) -> Float[Array, "T"]:
    """log P(t | c) of a prior over the subclasses."""
    return jnp.asarray(log_prior) - class_scores(log_prior, class_of)[np.asarray(class_of)]


def prior_of_subclasses(
    log_prior: Float[Values, "C"], trained: Float[Values, "T"], class_of: ClassOf
) -> Float[Array, "T"]:
    """A prior over classes for their subclasses, whose shares stay as in the training part."""
    return jnp.asarray(log_prior, trained.dtype)[np.asarray(class_of)] + log_shares(
        trained, class_of
    )


def likeliest(
    score: Float[Values, "N T"], prediction: Values, class_of: ClassOf
) -> Int[Array, "N"]:
    """The most probable subclass of the predicted class."""
    own = np.asarray(class_of) == prediction[:, None]
    return jnp.where(own, score, -jnp.inf).argmax(-1)


def _joined(class_of: ClassOf) -> bool:
    """Whether any class has more than one subclass."""
    return len(set(class_of)) < len(class_of)


def _member(class_of: ClassOf) -> np.ndarray:
    """[T, C], true where a subclass is of the class."""
    return np.asarray(class_of)[:, None] == np.arange(max(class_of) + 1)
