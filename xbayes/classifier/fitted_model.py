"""A fitted run, ready to be applied: the record that every task takes.

`FittedRun`, the public object, holds a `FittedModel`. It holds a `Recipe` (functions, from the
config) and a `Classifier` (arrays). The prior that applies is `log_prior` if one is given, by the
config or by `--prior`; else the training proportions inside the classifier.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from xbayes.catalog.ranges import TrainedOn
from xbayes.classifier.learned import Classifier, trained_log_prior
from xbayes.classifier.recipe import Recipe
from xbayes.classifier.store import load_model
from xbayes.config.schema import Config, class_proportions, given_log_prior


class FittedModel(NamedTuple):
    """The classifier of a run with its config, and the prior to apply."""

    folder: Path  # the run directory
    config: Config
    recipe: Recipe
    classifier: Classifier
    trained_on: TrainedOn  # units and ranges of the training catalogue
    log_prior: Float[np.ndarray, "C"] | None  # replaces the training proportions; None: keep them

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of every array."""
        return self.recipe.names.classes

    @property
    def units(self) -> Mapping[str, str]:
        """The units of the columns that the run was trained on."""
        return self.trained_on.units

    @property
    def applied_log_prior(self) -> Float[np.ndarray, "C"]:
        """The log prior in the posteriors: the given one, else the training proportions."""
        if self.log_prior is None:
            return trained_log_prior(self.recipe, self.classifier)
        return np.asarray(self.log_prior, np.float64)

    @property
    def prior_of_rule(self) -> Float[np.ndarray, "*R C"] | None:
        """The prior under which the decision rule is learned; of each held-out source by itself
        if the prior depends on the source.
        """
        sample = self.classifier.held_out
        if sample is None or sample.log_prior is None or not self.config.model.expressions_of_prior:
            return self.log_prior
        return np.asarray(sample.log_prior, np.float64)

    def under(self, prior: Mapping[str, float] | None) -> "FittedModel":
        """The same model under other class proportions, for every source; None changes nothing."""
        if prior is None:
            return self
        log_prior = np.log(class_proportions(dict(prior), self.classes))
        options = self.config.model.model_copy(update={"prior": dict(prior)})
        config = self.config.model_copy(update={"model": options})
        return self._replace(log_prior=log_prior, config=config)

    def with_optional(
        self, columns: Iterable[str], **values: Mapping[str, Sequence[str | int | float]]
    ) -> "FittedModel":
        """The same model for a catalogue that may lack these columns, or has further values.

        `values` are those of `missing_values` and `measured_values` of the catalogue.
        """
        roles = self.config.catalog
        update: dict[str, object] = {"optional": tuple({*roles.optional, *columns})}
        for key, more in values.items():
            known = getattr(roles, key)
            update[key] = {
                **known,
                **{name: (*known.get(name, ()), *listed) for name, listed in more.items()},
            }
        roles = roles.model_copy(update=update)
        return self._replace(config=self.config.model_copy(update={"catalog": roles}))


def load_fitted_model(run: Path) -> FittedModel:
    """The model of a run directory.

    Raises
    ------
    InputError
        If there is none, it is of another version, or it was altered.
    """
    config, recipe, classifier, trained_on = load_model(run)
    return FittedModel(
        folder=run,
        config=config,
        recipe=recipe,
        classifier=classifier,
        trained_on=trained_on,
        log_prior=given_log_prior(config),
    )
