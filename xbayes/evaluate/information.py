"""Expected information of labels about densities and weights, and the choice of diverse batches.

A posterior sample d of densities and weights gives source n the probabilities p_dn. The information
of its label y about the sample is the mutual information ("BALD", Houlsby et al. 2011, arXiv
1112.5745; Lindley 1956):

    I(y_n; d) = H(mean over d of p_dn) - mean over d of H(p_dn)

the entropy of the mean minus the mean entropy. A source with probability 0.5 in every sample has
no information.

Labels of similar sources are redundant, so the information of a batch is less than the sum. The
exact information of a batch (BatchBALD, Kirsch et al. 2019, arXiv 1906.08158) is a sum over C^n
outcomes. Here labels are approximated as Gaussian: the one-hot y_n has the mean p_dn, which varies
over the samples, and the covariance S_n = mean over d of (diag p_dn - p_dn p_dn'). The information
of a batch B is then

    J(B) = 1/2 log det(1 + sum over n in B of A_n' A_n)
    A_n  = S_n^(-1/2) (p_dn - mean over d of p_dn) / sqrt(D)

with A_n [C-1, D] (one class is left out, since probabilities sum to 1). For one source, J equals
I(y_n; d) to second order in the scatter of p. Sources are chosen one by one, each with the largest

    gain_n = I(y_n; d) J(n | B) / J(n),    J(n | B) = J(B and n) - J(B)

that is, the exact information of its label times the fraction that B does not already contain. J is
submodular (further labels never increase the information of another), so gains decrease along the
list. D samples hold at most log D of information, which the sum of the gains may exceed: use the
gains as a ranking.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

_JITTER = 1e-6  # added to covariances, which are singular for certain sources
_NOTHING = 1e-12  # nats; less information than this counts as none


class Batch(NamedTuple):
    """Sources in the order they were chosen."""

    chosen: Int[np.ndarray, "n"]
    gain: Float[np.ndarray, "n"]  # nats, given the labels of all sources chosen before
    alone: Float[np.ndarray, "n"]  # nats, without any other label


def information(posterior: Float[np.ndarray, "D N C"]) -> Float[np.ndarray, "N"]:
    """Mutual information of the label and the posterior sample [nats]."""
    posterior = np.asarray(posterior, np.float64)
    mean = _entropy(posterior.mean(0))
    return np.maximum(mean - _entropy(posterior).mean(0), 0.0)


def choose_batch(posterior: Float[np.ndarray, "D N C"], n: int) -> Batch:
    """`n` sources with the largest joint information, chosen greedily."""
    if n > posterior.shape[1]:
        raise ValueError(f"cannot choose {n} of {posterior.shape[1]} sources")
    alone, channel = information(posterior), _channel(posterior)
    first = _gaussian(channel)
    share = np.ones_like(first)
    free = np.ones(len(alone), bool)
    chosen, gains = [], []
    for _ in range(n):
        gain = alone * share
        best = int(np.where(free, gain, -1.0).argmax())
        free[best] = False
        chosen.append(best)
        gains.append(gain[best])
        channel = _given(channel, channel[best])
        share = np.divide(
            _gaussian(channel), first, out=np.zeros_like(first), where=first > _NOTHING
        )
    order = np.array(chosen, int)
    return Batch(chosen=order, gain=np.array(gains), alone=alone[order])


def _entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log(np.maximum(p, 1e-300))).sum(-1)


def _channel(posterior: Float[np.ndarray, "D N C"]) -> Float[np.ndarray, "N K D"]:
    """The matrix A of each source, with K = C - 1."""
    p = np.moveaxis(np.asarray(posterior, np.float64)[..., :-1], 0, -1)  # [N, K, D]
    within = p.mean(-1)[:, :, None] * np.eye(p.shape[1]) - p @ np.swapaxes(p, 1, 2) / p.shape[-1]
    root = np.linalg.cholesky(within + _JITTER * np.eye(p.shape[1]))
    return np.linalg.solve(root, p - p.mean(-1, keepdims=True)) / np.sqrt(p.shape[-1])


def _gaussian(channel: Float[np.ndarray, "N K D"]) -> Float[np.ndarray, "N"]:
    """J of each source: 1/2 log det(1 + A A'), which equals the D x D form."""
    inner = channel @ np.swapaxes(channel, 1, 2)
    return 0.5 * np.linalg.slogdet(np.eye(channel.shape[1]) + inner)[1]


def _given(
    channel: Float[np.ndarray, "N K D"], known: Float[np.ndarray, "K D"]
) -> Float[np.ndarray, "N K D"]:
    """All matrices A given the label of the source with matrix `known`.

    That is A (1 + known' known)^(-1/2). With the singular values s and right vectors W of `known`
    the root is 1 + W' (1 / sqrt(1 + s^2) - 1) W: it shrinks the directions known from the label.
    """
    _, size, direction = np.linalg.svd(known, full_matrices=False)
    shrink = 1 / np.sqrt(1 + size**2) - 1
    return channel + ((channel @ direction.T) * shrink) @ direction
