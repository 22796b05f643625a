"""The experiment, typed: what a config may say, its defaults and its limits.

The file itself is read and written in config_file.py, which turns what is refused here into
messages with file, line and column.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from xbayes.config.catalog import CatalogConfig, CategoryConfig, FeatureConfig, TaxonomyConfig
from xbayes.config.checks import (
    NAME,
    RUN_NAME,
    Problem,
    Record,
    Whole,
    did_you_mean,
    name_problems,
    proportion_problems,
    quoted,
    refuse,
)
from xbayes.config.model import ModelConfig, PosteriorConfig, TargetConfig, ValidationConfig
from xbayes.config.sweep import sweep_problems
from xbayes.types import InputError


class Config(Record):
    """One experiment."""

    name: str = Field(description="letters, digits and . _ -; names the run directory")
    seed: Whole = Field(
        default=1, ge=0, le=2**32 - 1, description="of every random number in the run"
    )
    precision: Literal["float64", "float32"] = Field(
        default="float64", description="of the arithmetic"
    )
    catalog: CatalogConfig = Field(description="the table that comes in")
    taxonomy: TaxonomyConfig = Field(description="raw labels to classes")
    features: dict[str, FeatureConfig] = Field(description="the properties, by name")
    categories: dict[str, CategoryConfig] = Field(
        default_factory=dict, description="how the properties of a category go together, by name"
    )
    model: ModelConfig = Field(default=ModelConfig(), description="likelihoods and their weights")
    target: TargetConfig = Field(
        default=TargetConfig(), description="another catalogue, which the run is learned for"
    )
    variant: Literal["point", "bayes"] = Field(
        default="point",
        description="bayes: posterior draws of densities and weights, so that every probability "
        "has an interval",
    )
    posterior: PosteriorConfig = Field(
        default=PosteriorConfig(), description="how they are sampled (variant: bayes)"
    )
    decision: Literal["argmax", "f1"] = Field(
        default="argmax",
        description="the most probable class, or a rule learned out of fold for the F1 of f1_class",
    )
    f1_class: str | None = Field(
        default=None, description="the one class whose F1 counts; XRB if there is one"
    )
    validation: ValidationConfig = Field(default=ValidationConfig(), description="held-out scores")
    sweep: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict,
        description="dotted keys, each a list of values: the grid of 'xbayes compare', such as "
        "model.weights: [property, matrix]",
    )

    @model_validator(mode="after")
    def _check(self) -> "Config":
        problems = []
        if not RUN_NAME.fullmatch(self.name):
            text = f"must match {RUN_NAME.pattern}, it names a folder; found {self.name!r}"
            problems.append(Problem(("name",), text))
        if not self.features:
            problems.append(Problem(("features",), "needs at least one feature; found none"))
        problems += name_problems(self.features, NAME, "a feature name", ("features",))
        problems += self._class_problems()
        problems += self._category_problems()
        problems += self._collisions()
        problems += self._focus_problems()
        problems += self._posterior_problems()
        problems += self._target_problems()
        problems += sweep_problems(self.sweep)
        refuse(problems)
        return self

    def _class_problems(self) -> list[Problem]:
        classes = list(self.taxonomy.classes)
        given = {
            ("model", "prior"): self.model.prior,
            ("validation", "proportions"): self.validation.proportions,
        }
        problems = [
            Problem((*path, *problem.path), problem.message)
            for path, proportions in given.items()
            if isinstance(proportions, Mapping)
            for problem in proportion_problems(proportions, classes)
        ]
        return problems + [
            Problem(
                ("features", name, "cosine_for", index),
                f"no such class: {cosine!r}{did_you_mean(cosine, classes, 'classes are')}",
            )
            for name, feature in self.features.items()
            for index, cosine in enumerate(feature.cosine_for)
            if cosine not in classes
        ]

    def _category_problems(self) -> list[Problem]:
        known = list(dict.fromkeys(feature.category for feature in self.features.values()))
        problems = [
            Problem(
                ("categories", name),
                f"no feature has this category{did_you_mean(name, known, 'categories are')}",
            )
            for name in self.categories
            if name not in known
        ]
        joint = [n for n, c in self.categories.items() if c.likelihood == "mixture"]
        if joint and (self.model.density != "smooth" or self.model.missing_weight != 1):
            text = "likelihood: mixture needs model.density: smooth and model.missing_weight: 1"
            problems.append(Problem(("categories", joint[0]), text))
        rescaled = [n for n, f in self.features.items() if f.rescale != "none"]
        if rescaled and self.model.density != "published_clusters":
            text = f"needs model.density: published_clusters; found {self.model.density}"
            problems.append(Problem(("features", rescaled[0], "rescale"), text))
        return problems

    def _focus_problems(self) -> list[Problem]:
        classes = list(self.taxonomy.classes)
        if self.f1_class is not None and self.f1_class not in classes:
            near = did_you_mean(self.f1_class, classes, "classes are")
            return [Problem(("f1_class",), f"no such class: {self.f1_class!r}{near}")]
        if self.model.objective == "f1" and self.taxonomy.subclasses:
            text = "needs log_loss where taxonomy.subclasses are learned apart; found f1"
            return [Problem(("model", "objective"), text)]
        asked = self.decision == "f1" or self.model.objective == "f1"
        if asked and focus_class(self) is None:
            text = f"say whose F1 counts, for none of {quoted(classes)} is named XRB"
            return [Problem(("f1_class",), text)]
        return []

    def _posterior_problems(self) -> list[Problem]:
        """What has no posterior."""
        model = self.model
        if self.variant != "bayes":
            return []
        if model.objective != "log_loss":
            text = f"bayes needs model.objective: log_loss; found {model.objective}"
            return [Problem(("variant",), text)]
        asked = {"model.terms": model.terms != "none", "model.splines": model.splines}
        beside = " and ".join(key for key, wanted in asked.items() if wanted)
        if beside and self.posterior.average != "log_odds":
            text = f"must be log_odds where there are {beside} beside the draws; found "
            return [Problem(("posterior", "average"), text + self.posterior.average)]
        if model.normalise:
            text = "bayes needs model.normalise: false, or the size of the weights means nothing"
            return [Problem(("variant",), text)]
        if model.weights == "none" and not model.offsets:
            text = "bayes needs something to learn: model.weights, or model.offsets: true"
            return [Problem(("variant",), text)]
        if self.posterior.densities and model.density not in ("smooth", "clusters"):
            text = f"true needs model.density: smooth or clusters; found {model.density}; set it "
            return [Problem(("posterior", "densities"), text + "to false to draw the weights only")]
        return []

    def _target_problems(self) -> list[Problem]:
        """What takes no weights of sources."""
        model = self.model
        if not self.target.importance:
            return []
        found = None
        if self.variant == "bayes":
            found = "variant: point; found variant: bayes"
        elif model.density == "published_clusters":
            found = "another density; found model.density: published_clusters"
        elif model.optimiser == "evolution":
            found = "model.optimiser: gradient; found evolution"
        return [Problem(("target", "importance"), f"needs {found}")] if found else []

    def _collisions(self) -> list[Problem]:
        """Two output columns of one name; case does not tell columns apart in FITS."""
        categories = dict.fromkeys(feature.category for feature in self.features.values())
        owner: dict[str, str] = {}
        problems = []
        for name in self.taxonomy.classes:
            columns = [f"p_{name}", f"p_{name}_lo", f"p_{name}_hi"]
            for column in columns + [f"p_{category}_{name}" for category in categories]:
                other = owner.setdefault(column.lower(), name)
                if other != name:
                    text = f"class names {other!r} and {name!r} both give a column {column!r}"
                    problems.append(
                        Problem(("taxonomy", "classes", name), f"{text}; rename one of them")
                    )
        return problems


def catalog_path(config: Config) -> Path:
    """The catalogue's file, with ${VAR} expanded; a relative path is from the current folder.

    Expanded here and not on load, so that the config kept in a run still says ${VAR}.
    Raises InputError where the config names no file or a variable is not set.
    """
    if config.catalog.file is None:
        raise InputError(
            "the config names no catalogue: catalog.file is null; set it or give --catalog FILE"
        )
    return _expanded("catalog.file", config.catalog.file, "--catalog")


def target_path(config: Config) -> Path:
    """The target's file, likewise."""
    if config.target.file is None:
        raise InputError("the config names no target: target.file is null; set it or give --target")
    return _expanded("target.file", config.target.file, "--target")


