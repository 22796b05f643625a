"""Catalogues of simulated sources with known classes, and of their detections.

`subclasses` draws what each source is, `sky` where it is, `spectra` its X-rays, `counterparts` its
optical and infrared magnitudes, and `variability` its variability. The distributions follow
published facts and fits to real sources, so that classes are as hard to separate as in reality.
"""

from difflib import get_close_matches
from zlib import crc32

import numpy as np
from astropy.table import MaskedColumn, Table
from jaxtyping import Int

from xbayes.catalog.columns import plain_columns
from xbayes.errors import InputError
from xbayes.simulate.counterparts import draw_counterparts
from xbayes.simulate.detections import draw_detections
from xbayes.simulate.hosts import draw_galaxies, draw_host_sources, host_columns
from xbayes.simulate.sky import Place, draw_places, equatorial, extinction
from xbayes.simulate.spectra import BANDS, Brightness, draw_brightness, draw_spectra
from xbayes.simulate.subclasses import CLASSES, draw_subclasses, stream
from xbayes.simulate.variability import draw_variability

PROPORTIONS = (0.62, 0.28, 0.07, 0.03)
MAX_SOURCES = 100_000_000
# Sources per class: the samples of 4XMM-DR10 and 2SXPS scored by Tranin et al. 2022, and Chandra
# sources of known class.
PRESETS = {
    "4xmm": (18380, 6295, 535, 250),
    "2sxps": (20115, 5078, 347, 319),
    "csc": (1197, 965, 74, 34),
}
_FLUX = "erg / (s cm2)"
_MAG = {
    "g": ("G", "em.opt"), "j": ("J", "em.IR.J"), "h": ("H", "em.IR.H"), "k": ("K", "em.IR.K"),
    "w1": ("W1", "em.IR.3-4um"), "w2": ("W2", "em.IR.4-8um"), "w3": ("W3", "em.IR.8-15um"),
}  # fmt: skip
# Unit, description and UCD of each column, in the order of the table.
_COLUMNS: dict[str, tuple[str | None, str, str]] = {
    "name": (None, "source name", "meta.id;meta.main"),
    "ra": ("deg", "right ascension, ICRS", "pos.eq.ra;meta.main"),
    "dec": ("deg", "declination, ICRS", "pos.eq.dec;meta.main"),
    "e_pos": ("arcsec", "1 sigma error of the position", "stat.error;pos.eq"),
    "Class": (None, "true class", "src.class"),
    "release": (None, "release the row comes from", "meta.version"),
    "n_detections": (None, "number of detections", "meta.number;obs"),
    "significance": (None, "signal to noise ratio of the detection", "stat.snr"),
}
for _band, (_low, _high) in BANDS.items():
    _text = f"energy flux, {_low}-{_high} keV"
    _COLUMNS[f"flux_{_band}"] = (_FLUX, _text, f"phot.flux;em.X-ray.{_band}")
    _COLUMNS[f"e_flux_{_band}"] = (_FLUX, f"1 sigma error of flux_{_band}", "stat.error;phot.flux")
_COLUMNS["gamma"] = (None, "photon index of a power law", "spect.index;em.X-ray")
_COLUMNS["e_gamma"] = (None, "1 sigma error of gamma", "stat.error;spect.index")
for _band, (_text, _ucd) in _MAG.items():
    _COLUMNS[f"{_band}_mag"] = ("mag", f"{_text} magnitude, Vega", f"phot.mag;{_ucd}")
_COLUMNS |= {
    "bp_rp": ("mag", "colour BP - RP", "phot.color;em.opt"),
    "parallax_snr": (None, "parallax over its error", "stat.snr;pos.parallax"),
    "pm": ("mas / yr", "proper motion", "pos.pm"),
    "distance": ("pc", "geometric distance", "pos.distance"),
    "p_any": (None, "probability of any counterpart, 0 without", "stat.probability"),
}
for _name, _where in (("intra", "within"), ("inter", "between")):
    _text = f"probability of variability {_where} observations"
    _COLUMNS[f"var_{_name}_prob"] = (None, _text, "stat.probability;src.var")
