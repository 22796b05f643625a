"""The simulated sky beside the real one: a table of distributions by class, and a picture.

XBAYES_DATA=... .venv/bin/python experiments/simulator/run.py --out FIGURE.png
"""

import argparse
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from astropy import units as u
from astropy.coordinates import SkyCoord
from scipy.stats import ks_2samp

import xbayes

CLASSES = {
    "AGN": ["AGN"],
    "Star": ["LM-STAR", "HM-STAR", "YSO"],
    "XRB": ["LMXB", "HMXB"],
    "CV": ["CV"],
}
REAL = {
    "flux_soft": "Fcsc_s",
    "flux_medium": "Fcsc_m",
    "flux_hard": "Fcsc_h",
    "gamma": "powlaw_gamma_mean",
    "parallax_snr": "RPlx",
    "distance": "rgeo",
} | {f"{band}_mag": f"{band.upper()}mag" for band in ("g", "j", "h", "k", "w1", "w2", "w3")}


def quantities(data: pd.DataFrame) -> pd.DataFrame:
    """What both skies have, in the units of the figure; NaN where not measured."""
    flux = data.flux_soft + data.flux_medium + data.flux_hard
    latitude = SkyCoord(data.ra.to_numpy() * u.deg, data.dec.to_numpy() * u.deg).galactic.b.deg
    made = {
        "log10 flux, 0.5-7 keV [erg/s/cm2]": np.log10(flux),
        "log10 signal to noise": np.log10(data.significance),
        "hardness, soft and hard": (data.flux_hard - data.flux_soft)
        / (data.flux_hard + data.flux_soft),
        "photon index": data.gamma,
        "galactic latitude, absolute [deg]": pd.Series(np.abs(latitude), data.index),
        "G [mag]": data.g_mag,
        "J [mag]": data.j_mag,
        "W1 [mag]": data.w1_mag,
        "BP - RP [mag]": data.bp_rp,
        "G - J [mag]": data.g_mag - data.j_mag,
        "J - K [mag]": data.j_mag - data.k_mag,
        "W1 - W2 [mag]": data.w1_mag - data.w2_mag,
        "log10 parallax over error": np.log10(data.parallax_snr.where(data.parallax_snr > 0)),
        "log10 proper motion [mas/yr]": np.log10(data.pm.where(data.pm > 0)),
        "log10 distance [pc]": np.log10(data.distance),
        "variability within observations [probability]": data.var_intra_prob,
    }
    return pd.DataFrame(made).assign(Class=data.Class)


def real_sky() -> pd.DataFrame:
    """The real sources of the four classes, with the column names of the simulation."""
    data = pd.read_csv(Path(os.environ["XBAYES_DATA"]) / "chandra_sources.csv")
    data = data.rename(columns={theirs: ours for ours, theirs in REAL.items()})
    data["bp_rp"], data["pm"] = data.BPmag - data.RPmag, 1000 * data.PM
    data["Class"] = data.Class.map({label: c for c, labels in CLASSES.items() for label in labels})
    return data[data.Class.notna()]


def span(values: pd.Series) -> str:
    """Median, 5 to 95 % and the largest absolute value."""
    low, middle, high, top = np.nanquantile(values, [0.05, 0.5, 0.95, 1])
    return f"{middle:.2f} ({low:.2f} to {high:.2f}; {top:.2f})"


def print_table(real: pd.DataFrame, simulated: pd.DataFrame) -> None:
    """Medians, spans, largest values, shares without a value and Kolmogorov-Smirnov distances."""
    print("| quantity | class | real | simulated | no value, real | simulated | distance |")
    print("|---|---|---|---|---|---|---|")
    for name in real.columns.drop("Class"):
        for label in CLASSES:
            a, b = (sky.loc[sky.Class == label, name] for sky in (real, simulated))
            if min(a.count(), b.count()) < 5:
                continue
            distance = ks_2samp(a.dropna(), b.dropna()).statistic
            shares = f"{a.isna().mean():.2f} | {b.isna().mean():.2f}"
            print(f"| {name} | {label} | {span(a)} | {span(b)} | {shares} | {distance:.2f} |")


def draw(real: pd.DataFrame, simulated: pd.DataFrame, out: Path) -> None:
    """Histograms by class: real sources filled, simulated ones as a line."""
    names = real.columns.drop("Class")
    figure, axes = plt.subplots(8, 8, figsize=(17, 17), layout="constrained")
    for (row, name), (column, label) in (
        (r, c) for r in enumerate(names) for c in enumerate(CLASSES)
    ):
        axis = axes[row // 2, 4 * (row % 2) + column]
        both = pd.concat([real[name], simulated[name]])
        bins = np.linspace(*np.nanquantile(both, [0.002, 0.998]), 25)
        for sky, style in ((real, {"color": "#9ecae1"}), (simulated, {"histtype": "step"})):
            values = sky.loc[sky.Class == label, name].dropna()
            weights = np.full(len(values), 1 / max(len(values), 1))
            options = {"color": "#b2182b"} | style
            axis.hist(values.clip(*bins[[0, -1]]), bins, weights=weights, **options)
        axis.set_yticks([])
        axis.set_title(label, fontsize=9)
        axis.tick_params(labelsize=8)
        if column == 0:
            axis.set_xlabel(name, loc="left", fontsize=9)
    figure.suptitle("Real Chandra sources (filled) and simulated sources (line), share per bin")
    figure.savefig(out, dpi=80)


def main() -> None:
    """Simulate as many sources of each class as thirty Chandra samples have, and compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("runs/distributions.png"))
    out = parser.parse_args().out
    skies = [xbayes.simulate(preset="csc", seed=seed).to_pandas() for seed in range(30)]
    real, simulated = quantities(real_sky()), quantities(pd.concat(skies, ignore_index=True))
    print_table(real, simulated)
    draw(real, simulated, out)


if __name__ == "__main__":
    main()
