"""Candidate features of common catalogues, as expressions over the quantities of known_columns.py.

A candidate applies if the table has every quantity in its expression. Of candidates with the same
name the first that applies is used.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Literal, NamedTuple

_FIELD = re.compile(r"\{(\w+)\}")
X_RAY_BANDS = ("0.2-0.5", "0.5-1", "1-2", "2-4.5", "4.5-12")  # of XMM-Newton [keV]
ERASS_BANDS = ("0.2-0.5", "0.5-1", "1-2", "2-5", "5-8")  # P1 to P5 of eRASS1 [keV]


class Candidate(NamedTuple):
    """A feature for which the columns are known. {quantity} stands for a column."""

    name: str
    expression: str
    category: str
    description: str
    unit: str = ""  # "{quantity}": the unit of its column
    scale: Literal["linear", "log10"] = "linear"
    bounds: tuple[float | None, float | None] | None = None
    error: str | None = None
    needs: tuple[str, ...] = ()  # further quantities that tell the catalogue
    survey: str = ""  # whose non-detections may be evidence; told by one feature a survey


def fields(text: str | None) -> tuple[str, ...]:
    """The quantities in an expression."""
    return tuple(dict.fromkeys(_FIELD.findall(text or "")))


def filled(text: str, columns: Mapping[str, str]) -> str:
    """The expression with the columns in place of the quantities."""
    return _FIELD.sub(lambda field: columns[field[1]], text)


def _asinh(x: str) -> str:
    """Like log10(2 x) for large x, and smooth through zero; negative parallaxes are data too."""
    return f"log10({x} + sqrt({x} ** 2 + 1))"


# The X-ray flux of a source: the first of these whose columns are there.
FLUXES = {
    "{xmm_8}": "0.2-12 keV",
    "{flux_b}": "0.5-7 keV",
    "{flux_s} + {flux_m} + {flux_h}": "soft + medium + hard",
    "{erass_flux}": "0.2-2.3 keV",
    "{sxps_flux}": "0.3-10 keV",
    "{xmm_1} + {xmm_2} + {xmm_3} + {xmm_4} + {xmm_5}": "0.2-12 keV",
}


def _hardness(
    name: str, expression: str, text: str, error: str | None = None, needs: tuple[str, ...] = ()
) -> Candidate:
    return Candidate(
        name=name,
        expression=expression,
        category="spectrum",
        description=f"hardness ratio {text}",
        bounds=(-1.0, 1.0),
        error=error,
        needs=needs,
    )


def _log(name: str, quantity: str, category: str, description: str) -> Candidate:
    """The logarithm of a column."""
    field = f"{{{quantity}}}"
    return Candidate(
        name=name,
        expression=field,
        category=category,
        description=description,
        unit=field,
        scale="log10",
    )


def _gamma(column: str, error: str | None = None, needs: tuple[str, ...] = ()) -> Candidate:
    return Candidate(
        name="gamma",
        expression=f"{{{column}}}",
        category="spectrum",
        description="photon index",
        error=error,
        needs=needs,
    )


def _ratio_error(a: str, b: str) -> str:
    """The standard error of (b - a) / (b + a), to first order, for independent a and b."""
    variance = f"({{{a}}} * {{e_{b}}}) ** 2 + ({{{b}}} * {{e_{a}}}) ** 2"
    return f"2 * sqrt({variance}) / ({{{a}}} + {{{b}}}) ** 2"


_XMM_PAIRS = tuple(enumerate(pairwise(X_RAY_BANDS), start=1))
_ERASS_PAIRS = tuple(enumerate(pairwise(ERASS_BANDS), start=1))
_CSC_PAIRS = {"ms": "(M - S) / (M + S)", "hm": "(H - M) / (H + M)", "hs": "(H - S) / (H + S)"}
_SXPS_NEEDS = ("sxps_hr1_pos", "sxps_hr1_neg")
_SPECTRUM = (
    *(
        _hardness(f"hr_{n}", f"{{xmm_hr{n}}}", f"{n}: {low} and {high} keV", f"{{e_xmm_hr{n}}}")
        for n, (low, high) in _XMM_PAIRS
    ),
    # The errors of Swift have signs: HR1_neg is negative.
    *(
        _hardness(
            f"hr_{n}",
            f"{{sxps_hr{n}}}",
            f"{n}: {low} and {high} keV",
            f"0.5 * (abs({{sxps_hr{n}_pos}}) + abs({{sxps_hr{n}_neg}}))",
            _SXPS_NEEDS,
        )
        for n, low, high in ((1, "0.3-1", "1-2"), (2, "1-2", "2-10"))
    ),
    *(
        _hardness(
            f"hr_{n}", f"hardness({{xmm_{n}}}, {{xmm_{n + 1}}})", f"of fluxes, {low}, {high} keV"
        )
        for n, (low, high) in _XMM_PAIRS
    ),
    *(
        _hardness(
            f"hr_{n}",
            f"hardness({{erass_P{n}}}, {{erass_P{n + 1}}})",
            f"{n}: {low} and {high} keV",
            _ratio_error(f"erass_P{n}", f"erass_P{n + 1}"),
        )
        for n, (low, high) in _ERASS_PAIRS
    ),
    *(_hardness(f"hr_{n}", f"{{hr{n}}}", str(n), f"{{e_hr{n}}}") for n in (1, 2, 3, 4)),
    *(
        _hardness(
            f"hr_{pair}",
            f"{{csc_{pair}}}",
            text,
            f"0.5 * ({{csc_{pair}_hilim}} - {{csc_{pair}_lolim}})",  # limits of 68 %
        )
        for pair, text in _CSC_PAIRS.items()
    ),
    *(
        _hardness(f"hr_{pair}", f"hardness({{flux_{pair[1]}}}, {{flux_{pair[0]}}})", text)
        for pair, text in _CSC_PAIRS.items()
    ),
    _gamma("gamma", "0.5 * ({gamma_hilim} - {gamma_lolim})", ("gamma_hilim", "gamma_lolim")),
    _gamma("gamma", "{e_gamma}"),
    _gamma("sxps_gamma"),
    _log("kt_bb", "kt_bb", "spectrum", "black-body temperature"),
    _log("kt_apec", "kt_apec", "spectrum", "plasma temperature"),
    _log("nh", "nh", "spectrum", "absorbing column density"),
    _log("nh", "sxps_nh", "spectrum", "absorbing column density"),
)

_VARIABILITY = (
    *(
        Candidate(
            name=f"var_{when}",
            expression=f"{{var_{when}}}",
            category="variability",
            description=f"probability of variability {text}",
            bounds=(0.0, 1.0),
        )
        for when, text in {
            "intra": "within an observation",
            "inter": "between observations",
            "prob_b": "in the broad band",
            "prob_h": "in the hard band",
            "prob_s": "in the soft band",
        }.items()
    ),
    *(
        Candidate(
            name=f"var_ratio_{band}",
            expression=f"max({{var_ratio_{band}}}, 0.0001)",
            category="variability",
            description=f"deviation over mean of the light curve, {text} band",
            scale="log10",
        )
        for band, text in {"b": "broad", "h": "hard", "s": "soft"}.items()
    ),
    Candidate(
        name="var_ratio_b",
        expression="max({var_std} / {var_mean}, 0.0001)",
        category="variability",
        description="deviation over mean of the light curve, broad band",
        scale="log10",
    ),
    _log("var_sigma", "var_sigma", "variability", "deviation of the flux between observations"),
    Candidate(
        name="var_chi2",
        expression="max({xmm_chi2}, 1e-10)",
        category="variability",
        description="probability that the source is constant",
        scale="log10",
        bounds=(None, 1.0),
    ),
    Candidate(
        name="var_f",
        expression="{xmm_fvar}",
        category="variability",
        description="fractional variability amplitude",
    ),
    Candidate(
        name="flux_range",
        expression="{xmm_max} / {xmm_min}",
        category="variability",
        description="largest over smallest flux between observations",
        scale="log10",
        bounds=(1.0, None),
    ),
    *(
        Candidate(
            name=f"var_{key}",
            expression=f"max({{sxps_chi_{key}}}, 1e-10)",
            category="variability",
            description=f"probability that the source is constant between {key}s",
            scale="log10",
            bounds=(None, 1.0),
        )
        for key in ("snapshot", "obs")
    ),
    Candidate(
        name="peak_ratio",
        expression="{sxps_peak} / {sxps_rate}",
        category="variability",
        description="peak over mean count rate",
        scale="log10",
    ),
)

_COLOURS = ("bp rp", "g j", "g w1", "j h", "h k", "j k", "k w1", "w1 w2", "w2 w3")
_NAMES = {"bp": "BP", "rp": "RP", "g": "G", "j": "J", "h": "H", "k": "K"} | {
    f"w{n}": f"W{n}" for n in (1, 2, 3, 4)
}


def _colour(pair: str) -> Candidate:
    a, b = pair.split()
    return Candidate(
        name=f"{a}_{b}",
        expression=f"{{{a}}} - {{{b}}}",
        category="counterparts",
        description=f"colour {_NAMES[a]} - {_NAMES[b]}",
        unit="mag",
        error=f"sqrt({{e_{a}}} ** 2 + {{e_{b}}} ** 2)",
    )


_COUNTERPARTS = (
    # log10 of the flux ratio, up to a constant: magnitudes are -2.5 log10 of a flux.
    *(
        Candidate(
            name=f"fx_{band}",
            expression=f"log10({{fx}}) + {{{band}}} / 2.5",
            category="counterparts",
            description=f"log X-ray to {_NAMES[band]}-band flux, up to a constant",
            unit="dex",
            survey=survey,
        )
        for band, survey in {"g": "Gaia", "j": "2MASS", "w1": "AllWISE"}.items()
    ),
    *(
        Candidate(
            name=band,
            expression=f"{{{band}}}",
            category="counterparts",
            description=f"{_NAMES[band]} magnitude",
            unit="mag",
            error=f"{{e_{band}}}",
            survey=survey,
        )
        for band, survey in {"g": "Gaia", "j": "2MASS", "w1": "AllWISE"}.items()
    ),
    *map(_colour, _COLOURS),
    Candidate(
        name="bp_rp",
        expression="{bp_rp}",
        category="counterparts",
        description="colour BP - RP",
        unit="mag",
    ),
    *(
        Candidate(
            name="parallax_snr",
            expression=_asinh(ratio),
            category="counterparts",
            description="asinh(parallax over error) / ln 10",
        )
        for ratio in ("{plx_snr}", "({plx} / {e_plx})")
    ),
    Candidate(
        name="pm_snr",
        expression="sqrt(({pmra} / {e_pmra}) ** 2 + ({pmdec} / {e_pmdec}) ** 2)",
        category="counterparts",
        description="proper motion over its error",
        scale="log10",
    ),
    _log("proper_motion", "pm", "counterparts", "proper motion"),
    Candidate(
        name="proper_motion",
        expression="sqrt({pmra} ** 2 + {pmdec} ** 2)",
        category="counterparts",
        description="proper motion",
        unit="{pmra}",
        scale="log10",
    ),
    Candidate(
        name="excess_noise",
        expression="1 + {excess}",
        category="counterparts",
        description="1 + significance of the astrometric excess noise",
        scale="log10",
    ),
    _log("ruwe", "ruwe", "counterparts", "renormalised unit weight error"),
    Candidate(
        name="abs_g",
        expression="{g} - 5 * log10({distance}) + 5",
        category="counterparts",
        description="absolute G magnitude, if the distance is in pc",
        unit="mag",
    ),
    _log("distance", "distance", "counterparts", "distance"),
    Candidate(
        name="p_any",
        expression="where({p_any} > 0, {p_any})",
        category="counterparts",
        description="probability of any counterpart; 0 means that there is none",
        bounds=(0.0, 1.0),
    ),
)

_LOCATION = (
    Candidate(
        name="abs_b",
        expression="abs(galactic_b({ra}, {dec}))",
        category="location",
        description="galactic latitude, absolute",
        unit="deg",
        bounds=(0.0, 90.0),
    ),
    Candidate(
        name="abs_b",
        expression="abs({b})",
        category="location",
        description="galactic latitude, absolute",
        unit="deg",
        bounds=(0.0, 90.0),
    ),
    Candidate(
        name="abs_l",
        expression="min(galactic_l({ra}, {dec}), 360 - galactic_l({ra}, {dec}))",
        category="location",
        description="galactic longitude, distance from the centre",
        unit="deg",
        bounds=(0.0, 180.0),
    ),
)

_FLUX_ERRORS = {
    "{xmm_8}": "{e_xmm_8}",
    "{flux_b}": "0.5 * ({flux_b_hilim} - {flux_b_lolim})",
    "{flux_s} + {flux_m} + {flux_h}": "sqrt({e_flux_s} ** 2 + {e_flux_m} ** 2 + {e_flux_h} ** 2)",
    "{erass_flux}": "{e_erass_flux}",
}
_FLUX = tuple(
    Candidate(
        name="flux",
        expression=expression,
        category="spectrum",
        description=f"X-ray flux, {band}",
        unit=f"{{{fields(expression)[0]}}}",
        scale="log10",
        error=_FLUX_ERRORS.get(expression),
    )
    for expression, band in FLUXES.items()
)
_RATE = _log("flux", "sxps_rate", "spectrum", "count rate, 0.3-10 keV")

CANDIDATES = (*_LOCATION, *_SPECTRUM, *_FLUX, _RATE, *_COUNTERPARTS, *_VARIABILITY)
