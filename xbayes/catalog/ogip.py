"""Spectra and light curves of detections, from FITS files as OGIP defines them.

Spectra: OGIP/92-007 (PHA), with the energies of EBOUNDS (RMF) or of the channels of the mission.
Light curves: OGIP/93-003 (RATE). Counts of the background are subtracted after scaling with areas
and exposures, with one BACKSCAL and AREASCAL a file, their medians over channels.
"""

from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.catalog.ogip_files import OgipTable, read_tables, table_with
from xbayes.errors import InputError

LEAST_COUNTS = 20  # of a bin of a spectrum
# Width of a channel in eV and the first channel, where a file does not say (SPECDELT of XMM does).
CHANNELS = {"EPN": (5.0, 0), "EMOS1": (5.0, 0), "EMOS2": (5.0, 0), "ACIS": (14.6, 1)}


class Spectrum(NamedTuple):
    """A spectrum in B bins; rates are background-subtracted and per unit of energy or channel."""

    low: Float[np.ndarray, "B"]  # lower end of a bin, in `unit`
    high: Float[np.ndarray, "B"]
    rate: Float[np.ndarray, "B"]  # in `rate_unit`
    error: Float[np.ndarray, "B"]  # standard error
    counts: Float[np.ndarray, "B"]  # of source and background
    background: Float[np.ndarray, "B"]  # expected counts of it; 0 without a background spectrum
    unit: Literal["keV", "channel"]
    rate_unit: str
    exposure: float  # s
    instrument: str
    has_background: bool


class LightCurve(NamedTuple):
    """A light curve in B bins."""

    time: Float[np.ndarray, "B"]  # s, of the middle of a bin after `start`
    half_width: Float[np.ndarray, "B"]  # s
    rate: Float[np.ndarray, "B"]  # counts/s
    error: Float[np.ndarray, "B"]  # standard error
    exposure: Float[np.ndarray, "B"]  # s, within the good time intervals
    start: float  # MJD, TT or as `time_system`; NaN if the file does not say
    time_system: str
    instrument: str
    unit: str = "counts/s"


def read_spectrum(
    path: Path,
    *,
    background: Path | None = None,
    response: Path | None = None,
    least_counts: int = LEAST_COUNTS,
    bins: int | None = None,
) -> Spectrum:
    """A PHA spectrum, rebinned and with its background subtracted.

    Bins are those of GROUPING if the file has it, else single channels. They are joined until each
    has `least_counts`, or into `bins` bins of equal counts. Channels of bad QUALITY are left out.
    The error of n counts is that of Gehrels (1986) for small n, 1 + sqrt(n + 0.75).

    Parameters
    ----------
    background
        The spectrum of the background; None: there is none.
    response
        The RMF, which gives the energies; None: EBOUNDS in the spectrum itself, or the energies of
        the instrument's channels if they are known, else channel numbers.

    Raises
    ------
    InputError
        If a file is no such spectrum, is too large or damaged.
    """
    own = _pha(path)
    behind = None if background is None else _pha(background)
    if behind is not None and background is not None and len(behind.counts) != len(own.counts):
        raise InputError(
            f"{background.name} has {len(behind.counts)} channels, but {path.name} has "
            f"{len(own.counts)}; they are not of one instrument"
        )
    energies = _energies(path, own, response)
    ratio = 0.0 if behind is None else _ratio(own, behind)
    group = _groups(own, least_counts, bins)
    n = np.bincount(group[group >= 0], own.counts[group >= 0])
    low = np.array([energies.low[group == g].min() for g in range(len(n))])
    high = np.array([energies.high[group == g].max() for g in range(len(n))])
    m = np.zeros(len(n)) if behind is None else _summed(behind.counts, group, len(n))
    variance = _error(n) ** 2 + (0 if behind is None else (ratio * _error(m)) ** 2)
    scale = own.exposure * own.area * (high - low)
    return Spectrum(
        low=low,
        high=high,
        rate=(n - ratio * m) / scale,
        error=np.sqrt(variance) / scale,
        counts=n,
        background=ratio * m,
        unit=energies.unit,
        rate_unit=f"counts/s/{energies.unit}",
        exposure=own.exposure,
        instrument=own.instrument,
        has_background=behind is not None,
    )


