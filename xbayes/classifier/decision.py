"""The decision rule: the most probable class, or a rule that maximises the F1 of one class.

That rule multiplies the posterior of the class by a class weight before the largest is taken. The
weight is learned on nested out-of-fold posteriors; the reported probabilities do not change.
"""

import numpy as np
from jaxtyping import Array, Float, Int

N_BOOTSTRAP = 200


def decide(
    posterior: Float[Array | np.ndarray, "N C"], class_weight: Float[Array | np.ndarray, "C"]
) -> Int[Array | np.ndarray, "N"]:
    """The class with the largest product of class weight and posterior."""
    return (posterior * class_weight).argmax(-1)


def fit_class_weight(
    posterior: Float[np.ndarray, "N C"],
    truth: Int[np.ndarray, "N"],
    group: Int[np.ndarray, "N"],
    focus: int,
    seed: int,
) -> Float[np.ndarray, "C"]:
    """Class weights that maximise the F1 of class `focus`; those of the other classes are 1.

    The weight is the median of the best weights of bootstrap samples, in which groups are kept
    together: the best weight of a single sample depends on a few dozen sources.
    """
    least, is_focus = _least_weight(posterior, focus), truth == focus
    order = np.argsort(least)
    _, member = np.unique(group, return_inverse=True)
    n_groups = member.max() + 1
    rng = np.random.default_rng(seed)
    best = []
    for _ in range(N_BOOTSTRAP):
        copies = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups))[member]
        if (copies * is_focus).any():
            best.append(_best_weight(least[order], is_focus[order], copies[order]))
    class_weight = np.ones(posterior.shape[1])
    class_weight[focus] = np.exp(np.median(np.log(best))) if best else 1.0
    return class_weight


def _least_weight(posterior: Float[np.ndarray, "N C"], focus: int) -> Float[np.ndarray, "N"]:
    """The least class weight with which each source is given to class `focus`."""
    others = np.delete(posterior, focus, axis=1).max(1)
    return np.clip(others / np.maximum(posterior[:, focus], 1e-300), 1e-6, 1e6)


def _best_weight(
    least: Float[np.ndarray, "N"], is_focus: np.ndarray, copies: Int[np.ndarray, "N"]
) -> float:
    """The weight of largest F1, halfway between those of two sources; `least` is sorted."""
    hits, chosen = np.cumsum(copies * is_focus), np.cumsum(copies)
    f1 = 2 * hits / (chosen + (copies * is_focus).sum())
    last = int(f1.argmax())
    following = least[min(last + 1, len(least) - 1)]
    return float(np.sqrt(least[last] * following))
