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
# # Reproduce the published figures
#
# xbayes starts from two published systems: the alpha-weighted naive Bayes of Tranin et al. (2022,
# A&A 657, A138) and the cluster-then-label method of Perez-Diaz et al. (2024, arXiv 2401.12203).
# This notebook applies both recipes and draws their tables and figures: for a simulated catalogue
# or, if the variable `XBAYES_DATA` names the folder of the real catalogues, for Chandra sources and
# detections.
#
# Scores are held out here, whereas the papers scored sources that they trained on.

# %%
import os
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord
from astropy.table import Table

import xbayes
from xbayes.figures.notebook import show
from xbayes.figures.sky import draw_sky

# %% tags=["parameters"]
folder = Path("runs/notebooks/published")  # where everything is written
n_sources = 4000  # of the simulated catalogue
largest, n_runs = 20, 10  # largest number of clusters, and EM runs for each number
data = os.environ.get("XBAYES_DATA")  # the folder of the real catalogues, if there is one
settings = []  # changes of the configs, such as "validation.bootstrap=100"
configs = Path("configs") if Path("configs").is_dir() else Path("../configs")

# %% [markdown]
# ## Tranin et al. 2022: densities, weights, confusion
#
# The recipe: kernel densities on a hundred bins, a detection term for every feature, one weight per
# category, divided by the sum of the weights, and weights that maximise the F1 of X-ray binaries
# by differential evolution. For the real sources it is `configs/chandra_sources_published.yaml`.

# %%
folder.mkdir(parents=True, exist_ok=True)
simulated = xbayes.simulate(n_sources, seed=5)
published = folder / "published.yaml"
published.write_text(f"""\
extends: {Path(xbayes.__file__).resolve().with_name("demo.yaml")}
name: published
model:
  density: published
  shrink_outliers: false
  weights: category
  normalise: true
  offsets: false
  objective: f1
  optimiser: evolution
  calibration: none
  missing_weight: auto
""")
naive = xbayes.run(
    configs / "chandra_sources_published.yaml" if data else published,
    catalog=None if data else simulated,  # None: the file that the config names
    out=folder / "naive_bayes",
    set=settings,
    overwrite=True,
)

# %% [markdown]
# The confusion matrix, with precision and recall. The papers score the training sample: compare the
# F1 in sample with the held-out F1 to see how optimistic that is. They also give precision for the
# class proportions expected in the sky ("re-weighted").

# %%
show(naive.folder / "figures" / "confusion.png")

# %%
blocks = {"in sample": "in_sample", "held out": "cross_validated", "re-weighted": "prior_weighted"}
scores = {name: pd.DataFrame(naive.metrics[block]["f1"]) for name, block in blocks.items()}
pd.DataFrame({name: score.loc["value"] for name, score in scores.items()})

# %% [markdown]
# The densities of one category, and the weights of the categories. In the paper variability has
# the largest weight. On the simulated catalogue it need not: there are only two features of
# variability, and neither is as informative as a light curve over years.

# %%
show(naive.folder / "figures" / "densities_spectrum.png")

# %%
show(naive.folder / "figures" / "weights.png")

# %% [markdown]
# The probability track of the most probable X-ray binary:

# %%
table = Table.read(naive.folder / "catalog.fits")
table.sort("p_XRB", reverse=True)
first = str(table[naive.config.catalog.id][0])
sources = os.path.expandvars(naive.config.catalog.file) if data else simulated
show(naive.explain(sources, first).plot())

# %% [markdown]
# ## Perez-Diaz et al. 2024: how many clusters?
#
# A Gaussian mixture divides all sources into clusters, regardless of their class. BIC and its
# change suggest how many clusters the data support; the authors took six.

# %%
clusters = folder / "clusters.yaml"
clusters.write_text("""\
name: published_clusters
catalog: {id: name, ra: ra, dec: dec, label: Class}
taxonomy:
  classes: {AGN: [AGN], Star: [Star], XRB: [XRB], CV: [CV]}
  aggregated: {AGN: [AGN], Star: [Star], Binary: [XRB, CV]}
features:
  hard_hm: {expression: "hardness(flux_medium, flux_hard)", category: spectrum}
  hard_hs: {expression: "hardness(flux_soft, flux_hard)", category: spectrum}
  hard_ms: {expression: "hardness(flux_soft, flux_medium)", category: spectrum}
  powlaw_gamma: {expression: gamma, category: spectrum, rescale: minmax}
  var_prob_h: {expression: var_intra_prob, category: variability}
model:
  density: published_clusters
  shrink_outliers: false
  clusters: {components: 6}
  weights: none
  offsets: false
  prior: uniform
  penalty: 1
  calibration: none
validation: {folds: 3, inner_folds: 3, bootstrap: 200}
""")
recipe = configs / "chandra_detections_published_fine.yaml" if data else clusters
rows = None if data else simulated
found = xbayes.select_k(recipe, catalog=rows, largest=largest, runs=n_runs)
print(found.reason)
show(found.plot())

# %% [markdown]
# ## Label by the distance to the labelled members
#
# In each cluster, the class probabilities are the softmin of the squared Mahalanobis distances to
# the members of each class. That is not a posterior (it has no determinant and no prior), and is
# kept as the baseline.

# %%
clustered = xbayes.run(recipe, catalog=rows, out=folder / "clustered", set=settings, overwrite=True)

# %% [markdown]
# The confusion of the fine classes, and of the aggregated classes that the paper discusses.

# %%
show(clustered.folder / "figures" / "confusion.png")

# %%
show(clustered.folder / "figures" / "confusion_aggregated.png")

# %% [markdown]
# The clusters: two hardness ratios, one panel per cluster, coloured by the probability of
# variability in the hard band; and the features of each cluster.

# %%
show(clustered.folder / "figures" / "members.png")

# %%
show(clustered.folder / "figures" / "cluster_histograms.png")

# %% [markdown]
# The features of each class, and the classes in each cluster.

# %%
show(clustered.folder / "figures" / "histograms_spectrum.png")

# %%
show(clustered.folder / "figures" / "assignment.png")

# %% [markdown]
# The sky. In the real catalogues the labelled detections have no positions, so the map shows the
# sources without a known class.

# %%
if data:
    unknown = Table.read(Path(data) / "chandra_detections_unlabelled.csv")
    unknown.rename_column("name", "detection_id")  # the first detection represents its source
else:
    unknown = simulated
sky = clustered.classify(unknown)
places = SkyCoord(sky["ra"], sky["dec"], unit="deg").galactic
predicted = np.array([clustered.classes.index(name) for name in sky["prediction"]])
show(draw_sky(places.l.wrap_at("180d").deg, places.b.deg, predicted, clustered.classes))
