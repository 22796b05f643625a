"""Units in expressions: values of different units are converted before they are combined.

A unit is followed as long as it is certain. A bare number in a sum or a comparison is in the unit
of the other values. In a product it may be a conversion factor, as in `ra * 180 / pi`, so the unit
of the product is unknown. Values of unknown unit are taken as they stand.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import astropy.units as u
import numpy as np
from jaxtyping import Float

from xbayes.catalog.columns import parse_unit
from xbayes.catalog.units import Unit, angle_to, factor_between, is_certain
from xbayes.errors import InputError
from xbayes.features.values import Value

# How a function treats the units of its arguments, and what unit its result has.
Rule = Literal[
    "none",  # the result has no unit
    "keep",  # that of the only argument
    "same",  # the arguments are converted to the unit of the first that has one
    "same_branches",  # the same, after a condition
    "ratio",  # the same, and the result has no unit
    "product",
    "quotient",
    "power",
    "root",
    "logarithm",
    "sky",  # right ascension and declination, converted to degrees; the result is in degrees
]


def with_common_units(
    rule: Rule, args: Sequence[Value], places: Sequence[str], place: str
) -> tuple[list[Value], Unit]:
    """The arguments of a function in the units that it needs, and the unit of its result.

    Parameters
    ----------
    rule
        How the function treats units.
    args
        The arguments.
    places
        Position and text of each argument in the expression, for messages.
    place
        Position and text of the function.

    Raises
    ------
    InputError
        If values whose units do not convert into each other are added or compared.
    """
    if not any(arg.unit is not None for arg in args):
        return list(args), u.deg if rule == "sky" else None
    match rule:
        case "same" | "ratio":
            converted, unit = _same(args, places, place)
            return converted, unit if rule == "same" else None
        case "same_branches":
            converted, unit = _same(args[1:], places[1:], place)
            return [args[0], *converted], unit
        case "quotient":
            return _quotient(args)
        case "sky":
            return _in_degrees(args, places), u.deg
    return list(args), _result(rule, args)


def _result(rule: Rule, args: Sequence[Value]) -> Unit:
    """The unit of the result of a function that needs no common unit."""
    first = args[0].unit
    if first is None or rule == "none":
        return None
    if rule == "keep":
        return first if is_certain(first) else None
    if _is_logarithmic(first):
        return None
    if rule == "logarithm":
        return u.dex(first)
    if rule == "product":
        second = args[1].unit
        return None if second is None or _is_logarithmic(second) else first * second
    exponent = 0.5 if rule == "root" else _constant_exponent(args[1])
    return None if exponent is None else first**exponent


def _same(args: Sequence[Value], places: Sequence[str], place: str) -> tuple[list[Value], Unit]:
    """The arguments in the unit of the first that has one; those without a unit as they stand."""
    known = [index for index, arg in enumerate(args) if _adds(arg.unit)]
    if not known:
        return list(args), None
    first = known[0]
    wanted, converted = args[first].unit, list(args)
    for index in known[1:]:
        factor = factor_between(args[index].unit, wanted)
        if factor is None:
            raise InputError(
                f"{place}: {_shown(places[first])} is in {wanted}, but {_shown(places[index])} is "
                f"in {args[index].unit}, and the units do not convert into each other; correct the "
                "expression, or the units of the columns (in the file, or under catalog.units)"
            )
        converted[index] = _scaled(args[index], factor)
    return converted, wanted


def _quotient(args: Sequence[Value]) -> tuple[list[Value], Unit]:
    """A ratio of quantities of one kind is a number, and their units are made equal."""
    above, below = (arg.unit for arg in args)
    if above is None or below is None or _is_logarithmic(above) or _is_logarithmic(below):
        return list(args), None
    factor = factor_between(below, above)
    if factor is not None:
        return [args[0], _scaled(args[1], factor)], None
    return list(args), above / below


def _in_degrees(args: Sequence[Value], places: Sequence[str]) -> list[Value]:
    converted = []
    for arg, place, hours in zip(args, places, (True, False), strict=True):
        factor = 1.0 if arg.unit is None else angle_to(arg.unit, u.deg, hours=hours)
        if factor is None:
            what = "right ascension is an angle or hours" if hours else "declination is an angle"
            raise InputError(
                f"{place}: a {what}, but its unit is {arg.unit}; correct the unit (in the file, or "
                "under catalog.units)"
            )
        converted.append(_scaled(arg, factor))
    return converted


def _adds(unit: Unit) -> bool:
    """Whether a sum must respect the unit: logarithms and pure numbers add to anything."""
    return is_certain(unit) and unit != u.dimensionless_unscaled


def _is_logarithmic(unit: Unit) -> bool:
    return not isinstance(unit, u.UnitBase) or unit.is_equivalent(u.mag)


def _constant_exponent(value: Value) -> float | None:
    if value.unit is not None or value.data.size != 1 or value.missing.any():
        return None
    return float(value.data.flat[0])


def _scaled(value: Value, factor: float) -> Value:
    return value if factor == 1.0 else value._replace(data=np.asarray(value.data) * factor)


def _shown(place: str) -> str:
    """The text of a part of an expression, without its position."""
    return repr(place.split(", ", 1)[-1])


class Conversion(NamedTuple):
    """How the result of an expression becomes a number in the unit of its feature."""

    factor: float = 1.0
    offset: float = 0.0
    unit: Unit = None  # of the converted result

    def of(self, values: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
        """The converted values."""
        if self.factor == 1.0 and self.offset == 0.0:
            return values
        return values * self.factor + self.offset

    def of_error(self, errors: Float[np.ndarray, "N"], unit: Unit) -> Float[np.ndarray, "N"]:
        """The standard errors in the unit of the result; without a unit of theirs, as the result.

        Raises InputError if their unit does not convert.
        """
        factor = self.factor
        if _adds(unit) and _adds(self.unit):
            own = factor_between(unit, self.unit)
            if own is None:
                raise InputError(
                    f"the error is in {unit}, but the expression in {self.unit}; correct one of "
                    "them, or the units of the columns"
                )
            factor = own
        return errors if factor == 1.0 else errors * factor


def to_declared_unit(unit: Unit, declared: str) -> Conversion:
    """The conversion of an expression to the declared unit of its feature.

    Nothing is converted if the unit of either is unknown. The unit of `log10(x)` is that of x.

    Raises InputError if the units do not convert into each other.
    """
    wanted = parse_unit(declared)
    if unit is None or wanted is None or isinstance(wanted, u.UnrecognizedUnit):
        return Conversion(unit=unit)
    if isinstance(unit, u.DexUnit):
        inner = wanted.physical_unit if isinstance(wanted, u.DexUnit) else wanted
        if _is_logarithmic(inner) or inner == u.dimensionless_unscaled:
            return Conversion()
        return Conversion(offset=float(np.log10(_needed(unit.physical_unit, inner, declared))))
    if not is_certain(wanted):
        return Conversion(unit=unit)
    return Conversion(factor=_needed(unit, wanted, declared), unit=wanted)


def _needed(found: Unit, wanted: Unit, declared: str) -> float:
    factor = factor_between(found, wanted)
    if factor is None:
        raise InputError(
            f"the feature is declared in {declared}, but its expression is in {found}, and the "
            "units do not convert into each other; correct the unit, the expression, or the units "
            "of the columns (in the file, or under catalog.units)"
        )
    return factor
