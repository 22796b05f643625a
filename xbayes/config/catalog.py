"""The sections of a config that describe the table: roles of columns, classes, features."""

from collections.abc import Mapping
from typing import Literal

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
from xbayes.config.files import (
    RELEASE,
    FileConfig,
    file_problems,
    marker_problems,
    releases_as_blocks,
)

EVERY_OTHER = "*"  # stands for every raw label that is listed nowhere else
Listed = tuple[str, ...] | Literal["*"]
# The forms of sexagesimal text, and the unit of its first part.
SEXAGESIMAL = {"h:m:s": "hourangle", "d:m:s": "deg"}


class CatalogConfig(Record):
    """The catalogue, and the role of each of its columns."""

    file: str | None = Field(
        default=None,
        description="Path of the catalogue, relative to the folder of the config. ${VAR} stands "
        "for an environment variable. With null, give the path with --catalog.",
    )
    files: tuple[FileConfig, ...] = Field(
        default=(),
        description="Several files of labelled sources in place of one, such as the releases of a "
        "catalogue. A column that a file lacks is not available there.",
    )
    release: Column = Field(
        default=RELEASE,
        description="Name of the column that says which of catalog.files a row is from. It is "
        "catalog.block too, and is written to the output.",
    )
    same_source: Number = Field(
        default=2.0,
        ge=0,
        description="Distance in arcsec within which rows of different files are the same source. "
        "They share a fold.",
    )
    repeated_ids: Literal["refuse", "prefix", "first"] = Field(
        default="refuse",
        description="What happens to an id that several of catalog.files have. refuse: an error. "
        "prefix: every id becomes RELEASE:ID, and both rows are kept in one fold. first: the row "
        "of the first file is kept.",
    )
    table: str | Whole | None = Field(
        default=None,
        description="Name (EXTNAME) or number of the table to read, if a FITS file or VOTable "
        "holds several. A single table is read whatever its name.",
    )
    id: Column = Field(description="Column that names each row. Every name must be unique.")
    ra: Column | None = Field(
        default=None,
        description="Column of the right ascension (ICRS): degrees, or as its unit says.",
    )
    dec: Column | None = Field(
        default=None, description="Column of the declination (ICRS): degrees, or as its unit says."
    )
    label: Column | None = Field(default=None, description="Column of the raw class labels.")
    source: Column | None = Field(
        default=None,
        description="Column that names the source, if the rows are detections. The rows of one "
        "source stay in one fold.",
    )
    group: Column | None = Field(
        default=None,
        description="Column that names groups of related rows, such as one field. The rows of one "
        "group stay in one fold.",
    )
    block: Column | None = Field(
        default=None,
        description="Column that names the release of each row. A column that is empty throughout "
        "a release is not available there.",
    )
    keep: tuple[Column, ...] = Field(
        default=(), description="Columns that are copied to the output."
    )
    optional: tuple[Column, ...] = Field(
        default=(),
        description="Columns that a catalogue may lack. Their values are then not available.",
    )
    missing_values: dict[str, tuple[str | Whole | Number, ...]] = Field(
        default_factory=dict,
        description="Values that stand for an empty cell, such as -99, by column.",
    )
    measured_values: dict[str, tuple[Whole | Number, ...]] = Field(
        default_factory=dict,
        description="Values that look as if they stood for an empty cell, but are measured, by "
        "column. They raise no warning.",
    )
    units: dict[str, str] = Field(
        default_factory=dict,
        description="Units of columns for which the file names none, such as flux: erg/s/cm2. A "
        "column with another unit is converted to it. h:m:s and d:m:s are sexagesimal text.",
    )

    @property
    def table_name(self) -> str | None:
        """Name or number of the table, as text."""
        return None if self.table is None else str(self.table)

    @field_validator("missing_values", "measured_values", mode="before")
    @classmethod
    def _markers_are_plain(cls, value: object) -> object:
        refuse(marker_problems(value))
        return value

    @model_validator(mode="before")
    @classmethod
    def _releases_are_blocks(cls, values: object) -> object:
        return releases_as_blocks(values)

    @model_validator(mode="after")
    def _check_files(self) -> "CatalogConfig":
        refuse(file_problems(dict(self)))
        return self

    @model_validator(mode="after")
    def _coordinates_come_in_pairs(self) -> "CatalogConfig":
        for given, lacking in (("ra", "dec"), ("dec", "ra")):
            if getattr(self, given) is not None and getattr(self, lacking) is None:
                refuse([Problem((given,), f"needs {lacking} too; set catalog.{lacking}")])
        return self


