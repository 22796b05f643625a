"""The columns of counterparts: probabilities, magnitudes, flux ratios, distance, luminosity."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from xbayes.config.counterparts import CounterpartCatalogue, CounterpartsConfig
from xbayes.enhance.associations import Associations
from xbayes.enhance.candidates import Candidates
from xbayes.enhance.steps import AddedColumn

_LOG_PC2 = float(2 * np.log10(3.0856775814913673e18) + np.log10(4 * np.pi))  # cm2, sphere of 1 pc
_RATIOS = {"optical": "log_fx_fopt", "infrared": "log_fx_fir"}


class Distances(NamedTuple):
    """Distances in pc of the entries of a catalogue, with a 68 % interval; NaN where unknown."""

    middle: Float[np.ndarray, "P"]
    low: Float[np.ndarray, "P"]
    high: Float[np.ndarray, "P"]


def added_columns(settings: CounterpartsConfig) -> list[AddedColumn]:
    """The columns, in order."""
    first = [
        AddedColumn(
            "p_any", "Probability that the source has a counterpart in any of the catalogues (high "
            "is good); 0: none within the radius", "", "stat.probability",
        ),
        AddedColumn(
            "p_i", "Probability that the best candidate is the counterpart, if there is one", "",
            "stat.probability",
        ),
        AddedColumn(
            "p_any_cut", "Least p_any of an accepted counterpart, for a false-match rate of "
            f"{settings.false_match_rate:g}", "", "stat.probability",
        ),
        AddedColumn(
            "has_counterpart", "Whether p_any reaches the cut; the columns below are then filled",
            "", "meta.code",
        ),
        AddedColumn(
            "n_candidates", "Number of catalogue entries within the radius", "", "meta.number"
        ),
        AddedColumn(
            "counterpart_separation", "Separation of the counterpart at the X-ray epoch", "arcsec",
            "pos.angDistance",
        ),
        AddedColumn("counterpart_ra", "Right ascension of the counterpart (ICRS)", "deg",
                    "pos.eq.ra"),
        AddedColumn("counterpart_dec", "Declination of the counterpart (ICRS)", "deg",
                    "pos.eq.dec"),
    ]  # fmt: skip
    made = [*first]
    for catalogue in settings.catalogues:
        made += _of_catalogue(catalogue)
    if any(c.pm_ra is not None for c in settings.catalogues):
        made.append(AddedColumn("pm", "Proper motion of the counterpart", "mas / yr", "pos.pm"))
    if settings.flux is not None:
        made += _of_ratios(settings.catalogues)
    if any(c.distances is not None for c in settings.catalogues):
        made += [
            AddedColumn("distance", "Geometric distance of the counterpart", "pc", "pos.distance"),
            AddedColumn("distance_lo", "Lower end of its 68 % interval", "pc", "pos.distance"),
            AddedColumn("distance_hi", "Upper end of its 68 % interval", "pc", "pos.distance"),
        ]
        if settings.flux is not None:
            made.append(
                AddedColumn(
                    "log_luminosity", "log10 of the X-ray luminosity in erg/s at that distance", "",
                    "phys.luminosity;em.X-ray",
                )
            )  # fmt: skip
    return [added._replace(name=settings.prefix + added.name) for added in made]


def _of_catalogue(catalogue: CounterpartCatalogue) -> list[AddedColumn]:
    name = catalogue.name
    text = catalogue.catalogue or catalogue.file
    part = "em.opt" if catalogue.band == "optical" else "em.IR"
    return [
        AddedColumn(f"{name}_id", f"Counterpart in {text}; empty: not in it", "", "meta.id"),
        AddedColumn(
            f"{name}_p",
            f"Probability that this entry of {name} is the counterpart",
            "",
            "stat.probability",
        ),
        AddedColumn(f"{name}_separation", "Its separation", "arcsec", "pos.angDistance"),
        *[
            AddedColumn(f"{name}_{band}_mag", f"Its magnitude {band}", "mag", f"phot.mag;{part}")
            for band in (*catalogue.magnitudes, *catalogue.fluxes)
        ],
        *[
            AddedColumn(f"{name}_{short}", column.description, column.unit, column.ucd)
            for short, column in catalogue.further.items()
        ],
    ]


def _of_ratios(catalogues: Sequence[CounterpartCatalogue]) -> list[AddedColumn]:
    made = []
    for band, name in _RATIOS.items():
        able = [c for c in catalogues if c.band == band and c.flux_band is not None]
        if able:
            order = ", ".join(f"{c.name} {c.flux_band}" for c in able)
            text = f"log10 of the X-ray flux over the {band} flux, of the first of: {order}"
            made += [
                AddedColumn(name, text, "", "phot.flux;arith.ratio"),
                AddedColumn(f"{band}_catalogue", "Catalogue of this flux", "", "meta.id"),
            ]
    return made


def values_of(
    settings: CounterpartsConfig,
    found: Sequence[Candidates],
    associations: Associations,
    chosen: Int[np.ndarray, "B"],
    flux: Float[np.ndarray, "N"] | None,
    distances: Mapping[str, Distances],
) -> dict[str, np.ndarray]:
    """The columns of some hypotheses, by name without prefix; NaN and empty text are missing.

    Parameters
    ----------
    settings, found, associations
        The catalogues, their entries, and the probabilities.
    chosen
        The hypotheses.
    flux
        X-ray flux of each source in erg/s/cm2.
    distances
        By catalogue.
    """
    source, members = associations.source[chosen], associations.members[chosen]
    values: dict[str, np.ndarray] = {"p_i": associations.p_i[chosen]}
    place = _first_of([c.place.ra for c in found], members)
    values["counterpart_ra"] = place
    values["counterpart_dec"] = _first_of([c.place.dec for c in found], members)
    values["counterpart_separation"] = _first_of([c.separation for c in found], members)
    log_ratio = {name: np.full(len(source), np.nan) for name in _RATIOS}
    by = {name: np.full(len(source), "", dtype=object) for name in _RATIOS}
    for k, (catalogue, entries) in enumerate(zip(settings.catalogues, found, strict=True)):
        member, here = members[:, k], members[:, k] >= 0
        name = catalogue.name
        values[f"{name}_id"] = np.where(here, _at(entries.id, member, ""), "")
        values[f"{name}_p"] = np.where(here, _at(associations.p_entry[k], member, np.nan), np.nan)
        values[f"{name}_separation"] = _at(entries.separation, member, np.nan)
        for band, magnitude in entries.magnitude.items():
            values[f"{name}_{band}_mag"] = _at(magnitude, member, np.nan)
        for short, numbers in entries.further.items():
            values[f"{name}_{short}"] = _at(numbers, member, np.nan)
        if flux is not None and catalogue.flux_band is not None:
            band_flux = (
                float(catalogue.log_flux or 0) - 0.4 * values[f"{name}_{catalogue.flux_band}_mag"]
            )
            ratio = np.log10(np.where(flux > 0, flux, np.nan))[source] - band_flux
            new = np.isnan(log_ratio[catalogue.band]) & np.isfinite(ratio)
            log_ratio[catalogue.band][new] = ratio[new]
            by[catalogue.band][new] = name
    for band, name in _RATIOS.items():
        values[name] = log_ratio[band]
        values[f"{band}_catalogue"] = by[band].astype(str)
    motion = [np.hypot(c.pm_ra, c.pm_dec) for c in found]
    values["pm"] = _first_of(motion, members)
    values |= _distance_values(found, distances, members, flux, source)
    return values


def _distance_values(
    found: Sequence[Candidates],
    distances: Mapping[str, Distances],
    members: Int[np.ndarray, "B K"],
    flux: Float[np.ndarray, "N"] | None,
    source: Int[np.ndarray, "B"],
) -> dict[str, np.ndarray]:
    def spread(field: str) -> Float[np.ndarray, "B"]:
        by_catalogue = [
            getattr(distances[c.near.name], field)
            if c.near.name in distances
            else np.full(len(c.separation), np.nan)
            for c in found
        ]
        return _first_of(by_catalogue, members)

    made = {
        "distance": spread("middle"), "distance_lo": spread("low"), "distance_hi": spread("high")
    }  # fmt: skip
    if flux is not None:
        log_flux = np.log10(np.where(flux > 0, flux, np.nan))[source]
        made["log_luminosity"] = log_flux + 2 * np.log10(made["distance"]) + _LOG_PC2
    return made


def _at(values: np.ndarray, member: Int[np.ndarray, "B"], missing: float | str) -> np.ndarray:
    """The values of the members, `missing` where there is no member."""
    if not len(values):
        return np.full(len(member), missing)
    return np.where(member >= 0, values[np.maximum(member, 0)], missing)


def _first_of(
    by_catalogue: Sequence[Float[np.ndarray, "_"]], members: Int[np.ndarray, "B K"]
) -> Float[np.ndarray, "B"]:
    """The value in the first catalogue, in their order, that has one for its member."""
    result = np.full(len(members), np.nan)
    for k, values in enumerate(by_catalogue):
        result = np.where(np.isnan(result), _at(values, members[:, k], np.nan), result)
    return result