def read_light_curve(path: Path, *, bins: int | None = None) -> LightCurve:
    """A light curve; rates are as in the file, which for XMM-Newton has them corrected.

    Bins outside the good time intervals, and those without exposure, are left out.

    Parameters
    ----------
    bins
        The largest number of bins; neighbours are averaged by exposure. None: those of the file.

    Raises
    ------
    InputError
        If the file is no such light curve, is too large or damaged.
    """
    tables = read_tables(path)
    curve = _curve(table_with(tables, path, "RATE", "TIME", ("RATE", "COUNTS")))
    inside = _good(tables, curve.time, curve.width)
    keep = np.isfinite(curve.rate) & np.isfinite(curve.error) & (curve.width * inside > 0)
    if not keep.any():
        raise InputError(f"{path.name}: no bin has a rate inside the good time intervals")
    time, width, rate, error = (a[keep] for a in curve[:4])
    exposure = width * np.minimum(inside[keep], curve.fraction[keep])
    if bins is not None and len(time) > bins:
        part = (np.arange(len(time)) * bins) // len(time)
        low = np.minimum.reduceat(time - width / 2, np.flatnonzero(np.diff(part, prepend=-1)))
        high = np.maximum.reduceat(time + width / 2, np.flatnonzero(np.diff(part, prepend=-1)))
        total = np.bincount(part, exposure)
        rate = np.bincount(part, exposure * rate) / total
        error = np.sqrt(np.bincount(part, (exposure * error) ** 2)) / total
        time, width, exposure = (low + high) / 2, high - low, total
    first = float(time[0] - width[0] / 2)
    return LightCurve(
        time=time - first,
        half_width=width / 2,
        rate=rate,
        error=error,
        exposure=exposure,
        start=curve.mjd_of_zero + (curve.zero + first) / 86400.0,
        time_system=curve.time_system,
        instrument=curve.instrument,
    )


class _Pha(NamedTuple):
    """The columns of a spectrum, one value a channel."""

    channel: Int[np.ndarray, "B"]
    counts: Float[np.ndarray, "B"]
    starts: Bool[np.ndarray, "B"] | None  # of a group; None without GROUPING
    good: Bool[np.ndarray, "B"]
    exposure: float
    area: float  # AREASCAL
    region: float  # BACKSCAL
    instrument: str
    channel_ev: float  # width of a channel; 0 if the file does not say


class _Energies(NamedTuple):
    low: Float[np.ndarray, "B"]
    high: Float[np.ndarray, "B"]
    unit: Literal["keV", "channel"]


def _pha(path: Path) -> _Pha:
    table = table_with(read_tables(path), path, "SPECTRUM", "CHANNEL", ("COUNTS", "RATE"))
    exposure = table.number("EXPOSURE", 0.0)
    if not exposure > 0:
        raise InputError(f"{path.name} needs a positive EXPOSURE")
    columns = table.columns
    counts = columns["COUNTS"] if "COUNTS" in columns else columns["RATE"] * exposure
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise InputError(f"{path.name}: counts must be numbers that are not negative")
    grouping = columns.get("GROUPING")
    return _Pha(
        channel=columns["CHANNEL"].astype(int),
        counts=counts,
        starts=None if grouping is None else grouping >= 0,
        good=table.column("QUALITY", 0.0) == 0,
        exposure=exposure,
        area=float(np.median(table.column("AREASCAL", 1.0))),
        region=float(np.median(table.column("BACKSCAL", 1.0))),
        instrument=table.instrument,
        channel_ev=table.number("SPECDELT", 0.0),
    )


def _ratio(own: _Pha, behind: _Pha) -> float:
    """The factor from counts of the background spectrum to those expected in the source region."""
    scales = (own.area, own.region, behind.area, behind.region)
    if not all(np.isfinite(scale) and scale > 0 for scale in scales):
        raise InputError("BACKSCAL and AREASCAL of spectrum and background must be above 0")
    of_own = own.exposure * own.area * own.region
    return of_own / (behind.exposure * behind.area * behind.region)


def _energies(path: Path, own: _Pha, response: Path | None) -> _Energies:
    for each in (response, path):
        bounds = None if each is None else _bounds(each, own.channel)
        if bounds is not None:
            return _Energies(low=bounds[0], high=bounds[1], unit="keV")
        if each is not None and each is response:
            raise InputError(f"{each.name} has no energies of the channels of {path.name}")
    for name, (usual, first) in CHANNELS.items():
        if own.instrument.upper().endswith(name):
            width = own.channel_ev or usual
            low = (own.channel - first) * width / 1000
            return _Energies(low=low, high=low + width / 1000, unit="keV")
    channel = own.channel.astype(float)
    return _Energies(low=channel - 0.5, high=channel + 0.5, unit="channel")


def _bounds(path: Path, channel: Int[np.ndarray, "B"]) -> tuple[np.ndarray, np.ndarray] | None:
    """The energies of these channels in the table EBOUNDS of a file; None if it has not all."""
    for table in read_tables(path):
        if not {"CHANNEL", "E_MIN", "E_MAX"} <= {*table.columns}:
            continue
        known = {int(c): row for row, c in enumerate(table.columns["CHANNEL"])}
        if all(c in known for c in channel.tolist()):
            rows = np.array([known[c] for c in channel.tolist()])
            return table.columns["E_MIN"][rows], table.columns["E_MAX"][rows]
    return None


