"""The sections of a config that describe the table: roles of columns, and features."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator, model_validator

from xbayes.config.checks import (
    NAME,
    Column,
    Number,
    Problem,
    Record,
    Whole,
    did_you_mean,
    is_number,
    refuse,
)
from xbayes.config.files import (
    RELEASE,
    FileConfig,
    file_problems,
    marker_problems,
    releases_as_blocks,
)
from xbayes.config.known_catalogs import role_names, with_known
from xbayes.config.taxonomy import TaxonomyConfig as TaxonomyConfig

# The forms of sexagesimal text, and the unit of its first part.
SEXAGESIMAL = {"h:m:s": "hourangle", "d:m:s": "deg"}


class CatalogConfig(Record):
    """The catalogue, and the role of each of its columns."""

    name: str | None = Field(
        default=None,
        description="A catalogue that xbayes knows, such as csc21 or 4xmm: its roles of columns "
        "and units hold where the config gives none. catalog: csc21 is short for catalog: {name: "
        "csc21}.",
    )
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
    crowd: str | None = Field(
        default=None,
        description="Path of a table of labels that xbayes crowd aggregate wrote, relative to the "
        "folder of the config. taxonomy.labels: [reference, crowd] uses it.",
    )
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
    aliases: dict[str, tuple[Column, ...]] = Field(
        default_factory=dict,
        description="Names that a column has in other catalogues, such as Gmag: [phot_g_mean_mag]. "
        "When a catalogue that lacks the column is classified, the first name that it has is used.",
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
    def _as_known(cls, values: object) -> object:
        given = with_known(values)
        name = given.get("name") if isinstance(given, Mapping) else None
        if isinstance(name, str) and name not in role_names():
            near = did_you_mean(name, role_names(), "known are")
            text = f"no catalogue {name!r} is known{near}; or give id, ra and dec, and no name"
            refuse([Problem(("name",), text)])
        return releases_as_blocks(given)

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
