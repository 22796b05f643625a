"""The p_any cut for a stated false-match rate, from positions without a source.

p_any is the probability that a source has a counterpart: high is good. To see how high chance alone
makes it, the same matching is done at shifted positions, where no source is. The cut is the p_any
that only the stated share of these positions reaches. A source without a counterpart in any of the
catalogues is then given one with that probability.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from xbayes.enhance.matching import Matched, apply
from xbayes.enhance.nearby import Sky, near, source_covariances
from xbayes.enhance.pairs import Positions, find_pairs, moved, unit_vectors
from xbayes.errors import InputError, XbayesWarning

_TRIES = 30
# Digits of shifted positions in degrees. Sines differ between processors in the last bit, and an
# archive's answer is kept under the hash of its question.
_DIGITS = 7
NEVER = float(np.nextafter(1.0, 2.0))  # a cut that no p_any passes


def shifted_positions(
    place: Positions,
    rng: np.random.Generator,
    *,
    nearest: float,
    farthest: float,
    clear: float,
) -> Positions:
    """Each position moved in a random direction, by a distance that makes areas equally likely.

    Parameters
    ----------
    place
        Positions in degrees; NaN stays NaN.
    rng
        Random numbers.
    nearest, farthest
        Range of the distance in arcsec.
    clear
        No shifted position is closer than this (arcsec) to any of the positions; one for which no
        such place is found becomes NaN.
    """
    known = np.asarray(np.isfinite(unit_vectors(place)).all(1))
    found = Positions(ra=np.full(len(known), np.nan), dec=np.full(len(known), np.nan))
    left = np.flatnonzero(known)
    for _ in range(_TRIES):
        if not len(left):
            break
        distance = np.sqrt(rng.uniform(nearest**2, farthest**2, len(left)))
        angle = rng.uniform(0, 2 * np.pi, len(left))
        way = np.stack([np.sin(angle), np.cos(angle)], 1)
        tried = moved(place.rows(left), distance[:, None] * way)
        near_one = np.unique(find_pairs(tried, place, clear).first)
        free = np.ones(len(left), bool)
        free[near_one] = False
        found.ra[left[free]] = np.round(tried.ra[free], _DIGITS)
        found.dec[left[free]] = np.round(tried.dec[free], _DIGITS)
        left = left[~free]
    return found


def p_any_cut(shifted: Float[np.ndarray, "M"], rate: float) -> float:
    """The least p_any that at most this share of shifted positions reaches.

    Counterparts are kept where p_any >= cut. The share counts the next position as one that reaches
    it, (1 + n) / (1 + M), so that the rate holds for few positions too.

    Raises
    ------
    InputError
        For a rate outside 0 to 1.

    Examples
    --------
    >>> p_any_cut(np.linspace(0, 0.98, 99), 0.1)
    0.9
    """
    if not 0 < rate < 1:
        raise InputError(f"a false-match rate must be between 0 and 1; found {rate:g}")
    rising = np.sort(shifted[np.isfinite(shifted)])
    allowed = int(np.floor(rate * (len(rising) + 1) + 1e-9)) - 1  # positions that may reach the cut
    if allowed < 0:
        warnings.warn(
            f"{len(rising)} shifted positions cannot show a false-match rate of {rate:g}: at least "
            f"{int(np.ceil(1 / rate)) - 1} are needed; no counterpart passes the cut. Shift more "
            "often (counterparts.shifts), or allow a higher rate",
            XbayesWarning,
            stacklevel=2,
        )
        return NEVER
    # Of equal values none may reach the cut unless all may.
    beyond = rising[len(rising) - allowed - 1] if len(rising) > allowed else -1.0
    reached = rising[rising > beyond]
    least = float(reached[0]) if len(reached) else float(np.nextafter(beyond, 2.0))
    return max(least, float(np.nextafter(0.0, 1.0)))


def shifted_p_any(
    sources: Sky,
    catalogues: Sequence[Sky],
    matched: Matched,
    radius: float | int | np.ndarray,
    *,
    shift: float = 120.0,
    shifts: int = 1,
    seed: int = 1,
) -> Float[np.ndarray, "M"]:
    """p_any at shifted positions, with local tables and what the matching learned at the sources.

    Parameters
    ----------
    sources, catalogues, matched, radius
        As given to `match`, and its result.
    shift
        Largest distance in arcsec; the least one is twice the radius.
    shifts
        How often each position is shifted.
    seed
        Of the random numbers.
    """
    rng = np.random.default_rng(seed)
    widest = float(np.nanmax(radius, initial=0.0)) if np.ndim(radius) else float(radius)
    check_shift(shift, widest)
    found = []
    for _ in range(shifts):
        place = shifted_positions(
            sources.place, rng, nearest=2 * widest, farthest=shift, clear=2 * widest
        )
        away = sources._replace(place=place)
        nearby = [near(away, catalogue, radius) for catalogue in catalogues]
        p_any = apply(source_covariances(place, away.errors), nearby, matched.learned).p_any
        found.append(p_any[np.isfinite(place.ra)])
    return np.concatenate(found)


def check_shift(shift: float, radius: float) -> None:
    """Raise InputError if shifted positions would still see the counterparts of their sources."""
    if shift < 3 * radius:
        raise InputError(
            f"positions must be shifted by at least 3 times the radius, {3 * radius:g} arcsec; "
            f"found {shift:g} (counterparts.shift_arcsec)"
        )
