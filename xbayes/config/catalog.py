"""The part of a config that tells of the table: roles of columns, classes, properties."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from xbayes.config.checks import (
    CLASS_NAME,
    NAME,
    Column,
    Number,
    Problem,
    Record,
    Whole,
    did_you_mean,
    is_number,
    name_problems,
    quoted,
    refuse,
)


class CatalogConfig(Record):
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
    source: Column | None = Field(
        default=None,
        description="column naming the source, where rows are detections; never split over folds",
    )
    group: Column | None = Field(
        default=None,
        description="column of groups, never split over folds and used for nothing else",
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


class TaxonomyConfig(Record):
    """Which raw labels make which class; the order fixes the class axis."""

    classes: dict[str, tuple[str, ...]] = Field(
        description="per class, the raw labels it joins; at least two classes"
    )
    aggregated: dict[str, tuple[str, ...]] | None = Field(
        default=None,
        description="coarser classes, each the classes it joins; scored beside the fine ones",
    )
    subclasses: dict[str, tuple[str, ...]] = Field(
        default={},
        description="kinds of source in a class, each the raw labels it joins: learned apart, "
        "their probabilities added; labels of a class that none lists are one more, named as it is",
    )
    left_out: tuple[str, ...] = Field(default=(), description="raw labels whose rows are removed")
    unlabelled: tuple[str, ...] = Field(
        default=(), description="raw labels that count as class unknown; an empty label always does"
    )

    @field_validator("classes", "subclasses", "left_out", "unlabelled", mode="before")
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
        problems += self._aggregation_problems()
        problems += self._subclass_problems()
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

    def _aggregation_problems(self) -> list[Problem]:
        """Every class in one coarser class, and in no other."""
        if self.aggregated is None:
            return []
        joined = [name for members in self.aggregated.values() for name in members]
        text = {
            name: f"lists {name!r}, which is no class"
            if name not in self.classes
            else f"lists {name!r} twice"
            for name in joined
            if name not in self.classes or joined.count(name) > 1
        }
        text |= {name: f"lacks the class {name!r}" for name in self.classes if name not in joined}
        problems = [Problem(("aggregated",), f"{what}; each class once") for what in text.values()]
        return problems + name_problems(
            self.aggregated, CLASS_NAME, "a class name", ("aggregated",)
        )

    def _subclass_problems(self) -> list[Problem]:
        """Every raw label in one subclass at most, and all those of a subclass in one class."""
        owner = {label: name for name, labels in self.classes.items() for label in labels}
        problems = name_problems(self.subclasses, CLASS_NAME, "a subclass name", ("subclasses",))
        first: dict[str, str] = {}
        for name, labels in self.subclasses.items():
            found = [owner.get(label) for label in labels]
            if not labels:
                text = "a subclass needs at least one raw label; found none"
                problems.append(Problem(("subclasses", name), text))
            elif name in self.classes and not set(self.classes[name]) <= set(labels):
                text = "is also the name of a class, which has other labels than these; rename it"
                problems.append(Problem(("subclasses", name), text))
            for index, label in enumerate(labels):
                text = f"raw label {label!r} is listed twice, first in {first.get(label)}; keep one"
                if found[index] is None:
                    near = did_you_mean(label, list(owner), "labels of classes are")
                    text = f"raw label {label!r} is in no class{near}"
                elif found[index] != found[0]:
                    text = f"raw label {label!r} is of class {found[index]}, but {labels[0]!r} of "
                    text += f"{found[0]}; a subclass belongs to one class"
                elif label not in first:
                    first[label] = name
                    continue
                problems.append(Problem(("subclasses", name, index), text))
        return problems


class CategoryConfig(Record):
    """One track of properties that belong together."""

    likelihood: Literal["kde", "mixture"] = Field(
        default="kde",
        description="kde: properties independent in a class; mixture: jointly Gaussian components "
        "(model.clusters says how)",
    )


class FeatureConfig(Record):
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
    rescale: Literal["none", "minmax", "log_minmax"] = Field(
        default="none",
        description="learned on the training rows, for density: published_clusters; log_minmax "
        "takes log(x + least positive / 10) first",
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
