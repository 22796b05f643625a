"""The functions that an expression may call; they work row by row and accept missing values.

Unless a docstring says otherwise, a result is missing where an argument is missing or where the
result is not a finite number. The caller converts arguments to the kind listed in the table below.
"""

from collections.abc import Callable
from functools import reduce
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from xbayes.errors import InputError
from xbayes.features.expression_units import Rule
from xbayes.features.hardness import hardness_posterior
from xbayes.features.values import Kind, Value, nothing

# The rotation of astropy, whose own transformation needs a quarter of a second for a first source.
ICRS_TO_GALACTIC = np.array(
    [
        [-0.05487565771259168, -0.8734370519556163, -0.4838350736167155],
        [0.4941094371927275, -0.44482972122329517, 0.7469821839866676],
        [-0.8676661375596587, -0.19807633727300075, 0.4559838136873016],
    ]
)
Wanted = Kind | Literal["any"]


class Function(NamedTuple):
    """A function of the expression language, and the kinds and number of its arguments."""

    apply: Callable[..., Value]
    kinds: tuple[Wanted, ...]  # the last kind holds for all further arguments
    least: int
    most: int | None  # None: any number
    units: Rule = "none"


def _number(
    data: Float[np.ndarray, "..."],
    args: tuple[Value, ...],
    outside_domain: Bool[np.ndarray, "..."] | None = None,
) -> Value:
    """A computed number, undefined where present arguments lie outside the function's domain."""
    missing = reduce(np.logical_or, [arg.missing for arg in args])
    undefined = reduce(np.logical_or, [arg.undefined for arg in args])
    if outside_domain is not None:
        undefined = undefined | (outside_domain & ~missing)
    missing = missing | ~np.isfinite(data)
    return Value(kind="number", data=data, missing=missing, undefined=undefined)


def _from_ufunc(ufunc: Callable[..., np.ndarray]) -> Callable[..., Value]:
    return lambda *args: _number(ufunc(*(arg.data for arg in args)), args)


def _from_logarithm(ufunc: np.ufunc) -> Callable[[Value], Value]:
    return lambda x: _number(ufunc(x.data), (x,), x.data <= 0)


def _square_root(x: Value) -> Value:
    return _number(np.sqrt(x.data), (x,), x.data < 0)


def divide(a: Value, b: Value) -> Value:
    """a / b."""
    return _number(np.divide(a.data, b.data), (a, b), b.data == 0)


def power(a: Value, b: Value) -> Value:
    """a ** b in real numbers; a root of a negative number is undefined."""
    data = np.power(a.data, b.data)
    return _number(data, (a, b), np.isnan(data) | ((a.data == 0) & (b.data < 0)))


def _clip(x: Value, low: Value, high: Value) -> Value:
    return _number(np.minimum(np.maximum(x.data, low.data), high.data), (x, low, high))


def hardness(a: Value, b: Value) -> Value:
    """The hardness ratio (b - a) / (b + a), with b the harder band."""
    return divide(_from_ufunc(np.subtract)(b, a), _from_ufunc(np.add)(b, a))


def _noisy_hardness(moment: int) -> Callable[..., Value]:
    """Mean (0) or standard deviation (1) of the hardness ratio of two fluxes with errors."""

    def apply(a: Value, b: Value, a_error: Value, b_error: Value) -> Value:
        args = (a, b, a_error, b_error)
        outside = (a_error.data < 0) | (b_error.data < 0)
        fluxes = np.broadcast_arrays(*(np.asarray(arg.data, np.float64) for arg in args))
        return _number(hardness_posterior(*fluxes)[moment], args, outside)

    return apply


def _fold(ufunc: np.ufunc) -> Callable[..., Value]:
    return lambda *args: _number(reduce(ufunc, [arg.data for arg in args]), args)


def choose(condition: Value, a: Value, b: Value | None = None) -> Value:
    """a where the condition holds, else b; missing where the condition is missing.

    Without b, the result is missing where the condition does not hold.
    """
    b = nothing("number") if b is None else b
    take = condition.data.astype(bool)
    branch = np.where(take, a.undefined, b.undefined)
    return Value(
        kind="number",
        data=np.where(take, a.data, b.data),
        missing=condition.missing | np.where(take, a.missing, b.missing),
        undefined=np.where(condition.missing, condition.undefined, branch),
    )


def coalesce(*args: Value) -> Value:
    """The first argument that is not missing."""
    result = args[0]
    for arg in args[1:]:
        missing = result.missing & arg.missing
        result = Value(
            kind="number",
            data=np.where(result.missing, arg.data, result.data),
            missing=missing,
            undefined=missing & (result.undefined | arg.undefined),
        )
    return result


