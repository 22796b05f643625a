"""Sections of the config of `xbayes enhance` on variability, host galaxies and column density."""

from typing import Literal

from pydantic import Field, model_validator

from xbayes.config.checks import NAME, Number, Problem, Record, refuse
from xbayes.config.enhance_tables import ErrorKind, FluxColumns, Names, OtherTable, band_problems
from xbayes.config.known_catalogs import with_position_error


class SpectrumConfig(Record):
    """The spectrum that brings fluxes to one band: a power law, absorbed in the Galaxy."""

    photon_index: Number = Field(
        default=1.7, ge=-3, le=10, description="Photon index: photons per keV follow E^-index."
    )
    column_density: Number = Field(
        default=3e20, ge=0, le=1e25, description="Column density of hydrogen in atoms per cm2."
    )


class DetectionsConfig(OtherTable, FluxColumns):
    """A catalogue of detections of another mission."""

    name: str | None = Field(
        default=None,
        description="A catalogue that xbayes knows: csc21, 4xmm, 2sxps or erass1. It gives error "
        "and error_kind, unless error is given.",
    )
    error: Names | None = Field(
        default=None, description="Column of the position error: in arcsec, or as its unit says."
    )
    error_kind: ErrorKind = Field(
        default="sigma", description="What the position error is; see catalog.error_kind."
    )
    default_error: Number = Field(
        default=1.5, gt=0, description="Standard deviation per axis in arcsec without an error."
    )
    id: Names | None = Field(default=None, description="Column that names the detection.")
    source: Names | None = Field(
        default=None,
        description="Column that names the source, if several detections may be of one. null: each "
        "detection is a source.",
    )
    search_arcsec: Number = Field(
        default=15.0,
        gt=0,
        le=180,
        description="Largest separation in arcsec of linked detections.",
    )

    @model_validator(mode="before")
    @classmethod
    def _known_error(cls, values: object) -> object:
        return with_position_error(values)


class NonDetectionsConfig(Record):
    """Where a survey looked and found nothing, its limit is an upper limit of the flux."""

    moc: str | None = Field(default=None, description="Name of its MOC; see coverage.")
    file: str | None = Field(default=None, description="Path of its MOC instead.")
    limit: Number = Field(gt=0, description="Smallest flux that it detects, in erg/s/cm2.")
    mjd: Number | None = Field(default=None, description="Time of the survey, as MJD.")


class VariabilityConfig(Record):
    """Long-term variability."""

    band: tuple[Number, Number] = Field(
        default=(0.2, 12.0), description="Band [low, high] in keV of the common flux."
    )
    absorbed: bool = Field(
        default=True,
        description="Whether the common flux is the observed one. false: corrected for absorption.",
    )
    spectrum: SpectrumConfig = Field(
        default=SpectrumConfig(), description="The spectrum by which fluxes are converted."
    )
    own: FluxColumns | None = Field(
        default=None, description="The fluxes of the catalogue itself. null: not used."
    )
    catalogues: dict[str, DetectionsConfig] = Field(
        default_factory=dict, description="Catalogues of detections by name."
    )
    limits: dict[str, NonDetectionsConfig] = Field(
        default_factory=dict,
        description="Limits of catalogues where they cover a position and detect nothing, by the "
        "name of the catalogue.",
    )
    sigma: Number = Field(
        default=3.0,
        gt=0,
        le=10,
        description="Largest separation of linked sources over its error.",
    )
    ambiguous_sigma: Number | None = Field(
        default=None,
        gt=0,
        le=20,
        description="A link is dropped if another source lies within this number of errors of "
        "either end. null: as sigma.",
    )

    @model_validator(mode="after")
    def _check(self) -> "VariabilityConfig":
        problems = band_problems(self.band)
        problems += [
            Problem(("catalogues", name), f"a name must match {NAME.pattern}; found {name!r}")
            for name in self.catalogues
            if not NAME.fullmatch(name)
        ]
        problems += [
            Problem(("limits", name), "no such catalogue under variability.catalogues")
            for name in self.limits
            if name not in self.catalogues
        ]
        if self.own is None and not self.catalogues:
            problems.append(Problem((), "needs own, or at least one of catalogues"))
        if self.ambiguous_sigma is not None and self.ambiguous_sigma < self.sigma:
            text = f"must be at least sigma, {self.sigma}; found {self.ambiguous_sigma}"
            problems.append(Problem(("ambiguous_sigma",), text))
        refuse(problems)
        return self


