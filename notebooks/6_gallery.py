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
# # Gallery
#
# The figures that xbayes draws, each with the lines that make it. Most are also files in the folder
# `figures` of a run. The catalogue is simulated.

# %%
from pathlib import Path

import xbayes
from xbayes.figures.notebook import show

# %% tags=["parameters"]
folder = Path("runs/notebooks/gallery")  # where everything is written
n_sources = 3000  # of the simulated catalogue
settings = []  # changes of the configs, such as "validation.bootstrap=100"
largest, n_runs = 10, 3  # largest number of clusters, and EM runs for each number
sizes = (0.15, 0.3, 0.6, 1)  # shares of the labels, for the learning curve

# %%
folder.mkdir(parents=True, exist_ok=True)
catalog = xbayes.simulate(n_sources, seed=1)
demo = Path(xbayes.__file__).with_name("demo.yaml")
fit = xbayes.run(demo, catalog=catalog, out=folder / "demo", set=settings, overwrite=True)
figures = fit.folder / "figures"

# %% [markdown]
# ## One source
#
# Why the most probable X-ray binary is one. On the left, the posterior that each category of
# features alone would give; on the right, the contribution of each feature to the log-odds.

# %%
classified = fit.classify(catalog)
classified.sort("p_XRB", reverse=True)
show(fit.explain(catalog, str(classified["name"][0])).plot())

# %% [markdown]
# ## How good are the predictions?
#
# Held-out confusion of the classes, in percent of the true class and of the predicted class.

# %%
show(figures / "confusion.png")

# %% [markdown]
# Reliability: the fraction of sources that belong to a class, against the probability that was
# predicted for them. The grey band is where a calibrated model would lie.

# %%
show(figures / "reliability.png")

# %% [markdown]
# Precision and recall of each class for every threshold on its probability.

# %%
show(figures / "precision.png")

# %% [markdown]
# More labels, or better features? The curves show the scores of each class against the number of
# its labelled sources.

# %%
quick = ["model.weights=property", *settings]
curve = xbayes.learning_curve(demo, catalog=catalog, sizes=sizes, set=quick)
show(curve.plot())

# %% [markdown]
# ## The model
#
# The density of each class for every feature of a category, and its sources.

# %%
show(figures / "densities_counterparts.png")

# %% [markdown]
# The learned weight of each feature for each class.

# %%
show(figures / "weights.png")

# %% [markdown]
# ## The catalogue
#
# The sky in galactic coordinates, with the predicted class of each source.

# %%
show(figures / "sky.png")

# %% [markdown]
# Two features against each other.

# %%
show(figures / "scatter.png")

# %% [markdown]
# The measured values of each class.

# %%
show(figures / "histograms_spectrum.png")

# %% [markdown]
# Outlier p-values. In a catalogue that is like the training sample each bin has the same number of
# sources; an excess in the first bin is sources unlike any class.

# %%
show(figures / "outliers.png")

# %% [markdown]
# ## Clusters
#
# The number of clusters by BIC, for the cluster-then-label method of Perez-Diaz et al. (2024).

# %%
clusters = folder / "clusters.yaml"
clusters.write_text("""\
name: clusters
catalog: {id: name, ra: ra, dec: dec, label: Class}
taxonomy: {classes: {AGN: [AGN], Star: [Star], XRB: [XRB], CV: [CV]}}
features:
  hard_hm: {expression: "hardness(flux_medium, flux_hard)", category: spectrum}
  hard_ms: {expression: "hardness(flux_soft, flux_medium)", category: spectrum}
  hard_hs: {expression: "hardness(flux_soft, flux_hard)", category: spectrum}
  var_intra: {expression: var_intra_prob, category: variability}
model: {density: clusters, clusters: {components: 4}}
validation: {folds: 3, inner_folds: 3, bootstrap: 200}
""")
show(xbayes.select_k(clusters, catalog=catalog, largest=largest, runs=n_runs).plot())

# %% [markdown]
# The classes in each cluster.

# %%
clustered = xbayes.run(
    clusters, catalog=catalog, out=folder / "clusters", set=settings, overwrite=True
)
show(clustered.folder / "figures" / "assignment.png")

# %% [markdown]
# The members of each cluster in two features.

# %%
show(clustered.folder / "figures" / "members.png")

# %% [markdown]
# ## Uncertainty
#
# With `variant: bayes` every probability has an interval, and every weight a posterior.

# %%
bayes = xbayes.run(
    demo,
    catalog=catalog,
    out=folder / "bayes",
    set=["variant=bayes", "posterior.method=laplace", "model.weights=property", *settings],
    overwrite=True,
)
show(bayes.folder / "figures" / "posterior_intervals.png")

# %%
show(bayes.folder / "figures" / "posterior_weights.png")
