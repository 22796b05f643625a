"""The sections of a config that say how likelihoods are estimated, weighted and validated."""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

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


def _auto_or(accepts: Callable[[float], bool], wanted: str, whole: bool = False) -> BeforeValidator:
    """A check that a value is `auto` or a number that `accepts` takes."""

    def check(value: object) -> object:
        number = isinstance(value, int) if whole else True
        if value != "auto" and not (number and is_number(value) and accepts(value)):
            refuse([Problem((), f"must be auto or {wanted}; found {value!r}")])
        return value

    return BeforeValidator(check)


AutoOrCount = Annotated[
    Literal["auto"] | Whole,
    _auto_or(lambda n: 1 <= n <= 200, "a whole number from 1 to 200", whole=True),
]
AutoOrPositive = Annotated[
    Literal["auto"] | Number, _auto_or(lambda x: 0 < x < float("inf"), "a number above 0")
]
AutoOrExponent = Annotated[
    Literal["auto"] | Number, _auto_or(lambda x: 0 <= x <= 1, "a number from 0 to 1")
]
AutoOrShare = Annotated[
    Literal["auto"] | Number, _auto_or(lambda x: 0 < x <= 1, "a number above 0, at most 1")
]


class ClusterConfig(Record):
    """Gaussian mixtures of all features (density: clusters) or of the features of a category."""

    components: AutoOrCount = Field(
        default=4,
        description="Number of clusters. auto chooses it by the likelihood of held-out sources.",
    )
    mixture: Literal["em", "dirichlet", "stick_breaking", "nuts"] = Field(
        default="em",
        description="How clusters are fitted. em: maximum likelihood. dirichlet, stick_breaking: "
        "variational Bayes under that prior on their weights; components is then an upper limit, "
        "and clusters that the data do not need stay empty. nuts: NUTS under the dirichlet prior; "
        "clusters are posterior means, and samples with variant: bayes. Needs rows x components x "
        "features (cubed if values are missing or have errors) up to 1,000,000.",
    )
    draws: Whole = Field(
        default=100,
        ge=50,
        description="mixture: nuts. Number of warm-up steps and of samples of each of two chains.",
    )
    concentration: AutoOrPositive = Field(
        default="auto",
        description="Concentration of the prior on the cluster weights; a smaller value leaves "
        "fewer clusters. dirichlet, nuts: per cluster (auto: 1/components). stick_breaking: in "
        "total (auto: 1).",
    )
    learn: Literal["none", "assignment", "mixture"] = Field(
        default="mixture",
        description="What is then fitted to the labels by gradient steps on the log loss. "
        "assignment: P(cluster | class). mixture: also the means and covariances of the classes. "
        "With objective: f1, steps on F1 follow.",
    )
    steps: Whole = Field(
        default=15,
        ge=1,
        description="Number of gradient steps. Few steps keep the fit close to the clusters.",
    )
    penalty: Number = Field(
        default=10.0,
        ge=0,
        description="Penalty on the distance from the start of the gradient steps, in numbers of "
        "sources.",
    )
    mean_sources: Number = Field(
        default=5.0,
        gt=0,
        description="Number of sources that the cluster mean counts for in the estimate of a "
        "class mean in that cluster.",
    )
    covariance_sources: Number = Field(
        default=20.0,
        gt=0,
        description="Number of sources that the cluster covariance counts for in the estimate of "
        "a class covariance in that cluster.",
    )
    starts: Whole = Field(
        default=4, ge=1, description="Number of random starts of EM. The best one is used."
    )
    fit_on: Literal["training", "everything"] = Field(
        default="training",
        description="Rows from which scaling and clusters are learned (density: "
        "published_clusters). The published work used everything, test rows included.",
    )

    @model_validator(mode="after")
    def _check(self) -> "ClusterConfig":
        problems = []
        if self.concentration != "auto" and self.mixture == "em":
            text = "needs mixture: dirichlet, stick_breaking or nuts; found mixture: em"
            problems.append(Problem(("concentration",), text))
        if self.mixture == "nuts" and self.components == "auto":
            text = "mixture: nuts needs a number of clusters; found components: auto"
            problems.append(Problem(("components",), text))
        # A resolved config holds the default of draws whatever its mixture.
        if self.mixture != "nuts" and self.draws != ClusterConfig.model_fields["draws"].default:
            text = f"needs mixture: nuts; found mixture: {self.mixture}"
            problems.append(Problem(("draws",), text))
        refuse(problems)
        return self


