"""A first simulated catalogue of four overlapping classes, with known truth.

Round numbers, no survey's, chosen so that the classes overlap about as much as real ones do.
"""

from typing import Any, NamedTuple

import numpy as np
from astropy.table import MaskedColumn, Table
from jaxtyping import Float, Int

from xbayes.catalog.columns import masked_column
from xbayes.types import InputError

CLASSES = ("AGN", "Star", "XRB", "CV")
PROPORTIONS = (0.62, 0.28, 0.07, 0.03)
MAX_SOURCES = 100_000_000
_FLUX_LIMIT = 2e-15  # erg/s/cm2, of the broad band


class _Look(NamedTuple):
    """Mean and scatter of what a class shows; magnitudes and colours are Vega."""

    latitude: float  # scale of galactic latitude in degrees; 0 for isotropic
    log_flux: tuple[float, float]
    gamma: tuple[float, float]
    log_fx_fo: tuple[float, float]  # X-ray over optical flux
    g_j: tuple[float, float]
    j_k: tuple[float, float]
    k_w1: tuple[float, float]
    w1_w2: tuple[float, float]
    counterpart: float  # probability
    log_parallax: tuple[float, float]  # of parallax over error
    variable: tuple[float, float]  # probability to vary within and between observations


_LOOKS = (
    _Look(0, (-13.5, 0.5), (1.8, 0.4), (0.1, 0.5), (2.3, 0.7), (1.3, 0.4), (1.5, 0.5), (0.9, 0.25),
          0.95, (-0.3, 0.4), (0.12, 0.4)),
    _Look(12, (-13.8, 0.5), (2.9, 0.7), (-2.6, 0.7), (2.2, 0.8), (0.8, 0.2), (0.2, 0.3),
          (0.0, 0.12), 0.99, (1.7, 0.6), (0.35, 0.45)),
    _Look(5, (-12.5, 0.8), (1.4, 0.6), (0.5, 1.4), (1.7, 0.9), (0.6, 0.4), (0.4, 0.5), (0.1, 0.25),
          0.45, (0.4, 0.6), (0.65, 0.85)),
    _Look(15, (-13.2, 0.6), (1.5, 0.5), (-0.3, 0.6), (1.6, 0.7), (0.7, 0.3), (0.4, 0.4),
          (0.2, 0.2), 0.9, (0.9, 0.5), (0.45, 0.6)),
)  # fmt: skip
_LIMITS = {"g_mag": 21.0, "j_mag": 17.0, "k_mag": 15.5, "w1_mag": 17.5, "w2_mag": 16.5}
_BANDS = {"soft": (0.5, 1.2), "medium": (1.2, 2.0), "hard": (2.0, 7.0)}  # keV
_FLUX = "erg / (s cm2)"


def simulate_catalog(n: int, seed: int) -> Table:
    """N labelled sources, one row each; the same seed gives the same table.

    A magnitude is missing beyond the limit of its survey and where there is no counterpart, the
    parallax where there is no G magnitude, the photon index of faint sources, and the variability
    between observations of sources observed once. Release 1 never measured that last one.
    Raises InputError unless n is from 1 to 100 million.
    """
    if not 1 <= n <= MAX_SOURCES:
        raise InputError(f"the number of sources must be from 1 to {MAX_SOURCES}; found {n}")
    rng = np.random.default_rng(seed)
    label = rng.choice(len(CLASSES), size=n, p=PROPORTIONS)
    release = rng.integers(1, 3, size=n)
    table = Table(masked=True)
    numbers = np.char.zfill(np.arange(1, n + 1).astype(str), 6)
    _add(table, "name", np.char.add("SIM ", numbers), None, "source name", "meta.id;meta.main")
    _add_position(table, label, rng)
    _add(table, "Class", np.array(CLASSES)[label], None, "true class", "src.class")
    _add(table, "release", release, None, "release the row comes from", "meta.version")
    log_flux = _add_spectrum(table, label, rng)
    _add_counterpart(table, label, log_flux, rng)
    _add_variability(table, label, release, log_flux, rng)
    return table


def _add(
    table: Table, name: str, values: np.ndarray, unit: str | None, description: str, ucd: str
) -> None:
    missing = np.isnan(values) if values.dtype.kind == "f" else False
    meta = {"ucd": ucd}
    table[name] = MaskedColumn(values, mask=missing, unit=unit, description=description, meta=meta)


def _draw(
    what: str, label: Int[np.ndarray, "N"], rng: np.random.Generator
) -> Float[np.ndarray, "N"]:
    mean, scatter = np.array([getattr(look, what) for look in _LOOKS])[label].T
    return rng.normal(mean, scatter)


def _add_position(table: Table, label: Int[np.ndarray, "N"], rng: np.random.Generator) -> None:
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    n = len(label)
    scale = np.array([look.latitude for look in _LOOKS])[label]
    isotropic = np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    in_disc = np.clip(rng.laplace(0, np.maximum(scale, 1)), -90, 90)
    latitude = np.where(scale > 0, in_disc, isotropic)
    longitude = rng.uniform(0, 360, n)
    place: Any = SkyCoord(longitude * u.deg, latitude * u.deg, frame="galactic").icrs
    _add(table, "ra", place.ra.deg, "deg", "right ascension, ICRS", "pos.eq.ra;meta.main")
    _add(table, "dec", place.dec.deg, "deg", "declination, ICRS", "pos.eq.dec;meta.main")


