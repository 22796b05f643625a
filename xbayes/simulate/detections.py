"""The detections of simulated sources: what each observation measured, scattered around them."""

import numpy as np
from astropy.table import Table
from jaxtyping import Float, Int

from xbayes.catalog.columns import masked_column
from xbayes.simulate.kinds import stream
from xbayes.simulate.spectra import BANDS


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
        np.stack([np.asarray(catalog[f"{what}_{band}"], float) for band in BANDS], axis=1)
        for what in ("flux", "e_flux")
    )
    number = np.asarray(catalog["n_detections"])[source]
    # Who surely varies between observations does so by more; unmeasured says a little.
    sure = masked_column(catalog, "var_inter_prob").filled(0.5)
    amplitude = 0.05 + 0.3 * np.asarray(sure, float) ** 4
    own = stream(seed, "amplitude of detections").lognormal(0, 0.3, size)
    change = (amplitude * own)[source]
    change = change * stream(seed, "flux of detections").standard_normal(len(source))
    # The softness of a source displaces all of its detections together.
    tilt = stream(seed, "tilt of sources").normal(0, 0.05, size)[source]
    tilt = tilt + stream(seed, "tilt of detections").normal(0, 0.04, len(source))
    factor = 10 ** (change[:, None] + tilt[:, None] * np.array([-1, 0, 1]))
    # Each observation has its part of the counts.
    error = error[source] * np.sqrt(number)[:, None]
    noise = stream(seed, "noise of detections").standard_normal(error.shape)
    true = mean[source] * factor
    flux = np.maximum(true + error * noise, 0.02 * error)
    return flux, error


def _variability(catalog: Table, source: Int[np.ndarray, "D"], seed: int) -> Float[np.ndarray, "D"]:
    chance = np.clip(np.asarray(catalog["var_intra_prob"], float), 1e-6, 1 - 1e-6)
    log_odds = np.log(chance / (1 - chance))
    log_odds = log_odds + stream(seed, "variability of sources").normal(0, 0.5, len(chance))
    spread = stream(seed, "variability of detections").normal(0, 1.0, len(source))
    return 1 / (1 + np.exp(-np.clip(log_odds[source] + spread, -30, 30)))