# Further columns, with hosts.
_HOST_COLUMNS: dict[str, tuple[str | None, str, str]] = {
    "host": (None, "galaxy whose ellipse, 1.26 times D25, holds the source", "meta.id.assoc"),
    "host_sep": (None, "separation from its centre over the D25 radius there", "pos.angDistance"),
    "host_distance": ("Mpc", "distance of the host", "pos.distance"),
    "host_area": ("deg2", "area of its ellipse, 1.26 times D25", "phys.angArea"),
    "host_log_mass": (None, "log10 of its stellar mass in solar masses", "phys.mass"),
    "host_sfr": ("solMass / yr", "star formation rate of the host", "phys.SFR"),
    "host_log_lx": (None, "log10 of the luminosity at its distance, erg/s", "phys.luminosity"),
    "extent": ("arcsec", "extent of the source, 0: a point", "phys.angSize"),
}  # fmt: skip
_PER_GALAXY, _PER_CLUSTER = 40, 15  # field sources for each nearby galaxy, and each cluster
N_SOURCES = 3000  # simulated if no number is given
_DETECTION_COLUMNS: dict[str, tuple[str | None, str, str]] = {
    "detection_id": (None, "number of the detection", "meta.id;meta.main"),
    "name": _COLUMNS["name"],
    "Class": _COLUMNS["Class"],
    "flux": (_FLUX, "energy flux, 0.5-7 keV", "phot.flux;em.X-ray"),
    "e_flux": (_FLUX, "1 sigma error of flux", "stat.error;phot.flux"),
    "hard_ms": (None, "hardness ratio (M - S) / (M + S)", "phot.color;em.X-ray"),
    "hard_hm": (None, "hardness ratio (H - M) / (H + M)", "phot.color;em.X-ray"),
    "hard_hs": (None, "hardness ratio (H - S) / (H + S)", "phot.color;em.X-ray"),
    "var_prob": (None, "probability of variability in the observation", "stat.probability;src.var"),
}


def simulate(
    n: int | None = None, *, seed: int = 1, preset: str | None = None, hosts: bool = False
) -> Table:
    """A table of simulated, labelled sources, one row each.

    Parameters
    ----------
    n
        The number of sources; 3000 without `preset`.
    seed
        Seed of the random numbers. The same seed gives the same table.
    preset
        The class counts of a published sample instead of `n`: "4xmm", "2sxps" or "csc".
    hosts
        Add nearby galaxies with the sources inside them (active nuclei, XRB, soft sources, AGN
        behind them) and extended sources, as further rows after the `n` others, and columns of
        the host galaxy. The `n` rows stay the same.

    Raises
    ------
    InputError
        For `n` outside 1 to 100 million, an unknown preset, `n` and `preset` together, or a
        negative seed.

    Examples
    --------
    >>> sky = xbayes.simulate(100, seed=2)
    >>> len(sky), str(sky["ra"].unit)
    (100, 'deg')
    """
    number = N_SOURCES if n is None and preset is None else n
    return plain_columns(simulate_catalog(number, seed, preset, hosts=hosts))


