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
# # Read one source's track
#
# "X-ray binary, 97 %" is worth little without the reason. Every posterior of xbayes is a sum: a
# prior, and one term for each property that was looked at. The terms are the track of the source,
# and they add up to the reported odds exactly.

# %%
from pathlib import Path

from rich.console import Console

from xbayes.catalog.read import read_catalog
from xbayes.cli import commands
from xbayes.cli.progress import Reporter
from xbayes.figures.all_figures import draw_track
from xbayes.figures.notebook import show
from xbayes.report.track_table import print_track, track_table
from xbayes.tasks.explain import explain_source

# %% tags=["parameters"]
run = Path("runs/demo")  # a fitted run; made if it is not there
catalog = Path("runs/demo-catalog.fits")  # and its catalogue

# %%
if not run.exists():
    commands.demo(run, 1, False, Reporter())
table = read_catalog(run / "catalog.fits")
binaries = table[table["prediction"] == "XRB"]
binaries.sort("p_XRB", reverse=True)
binaries["name", "true_class", "p_XRB", "prediction_set", "alternative", "outlier_p"][:5]

# %% [markdown]
# ## The surest X-ray binary
#
# Left, what each category of evidence alone would say. Right, what each property adds to the
# log-odds of the class against the runner-up: a bar to the right speaks for it. The small strips
# show where the value sits among the sources of each class.

# %%
sky = read_catalog(catalog)
surest = explain_source(run, sky, str(binaries["name"][0]))
show(draw_track(surest))

# %% [markdown]
# The same as a ledger. Each column is ln p(class) / p(predicted): its lines sum to the total, and
# the total is what the posterior says.

# %%
print_track(surest, Console(width=130))
track_table(surest)[:6]

# %% [markdown]
# ## A doubtful one
#
# The last of those called an X-ray binary. Which evidence is against it? The `alternative` says
# which class would win if one category were left out: there the classification hangs on one piece
# of evidence, such as a counterpart that may be a chance match.

# %%
doubtful = explain_source(run, sky, str(binaries["name"][-1]))
show(draw_track(doubtful))

# %% [markdown]
# ## The prior is one of the terms
#
# In a field at high galactic latitude X-ray binaries are rarer than in the training sample.
# Another prior changes the line "prior" and nothing else: the evidence stays what it is.

# %%
elsewhere = explain_source(
    run, sky, doubtful.name, {"AGN": 0.9, "Star": 0.085, "XRB": 0.01, "CV": 0.005}
)
print_track(elsewhere, Console(width=130))

# %% [markdown]
# ## The strangest
#
# A posterior compares the classes with each other. It cannot say that a source is like none of
# them: the outlier probability does. Of the sources of the predicted class, how many are at least
# as strange?

# %%
table.sort("outlier_p")
strange = explain_source(run, sky, str(table["name"][0]))
show(draw_track(strange))
