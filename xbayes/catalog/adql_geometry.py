"""Geometry of ADQL (POINT, CIRCLE, BOX, POLYGON and what relates them) as SQL on coordinates.

Positions are ICRS, in degrees. Distances are computed with the haversine formula.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from sqlglot import exp

from xbayes.errors import InputError

FRAMES = ("", "ICRS", "FK5", "UNKNOWNFRAME")  # first word of the deprecated coordinate system
SHAPES = ("POINT", "CIRCLE", "BOX", "POLYGON")
RELATIONS = ("CONTAINS", "INTERSECTS")
MOST_VERTICES = 100
Write = Callable[[exp.Expr], str]


class Point(NamedTuple):
    """A position; the coordinates are SQL."""

    lon: str
    lat: str


class Circle(NamedTuple):
    """A circle; `fixed` if it is the same for all rows."""

    centre: Point
    radius: str
    fixed: bool


class Box(NamedTuple):
    """The points within half a width and half a height of the centre, along great circles."""

    centre: Point
    width: str
    height: str


class Polygon(NamedTuple):
    """A convex polygon: the unit vectors to which all sides' inner halves belong."""

    sides: tuple[tuple[float, float, float], ...]


Shape = Point | Circle | Box | Polygon


def distance(a: Point, b: Point) -> str:
    """The angle between two positions, in degrees."""
    return (
        f"degrees(2 * asin(least(1, sqrt(pow(sin(radians({a.lat} - {b.lat}) / 2), 2) + "
        f"cos(radians({a.lat})) * cos(radians({b.lat})) * "
        f"pow(sin(radians({a.lon} - {b.lon}) / 2), 2)))))"
    )


def distance_between(arguments: Sequence[exp.Expr], write: Write) -> str:
    """DISTANCE of two points, or of four coordinates."""
    if len(arguments) == 4:
        lon1, lat1, lon2, lat2 = map(write, arguments)
        return distance(Point(lon=lon1, lat=lat1), Point(lon=lon2, lat=lat2))
    points = [shape_of(node, write) for node in arguments]
    if len(points) != 2 or not all(isinstance(point, Point) for point in points):
        raise InputError("DISTANCE needs two points: DISTANCE(POINT(ra, dec), POINT(10, 20))")
    return distance(*(point for point in points if isinstance(point, Point)))


def relation(name: str, arguments: Sequence[exp.Expr], write: Write) -> str:
    """CONTAINS or INTERSECTS of two shapes, as a condition."""
    if len(arguments) != 2:
        raise InputError(f"{name} needs two shapes; found {len(arguments)}")
    first, second = (shape_of(node, write) for node in arguments)
    if name == "INTERSECTS" and isinstance(second, Point):
        first, second = second, first
    if isinstance(first, Circle) and isinstance(second, Circle):
        apart = distance(first.centre, second.centre)
        if name == "CONTAINS":
            return f"({apart} + {first.radius} <= {second.radius})"
        return f"({apart} <= {first.radius} + {second.radius})"
    if not isinstance(first, Point) or isinstance(second, Point):
        raise InputError(f"{name} needs a POINT and a CIRCLE, BOX or POLYGON, or two CIRCLEs")
    return _inside(first, second)


def _inside(point: Point, shape: Circle | Box | Polygon) -> str:
    if isinstance(shape, Circle):
        condition = f"{distance(point, shape.centre)} <= {shape.radius}"
        if not shape.fixed:
            return f"({condition})"
        # A range of declinations skips most rows, and blocks of the file, before the distance.
        low = f"{shape.centre.lat} - {shape.radius} - 1e-9"
        high = f"{shape.centre.lat} + {shape.radius} + 1e-9"
        return f"({point.lat} BETWEEN {low} AND {high} AND {condition})"
    if isinstance(shape, Polygon):
        x, y, z = _vector(point)
        sides = (f"{a!r} * {x} + {b!r} * {y} + {c!r} * {z} >= -1e-15" for a, b, c in shape.sides)
        return "(" + " AND ".join(sides) + ")"
    towards, east, north = _seen_from(shape.centre, point)
    return (
        f"(abs(degrees(atan2({east}, {towards}))) <= {shape.width} / 2 AND "
        f"abs(degrees(atan2({north}, {towards}))) <= {shape.height} / 2)"
    )


def _vector(point: Point) -> tuple[str, str, str]:
    lon, lat = f"radians({point.lon})", f"radians({point.lat})"
    return f"cos({lat}) * cos({lon})", f"cos({lat}) * sin({lon})", f"sin({lat})"


