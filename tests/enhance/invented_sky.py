"""A small invented sky: sources whose true counterparts are known, in catalogues with a field."""

from typing import NamedTuple

import numpy as np

from xbayes.enhance.nearby import Sky
from xbayes.enhance.pairs import Positions, circles


class Invented(NamedTuple):
    sources: Sky
    catalogues: list[Sky]
    truth: np.ndarray  # [N K] row of the counterpart in each catalogue, -1: none


def scattered(rng, place, sigma):
    """The places measured with an error per axis in arcsec, away from the poles."""
    shift = rng.normal(0, 1, (2, len(place.ra))) * sigma / 3600
    return Positions(
        ra=place.ra + shift[0] / np.cos(np.deg2rad(place.dec)), dec=place.dec + shift[1]
    )


def invented(
    seed,
    n_sources=300,
    side=1.0,  # degrees
    sigma=1.0,
    densities=(0.004,),  # field entries per arcsec^2
    listed=(0.8,),
    both=0.5,  # probability that a field object of the first catalogue is in each of the others
    errors=(0.2, 0.3, 0.4),
):
    """Magnitudes are 14 to 18 of counterparts and 14 to 22 of field entries."""
    rng = np.random.default_rng(seed)

    def places(number):
        return Positions(ra=100 + rng.uniform(0, side, number), dec=rng.uniform(0, side, number))

    truth = places(n_sources)
    sources = Sky(
        name="x",
        place=scattered(rng, truth, sigma),
        errors=circles(np.full(n_sources, float(sigma))),
        area=side**2,
    )
    has = rng.random((n_sources, len(densities))) < np.array(listed)
    first = None
    catalogues, index = [], np.full(has.shape, -1)
    for k, density in enumerate(densities):
        number = rng.poisson(density * (side * 3600) ** 2)
        field = places(number)
        if first is None:
            first = field
        else:
            shared = np.flatnonzero(rng.random(len(first.ra)) < both)[:number]
            field.ra[: len(shared)] = first.ra[shared]
            field.dec[: len(shared)] = first.dec[shared]
        own = truth.rows(has[:, k])
        index[has[:, k], k] = np.arange(len(own.ra))
        place = Positions(
            ra=np.concatenate([own.ra, field.ra]), dec=np.concatenate([own.dec, field.dec])
        )
        bright = np.concatenate([np.ones(len(own.ra)), np.zeros(number)])
        catalogues.append(
            Sky(
                name=f"c{k}",
                place=scattered(rng, place, errors[k]),
                errors=circles(np.full(len(place.ra), errors[k])),
                area=side**2,
                features={"mag": rng.uniform(14, np.where(bright, 18, 22))},
            )
        )
    return Invented(sources=sources, catalogues=catalogues, truth=index)