class HostsConfig(OtherTable):
    """Host galaxies: sources inside the ellipse of a galaxy at the isophote D25."""

    name: Names | None = Field(default=None, description="Column that names the galaxy.")
    semi_major: Names = Field(
        default=("R1",),
        description="Column of the semi-major axis at D25: in arcmin, or as its unit says.",
    )
    semi_minor: Names | None = Field(
        default=None, description="Column of the semi-minor axis. null: circles."
    )
    position_angle: Names | None = Field(
        default=None,
        description="Column of the position angle of the major axis, degrees east of north.",
    )
    distance: Names = Field(default=("D",), description="Column of the distance in Mpc.")
    log_mass: Names | None = Field(
        default=None, description="Column of the decimal logarithm of the stellar mass (Sun)."
    )
    log_sfr: Names | None = Field(
        default=None,
        description="Column of the decimal logarithm of the star-formation rate (Sun / year).",
    )
    axes: Literal["semi", "full", "log_full"] = Field(
        default="semi",
        description="What the axes are. semi: semi-axes. full: diameters. log_full: decimal "
        "logarithms of diameters in 0.1 arcmin, and of the axis ratio (logd25, logr25).",
    )
    scale: Number = Field(
        default=1.26,
        gt=0,
        le=10,
        description="A source belongs to a galaxy within this number of D25 radii.",
    )
    largest_arcmin: Number = Field(
        default=350.0, gt=0, description="No galaxy has a larger semi-major axis at D25, in arcmin."
    )
    flux: Names | None = Field(
        default=None,
        description="Column of the flux that gives the luminosity: in erg/s/cm2, or as its unit "
        "says. null: no luminosity.",
    )
    ulx_luminosity: Number = Field(
        default=1e39, gt=0, description="A source above this luminosity in erg/s may be a ULX."
    )
    nucleus_arcsec: Number = Field(
        default=3.0,
        ge=0,
        description="Sources within this separation of the centre, or within 3 position errors, "
        "are nuclear: no ULX.",
    )


class MapConfig(Record):
    """A map of the sky: a HEALPix file, a map of the package dustmaps, or a table of VizieR."""

    file: str | None = Field(
        default=None,
        description="Path of a HEALPix map (FITS), relative to the folder of the config.",
    )
    column: Names | None = Field(
        default=None, description="Column of the map in the file, or of the catalogue."
    )
    order: Literal["ring", "nested"] | None = Field(
        default=None, description="Order of the pixels. null: as the file says."
    )
    frame: Literal["galactic", "icrs"] | None = Field(
        default=None, description="Frame of the pixels. null: as the file says, else galactic."
    )
    interpolate: bool = Field(
        default=True,
        description="Interpolate between the four nearest pixels; false: the value of the pixel.",
    )
    dustmaps: str | None = Field(
        default=None,
        description="Map of the package dustmaps instead, such as sfd; its values times factor.",
    )
    catalogue: str | None = Field(
        default=None,
        description="Table of VizieR with one row a pixel instead; the nearest pixel counts.",
    )
    radius_arcsec: Number = Field(
        default=180.0, gt=0, le=180, description="Largest separation of that pixel."
    )
    factor: Number = Field(default=1.0, gt=0, description="Factor to the values of the map.")

    @model_validator(mode="after")
    def _check(self) -> "MapConfig":
        given = [k for k in ("file", "dustmaps", "catalogue") if getattr(self, k) is not None]
        problems = []
        if len(given) != 1:
            found = " and ".join(given) or "none"
            text = f"needs one of file, dustmaps and catalogue; found {found}"
            problems.append(Problem((), text))
        if self.catalogue is not None and self.column is None:
            problems.append(Problem(("column",), "name the column of the catalogue"))
        refuse(problems)
        return self


class ColumnDensityConfig(Record):
    """Column density of hydrogen in the Galaxy, and reddening, on the line of sight."""

    nh: MapConfig | None = Field(
        default=None, description="Map of the column density in atoms per cm2."
    )
    ebv: MapConfig | None = Field(default=None, description="Map of the reddening E(B-V) in mag.")

    @model_validator(mode="after")
    def _check(self) -> "ColumnDensityConfig":
        if self.nh is None and self.ebv is None:
            refuse([Problem((), "needs nh or ebv")])
        return self