def _add_spectrum(
    table: Table, label: Int[np.ndarray, "N"], rng: np.random.Generator
) -> Float[np.ndarray, "N"]:
    """Add fluxes of a power law and the fitted photon index; the log10 of the true flux."""
    log_flux = np.maximum(_draw("log_flux", label, rng), np.log10(_FLUX_LIMIT))
    gamma = np.clip(_draw("gamma", label, rng), -0.5, 6)
    # Nobody has an index of exactly 2, where the integral would be a logarithm.
    power = 2 - gamma[:, None]
    edges = np.array(list(_BANDS.values()))  # [3, 2]
    energy = (edges[:, 1] ** power - edges[:, 0] ** power) / power  # [N, 3]
    true = 10 ** log_flux[:, None] * energy / energy.sum(axis=1, keepdims=True)
    error = np.sqrt((0.08 * true) ** 2 + (0.1 * true * _FLUX_LIMIT) + (0.3 * _FLUX_LIMIT) ** 2)
    flux = np.abs(rng.normal(true, error))
    for index, (band, (low, high)) in enumerate(_BANDS.items()):
        text = f"energy flux, {low}-{high} keV"
        _add(table, f"flux_{band}", flux[:, index], _FLUX, text, f"phot.flux;em.X-ray.{band}")
        text = f"1 sigma error of flux_{band}"
        _add(table, f"e_flux_{band}", error[:, index], _FLUX, text, "stat.error;phot.flux")
    scatter = 0.25 * (10 ** (log_flux + 13.5)) ** -0.3
    fitted = np.where(log_flux > -13.9, rng.normal(gamma, scatter), np.nan)
    _add(table, "gamma", fitted, None, "photon index of a power law", "spect.index;em.X-ray")
    return log_flux


def _add_counterpart(
    table: Table,
    label: Int[np.ndarray, "N"],
    log_flux: Float[np.ndarray, "N"],
    rng: np.random.Generator,
) -> None:
    # log10(fx/fo) = log10(fx) + g/2.5 + 5.37
    g_mag = 2.5 * (_draw("log_fx_fo", label, rng) - log_flux - 5.37)
    colours = [_draw(colour, label, rng) for colour in ("g_j", "j_k", "k_w1", "w1_w2")]
    found = rng.random(len(label)) < np.array([look.counterpart for look in _LOOKS])[label]
    # Each band is fainter than the next by a colour.
    magnitudes = g_mag - np.cumsum([np.zeros_like(g_mag), *colours], axis=0)
    for name, magnitude in zip(_LIMITS, magnitudes, strict=True):
        band = name.removesuffix("_mag").upper()
        seen = np.where(found & (magnitude < _LIMITS[name]), magnitude, np.nan)
        domain = "em.opt" if band == "G" else "em.IR"
        _add(table, name, seen, "mag", f"{band} magnitude, Vega", f"phot.mag;{domain}")
    parallax = 10 ** (_draw("log_parallax", label, rng) - 0.15 * (g_mag - 16))
    parallax = np.where(masked_column(table, "g_mag").mask, np.nan, parallax)
    parallax += rng.normal(0, 1, len(label))
    _add(table, "parallax_snr", parallax, None, "parallax over its error", "stat.snr;pos.parallax")


def _add_variability(
    table: Table,
    label: Int[np.ndarray, "N"],
    release: Int[np.ndarray, "N"],
    log_flux: Float[np.ndarray, "N"],
    rng: np.random.Generator,
) -> None:
    n = len(label)
    within, between = np.array([look.variable for look in _LOOKS])[label].T
    # Variability shows in bright sources; where it does not, its probability is uniform.
    power = 1 / (1 + np.exp(-2.5 * (log_flux + 13.6)))
    once = rng.random(n) < 0.4
    for name, where, share in (("intra", "within", within), ("inter", "between", between)):
        shows = rng.random(n) < share * power
        value = np.where(shows, 1 - rng.beta(0.4, 6, n), rng.beta(0.8, 1.2, n))
        if name == "inter":
            value[once | (release == 1)] = np.nan
        text = f"probability of variability {where} observations"
        _add(table, f"var_{name}_prob", value, None, text, "stat.probability;src.var")


def simulate_detections(catalog: Table, seed: int) -> Table:
    """The detections of simulated sources, one row each, one or more a source.

    Hardness ratios (hard - soft) / (hard + soft) of two bands follow from the scattered fluxes.
    """
    rng = np.random.default_rng(seed)
    source = np.repeat(np.arange(len(catalog)), rng.geometric(0.4, size=len(catalog)))
    bands = [np.asarray(catalog[f"flux_{band}"], dtype=float)[source] for band in _BANDS]
    flux = np.stack(bands, axis=1)  # [D, 3]
    # One factor a detection is the source's own variability, one a band is noise.
    flux = flux * 10 ** rng.normal(0, 0.1, (len(source), 1)) * 10 ** rng.normal(0, 0.08, flux.shape)
    table = Table(masked=True)
    _add(table, "detection_id", np.arange(1, len(source) + 1), None, "number", "meta.id;meta.main")
    for name in ("name", "Class"):
        column = masked_column(catalog, name)
        table[name] = column[source]
    _add(table, "flux", flux.sum(axis=1), _FLUX, "energy flux, 0.5-7 keV", "phot.flux;em.X-ray")
    for name, low, high in (("hard_ms", 0, 1), ("hard_hm", 1, 2), ("hard_hs", 0, 2)):
        ratio = (flux[:, high] - flux[:, low]) / (flux[:, high] + flux[:, low])
        _add(table, name, ratio, None, "hardness ratio", "phot.color;em.X-ray")
    odds = np.asarray(catalog["var_intra_prob"], dtype=float)[source]
    variability = np.clip(rng.normal(odds, 0.1), 0, 1)
    text = "probability of variability in the observation"
    _add(table, "var_prob", variability, None, text, "stat.probability;src.var")
    return table