def _groups(own: _Pha, least_counts: int, bins: int | None) -> Int[np.ndarray, "B"]:
    """The number of the bin of each channel; -1 where it is left out."""
    starts = own.good.copy() if own.starts is None else own.starts & own.good
    good = np.flatnonzero(own.good)
    if not len(good):
        raise InputError("the spectrum needs a channel of good quality (QUALITY 0)")
    least = float(least_counts)
    if bins is not None:
        least = max(own.counts[good].sum() / bins, 1.0)
    group, number, n = np.full(len(own.counts), -1), 0, 0.0
    previous = int(good[0])
    for k in good.tolist():
        # A bin ends where it has enough counts and a group begins, and before a gap.
        if k != good[0] and ((n >= least and starts[k]) or (k != previous + 1 and n > 0)):
            number, n = number + 1, 0.0
        group[k], n, previous = number, n + own.counts[k], k
    if n < least and number and (group == number - 1).any():
        # What is left over at the end has too few counts; it belongs to the bin before.
        last = np.flatnonzero(group == number)
        if group[last[0] - 1] == number - 1:
            group[last] = number - 1
    return group


def _summed(counts: np.ndarray, group: np.ndarray, size: int) -> np.ndarray:
    return np.bincount(group[group >= 0], counts[group >= 0], minlength=size)


def _error(n: Float[np.ndarray, "B"]) -> Float[np.ndarray, "B"]:
    """The standard error of n counts; Gehrels's upper one where n is small."""
    return np.where(n < LEAST_COUNTS, 1 + np.sqrt(n + 0.75), np.sqrt(n))


class _Curve(NamedTuple):
    time: Float[np.ndarray, "B"]  # middle, s after `zero`
    width: Float[np.ndarray, "B"]
    rate: Float[np.ndarray, "B"]
    error: Float[np.ndarray, "B"]
    fraction: Float[np.ndarray, "B"]  # exposed share of a bin
    zero: float  # TIMEZERO
    mjd_of_zero: float
    time_system: str
    instrument: str


def _curve(table: OgipTable) -> _Curve:
    columns, time = table.columns, table.columns["TIME"]
    step = float(np.median(np.diff(time))) if len(time) > 1 else 1.0
    width, fraction = table.column("TIMEDEL", step), np.clip(table.column("FRACEXP", 1.0), 0, 1)
    exposure = width * fraction
    with np.errstate(all="ignore"):
        if "RATE" in columns:
            rate, counts, unit = columns["RATE"], columns["RATE"] * exposure, 1.0
        else:
            rate, counts, unit = columns["COUNTS"] / exposure, columns["COUNTS"], exposure
        error = _of_counts(np.maximum(counts, 0), exposure)
        if "ERROR" in columns:
            error = columns["ERROR"] / unit
    # TIMEPIXR: whether TIME is the start (0) or the middle (0.5) of a bin.
    whole = table.number("MJDREFI", np.nan) + table.number("MJDREFF", 0.0)
    return _Curve(
        time=time + (0.5 - table.number("TIMEPIXR", 0.5)) * width,
        width=width,
        rate=rate,
        error=error,
        fraction=fraction,
        zero=table.number("TIMEZERO", 0.0),
        mjd_of_zero=table.number("MJDREF", whole),
        time_system=table.text("TIMESYS"),
        instrument=table.instrument,
    )


def _of_counts(counts: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    return _error(counts) / exposure


def _good(tables: list[OgipTable], time: np.ndarray, width: np.ndarray) -> Float[np.ndarray, "B"]:
    """The share of each bin within the good time intervals; 1 if the file has none."""
    found = next(
        (t.columns for t in tables if "GTI" in t.name and {"START", "STOP"} <= {*t.columns}), None
    )
    if found is None:
        return np.ones(len(time))
    low, high, covered = time - width / 2, time + width / 2, np.zeros(len(time))
    for start, stop in zip(found["START"], found["STOP"], strict=True):
        covered += np.clip(np.minimum(high, stop) - np.maximum(low, start), 0.0, None)
    return np.clip(covered / np.where(width > 0, width, np.inf), 0.0, 1.0)


def companions(path: Path) -> tuple[str, str]:
    """The names of background and response that a spectrum gives, without folders; else empty."""
    table = table_with(read_tables(path), path, "SPECTRUM", "CHANNEL", ("COUNTS", "RATE"))
    # A header is text of others: only a name in the same folder counts.
    given = (table.text(key).replace("\\", "/") for key in ("BACKFILE", "RESPFILE"))
    background, response = (PurePosixPath(name).name for name in given)
    none = ("none", "..", ".")
    return (
        "" if background.lower() in none else background,
        "" if response.lower() in none else response,
    )
