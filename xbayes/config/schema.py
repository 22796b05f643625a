"""The config of an experiment: its sections, defaults, and the checks across sections.

reader.py reads and writes the file, and adds file, line and column to the errors raised here.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from jaxtyping import Float
from pydantic import BeforeValidator, Field, model_validator

from xbayes.config.catalog import CatalogConfig, CategoryConfig, FeatureConfig
from xbayes.config.checks import (
    NAME,
    RUN_NAME,
    Number,
    Problem,
    Record,
    Whole,
    did_you_mean,
    name_problems,
    proportion_problems,
    quoted,
    refuse,
)
from xbayes.config.crowd import crowd_problems
from xbayes.config.model import ModelConfig
from xbayes.config.prior import alpha_problems, prior_problems
from xbayes.config.sweep import sweep_problems
from xbayes.config.taxonomy import TaxonomyConfig
from xbayes.config.validation import PosteriorConfig, TargetConfig, ValidationConfig
from xbayes.errors import InputError

DecisionKind = Literal["argmax", "f1", "expected_f1"]


class PrecisionConfig(Record):
    """The decision rule with a wanted precision."""

    precision: Number = Field(
        gt=0,
        lt=1,
        description="Least expected precision of the sources predicted as f1_class; as many as "
        "possible are predicted so.",
    )


def _decision(given: object) -> object:
    """The value, if it is a decision rule; else an error that lists them."""
    if isinstance(given, Mapping) and list(given) == ["precision"]:
        precision = given["precision"]
        number = isinstance(precision, int | float) and not isinstance(precision, bool)
        if number and 0 < precision < 1:
            return {"precision": float(precision)}
    elif given is None or isinstance(given, PrecisionConfig) or given in get_args(DecisionKind):
        return given
    text = "must be argmax, f1, expected_f1 or {precision: NUMBER}, above 0 and below 1; found "
    refuse([Problem((), f"{text}{given!r}")])
    return given


class Config(Record):
    """One experiment."""

    name: str = Field(
        description="Name of the experiment and of its run directory. Letters, digits and . _ - "
        "are allowed."
    )
    seed: Whole = Field(
        default=1, ge=0, le=2**32 - 1, description="Seed of all random numbers in the run."
    )
    precision: Literal["float64", "float32"] = Field(
        default="float64", description="Floating-point precision of the computation."
    )
    catalog: CatalogConfig = Field(description="The catalogue and the roles of its columns.")
    taxonomy: TaxonomyConfig = Field(description="Classes, and the raw labels of each.")
    features: dict[str, FeatureConfig] = Field(description="Features of a source, by name.")
    categories: dict[str, CategoryConfig] = Field(
        default_factory=dict, description="Settings of the categories of features, by name."
    )
    model: ModelConfig = Field(
        default=ModelConfig(), description="Class likelihoods and their weights."
    )
    target: TargetConfig = Field(
        default=TargetConfig(), description="Another catalogue, to which the run will be applied."
    )
    variant: Literal["point", "bayes"] = Field(
        default="point",
        description="point: one best fit. bayes: posterior samples of densities and weights, so "
        "that every probability has an interval.",
    )
    posterior: PosteriorConfig = Field(
        default=PosteriorConfig(), description="How the posterior is sampled (variant: bayes)."
    )
    decision: Annotated[DecisionKind | PrecisionConfig | None, BeforeValidator(_decision)] = Field(
        default=None,
        description="How the predicted class is chosen. argmax: the most probable class. "
        "expected_f1: f1_class, if its posterior reaches the threshold of largest expected F1 on "
        "the out-of-fold posteriors, else the most probable other class. f1: class weights that "
        "maximise the F1 of f1_class on the labelled out-of-fold rows. {precision: 0.9}: likewise "
        "a threshold, the least one with an expected precision of 0.9. null: expected_f1 if there "
        "is an f1_class or a class XRB, else argmax.",
    )
    f1_class: str | None = Field(
        default=None,
        description="Class that decision and model.objective are about. null: XRB, if there is "
        "such a class.",
    )
    validation: ValidationConfig = Field(
        default=ValidationConfig(), description="How the held-out scores are computed."
    )
    sweep: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict,
        description="Grid of 'xbayes compare': dotted keys with a list of values each, such as "
        "model.weights: [property, matrix].",
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
        problems += crowd_problems(
            self.catalog, self.taxonomy, self.model,
            variant=self.variant, importance=self.target.importance,
        )  # fmt: skip
        problems += sweep_problems(self.sweep)
        refuse(problems)
        return self

    def _class_problems(self) -> list[Problem]:
        classes = list(self.taxonomy.classes)
        problems = [
            Problem(("model", *problem.path), problem.message)
            for problem in prior_problems(self.model, classes)
        ]
        if self.validation.proportions is not None:
            problems += [
                Problem(("validation", "proportions", *problem.path), problem.message)
                for problem in proportion_problems(self.validation.proportions, classes)
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
        if self.model.alpha is not None:
            problems += alpha_problems(self.model.alpha, known)
        ignored = [name for name, f in self.features.items() if f.missing != "evidence"]
        if self.model.density == "published_code" and ignored:
            text = "must be evidence for every feature if model.density is published_code, whose "
            text += f"presence term has all features; found ignore for {quoted(ignored)}"
            problems.append(Problem(("features", ignored[0], "missing"), text))
        joint = [name for name, c in self.categories.items() if c.likelihood == "mixture"]
        if joint and (self.model.density != "smooth" or self.model.missing_weight != 1):
            text = "likelihood: mixture needs model.density: smooth and model.missing_weight: 1"
            problems.append(Problem(("categories", joint[0]), text))
        rescaled = [name for name, f in self.features.items() if f.rescale != "none"]
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
            text = "must be log_loss if there are taxonomy.subclasses; found f1"
            return [Problem(("model", "objective"), text)]
        needs_class = self.decision not in (None, "argmax") or self.model.objective == "f1"
        if needs_class and focus_class(self) is None:
            text = f"name the class whose F1 is maximised: none of {quoted(classes)} is named XRB"
            return [Problem(("f1_class",), text)]
        return []

    def _posterior_problems(self) -> list[Problem]:
        """Settings that cannot be combined with variant: bayes."""
        model = self.model
        if self.variant != "bayes":
            return []
        if model.alpha is not None:
            text = "bayes samples the weights, but model.alpha gives them; set variant: point, or "
            return [Problem(("variant",), text + "remove model.alpha")]
        if model.objective != "log_loss":
            text = f"bayes needs model.objective: log_loss; found {model.objective}"
            return [Problem(("variant",), text)]
        uses = {"model.terms": model.terms != "none", "model.splines": model.splines}
        added = " and ".join(key for key, used in uses.items() if used)
        if added and self.posterior.average != "log_odds":
            text = f"must be log_odds if there are {added}; found {self.posterior.average}"
            return [Problem(("posterior", "average"), text)]
        if model.normalise:
            text = "bayes needs model.normalise: false; else the data do not fix the weights' size"
            return [Problem(("variant",), text)]
        if model.weights == "none" and not model.offsets:
            text = "bayes needs something to learn: model.weights, or model.offsets: true"
            return [Problem(("variant",), text)]
        if self.posterior.densities and model.density not in ("smooth", "clusters"):
            text = f"true needs model.density: smooth or clusters; found {model.density}; set it "
            text += "to false to sample the weights only"
            return [Problem(("posterior", "densities"), text)]
        return []

    def _target_problems(self) -> list[Problem]:
        """Settings that do not take importance weights of sources."""
        model = self.model
        if not self.target.importance:
            return []
        text = None
        if self.variant == "bayes":
            text = "needs variant: point; found variant: bayes"
        elif model.density == "published_clusters":
            text = "needs another density; found model.density: published_clusters"
        elif model.optimiser == "evolution":
            text = "needs model.optimiser: gradient; found evolution"
        return [Problem(("target", "importance"), text)] if text else []

    def _collisions(self) -> list[Problem]:
        """Output columns with the same name; FITS ignores case in column names."""
        categories = dict.fromkeys(feature.category for feature in self.features.values())
        class_of: dict[str, str] = {}
        problems = []
        for name in self.taxonomy.classes:
            columns = [f"p_{name}", f"p_{name}_lo", f"p_{name}_hi"]
            for column in columns + [f"p_{category}_{name}" for category in categories]:
                other = class_of.setdefault(column.lower(), name)
                if other != name:
                    text = f"class names {other!r} and {name!r} both give a column {column!r}"
                    problems.append(
                        Problem(("taxonomy", "classes", name), f"{text}; rename one of them")
                    )
        for group in self.taxonomy.groups:
            other = class_of.setdefault(f"p_{group}".lower(), group)
            if other != group and group not in self.taxonomy.classes:
                text = f"group {group!r} and {other!r} both give a column p_{group}; rename one"
                problems.append(Problem(("taxonomy", "groups", group), text))
        return problems


def catalog_path(config: Config) -> Path:
    """Path of the catalogue, with ${VAR} expanded.

    A relative path starts in the folder of the config: `load_config` makes it absolute.

    The variable is expanded here, not when the config is read, so that the config stored in a run
    still says ${VAR}. Raises InputError if the config names no file or a variable is not set.
    """
    if config.catalog.files:
        raise InputError(
            "the config names several catalogues (catalog.files), but one is needed here; give it "
            "with --catalog FILE"
        )
    if config.catalog.file is None:
        raise InputError(
            "the config names no catalogue: catalog.file is null; set it or give --catalog FILE"
        )
    return _expanded("catalog.file", config.catalog.file, "--catalog")


def found_catalog(config: Config) -> Path:
    """As `catalog_path`. Raises InputError also if no file is there."""
    return _found("catalog.file", catalog_path(config), "--catalog")


def found_target(config: Config) -> Path:
    """As `target_path`. Raises InputError also if no file is there."""
    return _found("target.file", target_path(config), "--target")


def found_crowd(config: Config) -> Path:
    """The path of the labels that votes made. Raises InputError if no file is there."""
    key, option = "catalog.crowd", "--set catalog.crowd="
    return _found(key, _expanded(key, config.catalog.crowd or "", option), option)


def _found(key: str, path: Path, option: str) -> Path:
    if path.exists() or path.is_symlink():
        return path
    where = "" if path.is_absolute() else f" in {Path.cwd()}"
    near = f"; there is no folder {path.parent}"
    if path.parent.is_dir():
        near = did_you_mean(path.name, sorted(os.listdir(path.parent)))
    raise InputError(
        f"no file {path}{where}{near}; a relative {key} starts in the folder of the config, not "
        f"where the command is typed: correct it, or give {option} FILE"
    )


def catalog_source(config: Config) -> Path | dict[str, Path]:
    """The path of the catalogue, or with `catalog.files` the path of each release.

    Errors as of `catalog_path`.
    """
    if not config.catalog.files:
        return found_catalog(config)
    paths = {}
    for number, file in enumerate(config.catalog.files):
        key = f"catalog.files[{number}].file"
        if file.file is None:
            raise InputError(
                f"{key} is null: release {file.release_name!r} was a table in memory; set it, or "
                "give all releases in Python: catalog={release: table}"
            )
        paths[file.release_name] = _found(key, _expanded(key, file.file, "--catalog"), "--catalog")
    return paths


def target_path(config: Config) -> Path:
    """Path of the target catalogue; see `catalog_path`."""
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
    """Proportions in the order of the classes, with sum 1. Raises InputError."""
    problems = proportion_problems(proportions, classes)
    if problems:
        raise InputError("\n".join(": ".join([*map(str, path), text]) for path, text in problems))
    share = np.array([proportions[name] for name in classes], dtype=np.float64)
    return share / share.sum()


def focus_class(config: Config) -> str | None:
    """The class whose F1 is maximised: f1_class, else XRB; None if there is neither."""
    if config.f1_class is not None:
        return config.f1_class
    return "XRB" if "XRB" in config.taxonomy.classes else None


def gives_proportions(config: Config) -> bool:
    """Whether the config gives class proportions other than those of the training sample."""
    return bool(
        config.validation.proportions
        or config.model.expressions_of_prior
        or given_log_prior(config) is not None
    )


def given_log_prior(config: Config) -> Float[np.ndarray, "C"] | None:
    """The log prior of the config; None for the training proportions, used in the fit anyway.

    If the prior depends on the source, the constant prior of those where it has no value.
    """
    prior = config.model.constant_prior if config.model.expressions_of_prior else config.model.prior
    if prior == "uniform":
        n_classes = len(config.taxonomy.classes)
        return np.full(n_classes, -np.log(n_classes))
    if not isinstance(prior, Mapping):
        return None
    shares = {name: float(share) for name, share in prior.items()}
    return np.log(class_proportions(shares, list(config.taxonomy.classes)))
