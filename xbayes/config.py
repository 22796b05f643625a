"""The experiment, typed: what a config may say, its defaults and its limits.

The file itself is read and written in config_file.py, which turns what is refused here into
messages with file, line and column.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, Strict, field_validator, model_validator

from xbayes.config_checks import (
    CLASS_NAME,
    NAME,
    RUN_NAME,
    Problem,
    did_you_mean,
    is_number,
    name_problems,
    proportion_problems,
    quoted,
    refuse,
)
from xbayes.types import InputError

Switch = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Column = Annotated[str, Field(min_length=1)]
Proportions = dict[str, Number]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CatalogConfig(_Record):
    """Which table comes in and what its columns are for."""

    file: str | None = Field(
        default=None,
        description="the catalogue; ${VAR} stands for a variable; null: give --catalog",
    )
    id: Column = Field(description="column that names each row, unique")
    ra: Column | None = Field(
        default=None, description="column of the right ascension, degrees, ICRS"
    )
    dec: Column | None = Field(default=None, description="column of the declination, degrees, ICRS")
    label: Column | None = Field(default=None, description="column of the raw class label")
    group: Column | None = Field(
        default=None, description="column of groups; the rows of a group are never split over folds"
    )
    block: Column | None = Field(
        default=None, description="column saying which release a row comes from"
    )
    keep: tuple[Column, ...] = Field(default=(), description="columns passed through to the output")
    optional: tuple[Column, ...] = Field(
        default=(),
        description="columns the catalogue may lack altogether; they then count as unmeasured",
    )
    missing_values: dict[str, tuple[str | Whole | Number, ...]] = Field(
        default_factory=dict, description="per column, values that mean missing, beside empty cells"
    )

    @field_validator("missing_values", mode="before")
    @classmethod
    def _markers_are_plain(cls, value: object) -> object:
        markers = value if isinstance(value, Mapping) else {}
        refuse(
            [
                Problem((column, index), f"a marker must be text or a number; found {marker!r}")
                for column, listed in markers.items()
                if isinstance(listed, list | tuple)
                for index, marker in enumerate(listed)
                if not (isinstance(marker, str) or is_number(marker))
            ]
        )
        return value

    @model_validator(mode="after")
    def _coordinates_come_in_pairs(self) -> "CatalogConfig":
        for given, lacking in (("ra", "dec"), ("dec", "ra")):
            if getattr(self, given) is not None and getattr(self, lacking) is None:
                refuse([Problem((given,), f"needs {lacking} too; set catalog.{lacking}")])
        return self


class TaxonomyConfig(_Record):
    """Which raw labels make which class; the order fixes the class axis."""

    classes: dict[str, tuple[str, ...]] = Field(
        description="per class, the raw labels it joins; at least two classes"
    )
    left_out: tuple[str, ...] = Field(default=(), description="raw labels whose rows are removed")
    unlabelled: tuple[str, ...] = Field(
        default=(), description="raw labels that count as class unknown; an empty label always does"
    )

    @field_validator("classes", "left_out", "unlabelled", mode="before")
    @classmethod
    def _whole_numbers_are_labels(cls, value: object) -> object:
        if isinstance(value, Mapping):
            return {key: cls._whole_numbers_are_labels(labels) for key, labels in value.items()}
        if isinstance(value, list | tuple):
            return [str(v) if isinstance(v, int) and is_number(v) else v for v in value]
        return value

    @model_validator(mode="after")
    def _check(self) -> "TaxonomyConfig":
        problems = name_problems(self.classes, CLASS_NAME, "a class name", ("classes",))
        if len(self.classes) < 2:
            found = quoted(self.classes) or "none"
            problems.append(Problem(("classes",), f"needs at least 2 classes; found {found}"))
        problems += [
            Problem(("classes", name), "a class needs at least one raw label; found none")
            for name, labels in self.classes.items()
            if not labels
        ]
        lists = {("classes", name): labels for name, labels in self.classes.items()}
        lists |= {("left_out",): self.left_out, ("unlabelled",): self.unlabelled}
        first: dict[str, str] = {}
        for path, labels in lists.items():
            for index, label in enumerate(labels):
                if not label:
                    problem = "an empty label is always unlabelled; remove it"
                    problems.append(Problem((*path, index), problem))
                elif label in first:
                    problem = f"raw label {label!r} is listed twice, first in {first[label]}"
                    problems.append(Problem((*path, index), f"{problem}; keep one"))
                first.setdefault(label, ".".join(path))
        refuse(problems)
        return self


class FeatureConfig(_Record):
    """One property of a source: how it follows from the columns and how it is read."""

    expression: str = Field(description="arithmetic over columns, such as log10(flux)")
    category: str = Field(description="the track it belongs to, such as location or spectrum")
    scale: Literal["linear", "log10", "squash"] = Field(
        default="linear", description="applied to the expression; squash is x / (1 + |x|)"
    )
    error: str | None = Field(
        default=None, description="expression of the error; its inverse weighs a training value"
    )
    missing: Literal["ignore", "evidence"] = Field(
        default="ignore",
        description="evidence: that a survey looked and found nothing tells the class",
    )
    bounds: tuple[Number | None, Number | None] | None = Field(
        default=None, description="natural limits [low, high] before the scale; null is no limit"
    )
    measured: str | None = Field(
        default=None, description="condition, such as dec > -30; where it is not true nobody looked"
    )
    cosine_for: tuple[str, ...] = Field(
        default=(), description="classes whose published density is a cosine in this property"
    )
    description: str = Field(default="", description="what it is, for the report")
    unit: str = Field(default="", description="unit of the expression, before the scale")

    @field_validator("bounds", mode="before")
    @classmethod
    def _bounds_are_a_pair(cls, value: Any) -> Any:
        pair = isinstance(value, list | tuple) and len(value) == 2
        if value is not None and not (pair and all(v is None or is_number(v) for v in value)):
            refuse([Problem((), f"must be [low, high], null for no limit; found {value!r}")])
        return value

    @model_validator(mode="after")
    def _check(self) -> "FeatureConfig":
        problems = []
        if not NAME.fullmatch(self.category):
            text = f"a category must match {NAME.pattern}; found {self.category!r}"
            problems.append(Problem(("category",), text))
        low, high = self.bounds or (None, None)
        if low is not None and high is not None and not low < high:
            problems.append(Problem(("bounds",), f"low must be below high; found [{low}, {high}]"))
        if self.scale == "log10" and high is not None and high <= 0:
            text = f"high must be above 0 with scale log10; found {high}"
            problems.append(Problem(("bounds",), text))
        refuse(problems)
        return self


class ModelConfig(_Record):
    """How class likelihoods are estimated and weighed."""

    density: Literal["smooth", "published"] = Field(
        default="smooth", description="the density of a property in a class"
    )
    weights: Literal["category", "property", "property_class", "matrix"] = Field(
        default="matrix", description="what has a weight of its own"
    )
    normalise: Switch = Field(
        default=False, description="divide by the sum of the weights (the published formula)"
    )
    offsets: Switch = Field(default=True, description="learn an offset b per class")
    missing_weight: Number = Field(
        default=1.0,
        ge=0,
        le=1,
        description="exponent of P(missing | class); 0: a gap tells nothing",
    )
    objective: Literal["log_loss", "f1"] = Field(
        default="log_loss", description="what the weights are learned for; f1 is that of f1_class"
    )
    prior: Literal["training"] | Proportions = Field(
        default="training", description="class proportions: those of the training rows, or given"
    )
    penalty: Literal["auto"] | Number = Field(
        default="auto", description="strength of the shrinkage; auto: chosen on inner folds"
    )
    starts: Whole = Field(default=4, ge=1, description="random starts of the weights")

    @field_validator("prior", mode="before")
    @classmethod
    def _prior_is_training_or_proportions(cls, value: object) -> object:
        if not isinstance(value, Mapping) and value != "training":
            refuse([Problem((), f"must be training or a proportion per class; found {value!r}")])
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
        if value != "auto" and not (is_number(value) and 0 < value < float("inf")):
            refuse([Problem((), f"must be auto or a number above 0; found {value!r}")])
        return value

    @model_validator(mode="after")
    def _only_category_weights_are_normalised(self) -> "ModelConfig":
        if self.normalise and self.weights != "category":
            text = f"true needs weights: category; found weights: {self.weights}"
            refuse([Problem(("normalise",), text)])
        return self


class ValidationConfig(_Record):
    """How the run is tested on sources it never saw."""

    folds: Whole = Field(default=5, ge=2, description="outer folds")
    inner_folds: Whole = Field(default=5, ge=2, description="folds inside a training part")
    repeats: Whole = Field(default=1, ge=1, description="times the outer folds are redrawn")
    proportions: Proportions | None = Field(
        default=None, description="class proportions expected in the sky, for prior-weighted scores"
    )
    bootstrap: Whole = Field(
        default=1000, ge=1, description="draws for the intervals of the scores"
    )


class Config(_Record):
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
    model: ModelConfig = Field(default=ModelConfig(), description="likelihoods and their weights")
    decision: Literal["argmax", "f1"] = Field(
        default="argmax",
        description="the most probable class, or a rule learned out of fold for the F1 of f1_class",
    )
    f1_class: str | None = Field(
        default=None, description="the one class whose F1 counts; XRB if there is one"
    )
    validation: ValidationConfig = Field(default=ValidationConfig(), description="held-out scores")

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
        problems += self._collisions()
        problems += self._focus_problems()
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

    def _focus_problems(self) -> list[Problem]:
        classes = list(self.taxonomy.classes)
        if self.f1_class is not None and self.f1_class not in classes:
            near = did_you_mean(self.f1_class, classes, "classes are")
            return [Problem(("f1_class",), f"no such class: {self.f1_class!r}{near}")]
        asked = self.decision == "f1" or self.model.objective == "f1"
        if asked and focus_class(self) is None:
            text = f"say whose F1 counts, for none of {quoted(classes)} is named XRB"
            return [Problem(("f1_class",), text)]
        return []

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

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if not found:
            raise InputError(
                f"catalog.file is {config.catalog.file!r}, but the variable {match[1]} is not set; "
                f"set it, as in export {match[1]}=/folder/of/the/file, or give --catalog FILE"
            )
        return found

    return Path(re.sub(r"\$\{(\w+)\}", value, config.catalog.file)).expanduser()


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
    if not isinstance(config.model.prior, Mapping):
        return None
    return np.log(class_proportions(config.model.prior, list(config.taxonomy.classes)))