def _expanded(key: str, text: str, option: str) -> Path:
    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if not found:
            raise InputError(
                f"{key} is {text!r}, but the variable {match[1]} is not set; "
                f"set it, as in export {match[1]}=/folder/of/the/file, or give {option} FILE"
            )
        return found

    return Path(re.sub(r"\$\{(\w+)\}", value, text)).expanduser()


def class_proportions(
    proportions: Mapping[str, float], classes: Sequence[str]
) -> Float[np.ndarray, "C"]:
    """Given proportions in the order of the classes, summing to 1. Raises InputError."""
    problems = proportion_problems(proportions, classes)
    if problems:
        raise InputError("\n".join(": ".join([*map(str, path), text]) for path, text in problems))
    share = np.array([proportions[name] for name in classes], dtype=np.float64)
    return share / share.sum()


def focus_class(config: Config) -> str | None:
    """The class whose F1 counts: the one given, else XRB; None if there is neither."""
    if config.f1_class is not None:
        return config.f1_class
    return "XRB" if "XRB" in config.taxonomy.classes else None


def given_log_prior(config: Config) -> Float[np.ndarray, "C"] | None:
    """The log prior of the config; None for the training proportions, which the weights know."""
    if config.model.prior == "uniform":
        n_classes = len(config.taxonomy.classes)
        return np.full(n_classes, -np.log(n_classes))
    if not isinstance(config.model.prior, Mapping):
        return None
    return np.log(class_proportions(config.model.prior, list(config.taxonomy.classes)))
