"""The largest over the smallest flux of each source, with and without errors and limits."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.enhance.fluxes import Fluxes


class FluxRatios(NamedTuple):
    """Per source; NaN where there is no value.

    A limit says that the flux was below it. The least ratio is the largest measured flux over the
    smallest of all fluxes and limits, at least 1; it is a lower bound where a limit is smallest.
    """

    n: Int[np.ndarray, "S"]  # measured fluxes
    n_limits: Int[np.ndarray, "S"]
    ratio: Float[np.ndarray, "S"]  # largest over smallest measured flux
    least: Float[np.ndarray, "S"]
    is_limit: Bool[np.ndarray, "S"]  # whether a limit is smallest in `least`
    between_errors: Float[np.ndarray, "S"]  # largest flux - error over smallest flux + error
    largest: Float[np.ndarray, "S"]
    smallest: Float[np.ndarray, "S"]
    at_largest: Float[np.ndarray, "S"]  # MJD
    at_smallest: Float[np.ndarray, "S"]
    first: Float[np.ndarray, "S"]  # MJD, limits included
    last: Float[np.ndarray, "S"]


def flux_ratios(fluxes: Fluxes, n_sources: int) -> FluxRatios:
    """The ratios of every source."""
    measured = fluxes.rows(~fluxes.limit)
    limits = fluxes.rows(fluxes.limit)
    n = np.bincount(measured.source, minlength=n_sources)
    n_limits = np.bincount(limits.source, minlength=n_sources)
    largest, at_largest = _extreme(measured.source, measured.flux, measured.middle, n_sources, -1)
    smallest, at_smallest = _extreme(measured.source, measured.flux, measured.middle, n_sources, 1)
    bound, _ = _extreme(limits.source, limits.flux, limits.middle, n_sources, 1)
    several = (n > 0) & (n + n_limits > 1)
    lowest = np.fmin(smallest, bound)
    with_error = np.isfinite(measured.error_low) & np.isfinite(measured.error_high)
    sure = measured.rows(with_error)
    top, _ = _extreme(sure.source, sure.flux - sure.error_low, sure.middle, n_sources, -1)
    bottom, _ = _extreme(sure.source, sure.flux + sure.error_high, sure.middle, n_sources, 1)
    n_sure = np.bincount(sure.source, minlength=n_sources)
    first, _ = _extreme(fluxes.source, fluxes.start, fluxes.start, n_sources, 1)
    last, _ = _extreme(fluxes.source, fluxes.end, fluxes.end, n_sources, -1)
    return FluxRatios(
        n=n,
        n_limits=n_limits,
        ratio=np.where(n > 1, largest / smallest, np.nan),
        least=np.where(several, np.fmax(largest / lowest, 1.0), np.nan),
        is_limit=several & (bound < smallest),
        between_errors=np.where(
            (n_sure > 0) & (n_sure + n_limits > 1), top / np.fmin(bottom, bound), np.nan
        ),
        largest=largest,
        smallest=smallest,
        at_largest=at_largest,
        at_smallest=at_smallest,
        first=first,
        last=last,
    )


def _extreme(
    source: Int[np.ndarray, "M"],
    value: Float[np.ndarray, "M"],
    time: Float[np.ndarray, "M"],
    n_sources: int,
    sign: int,
) -> tuple[Float[np.ndarray, "S"], Float[np.ndarray, "S"]]:
    """The smallest (sign 1) or largest (sign -1) value of each source, and its time."""
    found, at = np.full((2, n_sources), np.nan)
    known = np.flatnonzero(np.isfinite(value))
    order = known[np.lexsort((sign * value[known], source[known]))]
    which, first = np.unique(source[order], return_index=True)
    found[which], at[which] = value[order[first]], time[order[first]]
    return found, at