def compare(ufunc: np.ufunc, a: Value, b: Value) -> Value:
    """A comparison of two numbers or two texts."""
    return Value(
        kind="condition",
        data=ufunc(a.data, b.data),
        missing=a.missing | b.missing,
        undefined=a.undefined | b.undefined,
    )


def _both(a: Value, b: Value) -> Value:
    false = (~a.missing & ~a.data) | (~b.missing & ~b.data)
    missing = (a.missing | b.missing) & ~false
    return Value(
        kind="condition",
        data=~false & ~missing,
        missing=missing,
        undefined=missing & (a.undefined | b.undefined),
    )


def negate(a: Value) -> Value:
    """Logical not; missing where a is missing."""
    return a._replace(data=~a.data)


def all_of(*args: Value) -> Value:
    """Logical and: false where one argument is false, even if another is missing."""
    return reduce(_both, args)


def any_of(*args: Value) -> Value:
    """Logical or: true where one argument is true, even if another is missing."""
    return negate(reduce(_both, map(negate, args)))


def _is_present(x: Value) -> Value:
    nowhere = np.zeros_like(x.missing)
    return Value(kind="condition", data=~x.missing, missing=nowhere, undefined=nowhere)


def _galactic(axis: int) -> Callable[[Value, Value], Value]:
    """Galactic longitude (axis 0) or latitude (axis 1) in degrees, from ICRS degrees."""

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
        return _number(degrees, (ra, dec))

    return apply


def galactic(
    ra_deg: Float[np.ndarray, "N"], dec_deg: Float[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    """Galactic longitude in [-180, 180) and latitude, degrees, from ICRS; NaN where not finite."""
    known = np.isfinite(ra_deg) & np.isfinite(dec_deg) & (np.abs(dec_deg) <= 90)
    l_deg, b_deg = np.full(len(ra_deg), np.nan), np.full(len(ra_deg), np.nan)
    l_deg[known], b_deg[known] = _to_galactic(ra_deg[known], dec_deg[known])
    return (l_deg + 180) % 360 - 180, b_deg


def _to_galactic(
    ra: Float[np.ndarray, "N"], dec: Float[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    """Galactic longitude in [0, 360) and latitude, degrees, as astropy's SkyCoord gives them."""
    lon, lat = np.deg2rad(ra), np.deg2rad(dec)
    direction = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    x, y, z = ICRS_TO_GALACTIC @ direction
    return np.rad2deg(np.arctan2(y, x)) % 360, np.rad2deg(np.arctan2(z, np.hypot(x, y)))


def _function(
    apply: Callable[..., Value],
    n_args: int,
    kind: Wanted = "number",
    *,
    or_more: bool = False,
    units: Rule = "none",
) -> Function:
    """A function whose arguments are all of one kind."""
    most = None if or_more else n_args
    return Function(apply=apply, kinds=(kind,), least=n_args, most=most, units=units)


ADD = _function(_from_ufunc(np.add), 2, units="same")
SUBTRACT = _function(_from_ufunc(np.subtract), 2, units="same")
MULTIPLY = _function(_from_ufunc(np.multiply), 2, units="product")
DIVIDE = _function(divide, 2, units="quotient")
POWER = _function(power, 2, units="power")
PLUS = _function(_from_ufunc(np.positive), 1, units="keep")
MINUS = _function(_from_ufunc(np.negative), 1, units="keep")
AND = _function(all_of, 2, "condition", or_more=True)
OR = _function(any_of, 2, "condition", or_more=True)
NOT = _function(negate, 1, "condition")

NAMED: dict[str, Function] = {
    "log10": _function(_from_logarithm(np.log10), 1, units="logarithm"),
    "log": _function(_from_logarithm(np.log), 1),
    "exp": _function(_from_ufunc(np.exp), 1),
    "sqrt": _function(_square_root, 1, units="root"),
    "abs": _function(_from_ufunc(np.abs), 1, units="keep"),
    "clip": _function(_clip, 3, units="same"),
    "where": Function(
        apply=choose, kinds=("condition", "number"), least=2, most=3, units="same_branches"
    ),
    "min": _function(_fold(np.minimum), 2, or_more=True, units="same"),
    "max": _function(_fold(np.maximum), 2, or_more=True, units="same"),
    "coalesce": _function(coalesce, 2, or_more=True, units="same"),
    "hardness": _function(hardness, 2, units="ratio"),
    "hardness_mean": _function(_noisy_hardness(0), 4, units="ratio"),
    "hardness_error": _function(_noisy_hardness(1), 4, units="ratio"),
    "galactic_l": _function(_galactic(0), 2, units="sky"),
    "galactic_b": _function(_galactic(1), 2, units="sky"),
    "observed": _function(_is_present, 1, "any"),
    "detected": _function(_is_present, 1, "any"),
    "isfinite": _function(_is_present, 1, "any"),
    "is_missing": _function(lambda x: negate(_is_present(x)), 1, "any"),
}
