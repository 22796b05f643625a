"""The assignment matrix A[k, c] = P(class c | cluster k), learned out of fold.

The tilt of A, a temperature and offsets are learned on out-of-fold cluster log-likelihoods
[N, K, C]. The result is turned into an ordinary classifier: tilted clusters, whose log-likelihoods
[N, F, C] (one chain-rule term per feature) all have the same weight, the temperature. The score
therefore still decomposes into one contribution per feature.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from xbayes.classifier.recipe import Recipe
from xbayes.infer.out_of_fold import out_of_fold
from xbayes.models.assignment_matrix import AssignmentParams
from xbayes.models.base import DensityStatistics, Params, Prepared
from xbayes.models.naive_bayes import NaiveBayesParams
from xbayes.types import Features


def weight_learning_recipe(recipe: Recipe) -> Recipe:
    """The recipe whose model is learned: with an assignment, that of clusters and their matrix."""
    if recipe.assignment is None:
        return recipe
    density = recipe.density
    assert density.by_component is not None, "the config lets only clusters have an assignment"
    return recipe._replace(
        density=density._replace(log_lik=density.by_component), model=recipe.assignment
    )


def apply_assignment(
    recipe: Recipe, density: Params, learned: AssignmentParams
) -> tuple[Params, NaiveBayesParams]:
    """Density parameters and feature weights that give the scores of the learned assignment."""
    assert recipe.density.tilted is not None
    density, total = recipe.density.tilted(density, learned.tilt)
    temperature = jnp.exp(learned.log_temperature)
    offset = learned.offset + temperature * (total - total.mean())
    n_features = len(recipe.names.features)
    vector = jnp.concatenate([jnp.full(n_features, temperature, offset.dtype), offset])
    blank = recipe.model.init(jax.random.key(0), vector)
    blank = blank._replace(log_prior=learned.log_prior)
    return density, recipe.model.box.params(blank, vector)


def tilted_log_likelihoods(
    recipe: Recipe,
    prepared: Prepared,
    statistics: DensityStatistics,
    features: Features,
    fold: Int[Array, "N"],
    tilt: Float[Array, "K C"],
) -> Float[Array, "N F C"]:
    """Out-of-fold log-likelihoods per feature of the tilted clusters."""
    density = recipe.density
    assert density.tilted is not None
    tilted = density.tilted
    fitted = density._replace(
        fit=lambda prepared, statistics: tilted(density.fit(prepared, statistics), tilt)[0]
    )
    return out_of_fold(fitted, prepared, statistics, features, fold).single
