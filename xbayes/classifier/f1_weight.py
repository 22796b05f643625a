"""The weight lambda of the F1 term of `objective: f1`, chosen on nested out-of-fold posteriors.

The F1 of a single set of sources changes by whole sources, so it compares weights poorly. Here it
is averaged over the sets of the k most probable sources, with k from half to twice the size of the
set of largest expected F1 (at lambda = 0): sharper posteriors alone do not change it. The paired
differences between two values of lambda come from bootstrap samples, in which groups are kept
together. lambda is 0, the log loss alone, unless the best lambda has a higher F1 in 95 % of the
samples. Otherwise it is the smallest that is within one standard error of the best.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.classifier.decision import Decision, threshold_for
from xbayes.classifier.probabilities import class_posterior
from xbayes.classifier.recipe import Recipe
from xbayes.classifier.training_part import TrainingPart, at_own_fold
from xbayes.infer.f1 import F1_WEIGHTS, fit_f1
from xbayes.infer.gradient import GradientInfo
from xbayes.infer.out_of_fold import OutOfFold
from xbayes.infer.select_penalty import Selection
from xbayes.models.base import Params

N_BOOTSTRAP = 400
SIZES = np.geomspace(0.5, 2.0, 9)  # of the sets, relative to that of largest expected F1
SURE = 0.95  # share of bootstrap samples in which lambda > 0 must be better than 0


def learn_for_f1(
    recipe: Recipe,
    training: TrainingPart,
    log_lik: OutOfFold,
    selection: Selection,
    weights: Params,
    info: GradientInfo,
    *,
    seed: int,
) -> tuple[Params, GradientInfo, Selection]:
    """The weights at the chosen lambda, how their fit ended, and the selection with its scores.

    Parameters
    ----------
    selection
        The penalty, and the weights of least log loss without each inner fold.
    weights, info
        Those of least log loss on all rows; returned as they are if lambda is 0.
    """
    fold, model = np.asarray(training.fold), recipe.model
    row_weight = jnp.asarray(fold >= 0, log_lik.single.dtype)
    if training.row_weight is not None:
        row_weight = row_weight * training.row_weight
    f1_weights = jnp.asarray(F1_WEIGHTS, row_weight.dtype)
    penalty = jnp.asarray(selection.penalty, row_weight.dtype)

    def path(start, x, row_weight):
        design = jax.jit(model.design)(x)
        fitted = fit_f1(
            model,
            start,
            design,
            training.truth,
            row_weight,
            penalty=penalty,
            focus=recipe.focus,
            f1_weights=f1_weights,
        )
        return *fitted, design

    by_fold = []
    for j, start in enumerate(selection.weights):
        params, _, design = path(start, log_lik.nested[j], row_weight * (fold != j))
        scores = jax.jit(jax.vmap(model.scores, (0, None)))(params, design)
        by_fold.append(start.log_prior + scores)
    log_joint = jax.vmap(at_own_fold, (1, None))(jnp.stack(by_fold), training.fold)  # [L N C]
    posterior = class_posterior(np.asarray(log_joint)[:, fold >= 0])
    is_focus = np.asarray(training.truth)[fold >= 0] == recipe.focus
    f1 = held_out_f1(posterior[..., recipe.focus], is_focus, training.group[fold >= 0], seed)
    best = smallest_good(f1)
    selection = selection._replace(f1_weight=F1_WEIGHTS[best], held_out_f1=f1.mean(1))
    if best == 0:
        return weights, info, selection
    params, infos, _ = path(weights, log_lik.single, row_weight)
    weights, info = jax.tree.map(lambda leaf: leaf[best], (params, infos))
    return weights, info, selection._replace(log_joint=log_joint[best])


def held_out_f1(
    p: Float[np.ndarray, "L N"],
    is_focus: Bool[np.ndarray, "N"],
    group: Int[np.ndarray, "N"],
    seed: int,
) -> Float[np.ndarray, "L S"]:
    """F1 averaged over sets of the largest posteriors p, in the same bootstrap samples of groups.

    The sizes of the sets are those for the first row of p.
    """
    p = np.asarray(p, np.float64)
    _, member = np.unique(group, return_inverse=True)
    n_groups = int(member.max()) + 1
    rng = np.random.default_rng(seed)
    share = np.full(n_groups, 1 / n_groups)
    times = rng.multinomial(n_groups, share, size=N_BOOTSTRAP).astype(float)  # [S, groups]
    actual = times @ np.bincount(member, is_focus)
    size = (p[0] >= threshold_for(Decision(kind="expected_f1"), p[0])).sum()
    sizes = np.clip(np.rint(SIZES * size).astype(int), 1, p.shape[1])

    def drawn(p):
        chosen = p[:, None] >= np.sort(p)[-sizes]  # [N, sets]
        hits, size = np.zeros((2, n_groups, len(sizes)))
        np.add.at(hits, member, chosen & is_focus[:, None])
        np.add.at(size, member, chosen)
        return (2 * times @ hits / np.maximum(times @ size + actual[:, None], 1.0)).mean(1)

    return np.stack([drawn(row) for row in p])


def smallest_good(f1: Float[np.ndarray, "L S"]) -> int:
    """Index of the chosen lambda from the F1 of each in S bootstrap samples; the first is 0."""
    behind = f1[f1.mean(1).argmax()] - f1
    if np.quantile(behind[0], 1 - SURE) <= 0:
        return 0
    return 1 + int((behind[1:].mean(1) <= behind[1:].std(1)).argmax())