def simulate_catalog(
    n: int | None = None, seed: int = 1, preset: str | None = None, *, hosts: bool = False
) -> Table:
    """Labelled sources, one row each: n of them, or the class counts of a preset.

    Magnitudes are missing beyond the limit of their survey and where there is no counterpart,
    photon indices for faint sources, and variability between observations for sources observed
    once and for release 1. The same seed gives the same table. `hosts` is as of `simulate`.

    Raises
    ------
    InputError
        Unless exactly one of n (1 to 100 million) and a known preset is given, and the seed is
        not negative.
    """
    _check_seed(seed)
    label = _draw_labels(n, seed) if preset is None else _preset_labels(n, seed, preset)
    size = len(label)
    release = stream(seed, "release").integers(1, 3, size=size)
    subclass = draw_subclasses(label, seed)
    brightness = draw_brightness(subclass, seed)
    place = draw_places(subclass, brightness.log_flux, seed)
    dust = extinction(place)
    columns: dict[str, np.ndarray] = {
        "name": _names(size),
        "Class": np.array(CLASSES)[label],
        "release": release,
    }
    columns["ra"], columns["dec"] = equatorial(place)
    columns |= draw_spectra(subclass, brightness, dust, seed)
    columns |= draw_counterparts(subclass, brightness.log_flux, place, dust, seed)
    columns |= draw_variability(subclass, columns["significance"], release, seed)
    if hosts:
        columns, place = _with_host_sources(columns, place, seed)
        galaxies = draw_galaxies(max(10, size // _PER_GALAXY), seed)
        flux = sum(columns[f"flux_{band}"] for band in BANDS)
        columns |= host_columns(galaxies, place, np.asarray(flux))
    return _table(columns, _COLUMNS | (_HOST_COLUMNS if hosts else {}))


def _with_host_sources(
    columns: dict[str, np.ndarray], place: Place, seed: int
) -> tuple[dict[str, np.ndarray], Place]:
    """The columns and places, followed by those of the sources in galaxies and of clusters."""
    size = len(columns["name"])
    galaxies = draw_galaxies(max(10, size // _PER_GALAXY), seed)
    drawn = draw_host_sources(galaxies, max(10, size // _PER_CLUSTER), seed)
    own, number = crc32(f"hosts {seed}".encode()), len(drawn.label)  # other random numbers
    dust = extinction(drawn.place)
    release = stream(own, "release").integers(1, 3, size=number)
    more: dict[str, np.ndarray] = {"Class": drawn.label, "release": release}
    more["ra"], more["dec"] = equatorial(drawn.place)
    brightness = Brightness(log_flux=drawn.log_flux, log_limit=drawn.log_limit)
    more |= draw_spectra(drawn.subclass, brightness, dust, own)
    found = draw_counterparts(drawn.subclass, drawn.log_flux, drawn.place, dust, own)
    for name, values in found.items():
        more[name] = np.where(drawn.has_counterpart, values, 0.0 if name == "p_any" else np.nan)
    more |= draw_variability(drawn.subclass, more["significance"], release, own)
    more["extent"], columns["extent"] = drawn.extent, np.zeros(size)
    joined = {n: np.concatenate([columns[n], more[n]]) for n in more}
    places = (np.concatenate(pair) for pair in zip(place, drawn.place, strict=True))
    return {"name": _names(size + number), **joined}, Place._make(places)


def simulate_detections(catalog: Table, seed: int) -> Table:
    """The detections of simulated sources, one row each, `n_detections` per source.

    Flux, hardness ratios (hard - soft) / (hard + soft) and variability scatter around the values
    of the source. Each source has its own scatter and its own systematic offset.
    Raises InputError for a negative seed.
    """
    _check_seed(seed)
    return _table(draw_detections(catalog, seed), _DETECTION_COLUMNS)


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise InputError(f"the seed must not be negative; found {seed}")


def _draw_labels(n: int | None, seed: int) -> Int[np.ndarray, "N"]:
    if n is None:
        raise InputError("nothing to simulate; give a number of sources or a preset")
    if not 1 <= n <= MAX_SOURCES:
        raise InputError(f"the number of sources must be from 1 to {MAX_SOURCES}; found {n}")
    return stream(seed, "class").choice(len(CLASSES), size=n, p=PROPORTIONS)


def _preset_labels(n: int | None, seed: int, preset: str) -> Int[np.ndarray, "N"]:
    if preset not in PRESETS:
        close = get_close_matches(preset.lower(), PRESETS, n=1, cutoff=0.3)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise InputError(f"unknown preset '{preset}'; {hint}choose one of {', '.join(PRESETS)}")
    if n is not None:
        total = sum(PRESETS[preset])
        raise InputError(
            f"preset '{preset}' has its own number of sources, {total}; "
            f"found a number of {n} as well; give only one of them"
        )
    label = np.repeat(np.arange(len(CLASSES)), PRESETS[preset])
    return stream(seed, "class").permutation(label)


def _names(size: int) -> np.ndarray:
    width = max(6, len(str(size)))
    return np.array([f"SIM {number:0{width}d}" for number in range(1, size + 1)])


def _table(
    columns: dict[str, np.ndarray], described: dict[str, tuple[str | None, str, str]]
) -> Table:
    masked = []
    for name, (unit, description, ucd) in described.items():
        values = columns[name]
        missing = np.isnan(values) if values.dtype.kind == "f" else values == ""
        masked.append(
            MaskedColumn(
                values, name, mask=missing, unit=unit, description=description, meta={"ucd": ucd}
            )
        )
    return Table(masked, masked=True, copy=False)
