"""What an expression may call, row by row and with missing values.

A result is missing where an argument is, unless said otherwise, and where it is not a finite
number. Arguments come in the kind that the table at the end asks for.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from xbayes.features.values import Kind, Value, nothing
from xbayes.types import InputError

Wanted = Kind | Literal["any"]


class Function(NamedTuple):
    """A function of an expression: what it does, the kinds and the number of its arguments."""

    apply: Callable[..., Value]
    kinds: tuple[Wanted, ...]  # the last one holds for all further arguments
    least: int
    most: int | None  # None: any number


def _any(masks: list[np.ndarray]) -> Bool[np.ndarray, "..."]:
    return reduce(np.logical_or, masks)


def _number(
    data: Float[np.ndarray, "..."], args: tuple[Value, ...], bad: Bool[np.ndarray, "..."] | None
) -> Value:
    """A computed number; bad is where present arguments have no result."""
    gone = _any([arg.missing for arg in args])
    nonpositive = _any([arg.nonpositive for arg in args])
    if bad is not None:
        nonpositive = nonpositive | (bad & ~gone)
    return Value("number", data, gone | ~np.isfinite(data), nonpositive)


def _from_ufunc(ufunc: Callable[..., np.ndarray]) -> Callable[..., Value]:
    return lambda *args: _number(ufunc(*(arg.data for arg in args)), args, None)


def _of_positive(ufunc: np.ufunc, zero_is_fine: bool = False) -> Callable[[Value], Value]:
    def apply(x: Value) -> Value:
        return _number(ufunc(x.data), (x,), x.data < 0 if zero_is_fine else x.data <= 0)

    return apply


def divide(a: Value, b: Value) -> Value:
    """a / b."""
    return _number(np.divide(a.data, b.data), (a, b), b.data == 0)


def power(a: Value, b: Value) -> Value:
    """a ** b in real numbers, so that a root of a negative number has no result."""
    data = np.power(a.data, b.data)
    return _number(data, (a, b), np.isnan(data) | ((a.data == 0) & (b.data < 0)))


def hardness(a: Value, b: Value) -> Value:
    """(b - a) / (b + a), b the harder band: 1 where all the flux is hard."""
    return divide(_from_ufunc(np.subtract)(b, a), _from_ufunc(np.add)(b, a))


def _fold(ufunc: np.ufunc) -> Callable[..., Value]:
    """The smallest or largest of several; missing where any of them is."""
    return lambda *args: _number(reduce(ufunc, [arg.data for arg in args]), args, None)


def choose(condition: Value, a: Value, b: Value | None = None) -> Value:
    """a where the condition holds, else b (else missing); missing where the condition is."""
    b = nothing("number") if b is None else b
    take = condition.data.astype(bool)
    missing = condition.missing | np.where(take, a.missing, b.missing)
    branch = np.where(take, a.nonpositive, b.nonpositive)
    nonpositive = np.where(condition.missing, condition.nonpositive, branch)
    return Value("number", np.where(take, a.data, b.data), missing, nonpositive)


def coalesce(*args: Value) -> Value:
    """The first that is not missing."""
    result = args[0]
    for arg in args[1:]:
        missing = result.missing & arg.missing
        nonpositive = missing & (result.nonpositive | arg.nonpositive)
        data = np.where(result.missing, arg.data, result.data)
        result = Value("number", data, missing, nonpositive)
    return result


def compare(ufunc: np.ufunc, a: Value, b: Value) -> Value:
    """A comparison of two numbers or two texts."""
    data = ufunc(a.data, b.data)
    return Value("condition", data, a.missing | b.missing, a.nonpositive | b.nonpositive)


def _both(a: Value, b: Value) -> Value:
    false = (~a.missing & ~a.data) | (~b.missing & ~b.data)
    missing = (a.missing | b.missing) & ~false
    return Value("condition", ~false & ~missing, missing, missing & (a.nonpositive | b.nonpositive))


def negate(a: Value) -> Value:
    """Not a."""
    return a._replace(data=~a.data)


def all_of(*args: Value) -> Value:
    """a and b and ...: false where one is known to be false, even if another is missing."""
    return reduce(_both, args)


def any_of(*args: Value) -> Value:
    """a or b or ...: true where one is known to be true, even if another is missing."""
    return negate(reduce(_both, map(negate, args)))


def _observed(x: Value) -> Value:
    never = np.zeros_like(x.missing)
    return Value("condition", ~x.missing, never, never)


def _galactic(axis: int) -> Callable[[Value, Value], Value]:
    """Galactic longitude (axis 0) or latitude (axis 1) in degrees, of ICRS degrees."""

    def apply(ra: Value, dec: Value) -> Value:
        lon, lat, missing = np.broadcast_arrays(ra.data, dec.data, ra.missing | dec.missing)
        outside = np.flatnonzero(~missing & (np.abs(lat) > 90))
        if len(outside):
            row = outside[0]
            raise InputError(
                f"a declination must lie in [-90, 90]; found {lat.flat[row]:.10g} (row {row + 1})"
            )
        degrees = np.full(lon.shape, np.nan)
        if not missing.all():
            degrees[~missing] = _to_galactic(lon[~missing], lat[~missing])[axis]
        return _number(degrees, (ra, dec), None)

    return apply


def galactic(
    ra_deg: Float[np.ndarray, "N"], dec_deg: Float[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    """Galactic longitude in [-180, 180) and latitude, degrees, of ICRS positions; NaN stays NaN."""
    known = np.isfinite(ra_deg) & np.isfinite(dec_deg) & (np.abs(dec_deg) <= 90)
    l_deg, b_deg = np.full(len(ra_deg), np.nan), np.full(len(ra_deg), np.nan)
    l_deg[known], b_deg[known] = _to_galactic(ra_deg[known], dec_deg[known])
    return (l_deg + 180) % 360 - 180, b_deg


def _to_galactic(
    ra: Float[np.ndarray, "N"], dec: Float[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    # Slow to import, and the light commands read a config without coordinates.
    from astropy.coordinates import SkyCoord

    galactic: Any = SkyCoord(ra, dec, unit="deg", frame="icrs").galactic
    return galactic.l.deg, galactic.b.deg


ADD = Function(_from_ufunc(np.add), ("number",), 2, 2)
SUBTRACT = Function(_from_ufunc(np.subtract), ("number",), 2, 2)
MULTIPLY = Function(_from_ufunc(np.multiply), ("number",), 2, 2)
DIVIDE = Function(divide, ("number",), 2, 2)
POWER = Function(power, ("number",), 2, 2)
PLUS = Function(_from_ufunc(np.positive), ("number",), 1, 1)
MINUS = Function(_from_ufunc(np.negative), ("number",), 1, 1)
AND = Function(all_of, ("condition",), 2, None)
OR = Function(any_of, ("condition",), 2, None)
NOT = Function(negate, ("condition",), 1, 1)

NAMED: dict[str, Function] = {
    "log10": Function(_of_positive(np.log10), ("number",), 1, 1),
    "log": Function(_of_positive(np.log), ("number",), 1, 1),
    "exp": Function(_from_ufunc(np.exp), ("number",), 1, 1),
    "sqrt": Function(_of_positive(np.sqrt, zero_is_fine=True), ("number",), 1, 1),
    "abs": Function(_from_ufunc(np.abs), ("number",), 1, 1),
    "clip": Function(
        _from_ufunc(lambda x, low, high: np.minimum(np.maximum(x, low), high)), ("number",), 3, 3
    ),
    "where": Function(choose, ("condition", "number"), 2, 3),
    "min": Function(_fold(np.minimum), ("number",), 2, None),
    "max": Function(_fold(np.maximum), ("number",), 2, None),
    "coalesce": Function(coalesce, ("number",), 2, None),
    "hardness": Function(hardness, ("number",), 2, 2),
    "galactic_l": Function(_galactic(0), ("number",), 2, 2),
    "galactic_b": Function(_galactic(1), ("number",), 2, 2),
    "observed": Function(_observed, ("any",), 1, 1),
    "isfinite": Function(_observed, ("any",), 1, 1),
    "is_missing": Function(lambda x: negate(_observed(x)), ("any",), 1, 1),
}