class TaxonomyConfig(Record):
    """Which raw labels form which class. The order of the classes is the order of the output."""

    classes: dict[str, tuple[str, ...]] = Field(
        description="The raw labels of each class. At least two classes are needed."
    )
    aggregated: dict[str, tuple[str, ...]] | None = Field(
        default=None,
        description="Coarser classes, each a list of classes. They are scored in addition.",
    )
    subclasses: dict[str, tuple[str, ...]] | Literal["auto"] = Field(
        default={},
        description="The raw labels of each subclass. Each subclass is modelled separately, and "
        "the probability of a class is the sum over its subclasses. Labels of a class that no "
        "subclass lists form one more subclass, named like the class. auto: every label with at "
        "least 20 sources, in classes of several labels.",
    )
    left_out: Listed = Field(
        default=(),
        description='Raw labels whose rows are removed. "*" (not in a list) stands for every label '
        "that is listed nowhere else.",
    )
    unlabelled: Listed = Field(
        default=(),
        description="Raw labels of rows whose class is unknown. An empty label always counts as "
        'unknown. "*" (not in a list) stands for every label that is listed nowhere else.',
    )

    @field_validator("classes", mode="before")
    @classmethod
    def _no_class_yet(cls, value: object) -> object:
        # A starter config has `classes:` with comments below it.
        return {} if value is None else value

    @field_validator("left_out", "unlabelled", mode="before")
    @classmethod
    def _labels_or_every_other(cls, value: object) -> object:
        if value == EVERY_OTHER:
            return value
        if not isinstance(value, list | tuple):
            text = f'must be a list [a, b]; found {value!r} ("*" stands for every other label)'
            refuse([Problem((), text)])
            return value
        labels = cls._whole_numbers_are_labels(value)
        assert isinstance(labels, list)
        refuse(
            [
                Problem((index,), f"must be text; put it in quotes; found {label!r}")
                for index, label in enumerate(labels)
                if not isinstance(label, str)
            ]
        )
        return labels

    @field_validator("classes", "subclasses", mode="before")
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
            hint = "" if self.classes else "; name each with its labels, as in AGN: [QSO, Seyfert1]"
            text = f"needs at least 2 classes; found {found}{hint}"
            problems.append(Problem(("classes",), text))
        problems += [
            Problem(("classes", name), "a class needs at least one raw label; found none")
            for name, labels in self.classes.items()
            if not labels
        ]
        problems += self._aggregation_problems()
        problems += self._subclass_problems()
        problems += self._label_problems()
        refuse(problems)
        return self

    def _label_problems(self) -> list[Problem]:
        """Every raw label must be listed once, and none may be empty."""
        lists = {("classes", name): labels for name, labels in self.classes.items()}
        lists |= {("left_out",): self.left_out, ("unlabelled",): self.unlabelled}
        every_other = [path for path, labels in lists.items() if labels == EVERY_OTHER]
        lists = {path: labels for path, labels in lists.items() if path not in every_other}
        problems: list[Problem] = []
        if len(every_other) > 1:
            text = 'unlabelled and left_out are both "*"; every other label can be only one of them'
            problems.append(Problem(every_other[0], text))
        first: dict[str, str] = {}
        for path, labels in lists.items():
            for index, label in enumerate(labels):
                if not label:
                    text = "an empty label is always unlabelled; remove it"
                    problems.append(Problem((*path, index), text))
                elif label in first:
                    text = f"raw label {label!r} is listed twice, first in {first[label]}; keep one"
                    problems.append(Problem((*path, index), text))
                first.setdefault(label, ".".join(path))
        return problems

    def _aggregation_problems(self) -> list[Problem]:
        """Every class must be in exactly one coarser class."""
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
        problems = [
            Problem(("aggregated",), f"{wrong}; list each class once") for wrong in text.values()
        ]
        return problems + name_problems(
            self.aggregated, CLASS_NAME, "a class name", ("aggregated",)
        )

    def _subclass_problems(self) -> list[Problem]:
        """A raw label is in at most one subclass; the labels of a subclass are of one class."""
        class_of = {label: name for name, labels in self.classes.items() for label in labels}
        if isinstance(self.subclasses, str):  # "auto"
            return []
        problems = name_problems(self.subclasses, CLASS_NAME, "a subclass name", ("subclasses",))
        first: dict[str, str] = {}
        for name, labels in self.subclasses.items():
            if not labels:
                text = "a subclass needs at least one raw label; found none"
                problems.append(Problem(("subclasses", name), text))
            elif name in self.classes and not set(self.classes[name]) <= set(labels):
                text = "is also the name of a class, which has other labels than these; rename it"
                problems.append(Problem(("subclasses", name), text))
            for index, label in enumerate(labels):
                if label not in class_of:
                    near = did_you_mean(label, list(class_of), "labels of classes are")
                    text = f"raw label {label!r} is in no class{near}"
                elif class_of[label] != class_of.get(labels[0]):
                    text = (
                        f"raw label {label!r} is of class {class_of[label]}, but {labels[0]!r} of "
                        f"{class_of.get(labels[0])}; a subclass belongs to one class"
                    )
                elif label in first:
                    text = f"raw label {label!r} is listed twice, first in {first[label]}; keep one"
                else:
                    first[label] = name
                    continue
                problems.append(Problem(("subclasses", name, index), text))
        return problems


