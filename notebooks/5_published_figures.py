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
# Two published systems are where xbayes comes from: the alpha-weighted naive Bayes of Tranin et
# al. (2022, A&A 657, A138) and the cluster-then-label of Perez-Diaz et al. (2024, arXiv
# 2401.12203). Here are their tables and figures, by their formulas: on a simulated sky, or, where
# the variable `XBAYES_DATA` names the folder of the real catalogues, on Chandra sources and
# detections.
#
# Numbers on a simulated sky are those of the simulation. Real ones are held out here, where the
# papers scored on the sample they trained on.

# %%
import os
from pathlib import Path

import numpy as np

import xbayes
from xbayes.catalog.columns import masked_column
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.cli import commands
from xbayes.cli.progress import Reporter
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path
from xbayes.figures.all_figures import draw_criterion, draw_sky, draw_track
from xbayes.figures.notebook import show
from xbayes.figures.projection import galactic
from xbayes.simulate.catalog import simulate_catalog
from xbayes.tasks.explain import explain_source
from xbayes.tasks.select_components import reason, select_components

# %% tags=["parameters"]
folder = Path("runs/notebooks/published")  # where everything is written
n_sources = 4000  # of the simulated sky
largest, n_runs = 20, 10  # clusters tried, and EM runs for each number
data = os.environ.get("XBAYES_DATA")  # the folder of the real catalogues, if there is one
settings = []  # changes of the configs, such as "validation.bootstrap=100"
configs = Path("configs") if Path("configs").is_dir() else Path("../configs")

# %%
folder.mkdir(parents=True, exist_ok=True)
simulated = folder / "simulated.fits"
write_catalog(simulate_catalog(n_sources, 5), simulated, overwrite=True)

# %% [markdown]
# ## Tranin et al. 2022: densities, weights, confusion
#
# Kernel densities on a hundred bins, a presence term for every property, one weight a category
# divided by the sum of all, the weights searched by differential evolution for the F1 of X-ray
# binaries. On the real sources that is `configs/chandra_sources_published.yaml`.

# %%
published = folder / "published.yaml"
published.write_text(f"""\
extends: {Path(xbayes.__file__).parent.resolve() / "demo.yaml"}
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
config, catalog = published, simulated
if data:
    config = configs / "chandra_sources_published.yaml"
    catalog = catalog_path(load_config(config))
naive = folder / "naive_bayes"
commands.run(config, catalog, naive, settings, True, False, Reporter())

# %% [markdown]
# The confusion matrix and its precision and recall. The papers give precision re-weighted to the
# proportions expected in the sky, and score the training sample: compare the first column of the
# table above with the second to see how much that flatters.

# %%
show(naive / "figures" / "confusion.png")

# %% [markdown]
# The densities behind it, category by category, and the weights of the categories. In all the
# published runs variability weighs most. On the simulated sky it need not: it has two properties
# of variability only, and neither is as telling as a light curve over years.

# %%
show(naive / "figures" / "densities_spectrum.png")

# %%
show(naive / "figures" / "weights.png")

# %% [markdown]
# The probability track of the surest X-ray binary: why astronomers believe it.

# %%
table = read_catalog(naive / "catalog.fits")
table.sort("p_XRB", reverse=True)
id_column = load_config(config).catalog.id
whole = read_catalog(catalog, text=[id_column])
show(draw_track(explain_source(naive, whole, str(table[id_column][0]))))

# %% [markdown]
# ## Perez-Diaz et al. 2024: how many clusters?
#
# All sources, whatever their class, fall into clusters of a Gaussian mixture. BIC and its gradient
# say how many the data carry; the authors took six.

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
config, catalog = clusters, simulated
if data:
    config = configs / "chandra_detections_published_fine.yaml"
    catalog = catalog_path(load_config(config))
criterion, _ = select_components(load_config(config), catalog, largest, n_runs)
print(reason(criterion))
show(draw_criterion(criterion.n_components, criterion.bic, criterion.taken))

# %% [markdown]
# ## Label by the distance to the labelled members
#
# In each cluster, the softmin of the squared Mahalanobis distances to the members of each class.
# It is no posterior (no determinant, no prior); it is the published recipe, kept as the baseline.

# %%
recipe = folder / "clustered"
commands.run(config, catalog, recipe, settings, True, False, Reporter())

# %% [markdown]
# The confusion of the fine classes, and of the aggregated ones, which the paper discusses.

# %%
show(recipe / "figures" / "confusion.png")

# %%
show(recipe / "figures" / "confusion_aggregated.png")

# %% [markdown]
# The clusters: two hardness ratios, a panel a cluster, coloured by the probability of variability
# in the hard band; and the properties of each cluster.

# %%
show(recipe / "figures" / "members.png")

# %%
show(recipe / "figures" / "cluster_histograms.png")

# %% [markdown]
# The properties of each class, and which cluster holds which.

# %%
show(recipe / "figures" / "histograms_spectrum.png")

# %%
show(recipe / "figures" / "assignment.png")

# %% [markdown]
# The sky. Of the real catalogues the detections of known class have no positions; those of the
# sources without a class have.

# %%
sky = read_catalog(recipe / "catalog.fits")
if data:
    unknown = read_catalog(Path(data) / "chandra_detections_unlabelled.csv")
    unknown.rename_column("name", "detection_id")  # the first detection stands for its source
    write_catalog(unknown, folder / "unknown.fits", overwrite=True)
    found = folder / "unknown_classified.fits"
    commands.classify(recipe, [str(folder / "unknown.fits")], found, [], None, True)
    sky = read_catalog(found)
    classes = list(load_config(config).taxonomy.classes)
    place = galactic(*(masked_column(sky, name).filled(np.nan) for name in ("ra", "dec")))
    predicted = np.array([classes.index(name) for name in sky["prediction"]])
    picture = show(draw_sky(*place, predicted, classes))
else:
    picture = show(recipe / "figures" / "cluster_sky.png")
picture
