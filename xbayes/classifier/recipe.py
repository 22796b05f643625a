"""What does not change over folds: the functions that a config asks for."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from xbayes.classifier.build_density import build_density
from xbayes.config.schema import Config, focus_class
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
    draws: int  # of each chain
    thin: int  # steps of a chain for each of them
    kept: int  # joint draws of densities and weights that sources get
    densities: bool  # whether these are drawn too
    weights: str  # the kind of the config
    offsets: bool
    average: str = "probability"  # of the draws, or log_odds


class Recipe(NamedTuple):
    """What does not change over folds: the functions, and the names on the axes."""

    density: Density
    model: ClassModel
    names: Names
    penalties: tuple[float, ...]  # penalties to choose from
    n_starts: int
    n_folds: int  # inner folds
    objective: str = "log_loss"  # or f1
    optimiser: str = "gradient"  # or evolution, for f1
    search_missing: bool = False  # whether evolution weighs what is missing too
    decision: str = "argmax"  # or f1
    focus: int = -1  # the class whose F1 counts; -1 if none does
    assignment: ScoreModel | None = None  # learned instead of weights, then turned into them
    calibration: str = "none"  # or a kind of xbayes.classifier.calibration, or auto
    posterior: PosteriorOptions | None = None  # how it is sampled, where it is asked for
    terms: TermPlan | None = None  # a boosted additive model beside the weighted densities
    splines: bool = False  # smooth curves likewise, before the boosted terms
    shrinks: bool = False  # what a source tells, where it is unlike the training sources


@dataclass(frozen=True)
class _Asked:
    """A config, alike where the same recipe is asked for."""

    key: str
    config: Config = field(compare=False)


def build_recipe(config: Config) -> Recipe:
    """The functions a config asks for; the same object where the same ones are asked for.

    JAX compiles for each recipe anew, so a run, its model when loaded, and a run like it share one.
    """
    asked = config.model_dump(exclude={"name", "seed", "catalog", "target", "validation"})
    return _recipe(_Asked(repr((asked, config.validation.inner_folds)), config))


@lru_cache(maxsize=16)
def _recipe(asked: _Asked) -> Recipe:
    config = asked.config
    properties = names_of(config)
    model, n_modelled = config.model, len(properties.modelled)
    density = build_density(config)
    assignment, weights = None, model.weights
    if weights == "assignment":
        n_clusters = int(model.clusters.components)
        assignment, weights = assignment_model(n_clusters, n_modelled), "property"
    weighting = naive_bayes(
        properties.category, n_modelled, weights, model.normalise, model.offsets
    )
    penalties = PENALTIES if model.penalty == "auto" else (float(model.penalty),)
    focus = focus_class(config)
    return Recipe(
        density,
        weighting,
        properties,
        penalties,
        model.starts,
        config.validation.inner_folds,
        model.objective,
        model.optimiser,
        model.missing_weight == "auto",
        config.decision,
        properties.classes.index(focus) if focus else -1,
        assignment,
        model.calibration,
        _posterior_options(config),
        _term_plan(config),
        model.splines,
        model.shrink_outliers,
    )


def _posterior_options(config: Config) -> PosteriorOptions | None:
    if config.variant != "bayes":
        return None
    given = config.posterior
    sampled = (given.method, given.chains, given.warmup, given.draws, given.thin)
    kept = (given.kept, given.densities)
    model = config.model
    return PosteriorOptions(*sampled, *kept, model.weights, model.offsets, given.average)


def _term_plan(config: Config) -> TermPlan | None:
    model = config.model
    if model.terms == "none":
        return None
    share = None if model.terms_share == "auto" else float(model.terms_share)
    return TermPlan({"single": 1, "pairs": 2}[model.terms], share)


class Scoring(NamedTuple):
    """What of a recipe those read who only score.

    JAX compiles once for all recipes that differ in how they learn, or in names.
    """

    density: Density
    model: ClassModel
    category: tuple[int, ...]  # of each property
    class_of: tuple[int, ...]  # of each subclass, or of each class
    averages_log_odds: bool  # scores are means over draws, so that contributions sum to them
    shrinks: bool  # what a source tells, where it is unlike the training sources


def scoring(recipe: Recipe) -> Scoring:
    """How rows are scored by what the recipe has learned."""
    averages = recipe.posterior is not None and recipe.posterior.average == "log_odds"
    category, class_of = tuple(recipe.names.category), recipe.names.class_of
    return Scoring(recipe.density, recipe.model, category, class_of, averages, recipe.shrinks)
