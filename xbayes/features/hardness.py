"""The hardness ratio of two noisy fluxes: mean and standard deviation of its posterior.

The true fluxes a and b are positive with a flat prior; their measurements S and H have Gaussian
errors. In total flux T and ratio h, with a = T (1 - h) / 2 and b = T (1 + h) / 2, the prior is
T dT dh: flat in h. So the posterior of h is its normalised likelihood,

    L(h) = integral over T > 0 of T N(S; T (1 - h) / 2, e_S) N(H; T (1 + h) / 2, e_H) dT
         ~ (1 + sqrt(2 pi) z exp(z^2 / 2) Phi(z)) / A

with u = (1 - h) / 2, v = (1 + h) / 2, A = u^2 / e_S^2 + v^2 / e_H^2,
z = (S u / e_S^2 + H v / e_H^2) / sqrt(A), and Phi the standard normal distribution function. Fluxes
far above their errors give the ratio (H - S) / (H + S) with its error to first order. Fluxes near
zero give a wide posterior between -1 and 1, where the ratio itself would be any number. (Park et
al. 2006, ApJ 652, 610, treat counts.)
"""

import numpy as np
from jaxtyping import Float

N_POINTS = 64  # Gauss-Legendre points
WIDTHS = 10.0  # range of the integral on either side, in first-order errors
EXACT = 1e-5  # a smaller error, in units of the total, counts as this


def hardness_posterior(
    a: Float[np.ndarray, "*N"],
    b: Float[np.ndarray, "*N"],
    a_error: Float[np.ndarray, "*N"],
    b_error: Float[np.ndarray, "*N"],
) -> tuple[Float[np.ndarray, "*N"], Float[np.ndarray, "*N"]]:
    """Mean and standard deviation of the hardness ratio, b the harder band.

    Parameters
    ----------
    a, b : measured fluxes, which may be negative after the subtraction of a background.
    a_error, b_error : their standard errors.

    Returns
    -------
    tuple
        NaN where an error is negative or a number is not finite.
    """
    with np.errstate(all="ignore"):
        scale = np.abs(a) + np.abs(b) + a_error + b_error
        # In units of their sum, so that squares of fluxes of 1e-15 erg/s/cm2 do not vanish.
        a, b = a / scale, b / scale
        a_error = np.where(a_error >= 0, np.maximum(a_error / scale, EXACT), np.nan)
        b_error = np.where(b_error >= 0, np.maximum(b_error / scale, EXACT), np.nan)
        low, high = _range(a, b, a_error, b_error)
        point, weight = np.polynomial.legendre.leggauss(N_POINTS)
        h = low[..., None] + (high - low)[..., None] * (point + 1) / 2
        density = _log_likelihood(
            h, a[..., None], b[..., None], a_error[..., None], b_error[..., None]
        )
        density = weight * np.exp(density - density.max(-1, keepdims=True))
        density /= density.sum(-1, keepdims=True)
        mean = (density * h).sum(-1)
        return mean, np.sqrt((density * (h - mean[..., None]) ** 2).sum(-1))


def _range(a, b, a_error, b_error):
    """Range of the ratio that holds the likelihood, within [-1, 1]."""
    positive_a, positive_b = np.maximum(a, 0.0), np.maximum(b, 0.0)
    total = positive_a + positive_b
    width = 2 * np.hypot(positive_b * a_error, positive_a * b_error) / total**2
    # A total near its error: the first order says nothing.
    whole = ~(total > 5 * np.hypot(a_error, b_error))
    ratio = np.where(whole, 0.0, (positive_b - positive_a) / total)
    width = np.where(whole, 1.0, np.maximum(WIDTHS * width, EXACT))
    nothing = np.isnan(a_error + b_error + a + b)
    low, high = np.maximum(ratio - width, -1.0), np.minimum(ratio + width, 1.0)
    return np.where(nothing, np.nan, low), np.where(nothing, np.nan, high)


def _log_likelihood(h, a, b, a_error, b_error):
    """Log L(h), up to a constant of each source."""
    from scipy.special import erfcx, ndtr

    u, v = (1 - h) / 2, (1 + h) / 2
    curvature = (u / a_error) ** 2 + (v / b_error) ** 2
    z = (a * u / a_error**2 + b * v / b_error**2) / np.sqrt(curvature)
    above = np.maximum(z, 0.0)
    above = above**2 / 2 + np.log(
        np.exp(-(above**2) / 2) + np.sqrt(2 * np.pi) * above * ndtr(above)
    )
    below = np.clip(z, -50.0, 0.0)
    below = np.log1p(np.sqrt(np.pi / 2) * below * erfcx(-below / np.sqrt(2)))
    far = -2 * np.log(np.maximum(-z, 50.0))  # the sum above loses its digits there
    return np.where(z >= 0, above, np.where(z < -50, far, below)) - np.log(curvature)
