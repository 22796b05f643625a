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
# # Classify your own catalogue
#
# You have a table of X-ray sources with optical and infrared counterparts. The class of some of
# them is known from the literature. What are the others, and how far can each answer be trusted?
#
# This notebook fits a classifier to the sources of known class, looks at its held-out scores, and
# classifies the others. To use your own data, replace the two tables and the config. The commands
# `xbayes run`, `classify` and `counts` do the same in a terminal.

# %%
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord

import xbayes
from xbayes.figures.confusion import draw_confusion
from xbayes.figures.notebook import show
from xbayes.figures.precision import draw_precision_recall
from xbayes.figures.reliability import draw_reliability
from xbayes.figures.sky import draw_sky

# %% tags=["parameters"]
folder = Path("runs/notebooks/classify")  # where everything is written
n_known, n_new = 3000, 2000  # sources of known and of unknown class
settings = []  # changes of the config, such as "model.weights=property"

# %% [markdown]
# ## The catalogue
#
# Two simulated catalogues stand in for yours: one with classes, one without. Like real catalogues
# they contain sources without a counterpart, and a data release without one of the columns.

# %%
known = xbayes.simulate(n_known, seed=1)
new = xbayes.simulate(n_new, seed=2)
new.remove_column("Class")
known[:5]

# %% [markdown]
# ## The config
#
# The config says which column is which, which labels belong to which class, and which features to
# use. A feature is an expression over columns and belongs to a category. If a value is missing, the
# feature is by default *not available*, which is no evidence for any class. With `missing:
# evidence` it is *not detected*: a survey covered the source and found nothing, which is evidence.

# %%
folder.mkdir(parents=True, exist_ok=True)
config = folder / "my_sources.yaml"
config.write_text("""\
name: my_sources
catalog:
  id: name
  ra: ra
  dec: dec
  label: Class          # empty where the class is unknown
  block: release        # a column that is empty throughout a release is not available there
taxonomy:
  classes: {AGN: [AGN], Star: [Star], XRB: [XRB], CV: [CV]}
features:
  abs_b: {expression: "abs(galactic_b(ra, dec))", category: location, bounds: [0, 90], unit: deg}
  hr_ms: {expression: "hardness(flux_soft, flux_medium)", category: spectrum, bounds: [-1, 1]}
  hr_hm: {expression: "hardness(flux_medium, flux_hard)", category: spectrum, bounds: [-1, 1]}
  gamma: {expression: gamma, category: spectrum, description: photon index}
  fx_g:
    expression: log10(flux_soft + flux_medium + flux_hard) + g_mag / 2.5
    category: counterparts
    missing: evidence
    description: log X-ray to G-band flux
  g_j: {expression: g_mag - j_mag, category: counterparts, unit: mag}
  w1_w2: {expression: w1_mag - w2_mag, category: counterparts, missing: evidence, unit: mag}
  parallax_snr: {expression: parallax_snr, category: counterparts}
  var_intra: {expression: var_intra_prob, category: variability, bounds: [0, 1]}
  var_inter: {expression: var_inter_prob, category: variability, bounds: [0, 1]}
model: {penalty: 10, starts: 1}   # fixed here to save time; leave both out in a real config
validation: {folds: 3, inner_folds: 3, bootstrap: 200}
""")

# %% [markdown]
# A mistake is reported before any work is done, with its place in the file:

# %%
try:
    xbayes.run(config, catalog=known, set=["model.wieghts=property"])
except xbayes.InputError as error:
    print(error)

# %% [markdown]
# ## Fit, and look at the held-out scores
#
# `run` cross-validates, fits the classifier to all sources of known class, and writes a report.
# "In sample" scores are too good, because the classifier was fitted to the same sources. Quote the
# held-out scores: they come from sources that were left out of the fit.

# %%
fit = xbayes.run(config, catalog=known, out=folder / "run", overwrite=True, set=settings)
scores = {"in sample": fit.metrics["in_sample"], "held out": fit.metrics["cross_validated"]}
pd.DataFrame({name: pd.DataFrame(score["f1"]).loc["value"] for name, score in scores.items()})

# %% [markdown]
# The held-out F1 of each class, with its 90 % interval:

# %%
pd.DataFrame(scores["held out"]["f1"]).T

# %% [markdown]
# Which classes are confused? On the left, each row is divided by the number of sources of the true
# class (recall on the diagonal). On the right, each column is divided by the number of sources of
# the predicted class (precision on the diagonal).

# %%
show(draw_confusion(np.array(scores["held out"]["confusion"]), fit.classes))

# %% [markdown]
# Is a probability of 0.8 right 8 times in 10? The points should lie on the diagonal, or within the
# grey band, which holds 90 % of the points of a perfectly calibrated classifier.

# %%
held_out = fit.predictions.to_pandas()
posterior = held_out[[f"p_{name}" for name in fit.classes]].to_numpy()
truth = np.array([fit.classes.index(name) for name in held_out["true_class"]])
show(draw_reliability(posterior, truth, fit.classes))

# %% [markdown]
# For a rare class you choose between purity and completeness. The curve shows every threshold on
# the probability of the class; the point is the most probable class.

# %%
prediction = np.array([fit.classes.index(name) for name in held_out["prediction"]])
show(draw_precision_recall(posterior, truth, prediction, fit.classes))

# %% [markdown]
# ## Classify the new sources
#
# The class proportions of the new catalogue may differ from those of the labelled sample. With
# `prior="estimate"` they are estimated from the new sources themselves. This assumes that the
# sources of each class look like the labelled ones.

# %%
estimates = []
classified = fit.classify(new, prior="estimate", estimated=estimates.append)
pd.DataFrame(
    [estimates[0].proportions, *estimates[0].interval()],
    index=["estimate", "5 %", "95 %"],
    columns=list(fit.classes),
)

# %%
columns = ["name", "prediction", "p_XRB", "prediction_set", "alternative", "outlier_p"]
classified[columns][:8]

# %% [markdown]
# `prediction_set` holds the prediction and every class that is not excluded at 10 %. `alternative`
# is the class that would win without one category of features. A small `outlier_p` says that the
# source is unlike the sources of its predicted class. The table describes its columns:

# %%
for name in classified.colnames[-24:]:
    print(f"{name:24} {classified[name].description or ''}")

# %% [markdown]
# ## How many sources of each class?
#
# The number of sources that are *assigned* to a class is not the number of sources *of* the class,
# because of misclassification. `counts` gives two corrected counts with 90 % intervals, and warns
# if they disagree.

# %%
fit.counts(new)

# %% [markdown]
# ## Next
#
# The report, `report.html` in the folder of the run, holds these figures and more, and explains
# single sources. The next notebook explains a source in detail. Last, the classified sources in the
# sky:

# %%
places = SkyCoord(classified["ra"], classified["dec"], unit="deg").galactic
predicted = np.array([fit.classes.index(name) for name in classified["prediction"]])
show(draw_sky(places.l.wrap_at("180d").deg, places.b.deg, predicted, fit.classes))
