"""Detections of simulated sources: the values measured in each observation."""

import numpy as np
from astropy.table import Table
from jaxtyping import Float, Int

from xbayes.catalog.columns import masked_column
from xbayes.simulate.spectra import BANDS
from xbayes.simulate.subclasses import stream


def draw_detections(catalog: Table, seed: int) -> dict[str, np.ndarray]:
    """Columns of D detections: flux, hardness ratios and variability, by name."""
    number = np.asarray(catalog["n_detections"])
    source = np.repeat(np.arange(len(catalog)), number)
    flux, error = _fluxes(catalog, source, seed)
    columns: dict[str, np.ndarray] = {"detection_id": np.arange(1, len(source) + 1)}
    for name in ("name", "Class"):
        columns[name] = np.asarray(masked_column(catalog, name))[source]
    columns["flux"] = flux.sum(axis=1)
    columns["e_flux"] = np.sqrt((error**2).sum(axis=1))
    for name, low, high in (("hard_ms", 0, 1), ("hard_hm", 1, 2), ("hard_hs", 0, 2)):
        columns[name] = (flux[:, high] - flux[:, low]) / (flux[:, high] + flux[:, low])
    columns["var_prob"] = _variability(catalog, source, seed)
    return columns


def _fluxes(
    catalog: Table, source: Int[np.ndarray, "D"], seed: int
) -> tuple[Float[np.ndarray, "D 3"], Float[np.ndarray, "D 3"]]:
    size = len(catalog)
    mean, error = (
        np.stack([np.asarray(catalog[f"{quantity}_{band}"], float) for band in BANDS], axis=1)
        for quantity in ("flux", "e_flux")
    )
    number = np.asarray(catalog["n_detections"])[source]
    # Sources that are more probably variable vary more; without a probability, a little.
    probability = masked_column(catalog, "var_inter_prob").filled(0.5)
    amplitude = 0.05 + 0.3 * np.asarray(probability, float) ** 4
    scatter = stream(seed, "amplitude of detections").lognormal(0, 0.3, size)
    change = (amplitude * scatter)[source]
    change = change * stream(seed, "flux of detections").standard_normal(len(source))
    # A spectral offset shifts all detections of a source together.
    tilt = stream(seed, "tilt of sources").normal(0, 0.05, size)[source]
    tilt = tilt + stream(seed, "tilt of detections").normal(0, 0.04, len(source))
    factor = 10 ** (change[:, None] + tilt[:, None] * np.array([-1, 0, 1]))
    # Each observation has an equal part of the counts.
    error = error[source] * np.sqrt(number)[:, None]
    noise = stream(seed, "noise of detections").standard_normal(error.shape)
    flux = np.maximum(mean[source] * factor + error * noise, 0.02 * error)
    return flux, error


def _variability(catalog: Table, source: Int[np.ndarray, "D"], seed: int) -> Float[np.ndarray, "D"]:
    probability = np.clip(np.asarray(catalog["var_intra_prob"], float), 1e-6, 1 - 1e-6)
    log_odds = np.log(probability / (1 - probability))
    log_odds = log_odds + stream(seed, "variability of sources").normal(0, 0.5, len(log_odds))
    scatter = stream(seed, "variability of detections").normal(0, 1.0, len(source))
    return 1 / (1 + np.exp(-np.clip(log_odds[source] + scatter, -30, 30)))
