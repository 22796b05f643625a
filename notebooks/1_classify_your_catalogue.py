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
# A survey gave a table of X-ray sources with optical and infrared counterparts. The class of some
# is known from the literature. What are the others, and how far may each answer be trusted?
#
# Everything below is a command as well (`xbayes simulate`, `run`, `classify`, `counts`); the
# notebook calls the functions behind them. For your own catalogue change the two files and the
# config.

# %%
from pathlib import Path

from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.cli import commands
from xbayes.cli import planning as commands_planning
from xbayes.cli.progress import Reporter
from xbayes.config.reader import load_config
from xbayes.figures.notebook import show
from xbayes.simulate.catalog import simulate_catalog
from xbayes.types import InputError

# %% tags=["parameters"]
folder = Path("runs/notebooks/classify")  # where everything is written
n_known, n_new = 3000, 2000  # sources
settings = []  # changes of the config, such as "model.weights=property"

# %% [markdown]
# ## The catalogue
#
# Two simulated skies stand in for yours: one of known class, one to classify. They have what real
# catalogues have: counterparts below the limit of the survey, a release that never measured a
# column.

# %%
folder.mkdir(parents=True, exist_ok=True)
known, new = folder / "known.fits", folder / "new.fits"
write_catalog(simulate_catalog(n_known, seed=1), known, overwrite=True)
unlabelled = simulate_catalog(n_new, seed=2)
unlabelled.remove_column("Class")
write_catalog(unlabelled, new, overwrite=True)
read_catalog(known)[:5]

# %% [markdown]
# ## The config
#
# It says which column is what, which labels make which class, and what to look at. A property is
# an expression over columns, in a category; `missing: evidence` says that a survey looked, so that
# finding nothing is a finding.

# %%
config = folder / "my_sources.yaml"
config.write_text("""\
name: my_sources
catalog:
  id: name
  ra: ra
  dec: dec
  label: Class          # empty where the class is unknown
  block: release        # a release that never measured a column says nothing by it
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
model: {penalty: 10, starts: 1}   # fixed, to be quick; leave both out and they are chosen
validation: {folds: 3, inner_folds: 3, bootstrap: 200}
""")

# %% [markdown]
# A mistake is told before any work, with its place in the file:

# %%
try:
    load_config(config, ["model.wieghts=property"])
except InputError as error:
    print(error)

# %% [markdown]
# ## Learn, and look at what is held out
#
# Each source is scored by a classifier that never saw it. "In sample" is how well the labels are
# learned by heart; only the held-out column says how well new sources are classified.

# %%
run = folder / "run"
commands.run(config, known, run, settings, True, False, Reporter())

# %% [markdown]
# Which class is taken for which? Left: where the sources of each class go (recall). Right: what
# the sources given a class truly are (precision).

# %%
show(run / "figures" / "confusion.png")

# %% [markdown]
# Does a probability of 0.8 mean right 8 times in 10? Points should lie on the diagonal, or within
# the grey steps, which hold nine in ten of what a calibrated classifier would show.

# %%
show(run / "figures" / "reliability.png")

# %% [markdown]
# Rare classes are a choice between purity and completeness. The curve shows all choices, the point
# the one made.

# %%
show(run / "figures" / "precision.png")

# %% [markdown]
# ## Classify the new sources
#
# The new sky may have other proportions of the classes than the labelled sample: those that people
# looked at. `estimate` asks the new sources themselves.

# %%
classified = folder / "classified.fits"
commands.classify(run, [str(new)], classified, [], "estimate", True)
table = read_catalog(classified)
table["name", "prediction", "p_XRB", "prediction_set", "alternative", "outlier_p"][:8]

# %% [markdown]
# `prediction_set` holds every class that is not excluded at 10 %; `alternative` is the class that
# would win without one category of evidence; a small `outlier_p` says that the source is unlike
# the class it was given. These are the columns, with what they mean:

# %%
for name in table.colnames[-24:]:
    print(f"{name:24} {table[name].description or ''}")

# %% [markdown]
# ## How many of each class?
#
# The number of sources *given* a class is not the number *of* the class. Two corrections that know
# the errors of the classifier; where they disagree, a warning says so.

# %%
commands_planning.counts(run, new, None, False, True)

# %% [markdown]
# ## Where to go from here
#
# The report, `run/report.html`, has all of this and the tracks of single sources, which the next
# notebook reads.

# %%
show(run / "figures" / "sky.png")
