"""The section of the config of `xbayes enhance` on optical and infrared counterparts."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from xbayes.config.checks import (
    NAME,
    Number,
    Problem,
    Record,
    Switch,
    Whole,
    did_you_mean,
    refuse,
)
from xbayes.config.enhance_tables import ErrorKind, Names, OtherTable
from xbayes.config.known_counterparts import KNOWN_COUNTERPARTS

MOST_CATALOGUES = 12


class FurtherColumn(Record):
    """A column of numbers that is copied from the counterpart."""

    names: Names = Field(description="Its names in the catalogue; the first that is there is read.")
    unit: str = Field(default="", description="Its unit. The values are taken as they stand.")
    ucd: str = Field(default="", description="Its UCD.")
    description: str = Field(description="What it is.")


class CounterpartCatalogue(OtherTable):
    """A catalogue in which counterparts are sought."""

    name: str = Field(
        description="Name of the catalogue; its columns begin with it. Known names, which need "
        f"nothing else: {', '.join(KNOWN_COUNTERPARTS)}. What is given beside it replaces what is "
        "known.",
    )
    band: Literal["optical", "infrared"] = Field(
        description="Whether it gives log_fx_fopt or log_fx_fir."
    )
    id: Names | None = Field(default=None, description="Column that names each entry.")
    epoch: Number | None = Field(
        default=None,
        ge=1800,
        le=2200,
        description="Epoch of the positions in years. null: they are not moved.",
    )
    error: Names | None = Field(
        default=None,
        description="Column of the position error, or of the semi-major axis of its ellipse.",
    )
    error_minor: Names | None = Field(
        default=None, description="Column of the semi-minor axis. null: circles."
    )
    error_angle: Names | None = Field(
        default=None,
        description="Column of the position angle of the axis in error, in degrees east of north. "
        "null: north.",
    )
    error_kind: ErrorKind = Field(
        default="sigma", description="What the position error is; see catalog.error_kind."
    )
    error_unit: Literal["arcsec", "mas", "deg"] = Field(
        default="arcsec", description="Unit of the errors, if the table names none."
    )
    default_error: Number = Field(
        default=0.3,
        gt=0,
        description="Standard deviation per axis in arcsec where an entry has no error.",
    )
    least_error: Number = Field(
        default=0.0,
        ge=0,
        description="Systematic error in arcsec, added in quadrature to every axis.",
    )
    pm_ra: Names | None = Field(
        default=None,
        description="Column of the proper motion in right ascension times cos(dec), in mas/yr.",
    )
    pm_dec: Names | None = Field(
        default=None, description="Column of the proper motion in declination, in mas/yr."
    )
    magnitudes: dict[str, Names] = Field(
        default_factory=dict, description="Columns of magnitudes by a short name."
    )
    fluxes: dict[str, Names] = Field(
        default_factory=dict,
        description="Columns of fluxes by a short name, in nanomaggies: the magnitude is "
        "22.5 - 2.5 log10(flux).",
    )
    further: dict[str, FurtherColumn] = Field(
        default_factory=dict,
        description="Further columns of numbers that are copied, by a short name.",
    )
    priors: tuple[str, ...] = Field(
        default=(),
        description="Magnitudes and colours that tell counterparts from the field, such as r and "
        "g-i. Their ratio is learned. Take few that are independent: their ratios multiply.",
    )
    flux_band: str | None = Field(
        default=None, description="Magnitude that gives the ratio of X-ray flux to its flux."
    )
    log_flux: Number | None = Field(
        default=None,
        description="log10 of the flux in this band in erg/s/cm2 of a source of magnitude 0.",
    )
    distances: str | None = Field(
        default=None,
        description="Table of VizieR with distances by Gaia's source number (Bailer-Jones).",
    )

    @model_validator(mode="after")
    def _check_bands(self) -> "CounterpartCatalogue":
        problems = []
        if not NAME.fullmatch(self.name):
            problems.append(
                Problem(("name",), f"a name must match {NAME.pattern}; found {self.name!r}")
            )
        known = (*self.magnitudes, *self.fluxes)
        for label in ("priors", "flux_band"):
            given = getattr(self, label) or ()
            for text in (given,) if isinstance(given, str) else given:
                for band in text.split("-") if label == "priors" else (text,):
                    if band not in known:
                        near = did_you_mean(band, known, "magnitudes are")
                        problems.append(Problem((label,), f"no magnitude {band!r}{near}"))
        if (self.flux_band is None) != (self.log_flux is None):
            problems.append(Problem(("log_flux",), "flux_band and log_flux come in pairs"))
        if (self.pm_ra is None) != (self.pm_dec is None):
            problems.append(Problem(("pm_ra",), "pm_ra and pm_dec come in pairs"))
        if self.pm_ra is not None and self.epoch is None:
            problems.append(Problem(("epoch",), "needed to apply proper motion"))
        refuse(problems)
        return self


def _with_what_is_known(value: Any) -> Any:
    """The record of a known catalogue by its name, with what the config gives beside it."""
    given = {"name": value} if isinstance(value, str) else value
    if not isinstance(given, dict):
        return value
    name = given.get("name")
    known = KNOWN_COUNTERPARTS.get(name) if isinstance(name, str) else None
    if known is None:
        if isinstance(value, str) or not ({"catalogue", "file"} & set(given)):
            near = did_you_mean(str(name), KNOWN_COUNTERPARTS, "known are")
            refuse([Problem((), f"no counterpart catalogue {name!r} is known{near}; or give its "
                                "catalogue or file, band, ra and dec")])  # fmt: skip
        return value
    if given.get("file") is not None:
        known = {key: item for key, item in known.items() if key not in ("catalogue", "distances")}
    return {**known, **given}


KnownCatalogue = Annotated[CounterpartCatalogue, BeforeValidator(_with_what_is_known)]
_USUAL = ("gaia", "panstarrs", "des", "usno", "twomass", "allwise", "unwise")


class CounterpartsConfig(Record):
    """Optical and infrared counterparts, by Bayesian matching of several catalogues at once."""

    catalogues: tuple[KnownCatalogue, ...] = Field(
        default=_USUAL,
        validate_default=True,
        description="Catalogues in order of preference: names of known ones, or records.",
    )
    engine: Literal["memory", "lsdb"] = Field(
        default="memory",
        description="What matches with the catalogues that have a file. memory: the whole table is "
        "read. lsdb: the file is a HATS catalogue, a folder or an address, which LSDB matches "
        "partition by partition; its margin must be as wide as the search radius.",
    )
    radius_arcsec: Number = Field(
        default=10.0,
        gt=0,
        le=60,
        description="Search radius in arcsec; at least 4 times the usual position error.",
    )
    motion_arcsec: Number = Field(
        default=5.0,
        ge=0,
        le=60,
        description="The archive is asked within a radius larger by this, so that entries that "
        "proper motion brings within the search radius are found.",
    )
    epoch: Number | None = Field(
        default=None,
        ge=1950,
        le=2200,
        description="Epoch of the X-ray positions in years where catalog.epoch gives none. null: "
        "proper motion is not applied there.",
    )
    error_minor: Names | None = Field(
        default=None,
        description="Column of the semi-minor axis of the error ellipse; catalog.error is then the "
        "semi-major one.",
    )
    error_angle: Names | None = Field(
        default=None,
        description="Column of the position angle of the major axis, degrees east of north.",
    )
    systematic_arcsec: Number = Field(
        default=0.0,
        ge=0,
        le=10,
        description="Systematic error of the X-ray positions, added in quadrature to every axis.",
    )
    flux: Names | None = Field(
        default=None,
        description="Column of the X-ray flux, for flux ratios and luminosity: in erg/s/cm2, or as "
        "its unit says. null: none of them.",
    )
    false_match_rate: Number = Field(
        default=0.15,
        gt=0,
        lt=1,
        description="Share of sources without any counterpart that are given one. It sets the "
        "p_any cut; a lower rate gives a higher cut and fewer counterparts.",
    )
    shift_arcsec: Number = Field(
        default=120.0,
        gt=0,
        le=7200,
        description="The cut is measured at positions that are moved by up to this, at least 3 "
        "search radii.",
    )
    shifted: Whole = Field(
        default=3000,
        ge=0,
        le=1_000_000,
        description="Number of shifted positions. 0: no cut, every best counterpart is kept.",
    )
    completeness: Number | Literal["learn"] = Field(
        default="learn",
        description="Share of the sources whose counterpart a catalogue lists. learn: estimated "
        "for each catalogue.",
    )
    secure: Number | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Magnitude priors are learned from counterparts above this probability by "
        "position alone, as NWAY does (0.9). null: from all entries, weighted with their "
        "probability.",
    )
    magnitude_priors: Switch = Field(
        default=True, description="Whether magnitudes and colours count, or positions alone."
    )
    prefix: str = Field(
        default="", pattern=r"[A-Za-z0-9_]*", description="Prefix of all new columns."
    )
    least_probability: Number = Field(
        default=0.01,
        ge=0,
        lt=1,
        description="Candidates below this probability are left out of the table of candidates.",
    )
    seed: Whole = Field(default=1, ge=0, description="Seed of the shifts.")

    @model_validator(mode="after")
    def _check(self) -> "CounterpartsConfig":
        names = [catalogue.name for catalogue in self.catalogues]
        problems = []
        if not names or len(names) > MOST_CATALOGUES:
            text = f"needs 1 to {MOST_CATALOGUES} catalogues; found {len(names)}"
            problems.append(Problem(("catalogues",), text))
        twice = sorted({name for name in names if names.count(name) > 1})
        problems += [Problem(("catalogues",), f"{name!r} is there twice") for name in twice]
        if self.shifted and self.shift_arcsec < 3 * self.radius_arcsec:
            text = f"must be at least 3 times radius_arcsec, {3 * self.radius_arcsec:g}; found "
            problems.append(Problem(("shift_arcsec",), f"{text}{self.shift_arcsec:g}"))
        completeness = self.completeness
        if isinstance(completeness, float) and not 0 < completeness < 1:
            text = f"must be learn or a number between 0 and 1; found {completeness:g}"
            problems.append(Problem(("completeness",), text))
        if self.error_angle is not None and self.error_minor is None:
            problems.append(Problem(("error_angle",), "needs error_minor, too"))
        refuse(problems)
        return self
