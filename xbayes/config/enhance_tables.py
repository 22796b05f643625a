"""Sections of the config of `xbayes enhance` on other tables: a file, or a catalogue of VizieR."""

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from xbayes.config.checks import Column, Number, Problem, Record, refuse

# A column, or several names that it may have: the first that the table has is meant.
Names = Annotated[
    tuple[Column, ...],
    BeforeValidator(lambda v: (v,) if isinstance(v, str) else v),
    Field(min_length=1),
]
ErrorKind = Literal["sigma", "rms", "68", "90", "95"]


def sigma_over_error(kind: ErrorKind) -> float:
    """The standard deviation per axis over a position error of this kind.

    For equal normal errors of both axes, the share of positions within a radius r is
    1 - exp(-(r / sigma)^2 / 2).
    """
    if kind == "sigma":
        return 1.0
    if kind == "rms":
        return math.sqrt(0.5)
    return 1 / math.sqrt(-2 * math.log(1 - int(kind) / 100))


class OtherTable(Record):
    """A table of other objects: a local file, or a table of VizieR."""

    catalogue: str | None = Field(default=None, description="Table of VizieR, such as IX/58/2sxps.")
    file: str | None = Field(
        default=None,
        description="Path of a local table instead, relative to the folder of the config.",
    )
    ra: Names = Field(default=("ra",), description="Column of the right ascension (ICRS).")
    dec: Names = Field(default=("dec",), description="Column of the declination (ICRS).")

    @model_validator(mode="after")
    def _one_of_both(self) -> "OtherTable":
        if (self.catalogue is None) == (self.file is None):
            found = "neither" if self.catalogue is None else "both"
            refuse([Problem((), f"needs catalogue or file, one of them; found {found}")])
        return self


class FluxColumns(Record):
    """The flux of each detection, its band and its time."""

    flux: Names = Field(description="Column of the flux: in erg/s/cm2, or as its unit says.")
    flux_error: Names | None = Field(
        default=None, description="Column of the standard error of the flux."
    )
    flux_error_low: Names | None = Field(
        default=None,
        description="Column of the error downwards instead; its sign does not matter.",
    )
    flux_error_high: Names | None = Field(default=None, description="Column of the error upwards.")
    flux_low: Names | None = Field(
        default=None,
        description="Column of the lower end of the 68 % interval of the flux, instead of errors.",
    )
    flux_high: Names | None = Field(
        default=None, description="Column of the upper end of that interval."
    )
    upper_limit: Names | None = Field(
        default=None,
        description="Column of the upper limit of the flux, used where the flux is empty.",
    )
    band: tuple[Number, Number] = Field(description="Energy band [low, high] of the flux in keV.")
    absorbed: bool = Field(
        default=True,
        description="Whether the flux is the observed one. false: it is corrected for absorption.",
    )
    calibration: Number = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Relative systematic error of the flux between missions, added in quadrature.",
    )
    start: Names | None = Field(
        default=None,
        description="Column of the time of the detection, or of its start: years, JD, MJD or text "
        "(ISO 8601). A table without it has unknown times.",
    )
    end: Names | None = Field(default=None, description="Column of the end.")
    mission: str = Field(default="", description="Name of the mission in the light curve.")

    @model_validator(mode="after")
    def _check(self) -> "FluxColumns":
        problems = band_problems(self.band)
        errors = [
            (self.flux_error,),
            (self.flux_error_low, self.flux_error_high),
            (self.flux_low, self.flux_high),
        ]
        if sum(any(group) for group in errors) > 1:
            text = "give it, or flux_error_low and flux_error_high, or flux_low and flux_high"
            problems.append(Problem(("flux_error",), text))
        for group, key in zip(errors[1:], ("flux_error_low", "flux_low"), strict=True):
            if any(group) and not all(group):
                text = "the errors downwards and upwards come in pairs; give both"
                problems.append(Problem((key,), text))
        if self.end is not None and self.start is None:
            problems.append(Problem(("end",), "needs start, too"))
        refuse(problems)
        return self


def band_problems(band: tuple[float, float]) -> list[Problem]:
    """Problems of a band in keV."""
    if 0.03 <= band[0] < band[1]:
        return []
    return [Problem(("band",), f"must be [low, high] from 0.03 keV on; found {list(band)}")]