class ModelConfig(Record):
    """How class likelihoods are estimated and weighted."""

    density: Literal["smooth", "published", "clusters", "published_clusters"] = Field(
        default="smooth",
        description="Class densities. smooth, published: one density per feature and class. "
        "clusters, published_clusters: one joint density of all features per class.",
    )
    clusters: ClusterConfig = Field(
        default=ClusterConfig(), description="Settings of the Gaussian mixtures."
    )
    weights: Literal["none", "category", "property", "property_class", "matrix", "assignment"] = (
        Field(
            default="matrix",
            description="Weights of the log-likelihoods. none: all are 1. category: one per "
            "category. property: one per feature. property_class: one per feature and class. "
            "matrix: a matrix over classes per feature. assignment: one temperature, and "
            "P(class | cluster) is learned instead (density: clusters).",
        )
    )
    normalise: Switch = Field(
        default=False,
        description="Divide the weighted sum by the sum of the weights, as in the published "
        "formula. Needs weights: category.",
    )
    offsets: Switch = Field(default=True, description="Learn an offset b for each class.")
    missing_weight: AutoOrExponent = Field(
        default=1.0,
        description="Exponent, from 0 to 1, of P(not detected | class). With 0 a non-detection is "
        "no evidence. auto learns it with the weights (optimiser: evolution).",
    )
    tails: Number = Field(
        default=0.001,
        ge=0,
        lt=1,
        description="Fraction of each class that follows a broad density common to all classes, so "
        "that a value far from all training values favours no class. 0 switches this off. Needs "
        "density: smooth.",
    )
    shrink_outliers: Switch = Field(
        default=True,
        description="Shrink the log-odds of outliers towards the prior. A source counts as an "
        "outlier if its outlier score exceeds that of 99 % of the held-out sources of the class; "
        "the larger the score, the stronger the shrinkage.",
    )
    objective: Literal["log_loss", "f1"] = Field(
        default="log_loss",
        description="Objective of the weights: log loss, or the F1 score of the class f1_class.",
    )
    optimiser: Literal["gradient", "evolution"] = Field(
        default="gradient",
        description="Optimiser of the weights. evolution is the published differential evolution "
        "and needs objective: f1.",
    )
    prior: Literal["training", "uniform"] | Proportions = Field(
        default="training",
        description="Prior class proportions: those of the training rows, equal ones (uniform), or "
        "one proportion per class.",
    )
    penalty: AutoOrPositive = Field(
        default="auto",
        description="Penalty on the weights, which shrinks them towards simpler weights. auto "
        "chooses it on inner folds.",
    )
    starts: Whole = Field(default=4, ge=1, description="Number of random starts of the weights.")
    splines: Switch = Field(
        default=False,
        description="Add a smooth curve (P-spline) per feature and class, averaged in log-odds "
        "with the weighted densities. The curves are dropped unless they lower the held-out log "
        "loss by more than one standard error.",
    )
    terms: Literal["none", "single", "pairs"] = Field(
        default="none",
        description="Add boosted terms of one feature (single), or of one and two features "
        "(pairs), averaged in log-odds with the weighted densities. In a term, not detected is one "
        "more value of the feature.",
    )
    terms_share: AutoOrShare = Field(
        default="auto",
        description="Share of the terms in that average, above 0 and up to 1. auto chooses it by "
        "held-out log loss, and drops the terms unless they lower it by more than one standard "
        "error.",
    )
    calibration: Literal["auto", "none", "temperature", "vector", "dirichlet"] = Field(
        default="auto",
        description="Calibration map, fitted to held-out probabilities. auto chooses it by "
        "held-out log loss.",
    )

    @field_validator("prior", mode="before")
    @classmethod
    def _prior_is_a_name_or_proportions(cls, value: object) -> object:
        if isinstance(value, Mapping):
            refuse(
                [
                    Problem((name,), f"a proportion must be a number; found {share!r}")
                    for name, share in value.items()
                    if not is_number(share)
                ]
            )
        elif value not in ("training", "uniform"):
            text = f"must be training, uniform or a proportion per class; found {value!r}"
            refuse([Problem((), text)])
        return value

    @model_validator(mode="after")
    def _check(self) -> "ModelConfig":
        refuse([*self._weight_problems(), *self._density_problems(), *self._term_problems()])
        return self

    def _weight_problems(self) -> list[Problem]:
        """Weights, optimisers and densities that do not go together."""
        problems = []
        if self.optimiser == "evolution" and self.objective != "f1":
            text = f"evolution needs objective: f1; found objective: {self.objective}"
            problems.append(Problem(("optimiser",), text))
        if self.missing_weight == "auto" and self.optimiser != "evolution":
            text = f"auto needs optimiser: evolution; found optimiser: {self.optimiser}"
            problems.append(Problem(("missing_weight",), text))
        if self.normalise and self.weights != "category":
            text = f"true needs weights: category; found weights: {self.weights}"
            problems.append(Problem(("normalise",), text))
        if self.weights != "assignment":
            return problems
        if self.density != "clusters":
            text = f"assignment needs density: clusters; found density: {self.density}"
            problems.append(Problem(("weights",), text))
        elif self.clusters.components == "auto":
            text = "assignment needs a number of clusters; found clusters.components: auto"
            problems.append(Problem(("weights",), text))
        if not self.offsets:
            problems.append(Problem(("offsets",), "weights: assignment needs offsets: true"))
        return problems

    def _density_problems(self) -> list[Problem]:
        """Settings that the chosen density does not have."""
        problems = []
        if self.density in ("clusters", "published_clusters") and self.missing_weight != 1:
            text = f"needs density smooth or published; found density: {self.density}"
            problems.append(Problem(("missing_weight",), text))
        # A resolved config holds the default of tails whatever its density.
        if self.tails != ModelConfig.model_fields["tails"].default and self.density != "smooth":
            text = f"needs density: smooth; found density: {self.density}"
            problems.append(Problem(("tails",), text))
        found = self.clusters.mixture
        if self.density == "published_clusters" and found != "em":
            text = f"published_clusters needs em; found {found}; or set density: clusters"
            problems.append(Problem(("clusters", "mixture"), text))
        return problems

    def _term_problems(self) -> list[Problem]:
        """Splines and terms need a density and weights fitted by log loss."""
        problems = []
        if self.terms == "none" and self.terms_share != "auto":
            text = "needs terms: single or pairs; found terms: none"
            problems.append(Problem(("terms_share",), text))
        for key, value in (("terms", self.terms), ("splines", "true" if self.splines else "none")):
            if value != "none" and self.density not in ("smooth", "clusters"):
                text = f"{value} needs density: smooth or clusters; found density: {self.density}"
                problems.append(Problem((key,), text))
            if value != "none" and self.objective != "log_loss":
                text = f"{value} needs objective: log_loss; found objective: {self.objective}"
                problems.append(Problem((key,), text))
        return problems