def _seen_from(centre: Point, point: Point) -> tuple[str, str, str]:
    """The unit vector of a point along the direction to the centre, east and north of it."""
    lat, lat0 = f"radians({point.lat})", f"radians({centre.lat})"
    away = f"radians({point.lon} - {centre.lon})"
    return (
        f"sin({lat}) * sin({lat0}) + cos({lat}) * cos({lat0}) * cos({away})",
        f"cos({lat}) * sin({away})",
        f"sin({lat}) * cos({lat0}) - cos({lat}) * sin({lat0}) * cos({away})",
    )


def shape_of(node: exp.Expr, write: Write) -> Shape:
    """The shape that an expression makes."""
    name = node.name.upper() if isinstance(node, exp.Anonymous) else ""
    if name not in SHAPES:
        raise InputError(
            "expected POINT, CIRCLE, BOX or POLYGON, such as CIRCLE(83.6, 22.0, 0.5); shapes are "
            "not stored in columns here"
        )
    values = _without_frame(node.expressions)
    if name == "POINT":
        _refuse_count(name, values, (2,), "POINT(ra, dec)")
        return Point(lon=write(values[0]), lat=write(values[1]))
    if name == "POLYGON":
        return _polygon(values, write)
    if name == "CIRCLE":
        _refuse_count(name, values, (2, 3), "CIRCLE(ra, dec, radius)")
        centre = _centre(values[:-1], write)
        fixed = not any(value.find(exp.Column) for value in values)
        return Circle(centre=centre, radius=write(values[-1]), fixed=fixed)
    _refuse_count(name, values, (3, 4), "BOX(ra, dec, width, height)")
    width, height = map(write, values[-2:])
    return Box(centre=_centre(values[:-2], write), width=width, height=height)


def _without_frame(arguments: Sequence[exp.Expr]) -> Sequence[exp.Expr]:
    if not arguments or not (isinstance(arguments[0], exp.Literal) and arguments[0].is_string):
        return arguments
    frame = arguments[0].name.upper().split(" ")[0]
    if frame not in FRAMES:
        raise InputError(f"coordinates are ICRS, in degrees; {frame} is not converted here")
    return arguments[1:]


def _centre(values: Sequence[exp.Expr], write: Write) -> Point:
    """A point, or two coordinates."""
    if len(values) == 2:
        return Point(lon=write(values[0]), lat=write(values[1]))
    centre = shape_of(values[0], write)
    if not isinstance(centre, Point):
        raise InputError("the centre must be a POINT, or two numbers")
    return centre


def _refuse_count(
    name: str, values: Sequence[exp.Expr], counts: tuple[int, ...], form: str
) -> None:
    if len(values) not in counts:
        raise InputError(f"{name} is written {form}, in degrees; found {len(values)} values")


def _polygon(values: Sequence[exp.Expr], write: Write) -> Polygon:
    corners = [value for value in values if isinstance(value, exp.Anonymous)]
    if corners and len(corners) == len(values):
        parts = [_without_frame(corner.expressions) for corner in corners]
        if any(corner.name.upper() != "POINT" for corner in corners):
            raise InputError("the corners of a POLYGON must be POINTs, or numbers")
        values = list(itertools.chain.from_iterable(parts))
    if len(values) % 2 or not 6 <= len(values) <= 2 * MOST_VERTICES:
        raise InputError(
            f"a POLYGON has 3 to {MOST_VERTICES} corners, each with ra and dec; found "
            f"{len(values)} numbers"
        )
    degrees = np.array([_number(value) for value in values]).reshape(-1, 2)
    return Polygon(sides=_sides(np.radians(degrees[:, 0]), np.radians(degrees[:, 1])))


def _sides(lon: np.ndarray, lat: np.ndarray) -> tuple[tuple[float, float, float], ...]:
    """The poles of the great circles through neighbouring corners, towards the inside."""
    corner = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
    following = np.roll(corner, -1, axis=0)
    kept = np.linalg.norm(following - corner, axis=1) > 1e-12  # a repeated corner makes no side
    pole = np.cross(corner, following)[kept]
    inner = corner @ pole.T  # of each corner from each side
    if len(pole) >= 3 and (inner <= 1e-12).all():
        pole = -pole
    elif len(pole) < 3 or not (inner >= -1e-12).all():
        raise InputError(
            "the POLYGON is not convex (or its sides cross), which this service cannot search; "
            "split it into convex parts, joined by OR"
        )
    # Rounded sides would let neighbouring polygons miss points between them.
    return tuple((float(x), float(y), float(z)) for x, y, z in pole)


def _number(node: exp.Expr) -> float:
    sign = 1.0
    while isinstance(node, exp.Neg | exp.Paren):
        sign = -sign if isinstance(node, exp.Neg) else sign
        node = node.this
    if isinstance(node, exp.Literal) and not node.is_string:
        value = float(node.name)
        if np.isfinite(value):
            return sign * value
    raise InputError("the corners of a POLYGON must be numbers, not columns or expressions")
