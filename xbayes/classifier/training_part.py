"""The rows that a classifier is fitted to, as arrays of JAX."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.classifier.recipe import Recipe
from xbayes.models.base import Prepared
from xbayes.types import Features, Labels


class TrainingPart(NamedTuple):
    """The labelled rows with an inner fold; all other rows have truth and fold -1."""

    rows: Bool[np.ndarray, "N"]  # in the training part
    prepared: Prepared  # `Density.prepare` of these rows
    features: Features
    truth: Int[Array, "N"]  # subclass
    fold: Int[Array, "N"]  # inner fold
    group: Int[np.ndarray, "N"]
    log_prior: Float[Array, "T"]  # log class proportions
    row_weight: Float[Array, "N"] | None  # None: every row counts the same
    # Rows of known class, on which penalty, calibration, rule, sets and outliers are learned; None:
    # all, as no label is soft.
    known: Bool[np.ndarray, "N"] | None = None

    @property
    def of_known(self) -> "TrainingPart":
        """The same without the rows whose label is soft."""
        if self.known is None:
            return self
        known = jnp.asarray(self.known)
        return self._replace(
            rows=self.rows & self.known,
            truth=jnp.where(known, self.truth, -1),
            fold=jnp.where(known, self.fold, -1),
        )


def training_part(
    recipe: Recipe,
    features: Features,
    labels: Labels,
    fold: Int[np.ndarray, "N"],
    row_weight: Float[np.ndarray, "N"] | None,
) -> TrainingPart:
    """The training part; the shapes of the arrays are kept, so that folds share compilations."""
    rows = (np.asarray(fold) >= 0) & (labels.class_index >= 0)
    arrays = jax.tree.map(jnp.asarray, features)
    dtype = arrays.value.dtype
    known, share = None, np.ones(len(rows))
    if labels.soft_share is not None:
        # A source with a soft label has a row for each class, and counts once in total.
        known = labels.soft_share == 0
        share = np.where(known, 1.0, labels.soft_share)
        row_weight = share if row_weight is None else share * row_weight
    size = np.bincount(labels.modelled[rows], share[rows], minlength=len(recipe.names.modelled))
    return TrainingPart(
        rows=rows,
        prepared=jax.tree.map(jnp.asarray, recipe.density.prepare(features, rows)),
        features=arrays,
        truth=jnp.asarray(np.where(rows, labels.modelled, -1)),
        fold=jnp.asarray(np.where(rows, fold, -1)),
        group=np.asarray(labels.group),
        log_prior=jnp.log(jnp.asarray(np.maximum(size, 1e-3) / size.sum(), dtype)),
        row_weight=None if row_weight is None else jnp.asarray(row_weight, dtype),
        known=known,
    )


def at_own_fold(scores: Float[Array, "J N C"], fold: Int[Array, "N"]) -> Float[Array, "N C"]:
    """The scores of each row at its own fold."""
    return scores[jnp.maximum(fold, 0), jnp.arange(len(fold))]
