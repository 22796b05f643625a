"""The part of a config that tells how likelihoods are made, weighed and tested."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from xbayes.config.checks import (
    Number,
    Problem,
    Proportions,
    Record,
    Switch,
    Whole,
    is_number,
    refuse,
)


def _auto_or_positive(value: Any) -> Any:
    if value != "auto" and not (is_number(value) and 0 < value < float("inf")):
        refuse([Problem((), f"must be auto or a number above 0; found {value!r}")])
    return value


class ClusterConfig(Record):
    """Gaussian mixtures: of all properties (density: clusters), or of a category's."""

    components: Literal["auto"] | Whole = Field(
        default=4, description="clusters; auto: by the likelihood of sources EM has not seen"
    )
    mixture: Literal["em", "dirichlet", "stick_breaking"] = Field(
        default="em",
        description="how clusters are found: EM, or variational Bayes under a prior of their "
        "weights, which leaves those of `components` empty that the sources do not need",
    )
    concentration: Literal["auto"] | Number = Field(
        default="auto",
        description="of that prior: smaller keeps fewer clusters; of each cluster for dirichlet "
        "(auto: 1/components), of all for stick_breaking (auto: 1)",
    )
    learn: Literal["none", "assignment", "mixture"] = Field(
        default="mixture",
        description="what follows the gradient of the log loss: nothing, P(cluster | class), or "
        "that with the means and covariances of the classes; objective: f1 goes on to F1",
    )
    steps: Whole = Field(default=15, ge=1, description="steps of the gradient; few regularise")
    penalty: Number = Field(
        default=10.0, ge=0, description="pull back to where the gradient began, in sources"
    )
    mean_sources: Number = Field(
        default=5.0, gt=0, description="what the cluster counts for in the mean of a class in it"
    )
    covariance_sources: Number = Field(
        default=20.0, gt=0, description="what the cluster counts for in the covariance of a class"
    )
    starts: Whole = Field(default=4, ge=1, description="random starts of EM; the best is kept")
    fit_on: Literal["training", "everything"] = Field(
        default="training",
        description="rows that scaler and clusters see, for density: published_clusters; the "
        "authors let them see the test rows too",
    )

    @field_validator("components", mode="before")
    @classmethod
    def _components_are_auto_or_a_number(cls, value: Any) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 200
        if value != "auto" and not whole:
            refuse([Problem((), f"must be auto or a whole number from 1 to 200; found {value!r}")])
        return value

    @field_validator("concentration", mode="before")
    @classmethod
    def _concentration_is_auto_or_positive(cls, value: Any) -> Any:
        return _auto_or_positive(value)

    @model_validator(mode="after")
    def _a_concentration_needs_a_prior(self) -> "ClusterConfig":
        if self.concentration != "auto" and self.mixture == "em":
            text = "needs mixture: dirichlet or stick_breaking; found mixture: em"
            refuse([Problem(("concentration",), text)])
        return self


