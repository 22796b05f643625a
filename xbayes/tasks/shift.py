"""Say where a catalogue is unlike the training sample, and name the likeliest cause: another unit.

Only warnings follow from this; the posterior of a source depends on its own row.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import astropy.units as u
import numpy as np

from xbayes.catalog.columns import parse_unit
from xbayes.catalog.ranges import ValueRange
from xbayes.catalog.units import factor_between, units_option
from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.predict import Products
from xbayes.features.build import needed_columns
from xbayes.types import Features

MOST = 0.5  # share of the sources; the training sample has 0.1 outside its 5 % and 95 % quantiles
NEARLY_ALL = 0.9
MIN_SOURCES = 10
OUTLIER_P = 0.05
LEAST_RATIO = 5.0  # of medians; a smaller one is a difference between samples, not of units
_CLOSE = 0.3  # dex, the difference between samples that a unit may explain
_UNITS = (
    *("deg", "rad", "hourangle", "arcmin", "arcsec", "mas", "uas", "arcsec/yr", "mas/yr", "deg/yr"),
    *("erg/s/cm2", "W/m2", "mW/m2", "keV/s/cm2", "Jy", "mJy", "uJy", "nJy"),
    *("pc", "kpc", "Mpc", "lyr", "AU", "km", "m", "cm", "mm", "um", "nm", "Angstrom"),
    *("keV", "eV", "erg", "MK", "K", "s", "ks", "min", "h", "d", "yr", "Msun", "g", "mag", "mmag"),
)
_AT_1_KEV = u.spectral_density(1 * u.keV)


class Cause(NamedTuple):
    """A factor between a catalogue and the training catalogue, and the unit that explains it."""

    factor: float
    unit: str  # "": no unit explains it


class ShiftCheck:
    """Takes the features and results of every chunk; `messages` says what is unlike training."""

    def __init__(self, model: FittedModel) -> None:
        self._model = model
        self._ranges = model.trained_on.features
        self._names = list(model.config.features)
        self._measured = np.zeros(len(self._names), int)
        self._outside = np.zeros(len(self._names), int)
        self._n = self._n_outliers = 0

    def add(self, features: Features, products: Products) -> None:
        """Count the rows of a chunk outside the training range, and the outliers."""
        self._n += len(products.outlier_p)
        self._n_outliers += int((products.outlier_p < OUTLIER_P).sum())
        for f, name in enumerate(self._names):
            known = self._ranges.get(name)
            if known is not None:
                values = np.asarray(features.value)[np.asarray(features.measured)[:, f], f]
                self._measured[f] += len(values)
                # A hair wider, for rounding of units.
                slack = 1e-9 * max(abs(known.q05), abs(known.q95))
                outside = (values < known.q05 - slack) | (values > known.q95 + slack)
                self._outside[f] += int(outside.sum())

    def messages(self, ranges: Mapping[str, ValueRange], found: Mapping[str, str]) -> list[str]:
        """What is unlike the training sample, if that holds for most sources.

        Parameters
        ----------
        ranges
            The ranges of the columns of this catalogue, in the units of the run.
        found
            The units that its columns name.
        """
        shares = {
            name: self._outside[f] / self._measured[f]
            for f, name in enumerate(self._names)
            if self._measured[f] >= MIN_SOURCES and self._outside[f] > MOST * self._measured[f]
        }
        outliers = self._n >= MIN_SOURCES and self._n_outliers > MOST * self._n
        if not shares and not outliers:
            return []
        users = needed_columns(self._model.config)
        columns = [
            name for name, features in users.items() if not shares or set(features) & set(shares)
        ]
        units = self._model.units
        likely = causes(self._model.trained_on.columns, ranges, units, columns)
        parts = [f"{self._n_outliers} of {self._n} sources are outliers (outlier_p < {OUTLIER_P})"]
        parts = parts if outliers else []
        parts += [
            f"{share:.0%} of the sources lie outside the central 90 % of the training sample in "
            f"feature {name}"
            for name, share in shares.items()
        ]
        if not likely and not outliers:
            # Samples differ; without a factor that is no reason to doubt the units.
            pairs = zip(parts, shares.values(), strict=True)
            parts = [part for part, share in pairs if share > NEARLY_ALL]
            if not parts:
                return []
        return ["; ".join(parts) + ". " + _advice(likely, units, _differing(found, units))]


def causes(
    trained: Mapping[str, ValueRange],
    found: Mapping[str, ValueRange],
    units: Mapping[str, str],
    columns: Iterable[str],
) -> dict[str, Cause]:
    """The likeliest factor of each positive column whose median is far from that of training."""
    result = {}
    for name in columns:
        old, new = trained.get(name), found.get(name)
        if old is None or new is None or min(old.median, new.median) <= 0 or old.low < 0:
            continue
        ratio = new.median / old.median
        inside = old.q05 <= new.median <= old.q95
        if not inside and not 1 / LEAST_RATIO < ratio < LEAST_RATIO:
            result[name] = likeliest(ratio, units.get(name, ""))
    return result


def likeliest(ratio: float, unit: str) -> Cause:
    """The factor nearest to a ratio of medians: of a known unit, or else a power of ten.

    Parameters
    ----------
    ratio
        Values of the catalogue over values of the training catalogue.
    unit
        The unit of the training catalogue; "" if it is not known.
    """
    power = round(math.log10(ratio))
    best, error = Cause(factor=10.0**power, unit=""), abs(math.log10(ratio) - power)
    wanted = parse_unit(unit)
    for text in _UNITS if isinstance(wanted, u.UnitBase) else ():
        other = parse_unit(text)
        try:
            factor = float(np.real(u.Quantity(1.0, wanted).to_value(other, _AT_1_KEV)).item())
        except (u.UnitConversionError, TypeError, ValueError):
            continue
        distance = abs(math.log10(ratio / factor)) if factor > 0 else math.inf
        if distance <= _CLOSE and distance <= error + 0.05 and not math.isclose(factor, 1):
            best, error = Cause(factor=factor, unit=text), distance
    return best


def _differing(found: Mapping[str, str], units: Mapping[str, str]) -> dict[str, float]:
    """How many units of the run one unit of the file is, for columns whose units differ."""
    factors = {
        name: factor_between(parse_unit(found.get(name, "")), parse_unit(unit))
        for name, unit in units.items()
    }
    return {name: factor for name, factor in factors.items() if factor and factor != 1}


def _advice(
    likely: Mapping[str, Cause], units: Mapping[str, str], differing: Mapping[str, float]
) -> str:
    """What the likeliest cause is, and how to mend it; columns with one cause together."""
    if not likely:
        return (
            "No constant factor explains it: check the columns (stand-in numbers, kinds of "
            "magnitudes), or these are other kinds of source, which the run cannot judge"
        )
    by_cause: dict[tuple[Cause, float], list[str]] = {}
    for name, cause in likely.items():
        by_cause.setdefault((cause, differing.get(name, 1.0)), []).append(name)
    return "; ".join(_say(cause, names, units, own) for (cause, own), names in by_cause.items())


def _say(cause: Cause, names: Sequence[str], units: Mapping[str, str], own: float) -> str:
    """`own`: how many units of the run are the unit of the file, which was converted."""
    name, named = names[0], ", ".join(map(repr, names))
    text = f"The likeliest cause: the values of {named} are about {_short(cause.factor)} times "
    text += "those of the training catalogue"
    unit = units.get(name, "")
    if own != 1:
        # The unit that the option gives takes the place of that of the file.
        right = _scaled(own / cause.factor, unit)
        return (
            f"{text}, in {unit}, to which the unit of the file was converted; if that unit is "
            f"wrong, give the right one: {_options(names, right)}"
        )
    if cause.unit and factor_between(parse_unit(cause.unit), parse_unit(unit)) is None:
        return f"{text}, as {cause.unit} at 1 keV is to {unit}; convert them to {unit}"
    if cause.unit:
        return f"{text}, as {cause.unit} is to {unit}; give the unit: {_options(names, cause.unit)}"
    if unit:
        scaled = _scaled(1 / cause.factor, unit)
        return f"{text}, as in units of {scaled}; give the unit: {_options(names, scaled)}"
    return f"{text}; divide them by {_short(cause.factor)}"


def _options(names: Sequence[str], unit: str) -> str:
    options = " ".join(units_option(name, unit) for name in names)
    return f"{options} (in Python units={dict.fromkeys(names, unit)})"


def _scaled(factor: float, unit: str) -> str:
    """A multiple of a unit, as a unit."""
    return unit if math.isclose(factor, 1, rel_tol=0.01) else f"{_short(factor)} {unit}"


def _short(number: float) -> str:
    if 1e-3 <= number < 1e5:
        return f"{number:.3g}" if number < 1e3 else f"{number:.0f}"
    digits, exponent = f"{number:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(exponent)}"
