"""Bayes factors of the hypothesis that positions in several catalogues are one object's.

Budavari & Szalay (2008, ApJ 679, 301): B = p(positions | one object) / p(positions | unrelated) for
objects anywhere on the sphere. If the errors are small against a radian, the sphere is flat and the
errors may be ellipses; the exact form holds for circular errors of any size.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from xbayes.enhance.pairs import ARCSEC, Covariances

LOG_SKY = float(np.log(4 * np.pi / ARCSEC**2))  # area of the sphere in arcsec^2
_LOG_2PI = float(np.log(2 * np.pi))


class Moments(NamedTuple):
    """Sums over the positions of one object, of which each is a Gaussian in the same plane."""

    number: int  # of positions
    log_det: Float[np.ndarray, "P"]  # sum of the log determinants of the precisions
    xx: Float[np.ndarray, "P"]  # sum of the precisions, arcsec^-2
    xy: Float[np.ndarray, "P"]
    yy: Float[np.ndarray, "P"]
    x: Float[np.ndarray, "P"]  # sum of precision times offset, arcsec^-1
    y: Float[np.ndarray, "P"]
    square: Float[np.ndarray, "P"]  # sum of offset' precision offset

    def plus(self, other: "Moments") -> "Moments":
        """The sums over the positions of both."""
        return Moments._make(a + b for a, b in zip(self, other, strict=True))


def moments(offset: Float[np.ndarray, "P 2"], covariance: Covariances) -> Moments:
    """The sums for one position per row, `offset` arcsec east and north of a common origin."""
    x, y = offset[:, 0], offset[:, 1]
    determinant = covariance.xx * covariance.yy - covariance.xy**2
    xx, yy = covariance.yy / determinant, covariance.xx / determinant
    xy = -covariance.xy / determinant
    px, py = xx * x + xy * y, xy * x + yy * y
    return Moments(
        number=1,
        log_det=-np.log(determinant),
        xx=xx,
        xy=xy,
        yy=yy,
        x=px,
        y=py,
        square=px * x + py * y,
    )


def log_overlap(sums: Moments) -> Float[np.ndarray, "P"]:
    """ln of the integral over the place of the object of the densities of its positions.

    In units of arcsec^-2 to the power of the number of positions less one; 0 for one position.
    """
    determinant = sums.xx * sums.yy - sums.xy**2
    best = (sums.yy * sums.x**2 - 2 * sums.xy * sums.x * sums.y + sums.xx * sums.y**2) / determinant
    # Rounding must not make a distance negative.
    distance = np.maximum(sums.square - best, 0)
    return -(sums.number - 1) * _LOG_2PI + (sums.log_det - np.log(determinant)) / 2 - distance / 2


def log_bayes_factor(
    offset: Float[np.ndarray, "P M 2"], covariance: list[Covariances]
) -> Float[np.ndarray, "P"]:
    """ln of the Bayes factor of M positions with elliptical Gaussian errors on a flat sky.

    Parameters
    ----------
    offset
        In arcsec east and north of a common origin (`pairs.offsets`).
    covariance
        One per catalogue, each with P rows.

    Notes
    -----
    For circular errors this is equation 18 of Budavari & Szalay (2008), and their equation 16 for
    two catalogues.
    """
    # Offsets from the first position lose no digits.
    relative = offset - offset[:, :1]
    sums = moments(relative[:, 0], covariance[0])
    for index in range(1, len(covariance)):
        sums = sums.plus(moments(relative[:, index], covariance[index]))
    return log_overlap(sums) + (sums.number - 1) * LOG_SKY


def log_bayes_factor_sphere(
    direction: Float[np.ndarray, "P M 3"], sigma: Float[np.ndarray, "P M"]
) -> Float[np.ndarray, "P"]:
    """ln of the exact Bayes factor for circular errors of any size (Fisher distributions).

    Equation 13 of Budavari & Szalay (2008): sinh(w)/w times the product of k/sinh(k), where
    k = 1/sigma^2 and w is the length of the sum of k times direction.

    Parameters
    ----------
    direction
        Unit vectors.
    sigma
        In arcsec.
    """
    weight = 1 / (sigma * ARCSEC) ** 2
    total = weight.sum(1)
    # (sum k)^2 - w^2 from chords: the difference of the two lengths would lose all digits.
    chords = ((direction[:, :, None] - direction[:, None]) ** 2).sum(-1)
    lost = (weight[:, :, None] * weight[:, None] * chords).sum((1, 2)) / 2
    length = np.sqrt(np.maximum(total**2 - lost, 0))
    shorter = lost / (total + length)
    result = -shorter + np.log(2 * weight / -np.expm1(-2 * weight)).sum(1)
    # sinh(w)/w exp(-w) is 1 for w = 0.
    with np.errstate(divide="ignore", invalid="ignore"):
        end = np.where(length > 1e-8, np.log(-np.expm1(-2 * length) / (2 * length)), 0.0)
    return result + end
