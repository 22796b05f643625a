"""The functions that a config asks for: everything that does not change over folds."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from xbayes.classifier.build_density import build_density
from xbayes.classifier.decision import Decision
from xbayes.config.schema import Config, PrecisionConfig, focus_class
from xbayes.features.build import names_of
from xbayes.infer.select_penalty import PENALTIES
from xbayes.infer.select_terms import TermPlan
from xbayes.models.assignment_matrix import assignment_model
from xbayes.models.base import ClassModel, Density, ScoreModel
from xbayes.models.naive_bayes import naive_bayes
from xbayes.types import Names


class PosteriorOptions(NamedTuple):
    """How the posterior of densities and weights is sampled."""

    method: Literal["nuts", "svi", "laplace"]
    chains: int
    warmup: int
    draws: int  # per chain
    thin: int  # steps of a chain per draw
    samples: int  # joint posterior samples of densities and weights that are stored
    densities: bool  # whether densities are sampled too, or only weights
    weights: str  # `model.weights` of the config
    offsets: bool
    average: Literal["probability", "log_odds"] = "probability"  # of which the mean is reported
    folds: Literal["laplace", "same"] = "laplace"  # method in the fits of a cross-validation


class Scoring(NamedTuple):
    """The part of a recipe needed for scoring.

    JAX compiles once for all recipes with the same scoring; they may differ in how the classifier
    is learned and in names.
    """

    density: Density
    model: ClassModel
    category: tuple[int, ...]  # of each feature
    class_of: tuple[int, ...]  # of each subclass
    averages_log_odds: bool  # scores are means over posterior samples; contributions sum to them
    shrinks_outliers: bool
    normalises: bool  # weights are divided by their sum over categories, as published


class Recipe(NamedTuple):
    """The functions, the options of the fit, and the names on the axes."""

    density: Density
    model: ClassModel
    names: Names
    penalties: tuple[float, ...]  # candidates
    n_starts: int
    n_folds: int  # inner folds
    objective: str = "log_loss"  # or f1
    optimiser: str = "gradient"  # or evolution, for f1 only
    search_missing: bool = False  # evolution also searches the exponent of P(missing | class)
    decision: Decision = Decision()
    focus: int = -1  # index of the class whose F1 or precision the decision is about; -1: none
    assignment: ScoreModel | None = None  # learned first, then turned into density and weights
    calibration: str = "none"  # auto, or a kind of xbayes.classifier.calibration
    posterior: PosteriorOptions | None = None
    terms: TermPlan | None = None  # a boosted additive model, averaged with the densities' scores
    given_alpha: tuple[float, ...] | None = None  # weight of each category; None: learned
    splines: bool = False  # smooth additive curves, averaged with them before the boosted terms
    normalises: bool = False  # weights are divided by their sum over categories, as published
    inner_split: str | None = None  # kind of the inner folds; None: as the outer ones
    joint_novelty: bool = False  # unusual combinations of values are outliers too
    shrinks_outliers: bool = False  # log-odds of sources unlike the training sources are shrunk

    @property
    def for_folds(self) -> "Recipe":
        """The recipe of the fits of a cross-validation, which only classify held-out sources."""
        options = self.posterior
        if options is None or options.folds == "same":
            return self
        return self._replace(posterior=options._replace(method="laplace"))

    @property
    def scoring(self) -> Scoring:
        """The part of the recipe needed for scoring."""
        return Scoring(
            density=self.density,
            model=self.model,
            category=tuple(self.names.category),
            class_of=self.names.class_of,
            averages_log_odds=self.posterior is not None and self.posterior.average == "log_odds",
            shrinks_outliers=self.shrinks_outliers,
            normalises=self.normalises,
        )


@dataclass(frozen=True)
class _CacheKey:
    """A config that equals every config with the same recipe."""

    key: str
    config: Config = field(compare=False)


def build_recipe(config: Config) -> Recipe:
    """The functions that a config asks for; one object for all configs with the same functions.

    JAX compiles for each recipe object, so a run, its loaded model and similar runs share one.
    """
    relevant = config.model_dump(exclude={"name", "seed", "catalog", "target", "validation"})
    inner = config.validation.inner_folds, config.validation.inner_split
    return _recipe(_CacheKey(repr((relevant, inner)), config))


@lru_cache(maxsize=16)
def _recipe(cached: _CacheKey) -> Recipe:
    config, model = cached.config, cached.config.model
    inner_split = config.validation.inner_split
    names, focus = names_of(config), focus_class(config)
    n_modelled = len(names.modelled)
    assignment, weights = None, model.weights
    if weights == "assignment":
        n_clusters = int(model.clusters.components)
        assignment, weights = assignment_model(n_clusters, n_modelled), "property"
    return Recipe(
        density=build_density(config),
        model=naive_bayes(names.category, n_modelled, weights, model.normalise, model.offsets),
        names=names,
        penalties=PENALTIES if model.penalty == "auto" else (float(model.penalty),),
        n_starts=model.starts,
        n_folds=config.validation.inner_folds,
        inner_split=None if inner_split == "same" else inner_split,
        objective=model.objective,
        optimiser=model.optimiser,
        search_missing=model.missing_weight == "auto",
        decision=decision_of(config),
        focus=names.classes.index(focus) if focus else -1,
        assignment=assignment,
        calibration=model.calibration,
        posterior=_posterior_options(config),
        terms=_term_plan(config),
        given_alpha=None
        if model.alpha is None
        else tuple(model.alpha[c] for c in names.categories),
        splines=model.splines,
        normalises=model.normalise,
        joint_novelty=model.novelty == "joint",
        shrinks_outliers=model.shrink_outliers,
    )


def decision_of(config: Config) -> Decision:
    """The decision rule that a config asks for."""
    asked = config.decision
    if isinstance(asked, PrecisionConfig):
        return Decision(kind="precision", precision=asked.precision)
    if asked is None:
        # The published forms predict the most probable class.
        published = config.model.density.startswith("published")
        plain = published or focus_class(config) is None
        return Decision(kind="argmax" if plain else "expected_f1")
    return Decision(kind=asked)


def _posterior_options(config: Config) -> PosteriorOptions | None:
    if config.variant != "bayes":
        return None
    sampling = config.posterior
    return PosteriorOptions(
        method=sampling.method,
        chains=sampling.chains,
        warmup=sampling.warmup,
        draws=sampling.draws,
        thin=sampling.thin,
        samples=sampling.samples,
        densities=sampling.densities,
        weights=config.model.weights,
        offsets=config.model.offsets,
        average=sampling.average,
        folds=sampling.folds,
    )


def _term_plan(config: Config) -> TermPlan | None:
    model = config.model
    if model.terms == "none":
        return None
    share = None if model.terms_share == "auto" else float(model.terms_share)
    return TermPlan(depth={"single": 1, "pairs": 2}[model.terms], share=share)
