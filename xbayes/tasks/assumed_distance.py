"""The columns of one source as they would be at an assumed distance."""

from collections.abc import Mapping

import astropy.units as u
import numpy as np

from xbayes.catalog.columns import parse_unit
from xbayes.catalog.units import factor_between
from xbayes.config.known_columns import find_column, known_units, quantities
from xbayes.config.schema import Config
from xbayes.errors import InputError
from xbayes.features.build import error_columns, needed_columns
from xbayes.tasks.given_catalogue import Cell, Row

SHORTEST = 1e-6  # parsecs; a unit of length below is that of a wavelength


def at_distance(
    config: Config, units: Mapping[str, str], row: Row, distance_pc: float
) -> dict[str, Cell]:
    """The columns of a source that are distances or luminosities, at this distance in parsecs.

    A luminosity changes by the square of the new over the old distance of the source. Errors, a
    parallax and a proper motion stay: they are measured, not assumed.

    Parameters
    ----------
    config
        The config of the run.
    units
        The units of its columns.
    row
        The columns of the source.
    distance_pc
        The assumed distance.

    Raises
    ------
    InputError
        If the distance is not positive, no feature reads a distance or a luminosity, or the old
        distance of a luminosity is not known.
    """
    if not (np.isfinite(distance_pc) and distance_pc > 0):
        raise InputError(f"a distance must be a number of parsecs above 0; found {distance_pc:g}")
    lengths, luminosities = distance_columns(config, units)
    if not lengths and not luminosities:
        raise InputError(
            "no feature of this run depends on a distance: none reads a column with a unit of "
            "distance (pc, kpc, Mpc) or of luminosity (erg/s)"
        )
    changed: dict[str, Cell] = {name: distance_pc / pc for name, pc in lengths.items()}
    old = next((d * pc for n, pc in lengths.items() if (d := _number(row.get(n)))), None)
    for name in luminosities:
        value = _number(row.get(name))
        if value is not None and old is None:
            raise InputError(
                f"{name!r} is a luminosity at a distance that is not known, so it cannot follow "
                "the assumed one; change its value, or leave it out"
            )
        if value is not None and old is not None:
            changed[name] = value * (distance_pc / old) ** 2
    return changed


def distance_columns(
    config: Config, units: Mapping[str, str]
) -> tuple[dict[str, float], tuple[str, ...]]:
    """The columns that features or prior read as distances, with their unit in parsecs, and as
    luminosities.

    Columns are told by their units in the run, and a distance without a unit by its usual name.
    """
    errors = error_columns(config)
    used = {name: units.get(name, "") for name in needed_columns(config) if name not in errors}
    named = find_column([n for n, unit in used.items() if not unit], quantities()["distance"])
    if named is not None:
        used[named] = known_units().get("distance", "pc")
    parsecs = {name: _in(unit, u.pc) for name, unit in used.items()}
    lengths = {n: factor for n, factor in parsecs.items() if factor is not None}
    lengths = {n: factor for n, factor in lengths.items() if factor >= SHORTEST}
    power = u.erg / u.s
    return lengths, tuple(n for n, unit in used.items() if _in(unit, power) is not None)


def _in(unit: str, of: u.UnitBase) -> float | None:
    """The factor from one unit to another; None if there is none."""
    parsed = parse_unit(unit)
    return None if parsed is None else factor_between(parsed, of)


def _number(cell: Cell) -> float | None:
    """The cell as a number; None if it is empty or text."""
    try:
        value = float(cell) if cell is not None else np.nan
    except ValueError:
        return None
    return value if np.isfinite(value) else None
