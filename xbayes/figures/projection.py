"""The Mollweide projection of Galactic coordinates."""

import numpy as np
from jaxtyping import Float

LONGITUDES = tuple(range(150, -151, -30))  # degrees, ticks of maps
MAX_STEPS = 60


def mollweide(
    l_deg: Float[np.ndarray, "N"], b_deg: Float[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    """Equal-area x in [-2, 2], falling with l, and y in [-1, 1] (Snyder 1987, eq. 31)."""
    b = np.radians(b_deg)
    # Newton's method for 2 t + sin 2t = pi sin b converges slowly at the poles (zero slope).
    t = b.copy()
    for _ in range(MAX_STEPS):
        slope = np.maximum(4 * np.cos(t) ** 2, 1e-9)
        step = (2 * t + np.sin(2 * t) - np.pi * np.sin(b)) / slope
        t -= step
        if np.nanmax(np.abs(step), initial=0.0) < 1e-9:
            break
    t = np.clip(t, -np.pi / 2, np.pi / 2)
    return -l_deg / 90 * np.cos(t), np.sin(t)


def from_mollweide(
    x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    """Longitude and latitude in degrees of points on the map; NaN outside the ellipse."""
    t = np.arcsin(np.where(np.abs(y) <= 1, y, np.nan))
    b_deg = np.degrees(np.arcsin(np.clip((2 * t + np.sin(2 * t)) / np.pi, -1, 1)))
    width = np.maximum(np.cos(t), 1e-12)
    l_deg = -90 * x / width
    return np.where(np.abs(l_deg) <= 180, l_deg, np.nan), b_deg
