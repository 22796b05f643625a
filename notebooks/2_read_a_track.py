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
# # Why did this source get its class?
#
# "X-ray binary, 97 %" is worth little without the reason. In xbayes the log-odds of two classes
# are a sum: the prior, and one contribution per feature. The list of these contributions is the
# *probability track* of the source, and it adds up to the reported log-odds exactly.

# %%
from pathlib import Path

import xbayes
from xbayes.figures.notebook import show

# %% tags=["parameters"]
run = Path("runs/demo")  # a fitted run; `make demo` makes it, or the next cell does
catalog = Path("runs/demo-catalog.fits")  # the catalogue to explain

# %%
if not run.exists():
    run.parent.mkdir(exist_ok=True)
    xbayes.simulate(3000, seed=1).write(catalog, overwrite=True)
    xbayes.run(Path(xbayes.__file__).with_name("demo.yaml"), catalog=catalog, out=run)
fit = xbayes.load(run)
classified = fit.classify(catalog)
binaries = classified[classified["prediction"] == "XRB"]
binaries.sort("p_XRB", reverse=True)
binaries["name", "Class", "p_XRB", "prediction_set", "alternative", "outlier_p"][:5]

# %% [markdown]
# ## The most probable X-ray binary
#
# On the left: the posterior that each category of features alone would give. On the right: the
# contribution of each feature to the log-odds of the class against the runner-up. A bar to the
# right favours the class. The small strips show where the value lies among the sources of each
# class.

# %%
surest = fit.explain(catalog, str(binaries["name"][0]))
show(surest.plot())

# %% [markdown]
# The same as a table. `ln_odds_AGN` holds the terms of ln p(AGN) / p(XRB), and so on.

# %%
surest.table

# %% [markdown]
# The terms sum to the log-odds of the posterior:

# %%
surest.table["ln_odds_AGN"].sum()

# %% [markdown]
# ## A doubtful one
#
# This is the least probable of the sources that were classified as X-ray binaries. Which features
# are against it? `alternative` is the class that would win if one category were left out. Such a
# classification depends on one category, for example on a counterpart that may be a chance
# alignment.

# %%
doubtful = str(binaries["name"][-1])
here = fit.explain(catalog, doubtful)
show(here.plot())

# %% [markdown]
# ## The prior is one of the terms
#
# In a field at high galactic latitude, X-ray binaries are rarer than in the training sample.
# Another prior changes the term "prior" and nothing else: the contributions of the features stay
# the same.

# %%
proportions = {"AGN": 0.9, "Star": 0.085, "XRB": 0.01, "CV": 0.005}
elsewhere = fit.explain(catalog, doubtful, prior=proportions)
elsewhere

# %%
elsewhere.table

# %% [markdown]
# ## The strongest outlier
#
# A posterior compares the classes with each other. It cannot say that a source is unlike all of
# them; the outlier p-value does. It is the share of the held-out sources of the predicted class
# that have at least as large an outlier score.

# %%
classified.sort("outlier_p")
strange = fit.explain(catalog, str(classified["name"][0]))
show(strange.plot())
