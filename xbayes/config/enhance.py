"""The config of `xbayes enhance`: the catalogue, and one section for each step.

A step without a section is not run. enhance_reader.py reads the file.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from xbayes.config.checks import NAME, RUN_NAME, Number, Problem, Record, Whole, refuse
from xbayes.config.counterparts import CounterpartsConfig
from xbayes.config.enhance_flux import ColumnDensityConfig, HostsConfig, VariabilityConfig
from xbayes.config.enhance_tables import ErrorKind, Names
from xbayes.config.known_catalogs import known_catalog, with_position_error

Role = Literal["ignore", "check", "label"]
MOST_REFERENCES = 62  # bits of a positive 64-bit integer, but one


class EnhanceCatalogConfig(Record):
    """The columns of the catalogue that the steps read."""

    name: str | None = Field(
        default=None,
        description="A catalogue that xbayes knows: csc21, 4xmm, 2sxps or erass1. It gives error "
        "and error_kind, and counterparts.error_minor and error_angle, unless error is given.",
    )
    id: Names | None = Field(
        default=None, description="Column that names each row. null: rows are numbered from 1."
    )
    source: Names | None = Field(
        default=None,
        description="Column that names the source, if the rows are detections.",
    )
    ra: Names = Field(
        default=("ra",),
        description="Column of the right ascension, or of the longitude if frame is galactic: in "
        "degrees, or as its unit says.",
    )
    dec: Names = Field(
        default=("dec",), description="Column of the declination, or of the latitude: as ra."
    )
    frame: Literal["icrs", "fk5", "fk4", "galactic"] = Field(
        default="icrs",
        description="Frame of the positions. They are converted to ICRS: fk5 from equinox J2000, "
        "fk4 from equinox B1950, unless equinox says otherwise.",
    )
    equinox: Number | None = Field(
        default=None, ge=1700, le=2200, description="Equinox in years, with frame fk4 or fk5."
    )
    error: Names | None = Field(
        default=None,
        description="Column of the position error: in arcsec, or as its unit says.",
    )
    error_kind: ErrorKind = Field(
        default="sigma",
        description="What the position error is. sigma: standard deviation per axis. rms: root of "
        "the sum of the variances of both axes. 68, 90 or 95: radius that holds so many percent.",
    )
    default_error: Number = Field(
        default=1.5,
        gt=0,
        description="Standard deviation per axis in arcsec where a row has no position error.",
    )
    epoch: Names | None = Field(
        default=None,
        description="Column of the time of the observation: years, or Julian dates (JD, MJD).",
    )
    missing_values: dict[str, tuple[str | Whole | Number, ...]] = Field(
        default_factory=dict,
        description="Values that stand for an empty cell, such as -99, by column.",
    )
    units: dict[str, str] = Field(
        default_factory=dict, description="Units of columns for which the file names none."
    )

    @model_validator(mode="before")
    @classmethod
    def _known_error(cls, values: object) -> object:
        return with_position_error(values)

    @model_validator(mode="after")
    def _equinox_needs_a_frame(self) -> "EnhanceCatalogConfig":
        if self.equinox is not None and self.frame not in ("fk4", "fk5"):
            refuse([Problem(("equinox",), f"needs frame: fk4 or fk5; found {self.frame}")])
        return self


class MocConfig(Record):
    """A part of the sky, as a MOC (multi-order coverage map)."""

    moc: str | None = Field(
        default=None,
        description="Name of the MOC at the MOC server of CDS, such as CDS/II/349/ps1; or allsky.",
    )
    file: str | None = Field(
        default=None,
        description="Path of a MOC (FITS, JSON or text) instead, relative to the folder of the "
        "config.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "MocConfig":
        if (self.moc is None) == (self.file is None):
            found = "neither" if self.moc is None else "both"
            refuse([Problem((), f"needs moc or file, one of them; found {found}")])
        return self


class PositionsConfig(Record):
    """Galactic coordinates, and a check of the positions."""

    duplicate_arcsec: Number = Field(
        default=0.0,
        ge=0,
        le=60,
        description="Rows closer than this have the same position. 0: equal to a millionth of an "
        "arcsec.",
    )
    survey: MocConfig | None = Field(
        default=None, description="The part of the sky that the catalogue covers."
    )


class SimbadConfig(Record):
    """How SIMBAD is used."""

    role: Role = Field(
        default="check",
        description="Role of the class in SIMBAD. ignore: it is only shown. check: a source whose "
        "class in SIMBAD conflicts with its references gets no label. label: it is a label, too.",
    )
    file: str | None = Field(
        default=None,
        description="Table of types and their classes (CSV) instead of the one that xbayes ships, "
        "relative to the folder of the config.",
    )


class ReferenceConfig(Record):
    """A reference catalogue: each of its objects is of one class."""

    label: str = Field(min_length=1, description="Class of its objects.")
    catalogue: str | None = Field(
        default=None,
        description="Catalogue or table of VizieR, such as VII/258/vv10. Of a catalogue all tables "
        "with positions are searched.",
    )
    file: str | None = Field(
        default=None,
        description="Path of a local table instead, relative to the folder of the config.",
    )
    ra: Names = Field(default=("ra",), description="Column of the right ascension in the file.")
    dec: Names = Field(default=("dec",), description="Column of the declination in the file.")
    radius_arcsec: Number | None = Field(
        default=None,
        gt=0,
        le=180,
        description="Least radius in arcsec, for a reference with large position errors. null: as "
        "identifications.radius_arcsec.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "ReferenceConfig":
        if (self.catalogue is None) == (self.file is None):
            found = "neither" if self.catalogue is None else "both"
            refuse([Problem((), f"needs catalogue or file, one of them; found {found}")])
        return self


class IdentificationsConfig(Record):
    """Types in SIMBAD, and classes in reference catalogues."""

    radius_arcsec: Number = Field(
        default=1.0, gt=0, le=180, description="Least search radius in arcsec."
    )
    error_factor: Number = Field(
        default=3.0,
        ge=0,
        description="The search radius is at least this number times the position error.",
    )
    max_radius_arcsec: Number = Field(
        default=20.0, gt=0, le=180, description="Largest search radius in arcsec."
    )
    simbad: SimbadConfig | None = Field(
        default=SimbadConfig(), description="How SIMBAD is used. null: not at all."
    )
    references: dict[str, ReferenceConfig] = Field(
        default_factory=dict,
        description="Reference catalogues by name. The order gives the bits of reference_bits.",
    )
    subclasses: dict[str, tuple[str, ...]] = Field(
        default={"XRB": ("LMXB", "HMXB"), "Star": ("YSO",)},
        description="Classes that are part of another one, so that the two do not conflict. The "
        "more special one becomes the label.",
    )

    @model_validator(mode="after")
    def _check(self) -> "IdentificationsConfig":
        problems = [
            Problem(("references", name), f"a name must match {NAME.pattern}; found {name!r}")
            for name in self.references
            if not NAME.fullmatch(name)
        ]
        if len(self.references) > MOST_REFERENCES:
            text = f"at most {MOST_REFERENCES} have a bit; found {len(self.references)}"
            problems.append(Problem(("references",), text))
        if self.max_radius_arcsec < self.radius_arcsec:
            text = f"must be at least radius_arcsec, {self.radius_arcsec}; found "
            problems.append(Problem(("max_radius_arcsec",), f"{text}{self.max_radius_arcsec}"))
        refuse(problems)
        return self


class SurveyConfig(MocConfig):
    """A survey: where it looked, and how deep."""

    depth: Number | None = Field(
        default=None, description="Depth of the survey, such as its limiting magnitude."
    )
    unit: str = Field(default="mag", description="Unit of the depth.")
    depth_map: str | None = Field(
        default=None,
        description="HEALPix map (FITS) of the depth instead, relative to the folder of the "
        "config. Where it is empty, the survey did not look.",
    )
    description: str = Field(default="", description="What the depth is, in words.")


class CoverageConfig(Record):
    """Which surveys cover each position."""

    surveys: dict[str, SurveyConfig] = Field(
        description="Surveys by name; each gives columns covered_NAME and depth_NAME."
    )

    @model_validator(mode="after")
    def _check(self) -> "CoverageConfig":
        refuse(
            [
                Problem(("surveys", name), f"a name must match {NAME.pattern}; found {name!r}")
                for name in self.surveys
                if not NAME.fullmatch(name)
            ]
            + ([] if self.surveys else [Problem(("surveys",), "needs at least one survey")])
        )
        return self


class EnhanceConfig(Record):
    """The steps of `xbayes enhance`. A step whose section is absent is not run."""

    name: str = Field(description="Name of the config.")
    catalog: EnhanceCatalogConfig = Field(
        default=EnhanceCatalogConfig(), description="The columns that the steps read."
    )
    services: dict[str, str] = Field(
        default_factory=dict,
        description="Addresses of services, such as mirrors, by name: vizier, simbad, xmatch, moc.",
    )
    positions: PositionsConfig | None = Field(
        default=None, description="Galactic coordinates, and a check of the positions."
    )
    identifications: IdentificationsConfig | None = Field(
        default=None, description="Types in SIMBAD, and classes in reference catalogues."
    )
    counterparts: CounterpartsConfig | None = Field(
        default=None, description="Optical and infrared counterparts."
    )
    coverage: CoverageConfig | None = Field(
        default=None, description="Which surveys cover each position, and how deep."
    )
    variability: VariabilityConfig | None = Field(
        default=None, description="Long-term variability over several missions."
    )
    hosts: HostsConfig | None = Field(default=None, description="Host galaxies.")
    column_density: ColumnDensityConfig | None = Field(
        default=None, description="Galactic column density and reddening on the line of sight."
    )

    @model_validator(mode="before")
    @classmethod
    def _known_ellipse(cls, values: object) -> object:
        return _with_ellipse(values)

    @model_validator(mode="after")
    def _check(self) -> "EnhanceConfig":
        if not RUN_NAME.fullmatch(self.name):
            refuse([Problem(("name",), f"must match {RUN_NAME.pattern}; found {self.name!r}")])
        if not any(getattr(self, step) is not None for step in step_names()):
            text = f"the config has no step; add a section: {', '.join(step_names())}"
            refuse([Problem(("name",), text)])
        return self


def step_names() -> tuple[str, ...]:
    """The names of the steps, in the order in which they run."""
    return tuple(
        name for name in EnhanceConfig.model_fields if name not in ("name", "catalog", "services")
    )


def _with_ellipse(values: object) -> object:
    """The config with the error ellipse of the known catalogue under `counterparts`."""
    if not isinstance(values, Mapping):
        return values
    catalog, wanted = values.get("catalog"), values.get("counterparts")
    if not isinstance(catalog, Mapping) or not isinstance(wanted, Mapping):
        return values
    known = known_catalog(str(catalog.get("name")))
    if known is None or known.position_error is None or "error" in catalog:
        return values
    ellipse = known.position_error
    given = {"error_minor": ellipse.minor, "error_angle": ellipse.angle}
    return {**values, "counterparts": {**given, **wanted}}
