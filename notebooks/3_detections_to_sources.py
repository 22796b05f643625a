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
# A source seen in ten observations is ten rows. Each is classified by itself; what is the source?
# Ten detections tell more than one, but less than ten independent ones: they share the spectrum,
# the absorption and the neighbours of one source.

# %%
from pathlib import Path

import numpy as np
from astropy.table import join

from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.cli import commands
from xbayes.cli.progress import Reporter
from xbayes.compare.figures import draw_compared_precision, draw_compared_reliability
from xbayes.figures.notebook import show
from xbayes.simulate.catalog import simulate_catalog, simulate_detections
from xbayes.tasks.pool_detections import pool_detections

# %% tags=["parameters"]
folder = Path("runs/notebooks/detections")  # where everything is written
n_known, n_new = 2000, 2000  # sources, of about three detections each

# %% [markdown]
# ## Detections, and whose they are
#
# A source scatters around its own spectrum, and is displaced by an amount of its own. The labels
# of the second sky are kept aside: they will judge the votes.

# %%
folder.mkdir(parents=True, exist_ok=True)
known, new = folder / "known.fits", folder / "new.fits"
write_catalog(simulate_detections(simulate_catalog(n_known, 31), 31), known, overwrite=True)
truth = simulate_catalog(n_new, 32)
rows = simulate_detections(truth, 32)
rows.remove_column("Class")
write_catalog(rows, new, overwrite=True)
read_catalog(known)[:6]

# %% [markdown]
# `catalog.source` names the column that says whose detection a row is. Folds then never split a
# source: a classifier that saw three detections of a source knows the fourth, and would be scored
# too well.

# %%
config = folder / "detections.yaml"
config.write_text("""\
name: detections
catalog: {id: detection_id, label: Class, source: name}
taxonomy:
  classes: {AGN: [AGN], Star: [Star], XRB: [XRB], CV: [CV]}
features:
  hard_ms: {expression: hard_ms, category: spectrum, bounds: [-1, 1]}
  hard_hm: {expression: hard_hm, category: spectrum, bounds: [-1, 1]}
  hard_hs: {expression: hard_hs, category: spectrum, bounds: [-1, 1]}
  flux: {expression: flux, category: spectrum, scale: log10, unit: erg/s/cm2}
  var_prob: {expression: var_prob, category: variability, bounds: [0, 1]}
model: {penalty: 10, starts: 1}   # fixed, to be quick
validation: {folds: 3, inner_folds: 3, bootstrap: 200}
""")
run = folder / "run"
commands.run(config, known, run, [], True, False, Reporter())

# %% [markdown]
# ## Classify each detection, then pool
#
# Three ways to pool. The *soft vote* is the mean of the probabilities, the *hard vote* the most
# frequent class; where they agree a source is "uniquely classified", else "ambiguous" (Perez-Diaz
# et al. 2024). The *combined* posterior multiplies the evidence of n detections, counted as n / (1
# + (n - 1) rho) independent ones. Rho, how much the detections of a source are alike, is learned
# on held-out sources.

# %%
detections = folder / "classified.fits"
commands.classify(run, [str(new)], detections, [], None, True)
pooled = pool_detections(read_catalog(detections), "name", run)
print(f"rho = {pooled.rho:.2f}, {pooled.origin}")
sources = join(pooled.table, truth["name", "Class"], keys="name")
sources["name", "n_detections", "soft_class", "hard_class", "vote", "combined_class", "Class"][:8]

# %% [markdown]
# One source with many detections: the probabilities of its observations, and what becomes of them.

# %%
sources.sort("n_detections", reverse=True)
often = sources["name"][0]
each = read_catalog(detections)
each[each["name"] == often]["detection_id", "prediction", "p_AGN", "p_Star", "p_XRB", "p_CV"]

# %%
sources[:1]["name", "p_AGN", "sd_AGN", "p_XRB", "sd_XRB", "combined_AGN", "combined_XRB"]

# %% [markdown]
# ## Which vote may be believed?
#
# All sources of the second sky, judged by their true class. A soft vote never grows surer with
# more detections, so it says too little where there are many: its points lie above the diagonal.
# The combined posterior should lie on it.

# %%
classes = pooled.table.meta["CLASSES"].split(",")
true_class = np.array([classes.index(name) for name in sources["Class"]])
votes = {
    "soft vote": np.column_stack([sources[f"p_{name}"] for name in classes]),
    "combined": np.column_stack([sources[f"combined_{name}"] for name in classes]),
}
show(draw_compared_reliability(votes, true_class))

# %% [markdown]
# And which finds the X-ray binaries? Precision against recall, a panel a class; the point is the
# most probable class.

# %%
chosen = {name: posterior.argmax(1) for name, posterior in votes.items()}
show(draw_compared_precision(votes, true_class, chosen, classes))

# %% [markdown]
# A label of a source is worth as much as its source, not as much as its detections: all intervals
# of this run come from a bootstrap over sources. `xbayes sources classified.fits --by name --run
# RUN --out sources.fits` writes the table above.
