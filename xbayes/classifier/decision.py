"""From posterior to prediction: the most probable class, or the rule that serves one class's F1.

The rule multiplies the posterior of that class by one class_weight before the largest is taken. It is
learned on predictions whose densities and weights never saw the source; the probabilities stay.
"""

import numpy as np
from jaxtyping import Array, Float, Int

N_DRAWS = 200


def decide(
    posterior: Float[Array | np.ndarray, "N C"], class_weight: Float[Array | np.ndarray, "C"]
) -> Int[Array | np.ndarray, "N"]:
    """The class of largest class_weight times posterior; class weights of one give the most probable class."""
    return (posterior * class_weight).argmax(-1)


def fit_class_weight(
    posterior: Float[np.ndarray, "N C"],
    truth: Int[np.ndarray, "N"],
    group: Int[np.ndarray, "N"],
    focus: int,
    seed: int,
) -> Float[np.ndarray, "C"]:
    """Factors that maximise the F1 of class `focus`: the median of the best over bootstrap samples.

    The single best follows the accidents of a few dozen sources; groups are drawn together.
    """
    needed, is_focus = _needed_factor(posterior, focus), truth == focus
    order = np.argsort(needed)
    _, member = np.unique(group, return_inverse=True)
    n_groups = member.max() + 1
    rng = np.random.default_rng(seed)
    best = []
    for _ in range(N_DRAWS):
        times = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups))[member]
        if (times * is_focus).any():
            best.append(_best_factor(needed[order], is_focus[order], times[order]))
    class_weight = np.ones(posterior.shape[1])
    class_weight[focus] = np.exp(np.median(np.log(best))) if best else 1.0
    return class_weight


def _needed_factor(posterior: Float[np.ndarray, "N C"], focus: int) -> Float[np.ndarray, "N"]:
    """The class_weight from which on a source is given to the class."""
    others = np.delete(posterior, focus, axis=1).max(1)
    return np.clip(others / np.maximum(posterior[:, focus], 1e-300), 1e-6, 1e6)


def _best_factor(
    needed: Float[np.ndarray, "N"], is_focus: np.ndarray, times: Int[np.ndarray, "N"]
) -> float:
    """Between the two sources where the F1 is largest; `needed` is sorted."""
    hit, chosen = np.cumsum(times * is_focus), np.cumsum(times)
    f1 = 2 * hit / (chosen + (times * is_focus).sum())
    last = int(f1.argmax())
    after = needed[min(last + 1, len(needed) - 1)]
    return float(np.sqrt(needed[last] * after))