class TargetConfig(Record):
    """Another catalogue, to which the run will be applied. Its labels are not used."""

    file: str | None = Field(
        default=None,
        description="Path of that catalogue. Features that it does not have are left out of the "
        "model. ${VAR} stands for an environment variable.",
    )
    importance: Number = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Power of the importance weights, by which labelled sources that resemble "
        "those of the target count for more. With 0 all count the same.",
    )

    @model_validator(mode="after")
    def _importance_needs_a_catalogue(self) -> "TargetConfig":
        if self.importance and self.file is None:
            text = "needs target.file, the catalogue that the weights are computed for"
            refuse([Problem(("importance",), text)])
        return self


class PosteriorConfig(Record):
    """How the posterior of densities and weights is sampled (variant: bayes)."""

    method: Literal["nuts", "svi", "laplace"] = Field(
        default="nuts",
        description="Posterior of the weights. nuts: Hamiltonian Monte Carlo. svi: variational "
        "inference with a normal. laplace: a normal with the curvature at the mode, in seconds.",
    )
    chains: Whole = Field(
        default=4, ge=1, le=64, description="Number of chains. They run in parallel."
    )
    warmup: Whole = Field(default=500, ge=50, description="Number of warm-up steps of each chain.")
    draws: Whole = Field(default=500, ge=50, description="Number of draws stored from each chain.")
    thin: Whole = Field(
        default=2, ge=1, le=20, description="Number of steps of a chain per stored draw."
    )
    samples: Whole = Field(
        default=100,
        ge=20,
        le=2000,
        description="Number of joint posterior samples of densities and weights that give the "
        "probabilities and their intervals.",
    )
    densities: Switch = Field(
        default=True,
        description="Sample the class densities too, each with the weights that belong to it. With "
        "false only the weights are sampled.",
    )
    average: Literal["probability", "log_odds"] = Field(
        default="probability",
        description="Quantity whose mean over the samples gives the reported probabilities. With "
        "log_odds every prediction remains a sum of contributions, and model.terms and "
        "model.splines are allowed.",
    )


class WellCharacterised(Record):
    """Labelled sources with good data, which are also scored separately."""

    at_least: Whole = Field(default=2, ge=1, description="How many of the conditions must hold.")
    of: tuple[str, ...] = Field(
        min_length=1,
        description="Conditions over columns, such as observed(Gmag) or significance > 10. A "
        "condition with an empty value does not hold.",
    )

    @model_validator(mode="after")
    def _check(self) -> "WellCharacterised":
        if self.at_least > len(self.of):
            text = f"{self.at_least} of {len(self.of)} conditions can never hold; give more in of"
            refuse([Problem(("at_least",), text)])
        return self


class ValidationConfig(Record):
    """How the run is tested on held-out sources."""

    split: Literal["random", "blocks"] = Field(
        default="random",
        description="How outer and inner folds are made; groups are never split. random: at "
        "random, stratified by class. blocks: contiguous runs of rows in the order of the file, so "
        "that a file sorted by position gives parts of the sky; the seed sets where the first one "
        "begins.",
    )
    folds: Whole = Field(default=5, ge=2, description="Number of outer folds.")
    inner_folds: Whole = Field(
        default=5, ge=2, description="Number of folds inside each training part."
    )
    repeats: Whole = Field(
        default=1, ge=1, description="Number of cross-validations, each with new outer folds."
    )
    proportions: Proportions | None = Field(
        default=None,
        description="Class proportions expected in the sky, for the prior-weighted scores.",
    )
    bootstrap: Whole = Field(
        default=1000, ge=1, description="Number of bootstrap samples for the intervals of scores."
    )
    well_characterised: WellCharacterised | None = Field(
        default=None,
        description="Sources with good data, which are also scored separately. null: no such "
        "scores.",
    )
