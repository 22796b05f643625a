# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From detections to sources
#
# A source that was observed ten times is ten rows of a detection catalogue. Each row is classified
# by itself; what is the class of the source? Ten detections carry more information than one, but
# less than ten independent ones, because they share the spectrum, the absorption and the
# neighbours of one source.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from astropy.table import join

import xbayes
from xbayes.figures.notebook import show
from xbayes.figures.precision import precision_recall
from xbayes.figures.reliability import draw_reliability_diagram, reliability
from xbayes.simulate.catalog import simulate_detections

# %% tags=["parameters"]
folder = Path("runs/notebooks/detections")  # where the run is written
n_known, n_new = 2000, 2000  # sources, with about three detections each

# %% [markdown]
# ## Two simulated detection catalogues
#
# The detections of a source scatter around its spectrum, and each source has its own systematic
# offset. The second catalogue has no labels; the true classes of its sources are used only to
# judge the result.

# %%
known = simulate_detections(xbayes.simulate(n_known, seed=31), seed=31)
true_sources = xbayes.simulate(n_new, seed=32)
new = simulate_detections(true_sources, seed=32)
new.remove_column("Class")
known[:6]

# %% [markdown]
# `catalog.source` names the column that says which source a detection belongs to. All detections
# of a source are then in the same fold. Otherwise the classifier would be fitted to some detections
# of a source and scored on the others, and the scores would be too good.

# %%
config = {
    "name": "detections",
    "catalog": {"id": "detection_id", "label": "Class", "source": "name"},
    "taxonomy": {"classes": {"AGN": ["AGN"], "Star": ["Star"], "XRB": ["XRB"], "CV": ["CV"]}},
    "features": {
        "hard_ms": {"expression": "hard_ms", "category": "spectrum", "bounds": [-1, 1]},
        "hard_hm": {"expression": "hard_hm", "category": "spectrum", "bounds": [-1, 1]},
        "hard_hs": {"expression": "hard_hs", "category": "spectrum", "bounds": [-1, 1]},
        "flux": {"expression": "flux", "category": "spectrum", "scale": "log10"},
        "var_prob": {"expression": "var_prob", "category": "variability", "bounds": [0, 1]},
    },
    "model": {"penalty": 10, "starts": 1},  # fixed here to save time
    "validation": {"folds": 3, "inner_folds": 3, "bootstrap": 200},
}
fit = xbayes.run(config, catalog=known, out=folder / "run", overwrite=True)

# %% [markdown]
# ## Classify each detection, then pool the detections of each source
#
# There are three ways to pool. The *soft vote* is the mean of the probabilities; the *hard vote* is
# the most frequent class. If the two agree, the source is "uniquely classified", otherwise it is
# "ambiguous" (Perez-Diaz et al. 2024). The *combined* posterior multiplies the evidence of the n
# detections, which count as n / (1 + (n - 1) rho) independent ones. The correlation rho of the
# detections of a source is learned from the held-out sources of the run.

# %%
detections = fit.classify(new)
pooled = xbayes.sources(detections, "name", run=fit)
pooled.meta["RHO"], pooled.meta["RHO_FROM"]

# %%
sources = join(pooled, true_sources["name", "Class"], keys="name")
votes = ["soft_class", "hard_class", "vote", "combined_class"]
sources["name", "n_detections", *votes, "Class"][:8]

# %% [markdown]
# One source with many detections: the probabilities of each detection, and of the source.

# %%
sources.sort("n_detections", reverse=True)
often = sources["name"][0]
of_source = detections["name"] == often
detections[of_source]["detection_id", "prediction", "p_AGN", "p_Star", "p_XRB", "p_CV"]

# %%
sources[:1]["name", "p_AGN", "sd_AGN", "p_XRB", "sd_XRB", "combined_AGN", "combined_XRB"]

# %% [markdown]
# ## Which vote is calibrated?
#
# All sources of the second catalogue, compared with their true class. A soft vote does not become
# more certain with more detections, so it is underconfident: its points lie above the diagonal.
# The combined posterior should lie on the diagonal.

# %%
rows = sources.to_pandas()
truth = np.array([fit.classes.index(name) for name in rows["Class"]])
posteriors = {
    "soft vote": rows[[f"p_{name}" for name in fit.classes]].to_numpy(),
    "combined": rows[[f"combined_{name}" for name in fit.classes]].to_numpy(),
}
figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
for ax, (name, posterior) in zip(axes, posteriors.items(), strict=True):
    bins = reliability(posterior.max(1), posterior.argmax(1) == truth)
    draw_reliability_diagram(bins, ax)
    ax.set_title(name)
show(figure)

# %% [markdown]
# And which vote finds the X-ray binaries?

# %%
binary = fit.classes.index("XRB")
figure, ax = plt.subplots(figsize=(5, 4), layout="constrained")
for name, posterior in posteriors.items():
    precision, recall = precision_recall(posterior[:, binary], truth == binary)
    ax.step(recall, precision, where="post", label=name)
ax.set(xlabel="recall", ylabel="precision", title="X-ray binaries")
ax.legend()
show(figure)

# %% [markdown]
# The label of a source counts once, however many detections it has: all intervals of this run come
# from a bootstrap over sources. In a terminal, `xbayes sources classified.fits --by name --run RUN
# --out sources.fits` writes the pooled table.
