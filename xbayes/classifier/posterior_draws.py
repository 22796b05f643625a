"""Posterior samples of a whole classifier: class densities and weights jointly.

    sample of the densities -> out-of-fold log-likelihoods -> mode of the weights given these
    samples of the weights (NumPyro, at the fitted densities) -> shifted by the change of the mode

The weights that belong to a sample d of the densities are

    weights_d = sample at the fitted densities + (mode given densities d - mean of these modes)

To first order this is a sample from p(weights | densities d, labels), so that both uncertainties
are those of one joint sample. The mean is subtracted because a sample of the densities is noisier
than the fit, which alone makes weights smaller (errors in variables). Without it all log-odds were
too small, and intervals contained the truth less often.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from xbayes.classifier.assignment import apply_assignment, weight_learning_recipe
from xbayes.classifier.intervals import JointDraws
from xbayes.classifier.recipe import Recipe
from xbayes.classifier.training_part import TrainingPart, at_own_fold
from xbayes.infer.out_of_fold import OutOfFold
from xbayes.models.base import Params

AUXILIARY = ("z_", "base", "log_temperature")  # prefixes of sites that only define other sites


class PosteriorReport(NamedTuple):
    """The samples of the weights, for diagnostics and `posterior.nc`."""

    sites: dict[str, Float[np.ndarray, "M S ..."]]  # identified parameters only
    sample_stats: dict[str, np.ndarray]
    log_lik: Float[np.ndarray, "M S L"]  # of the labels of the training rows
    truth: Int[np.ndarray, "L"]
    power: float  # of the likelihood; below 1 if rows of a group are correlated
    method: str


class Posterior(NamedTuple):
    """Joint samples, and the scores of the training rows by samples that never saw them."""

    draws: JointDraws
    log_joint: Float[Array | np.ndarray, "*S N C"]  # uncalibrated; a mean if log-odds are averaged
    report: PosteriorReport


def fit_posterior(
    recipe: Recipe,
    training: TrainingPart,
    log_lik: OutOfFold,
    density: Params,
    key: PRNGKeyArray,
) -> Posterior:
    """Joint posterior samples of densities and weights.

    Parameters
    ----------
    log_lik
        Out-of-fold log-likelihoods that the weights are learned on.
    density
        The densities fitted to the training part.
    """
    from xbayes.infer.weight_model import Rows
    from xbayes.infer.weight_posterior import Sampling, sample_posterior

    options, model = recipe.posterior, weight_learning_recipe(recipe).model
    assert options is not None, "only a recipe with a posterior has samples"
    rows = Rows(
        design=model.design(log_lik.single),
        class_index=training.truth,
        counted=training.fold >= 0,
        given=_given(recipe, training, density),
        power=jnp.ones((), log_lik.single.dtype),
    )
    _, member = np.unique(training.group, return_inverse=True)
    sampling = Sampling(**{field: getattr(options, field) for field in Sampling._fields})
    weight_key, density_key = jax.random.split(key)
    sampled = sample_posterior(_program(recipe), model, rows, member, weight_key, sampling)
    rows = rows._replace(power=jnp.asarray(sampled.power, rows.power.dtype))
    weights = _thin(sampled.params, options.samples)
    modes = _Modes(recipe, training.fold, log_lik.nested, rows, sampled.local)
    if options.densities:
        densities, weights, log_joint = _sample_densities(
            recipe, training, modes, weights, member, density_key
        )
    else:
        densities = None
        log_joint = np.asarray(jax.lax.map(partial(modes.held_out, rows.design), weights))
    draws = _joint_draws(recipe, density, densities, weights, training.log_prior)
    if options.average == "log_odds":
        log_joint = jnp.asarray(log_joint.mean(0))
    return Posterior(
        draws=draws, log_joint=log_joint, report=_report(training, sampled, options.method)
    )


def _report(training: TrainingPart, sampled, method: str) -> PosteriorReport:
    counted = np.asarray(training.fold) >= 0
    sites = {n: np.asarray(v) for n, v in sampled.sites.items() if not n.startswith(AUXILIARY)}
    return PosteriorReport(
        sites=sites,
        sample_stats={name: np.asarray(value) for name, value in sampled.sample_stats.items()},
        log_lik=np.asarray(sampled.log_lik)[..., counted],
        truth=np.asarray(training.truth)[counted],
        power=sampled.power,
        method=method,
    )


def _program(recipe: Recipe):
    """The prior of the weights, or of the assignment, as a NumPyro program."""
    from xbayes.models.weight_prior import assignment_prior, weight_prior

    if recipe.assignment is not None:
        return assignment_prior
    names, options = recipe.names, recipe.posterior
    assert options is not None
    category = tuple(int(g) for g in names.category)
    return weight_prior(options.weights, category, len(names.modelled), options.offsets)


def _given(recipe: Recipe, training: TrainingPart, density: Params):
    from xbayes.models.weight_prior import Given

    log_prior = training.log_prior
    counted = jnp.zeros((0, len(recipe.names.modelled)), log_prior.dtype)
    if recipe.assignment is not None:
        counted = jax.nn.softmax(density.log_share.T + log_prior)  # [K, C]
    return Given(log_prior=log_prior, counted=counted)


def _thin(params: Params, n_samples: int) -> Params:
    """`n_samples` samples, spaced evenly over all chains."""

    def thin(leaf):
        flat = leaf.reshape(-1, *leaf.shape[2:])
        return flat[np.linspace(0, len(flat) - 1, n_samples).round().astype(int)]

    return jax.tree.map(thin, params)


class _Modes:
    """Modes of the weights for other rows: without a fold, or with other densities."""

    def __init__(self, recipe: Recipe, fold, nested, rows, local) -> None:
        self.model, self.program = weight_learning_recipe(recipe).model, _program(recipe)
        self.rows, self.local, self.fold = rows, local, fold
        mode = self._mode(rows)
        shifts = []
        for j, log_lik in enumerate(nested):
            others = rows._replace(
                design=_design(self.model, log_lik), counted=rows.counted & (fold != j)
            )
            shifts.append(jax.tree.map(jnp.subtract, self._mode(others), mode))
        self.shift = _stack(shifts)  # of the mode without each fold [J ...]

    def _mode(self, rows) -> Params:
        from xbayes.infer.weight_posterior import refit_mode

        return refit_mode(self.program, self.model, rows, self.local)

    def given(self, log_lik: Float[Array, "N F C"]) -> Params:
        """The mode given other out-of-fold log-likelihoods of the same rows."""
        return self._mode(self.rows._replace(design=_design(self.model, log_lik)))

    def held_out(self, design: Float[Array, "N D"], params: Params) -> Float[Array, "N C"]:
        """Scores of each row by weights shifted like the mode without its fold."""
        return _held_out(self.model, design, params, self.shift, self.rows, self.fold)


@partial(jax.jit, static_argnums=0)
def _held_out(model, design, params, shift, rows, fold):
    def without_fold(shift):
        log_prior = rows.given.log_prior
        return log_prior + model.scores(jax.tree.map(jnp.add, params, shift), design)

    return at_own_fold(jax.lax.map(without_fold, shift), fold)


def _sample_densities(
    recipe: Recipe, training: TrainingPart, modes: _Modes, weights: Params, member, key
):
    """Samples of the densities [S ...], the weights shifted to go with them, held-out scores."""
    from xbayes.infer.density_draws import draw_densities

    assert recipe.posterior is not None
    density = weight_learning_recipe(recipe).density
    n_samples, log_joint, densities = recipe.posterior.samples, [], []

    def samples():
        return draw_densities(
            density,
            key,
            training.prepared,
            training.features,
            training.truth,
            training.fold,
            group=member,
            n_folds=recipe.n_folds,
            n_draws=n_samples,
        )

    # Sampled twice with one key: the log-likelihoods of all samples would fill the memory.
    mode = _stack(jax.device_get([modes.given(sample.log_lik) for sample in samples()]))
    weights = jax.tree.map(lambda w, m: np.asarray(w + m - m.mean(0)), weights, mode)
    for s, sample in enumerate(samples()):
        of_sample = jax.tree.map(lambda leaf, s=s: leaf[s], weights)
        densities.append(jax.device_get(sample.params))
        design = _design(modes.model, sample.log_lik)
        log_joint.append(np.asarray(modes.held_out(design, of_sample)))
    return _stack(densities), weights, np.stack(log_joint)


def _stack(trees: list[Params]) -> Params:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


@partial(jax.jit, static_argnums=0)
def _design(model, log_lik):
    return model.design(log_lik)


def _joint_draws(
    recipe: Recipe, fitted: Params, densities: Params | None, weights: Params, log_prior
) -> JointDraws:
    """The samples as densities and weights of the classifier.

    They are rounded to single precision, in which the model file stores them.
    """
    if recipe.assignment is not None:
        base, axis = (fitted, None) if densities is None else (densities, 0)
        apply = jax.vmap(partial(apply_assignment, recipe), in_axes=(axis, 0))
        densities, weights = apply(jax.tree.map(jnp.asarray, base), weights)
    n_samples = jax.tree.leaves(weights)[0].shape[0]
    weights = weights._replace(log_prior=jnp.broadcast_to(log_prior, (n_samples, *log_prior.shape)))

    def rounded(leaf):
        leaf = jnp.asarray(leaf)
        return leaf.astype(jnp.float32).astype(leaf.dtype)

    return jax.tree.map(rounded, JointDraws(density=densities, weights=weights))