class CategoryConfig(Record):
    """A group of related features, such as the spectral ones."""

    likelihood: Literal["kde", "mixture"] = Field(
        default="kde",
        description="kde: the features are independent within a class. mixture: their joint "
        "density in each class is a Gaussian mixture (settings: model.clusters).",
    )


class FeatureConfig(Record):
    """One feature of a source: how it follows from the columns, and how it is used."""

    expression: str = Field(description="Formula over columns, such as log10(flux).")
    category: str = Field(
        description="Category of the feature, such as location or spectrum. Explanations show one "
        "probability track per category."
    )
    scale: Literal["linear", "log10", "squash"] = Field(
        default="linear",
        description="Transformation of the expression. squash is x / (1 + |x|).",
    )
    error: str | None = Field(
        default=None,
        description="Formula of the standard error of the expression. The class densities are "
        "convolved with the error of each source, and training values are weighted by its inverse. "
        "An unknown error counts as the median error of the training values.",
    )
    missing: Literal["ignore", "evidence"] = Field(
        default="ignore",
        description="What an empty value means. ignore: not available, no evidence for any class. "
        "evidence: not detected by a survey that covers the source, which is evidence.",
    )
    bounds: tuple[Number | None, Number | None] | None = Field(
        default=None,
        description="Natural limits [low, high] of the expression, before the scale. null means no "
        "limit.",
    )
    measured: str | None = Field(
        default=None,
        description="Condition over columns, such as dec > -30. Where it is not true, the feature "
        "is not available.",
    )
    tails: Number | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Fraction of each class that follows a broad density common to all classes, "
        "for this feature instead of model.tails. A large one suits positions, whose density "
        "follows the fields that were observed.",
    )
    survey: str | None = Field(
        default=None,
        description="Survey that the feature comes from, such as Gaia. Where none of the features "
        "of a survey is available, the weights are fitted without them.",
    )
    rescale: Literal["none", "minmax", "log_minmax"] = Field(
        default="none",
        description="Scaling to [0, 1] by the range of the training rows. log_minmax first takes "
        "log(x + smallest positive value / 10). Needs density: published_clusters.",
    )
    cosine_for: tuple[str, ...] = Field(
        default=(),
        description="Classes for which the published density of this feature is a cosine.",
    )
    description: str = Field(
        default="", description="What the feature is, in words, for report and tables."
    )
    unit: str = Field(default="", description="Unit of the expression, before the scale.")

    @field_validator("bounds", mode="before")
    @classmethod
    def _bounds_are_a_pair(cls, value: object) -> object:
        valid = value is None or (
            isinstance(value, list | tuple)
            and len(value) == 2
            and all(v is None or is_number(v) for v in value)
        )
        if not valid:
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
