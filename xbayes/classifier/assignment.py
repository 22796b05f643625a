"""The assignment matrix learned out of fold, and the classifier it makes.

cluster log-likelihoods [N, K, C], held out -> tilt of A, temperature, offsets -> tilted clusters,
whose chain-rule terms [N, F, C] one weight, the temperature, then weighs: the track stays readable.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xbayes.classifier.recipe import Recipe
from xbayes.infer.out_of_fold import out_of_fold
from xbayes.models.assignment_matrix import AssignmentParams


def learner_of(recipe: Recipe) -> Recipe:
    """What the weights are learned by: the recipe itself, or the clusters and their assignment."""
    if recipe.assignment is None:
        return recipe
    density = recipe.density
    assert density.by_component is not None, "the config lets only clusters have an assignment"
    return recipe._replace(
        density=density._replace(log_lik=density.by_component), model=recipe.assignment
    )


def assigned(recipe: Recipe, density: Any, learned: AssignmentParams) -> tuple[Any, Any]:
    """Density and weights of `recipe` that give the scores of the learned assignment."""
    assert recipe.density.tilted is not None
    density, total = recipe.density.tilted(density, learned.tilt)
    temperature = jnp.exp(learned.log_temperature)
    offset = learned.offset + temperature * (total - total.mean())
    n_features = len(recipe.names.features)
    vector = jnp.concatenate([jnp.full(n_features, temperature, offset.dtype), offset])
    like = recipe.model.init(jax.random.key(0), vector)
    like = like._replace(log_prior=learned.log_prior)
    return density, recipe.model.box.params(like, vector)


def assigned_likelihoods(
    recipe: Recipe, grid, counts, features, fold, tilt: Float[Array, "K C"]
) -> Float[Array, "N F C"]:
    """Out-of-fold log-likelihoods by property of the tilted clusters."""
    density = recipe.density
    assert density.tilted is not None
    tilted = density.tilted
    fitted = density._replace(fit=lambda grid, count: tilted(density.fit(grid, count), tilt)[0])
    return out_of_fold(fitted, grid, counts, features, fold).single
