"""The posterior of a whole classifier: draws of class densities and weights, jointly.

    draw of the densities -> out-of-fold log-likelihoods under it -> weights fitted to these
    posterior of the weights (NumPyro, at the fitted densities) -> moved by what that changed

A draw of the weights follows its densities: weights_d = draw at the fitted densities + (mode under
densities d - mean of these modes). To first order that is a draw from p(weights | densities d,
labels), so the two uncertainties are those of one joint draw, and are not added. The mean is taken
off because every draw is noisier than the fit, which alone makes weights smaller (errors in
variables); left in, all log odds were too small and intervals held the truth less often.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from xbayes.classifier.assignment import assigned
from xbayes.classifier.intervals import JointDraws
from xbayes.classifier.recipe import Recipe
from xbayes.models.base import Params
from xbayes.types import Features

HIDDEN = ("z_", "base", "log_temperature")  # sites that only make the others


class PosteriorReport(NamedTuple):
    """What was sampled, for diagnostics and `posterior.nc`."""

    sites: dict[str, Float[np.ndarray, "M S ..."]]  # identified parameters only
    sample_stats: dict[str, np.ndarray]
    log_lik: Float[np.ndarray, "M S L"]  # of the labelled rows' labels
    truth: Int[np.ndarray, "L"]
    power: float  # of the likelihood; below 1 where rows of a group are alike
    method: str


class Fitted(NamedTuple):
    """What `fit_classifier` has found when the posterior is asked for."""

    learner: Recipe
    grid: Any
    features: Features  # of JAX arrays
    truth: Int[Array, "N"]  # -1 outside the training part
    fold: Int[Array, "N"]
    log_prior: Float[Array, "C"]
    single: Float[Array, "N F C"]  # the learner's out-of-fold log-likelihoods
    nested: Float[Array, "J N F C"]  # likewise, and fold j in none of them
    density: Any  # of the training part


class Posterior(NamedTuple):
    """Joint draws, and the labelled rows as draws that never saw them score them."""

    draws: JointDraws
    log_joint: Float[np.ndarray, "D N C"]  # held out; before calibration
    report: PosteriorReport


def fit_posterior(
    recipe: Recipe, fitted: Fitted, group: Int[np.ndarray, "N"], key: PRNGKeyArray
) -> Posterior:
    """Joint draws of densities and weights, and what there is to report of them."""
    from xbayes.infer.weight_model import Rows
    from xbayes.infer.weight_posterior import Sampling, sample_posterior

    options = recipe.posterior
    assert options is not None, "only a recipe with a posterior has draws"
    learner, counted = fitted.learner, fitted.fold >= 0
    rows = Rows(
        learner.model.design(fitted.single),
        fitted.truth,
        counted,
        _given(recipe, fitted),
        jnp.ones((), fitted.single.dtype),
    )
    _, member = np.unique(group, return_inverse=True)
    sampling = Sampling(options.method, options.chains, options.warmup, options.draws, options.thin)
    weight_key, density_key = jax.random.split(key)
    program = _program(recipe)
    found = sample_posterior(program, learner.model, rows, member, weight_key, sampling)
    rows = rows._replace(power=jnp.asarray(found.power, rows.power.dtype))
    spread = _thinned(found.params, options.kept)
    modes = _Modes(recipe, fitted, rows, found.local)
    if options.densities:
        densities, learned, log_joint = _with_densities(
            recipe, fitted, modes, spread, member, density_key
        )
    else:
        densities, learned = None, spread
        log_joint = jax.lax.map(partial(modes.held_out, rows.design), spread)
    draws = _as_classifiers(recipe, fitted, densities, learned)
    return Posterior(draws, np.asarray(log_joint), _report(fitted, found, options.method))


def _report(fitted: Fitted, found, method: str) -> PosteriorReport:
    kept = np.asarray(fitted.fold) >= 0
    sites = {n: np.asarray(v) for n, v in found.sites.items() if not n.startswith(HIDDEN)}
    stats = {n: np.asarray(v) for n, v in found.sample_stats.items()}
    log_lik, truth = np.asarray(found.log_lik)[..., kept], np.asarray(fitted.truth)[kept]
    return PosteriorReport(sites, stats, log_lik, truth, found.power, method)


def _program(recipe: Recipe):
    from xbayes.models.weight_prior import assignment_prior, weight_prior

    if recipe.assignment is not None:
        return assignment_prior
    properties = recipe.names
    assert recipe.posterior is not None
    category = tuple(int(g) for g in properties.category)
    n_classes = len(properties.modelled)
    return weight_prior(recipe.posterior.weights, category, n_classes, recipe.posterior.offsets)


def _given(recipe: Recipe, fitted: Fitted):
    from xbayes.models.weight_prior import Given

    n_classes = len(recipe.names.modelled)
    counted = jnp.zeros((0, n_classes), fitted.single.dtype)
    if recipe.assignment is not None:
        counted = jax.nn.softmax(fitted.density.log_share.T + fitted.log_prior)  # [K, C]
    return Given(fitted.log_prior, counted)


def _thinned(params: Params, n_draws: int) -> Params:
    """`n_draws` of them, spread evenly over all chains."""

    def thin(leaf):
        flat = leaf.reshape(-1, *leaf.shape[2:])
        return flat[np.linspace(0, len(flat) - 1, n_draws).round().astype(int)]

    return jax.tree.map(thin, params)


class _Modes:
    """Modes of the weights under other rows: without a fold, or of other densities."""

    def __init__(self, recipe: Recipe, fitted: Fitted, rows, local) -> None:
        self.model, self.program = fitted.learner.model, _program(recipe)
        self.rows, self.local, self.fold = rows, local, fitted.fold
        self.here = self.under(rows)
        others = [rows.counted & (fitted.fold != j) for j in range(len(fitted.nested))]
        self.without = _stacked(  # [J ...]
            [
                self.moved(rows._replace(design=_design(self.model, log_lik), counted=counted))
                for log_lik, counted in zip(fitted.nested, others, strict=True)
            ]
        )

    def under(self, rows) -> Params:
        from xbayes.infer.weight_posterior import refitted

        return refitted(self.program, self.model, rows, self.local)

    def moved(self, rows) -> Params:
        """How far from here the mode under other rows is."""
        return jax.tree.map(jnp.subtract, self.under(rows), self.here)

    def under_densities(self, log_lik: Float[Array, "N F C"]) -> Params:
        """The mode under other out-of-fold log-likelihoods of the same rows."""
        return self.under(self.rows._replace(design=_design(self.model, log_lik)))

    def held_out(self, design: Float[Array, "N D"], params: Params) -> Float[Array, "N C"]:
        """Scores of each row by weights moved to where they are without its fold."""
        return _held_out(self.model, design, params, self.without, self.rows, self.fold)


@partial(jax.jit, static_argnums=0)
def _held_out(model, design, params, without, rows, fold):
    def of_fold(moved):
        log_prior = rows.given.log_prior
        return log_prior + model.scores(jax.tree.map(jnp.add, params, moved), design)

    scores = jax.lax.map(of_fold, without)  # [J, N, C]
    return scores[jnp.maximum(fold, 0), jnp.arange(len(fold))]


def _with_densities(recipe, fitted: Fitted, modes: _Modes, spread: Params, member, key):
    """Densities [D ...], draws of the weights moved to where each puts their mode, scores."""
    from xbayes.infer.density_draws import draw_densities

    of_rows = (fitted.grid, fitted.features, fitted.truth, fitted.fold, member)
    draws = partial(draw_densities, fitted.learner.density, key, *of_rows, recipe.n_folds)
    n_draws, log_joint = recipe.posterior.kept, []
    # Twice over the same draws, since out-of-fold likelihoods of all would fill the memory.
    found = [modes.under_densities(each.log_lik) for each in draws(n_draws)]
    mode = _stacked(jax.device_get(found))
    learned = jax.tree.map(lambda own, m: np.asarray(own + m - m.mean(0)), spread, mode)
    densities = []
    for d, each in enumerate(draws(n_draws)):
        own = jax.tree.map(lambda leaf, d=d: leaf[d], learned)
        densities.append(jax.device_get(each.params))
        log_joint.append(np.asarray(modes.held_out(_design(modes.model, each.log_lik), own)))
    return _stacked(densities), learned, np.stack(log_joint)


def _stacked(trees: list) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


@partial(jax.jit, static_argnums=0)
def _design(model, log_lik):
    return model.design(log_lik)


def _as_classifiers(recipe: Recipe, fitted: Fitted, densities, learned: Params) -> JointDraws:
    """Draws as densities and weights of the classifier.

    Rounded to single precision, which is what the store of the model keeps.
    """
    if recipe.assignment is not None:
        several = densities is not None
        base = densities if several else fitted.density
        turn = jax.vmap(partial(assigned, recipe), in_axes=(0 if several else None, 0))
        densities, learned = turn(jax.tree.map(jnp.asarray, base), learned)
    n_draws = jax.tree.leaves(learned)[0].shape[0]
    log_prior = jnp.broadcast_to(fitted.log_prior, (n_draws, *fitted.log_prior.shape))
    learned = learned._replace(log_prior=log_prior)

    def rounded(leaf):
        leaf = jnp.asarray(leaf)
        return leaf.astype(jnp.float32).astype(leaf.dtype)

    return JointDraws(*jax.tree.map(rounded, (densities, learned)))
