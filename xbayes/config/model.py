"""The section of a config that says how likelihoods are estimated and weighted."""

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
        "assignment: P(cluster | class). mixture: also the means and covariances of the classes.",
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


def _name_or_proportions(value: object, wanted: str, others: tuple[type, ...]) -> object:
    """The value, if it is a name of a prior or a mapping to numbers or `others`."""
    if isinstance(value, Mapping):
        refuse(
            [
                Problem((name,), f"a proportion must be {wanted}; found {share!r}")
                for name, share in value.items()
                if not is_number(share) and not isinstance(share, others)
            ]
        )
    elif value not in ("training", "uniform"):
        text = f"must be training, uniform or a proportion per class; found {value!r}"
        refuse([Problem((), text)])
    return value


class ModelConfig(Record):
    """How class likelihoods are estimated and weighted."""

    density: Literal["smooth", "published", "published_code", "clusters", "published_clusters"] = (
        Field(
            default="smooth",
            description="Class densities. smooth, published, published_code: one density per "
            "feature and class. published is the form of Tranin et al. 2022 as the paper writes "
            "it, published_code as their code computes it. clusters, published_clusters: one joint "
            "density of all features per class.",
        )
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
    alpha: dict[str, Number] | None = Field(
        default=None,
        description="Given weights, one per category of features, which are then not learned: the "
        "score is the log prior plus the weighted log-likelihoods, without offsets. Needs weights: "
        "category and offsets: false, which are then the defaults. null: the weights are learned.",
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
        default=0.03,
        ge=0,
        lt=1,
        description="Fraction of each class that follows a broad density common to all classes, so "
        "that a value far from all training values favours no class. 0 switches this off. Needs "
        "density: smooth.",
    )
    novelty: Literal["features", "joint"] = Field(
        default="features",
        description="How unusual sources are found. features: by the densities of single features. "
        "joint: also by a joint density of all features in each class, which sees unusual "
        "combinations; classification then takes about ten times as long.",
    )
    shrink_outliers: Switch = Field(
        default=True,
        description="Shrink the log-odds of outliers towards the prior. A source counts as an "
        "outlier if its outlier score exceeds that of 99 % of the held-out sources of the class; "
        "the larger the score, the stronger the shrinkage.",
    )
    objective: Literal["log_loss", "f1"] = Field(
        default="log_loss",
        description="Objective of the weights. f1: log loss plus lambda * (1 - F1 of f1_class), "
        "with lambda chosen on inner folds; it is 0 unless the F1 gains there. With optimiser: "
        "evolution: the F1 alone, as published.",
    )
    optimiser: Literal["gradient", "evolution"] = Field(
        default="gradient",
        description="Optimiser of the weights. evolution is the published differential evolution "
        "and needs objective: f1.",
    )
    prior: Literal["training", "uniform"] | dict[str, Number | str] = Field(
        default="training",
        description="Prior class proportions: those of the training rows, equal ones (uniform), or "
        "one proportion per class. If one of them is an expression over columns, such as an "
        "expected number of sources of the class at this position and flux, the values of each "
        "source are divided by their sum.",
    )
    constant_prior: Literal["training", "uniform"] | Proportions = Field(
        default="training",
        description="Prior of a source for which an expression of model.prior has no value.",
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

    @property
    def expressions_of_prior(self) -> dict[str, float | str]:
        """The prior of each class, if one is an expression; empty if all sources have one prior."""
        if isinstance(self.prior, str) or not any(isinstance(p, str) for p in self.prior.values()):
            return {}
        return dict(self.prior)

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_given_weights(cls, values: object) -> object:
        if isinstance(values, Mapping) and values.get("alpha") is not None:
            return {"weights": "category", "offsets": False, **values}
        return values

    @field_validator("prior", mode="before")
    @classmethod
    def _prior_is_a_name_or_proportions(cls, value: object) -> object:
        return _name_or_proportions(value, "a number or an expression", (str,))

    @field_validator("constant_prior", mode="before")
    @classmethod
    def _constant_prior_is_a_name_or_proportions(cls, value: object) -> object:
        return _name_or_proportions(value, "a number", ())

    @model_validator(mode="after")
    def _check(self) -> "ModelConfig":
        given = [] if self.alpha is None else self._given_weight_problems(self.alpha)
        problems = [*self._weight_problems(), *self._density_problems(), *self._term_problems()]
        refuse([*given, *problems])
        return self

    def _given_weight_problems(self, alpha: Mapping[str, float]) -> list[Problem]:
        """Values of `alpha`, and settings that would have to learn something besides them."""
        problems = [
            Problem(("alpha", name), f"a weight must be at least 0; found {value}")
            for name, value in alpha.items()
            if not value >= 0
        ]
        if self.normalise and not problems and not sum(alpha.values()) > 0:
            text = "normalise: true divides by the sum of the weights; give one that is above 0"
            problems.append(Problem(("alpha",), text))
        wanted = {
            "weights": ("category", self.weights),
            "offsets": ("false", str(self.offsets).lower()),
            "objective": ("log_loss", self.objective),
            "optimiser": ("gradient", self.optimiser),
            "splines": ("false", str(self.splines).lower()),
            "terms": ("none", self.terms),
        }
        problems += [
            Problem(
                (key,),
                f"must be {right} if model.alpha gives the weights; found {found}; set {key}: "
                f"{right}, or remove alpha",
            )
            for key, (right, found) in wanted.items()
            if found != right
        ]
        if self.missing_weight == "auto":
            text = "must be a number from 0 to 1 if model.alpha gives the weights; found auto"
            problems.append(Problem(("missing_weight",), text))
        return problems

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
        if self.density == "published_code" and not (self.weights == "category" and self.normalise):
            found = f"found weights: {self.weights}, normalise: {str(self.normalise).lower()}"
            text = f"published_code needs weights: category and normalise: true; {found}"
            problems.append(Problem(("density",), text))
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