class ModelConfig(Record):
    """How class likelihoods are estimated and weighed."""

    density: Literal["smooth", "published", "clusters", "published_clusters"] = Field(
        default="smooth",
        description="of each property in a class (smooth, published), or of all together",
    )
    clusters: ClusterConfig = Field(
        default=ClusterConfig(), description="how Gaussian mixtures are made"
    )
    weights: Literal["none", "category", "property", "property_class", "matrix", "assignment"] = (
        Field(
            default="matrix",
            description="what has a weight of its own; none: every weight is one; assignment: one "
            "temperature, and P(class | cluster) is learned instead (density: clusters)",
        )
    )
    normalise: Switch = Field(
        default=False, description="divide by the sum of the weights (the published formula)"
    )
    offsets: Switch = Field(default=True, description="learn an offset b per class")
    missing_weight: Literal["auto"] | Number = Field(
        default=1.0,
        description="exponent of P(missing | class), 0 to 1; 0: a gap tells nothing; "
        "auto: searched with the weights (optimiser: evolution)",
    )
    tails: Number = Field(
        default=0.001,
        ge=0,
        lt=1,
        description="share of a class that may lie anywhere, alike in all classes (density: "
        "smooth): values far from all training values then tell nothing; 0: there is none",
    )
    shrink_outliers: Switch = Field(
        default=True,
        description="log-odds of a source stranger than 99 % of the held-out ones of its class "
        "shrink towards the prior, in proportion to how strange it is",
    )
    objective: Literal["log_loss", "f1"] = Field(
        default="log_loss", description="what the weights are learned for; f1 is that of f1_class"
    )
    optimiser: Literal["gradient", "evolution"] = Field(
        default="gradient",
        description="how the weights are learned; evolution, the published way, serves f1 only",
    )
    prior: Literal["training", "uniform"] | Proportions = Field(
        default="training",
        description="class proportions: those of the training rows, all alike, or given",
    )
    penalty: Literal["auto"] | Number = Field(
        default="auto", description="penalty of the shrinkage; auto: chosen on inner folds"
    )
    starts: Whole = Field(default=4, ge=1, description="random starts of the weights")
    splines: Switch = Field(
        default=False,
        description="a smooth curve per property and class (P-splines), learned on the log loss "
        "and averaged in log-odds with the weighted densities; none if they gain no more than a "
        "standard error",
    )
    terms: Literal["none", "single", "pairs"] = Field(
        default="none",
        description="boosted terms of one property, or of one and two, averaged in log-odds with "
        "the weighted densities; a gap where a survey looked counts as a value",
    )
    terms_share: Literal["auto"] | Number = Field(
        default="auto",
        description="of the terms in the log-odds, above 0 to 1; auto: by held-out log loss, and "
        "none if they gain no more than a standard error",
    )
    calibration: Literal["auto", "none", "temperature", "vector", "dirichlet"] = Field(
        default="auto",
        description="how held-out scores become probabilities that mean what they say; auto: by "
        "held-out log loss",
    )

    @field_validator("prior", mode="before")
    @classmethod
    def _prior_is_training_or_proportions(cls, value: object) -> object:
        if not isinstance(value, Mapping) and value not in ("training", "uniform"):
            text = f"must be training, uniform or a proportion per class; found {value!r}"
            refuse([Problem((), text)])
        if isinstance(value, Mapping):
            refuse(
                [
                    Problem((name,), f"a proportion must be a number; found {share!r}")
                    for name, share in value.items()
                    if not is_number(share)
                ]
            )
        return value

    @field_validator("penalty", mode="before")
    @classmethod
    def _penalty_is_auto_or_positive(cls, value: Any) -> Any:
        return _auto_or_positive(value)

    @field_validator("missing_weight", mode="before")
    @classmethod
    def _missing_weight_is_auto_or_an_exponent(cls, value: Any) -> Any:
        if value != "auto" and not (is_number(value) and 0 <= value <= 1):
            refuse([Problem((), f"must be auto or a number from 0 to 1; found {value!r}")])
        return value

    @field_validator("terms_share", mode="before")
    @classmethod
    def _terms_share_is_auto_or_a_share(cls, value: Any) -> Any:
        if value != "auto" and not (is_number(value) and 0 < value <= 1):
            refuse([Problem((), f"must be auto or a number above 0, at most 1; found {value!r}")])
        return value

    @model_validator(mode="after")
    def _terms_stand_beside_probabilities(self) -> "ModelConfig":
        if self.terms == "none" and self.terms_share != "auto":
            text = "needs terms: single or pairs; found terms: none"
            refuse([Problem(("terms_share",), text)])
        asked = {"terms": self.terms != "none", "splines": self.splines}
        if not any(asked.values()):
            return self
        name = next(key for key, wanted in asked.items() if wanted)
        told = self.terms if name == "terms" else "true"
        for key, found, needed in (
            ("density", self.density, ("smooth", "clusters")),
            ("objective", self.objective, ("log_loss",)),
        ):
            if found not in needed:
                text = f"{told} needs {key}: {' or '.join(needed)}; found {key}: {found}"
                refuse([Problem((name,), text)])
        return self

    @model_validator(mode="after")
    def _evolution_searches(self) -> "ModelConfig":
        if self.optimiser == "evolution" and self.objective != "f1":
            text = f"evolution needs objective: f1; found objective: {self.objective}"
            refuse([Problem(("optimiser",), text)])
        if self.missing_weight == "auto" and self.optimiser != "evolution":
            text = f"auto needs optimiser: evolution; found optimiser: {self.optimiser}"
            refuse([Problem(("missing_weight",), text)])
        return self

    @model_validator(mode="after")
    def _missing_weight_belongs_to_single_properties(self) -> "ModelConfig":
        if self.density in ("clusters", "published_clusters") and self.missing_weight != 1:
            text = f"needs density smooth or published; found density: {self.density}"
            refuse([Problem(("missing_weight",), text)])
        return self

    @model_validator(mode="after")
    def _tails_belong_to_smooth_densities(self) -> "ModelConfig":
        # A stored config holds the default too, whatever its density.
        if self.tails != ModelConfig.model_fields["tails"].default and self.density != "smooth":
            refuse([Problem(("tails",), f"needs density: smooth; found density: {self.density}")])
        return self

    @model_validator(mode="after")
    def _an_assignment_needs_clusters(self) -> "ModelConfig":
        if self.weights == "assignment":
            if self.density != "clusters":
                text = f"assignment needs density: clusters; found density: {self.density}"
                refuse([Problem(("weights",), text)])
            if self.clusters.components == "auto":
                text = "assignment needs a number of clusters; found clusters.components: auto"
                refuse([Problem(("weights",), text)])
            if not self.offsets:
                refuse([Problem(("offsets",), "weights: assignment needs offsets: true")])
        return self

    @model_validator(mode="after")
    def _published_clusters_are_found_by_em(self) -> "ModelConfig":
        found = self.clusters.mixture
        if self.density == "published_clusters" and found != "em":
            text = f"published_clusters needs em; found {found}; or set density: clusters"
            refuse([Problem(("clusters", "mixture"), text)])
        return self

    @model_validator(mode="after")
    def _only_category_weights_are_normalised(self) -> "ModelConfig":
        if self.normalise and self.weights != "category":
            text = f"true needs weights: category; found weights: {self.weights}"
            refuse([Problem(("normalise",), text)])
        return self


