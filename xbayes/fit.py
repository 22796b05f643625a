"""Learn the whole classifier from a training part.

    features -> counts by fold -> out-of-fold log-likelihoods -> penalty -> weights -> rule

Folds here are inner folds. What is chosen (penalty, decision rule) is chosen on scores of rows that
neither the densities nor the weights behind the score have seen.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from xbayes import posterior as post
from xbayes.classifier import Classifier, Recipe
from xbayes.decision import fit_factor
from xbayes.infer.f1 import fit_f1
from xbayes.infer.gradient import GradientInfo, fit_from_starts, fit_log_loss
from xbayes.infer.out_of_fold import out_of_fold
from xbayes.infer.select import select_strength
from xbayes.outlier import fit_reference
from xbayes.types import Features, Labels


class FitReport(NamedTuple):
    """How the fit went."""

    strength: float
    strengths: tuple[float, ...]
    held_out_loss: tuple[float, ...]  # log loss by strength
    weights: GradientInfo
    # Of each training row, by densities and weights without its inner fold.
    held_out_posterior: Float[np.ndarray, "N C"]


def fit_classifier(
    recipe: Recipe,
    features: Features,
    labels: Labels,
    fold: Int[np.ndarray, "N"],
    key: PRNGKeyArray,
) -> tuple[Classifier, FitReport]:
    """Fit on the labelled rows with `fold >= 0`; the others change nothing (shapes stay)."""
    training = (np.asarray(fold) >= 0) & (labels.class_index >= 0)
    inner = jnp.asarray(np.where(training, fold, -1))
    truth = jnp.asarray(np.where(training, labels.class_index, -1))
    grid = recipe.density.lay_grid(features, training)
    grid, features = jax.tree.map(jnp.asarray, (grid, features))
    counts = recipe.density.count(grid, features, truth, inner, recipe.n_folds)
    log_prior = _training_log_prior(recipe, labels.class_index[training], features.value.dtype)

    keys = jax.random.split(key, 3)
    density = recipe.density.fit(grid, jax.tree.map(lambda c: c.sum(0), counts))
    held_out, selection = _learn_penalty(
        recipe, keys[0], grid, counts, features, log_prior, truth, inner
    )
    log_joint, strength = selection.log_joint, selection.strength
    if recipe.objective == "f1":
        log_joint = _held_out_f1(
            recipe, keys[0], held_out.nested, log_prior, truth, inner, strength
        )
    weights, info = _learn_weights(
        recipe, keys[1], log_prior, held_out.single, truth, jnp.asarray(training), strength
    )
    held_out_posterior = post.class_posterior(np.asarray(log_joint))
    outlier = fit_reference(
        np.asarray(held_out.single)[training],
        np.asarray(features.surveyed)[training],
        labels.class_index[training],
        np.asarray(recipe.model.alpha(weights)),
    )
    factor = np.ones(len(recipe.properties.classes))
    if recipe.decision == "f1":
        seed = int(jax.random.randint(keys[2], (), 0, 2**31 - 1))
        factor = fit_factor(
            held_out_posterior[training],
            labels.class_index[training],
            labels.group[training],
            recipe.focus,
            seed,
        )
    report = FitReport(
        float(strength),
        recipe.strengths,
        tuple(map(float, selection.held_out_loss)),
        jax.tree.map(np.asarray, info),
        held_out_posterior,
    )
    return Classifier(density, weights, outlier, jnp.asarray(factor)), report


def _training_log_prior(recipe: Recipe, truth: np.ndarray, dtype):
    members = np.bincount(truth, minlength=len(recipe.properties.classes))
    return jnp.log(jnp.asarray(np.maximum(members, 1e-3) / members.sum(), dtype))


@partial(jax.jit, static_argnums=0)
def _learn_penalty(recipe, key, grid, counts, features, log_prior, truth, fold):
    held_out = out_of_fold(recipe.density, grid, counts, features, fold)
    strengths = jnp.asarray(recipe.strengths)
    selection = select_strength(
        recipe.model, key, log_prior, held_out.nested, truth, fold, strengths
    )
    return held_out, selection


@partial(jax.jit, static_argnums=0)
def _learn_weights(recipe, key, log_prior, log_lik, truth, training, strength):
    row_weight = training.astype(log_lik.dtype)
    data = (log_lik, truth, row_weight, strength)
    weights, info = fit_from_starts(recipe.model, key, log_prior, *data, recipe.n_starts)
    if recipe.objective == "f1":
        weights, info = fit_f1(recipe.model, weights, *data, recipe.focus)
    return weights, info


@partial(jax.jit, static_argnums=0)
def _held_out_f1(recipe, key, nested, log_prior, truth, fold, strength):
    """Scores of each row by F1 weights that never saw its fold."""
    start = recipe.model.init(key, nested[0])._replace(log_prior=log_prior)

    def one_fold(args):
        j, x = args
        row_weight = ((fold >= 0) & (fold != j)).astype(x.dtype)
        data = (x, truth, row_weight, strength)
        weights, _ = fit_log_loss(recipe.model, start, *data)
        weights, _ = fit_f1(recipe.model, weights, *data, recipe.focus)
        return recipe.model.log_joint(weights, x)

    log_joint = jax.lax.map(one_fold, (jnp.arange(nested.shape[0]), nested))  # [J, N, C]
    return log_joint[jnp.maximum(fold, 0), jnp.arange(fold.shape[0])]