class TargetConfig(Record):
    """Another catalogue that the run is to be applied to; its classes are not looked at."""

    file: str | None = Field(
        default=None,
        description="that catalogue: properties that it never measured are left out; ${VAR} stands "
        "for a variable",
    )
    importance: Number = Field(
        default=0.0,
        ge=0,
        le=1,
        description="power of the importance weights, with which labelled sources like its own "
        "count for more; 0: all count alike",
    )

    @model_validator(mode="after")
    def _importance_is_of_a_catalogue(self) -> "TargetConfig":
        if self.importance and self.file is None:
            refuse([Problem(("importance",), "needs target.file, the catalogue that it is for")])
        return self


class PosteriorConfig(Record):
    """How densities and weights are sampled, where the variant is bayes."""

    method: Literal["nuts", "svi", "laplace"] = Field(
        default="nuts",
        description="of the weights: Hamiltonian Monte Carlo; a normal fitted to the posterior by "
        "its evidence bound; the curvature at the mode (seconds)",
    )
    chains: Whole = Field(default=4, ge=1, le=64, description="chains, side by side")
    warmup: Whole = Field(default=500, ge=50, description="steps that tune each chain")
    draws: Whole = Field(default=500, ge=50, description="draws kept of each chain")
    thin: Whole = Field(default=2, ge=1, le=20, description="steps of a chain for each draw kept")
    kept: Whole = Field(
        default=100,
        ge=20,
        le=2000,
        description="joint draws of densities and weights that sources get",
    )
    densities: Switch = Field(
        default=True, description="draw the class densities too, with the weights that go with them"
    )
    average: Literal["probability", "log_odds"] = Field(
        default="probability",
        description="what of the draws is averaged to the reported probabilities; log_odds keeps "
        "every prediction a sum of contributions, and allows model.terms beside the draws",
    )


class WellCharacterised(Record):
    """Which labelled sources are known well, and are scored apart too."""

    at_least: Whole = Field(default=2, ge=1, description="how many conditions must hold")
    of: tuple[str, ...] = Field(
        min_length=1,
        description="conditions over columns, such as observed(Gmag) or significance > 10; where a "
        "value is missing they do not hold",
    )

    @model_validator(mode="after")
    def _check(self) -> "WellCharacterised":
        if self.at_least > len(self.of):
            text = f"{self.at_least} of {len(self.of)} conditions can never hold; give more in of"
            refuse([Problem(("at_least",), text)])
        return self


class ValidationConfig(Record):
    """How the run is tested on sources it never saw."""

    split: Literal["random", "blocks"] = Field(
        default="random",
        description="how rows are shared out over outer and inner folds, groups whole either way: "
        "stratified at random, or contiguous runs of rows in the order of the file (sorted by "
        "position: one part of the sky after another), begun at a place the seed decides",
    )
    folds: Whole = Field(default=5, ge=2, description="outer folds")
    inner_folds: Whole = Field(default=5, ge=2, description="folds inside a training part")
    repeats: Whole = Field(default=1, ge=1, description="times the outer folds are redrawn")
    proportions: Proportions | None = Field(
        default=None, description="class proportions expected in the sky, for prior-weighted scores"
    )
    bootstrap: Whole = Field(
        default=1000, ge=1, description="draws for the intervals of the scores"
    )
    well_characterised: WellCharacterised | None = Field(
        default=None, description="sources known well, scored apart; null: none are told apart"
    )
