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
# # Posterior intervals, and what they mean
#
# With 30 labelled X-ray binaries, neither the distribution of their hardness nor the weight of that
# feature is well known. A point estimate gives one answer and hides this uncertainty. `variant:
# bayes` draws posterior samples of the class densities and the weights together. Each sample gives
# each source its probabilities; the catalogue holds their mean and their 90 % interval.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import xbayes
from xbayes.figures.interval_widths import draw_interval_widths
from xbayes.figures.notebook import show

# %% tags=["parameters"]
folder = Path("runs/notebooks/bayes")  # where everything is written
n_few, n_many = 400, 2000  # labelled sources, of which about 7 % are X-ray binaries
settings = ["posterior.method=nuts"]  # laplace is faster and approximate

# %% [markdown]
# ## Few labels
#
# The config is that of the demo, with three changes: the variant; one weight per feature, few
# enough to show them all; and fewer features, so that some uncertainty is left.

# %%
folder.mkdir(parents=True, exist_ok=True)
config = folder / "bayes.yaml"
config.write_text(f"""\
extends: {Path(xbayes.__file__).resolve().with_name("demo.yaml")}
name: bayes
features: {{fx_g: null, g_j: null, j_k: null, k_w1: null, w1_w2: null, parallax_snr: null}}
variant: bayes
model: {{weights: property}}
posterior: {{chains: 2, warmup: 300, draws: 300}}
validation: {{folds: 2, inner_folds: 2, bootstrap: 200}}
""")
few = xbayes.run(
    config,
    catalog=xbayes.simulate(n_few, seed=3),
    out=folder / "few",
    set=settings,
    overwrite=True,
)


# %% [markdown]
# The held-out probabilities of the two rarest classes. Each source is a line at its mean
# probability, from the lower to the upper end of its interval. Intervals are narrow near 0 and 1,
# wide between, and wider for rare classes.


# %%
def draw_intervals(fit):
    """The intervals of the held-out sources, for X-ray binaries and cataclysmic variables."""
    table, classes = fit.predictions.to_pandas(), fit.classes
    truth = np.array([classes.index(name) for name in table["true_class"]])
    mean, low, high = (
        table[[f"p_{name}{end}" for name in classes]].to_numpy() for end in ("", "_lo", "_hi")
    )
    shown = [classes.index(name) for name in ("XRB", "CV")]
    return draw_interval_widths(mean, np.stack([low, high], axis=-1), truth, classes, shown)


show(draw_intervals(few))

# %% [markdown]
# ## More labels
#
# The same with more labels. The intervals shrink, because they express what *more labels* would
# settle. If a source is still near 0.5 and has a narrow interval, more labels will not decide it:
# its features are those of both classes, and only a new observation helps.

# %%
many = xbayes.run(
    config,
    catalog=xbayes.simulate(n_many, seed=3),
    out=folder / "many",
    set=settings,
    overwrite=True,
)
show(draw_intervals(many))

# %% [markdown]
# The posterior of the weights: median, 50 % interval (thick) and 90 % interval (thin). A weight
# near 0 means that the feature is ignored. A wide interval means that the labels do not determine
# the weight.

# %%
levels = [0.05, 0.25, 0.5, 0.75, 0.95]
weights = many.posterior.posterior["alpha"].quantile(levels, dim=("chain", "draw")).to_pandas()
figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.hlines(weights.columns, weights.loc[0.05], weights.loc[0.95])
ax.hlines(weights.columns, weights.loc[0.25], weights.loc[0.75], linewidth=4)
ax.plot(weights.loc[0.5], weights.columns, "o")
ax.set(xlabel="weight")
show(figure)

# %% [markdown]
# New sources also get intervals, and the set of classes that are not excluded.

# %%
table = many.classify(xbayes.simulate(200, seed=4))
table.sort("p_XRB", reverse=True)
table["name", "Class", "prediction", "p_XRB", "p_XRB_lo", "p_XRB_hi", "prediction_set"][:12]

# %% [markdown]
# ## What an interval is not
#
# * It is not the probability of being wrong. That is the probability itself: of the sources with
#   p = 0.7, three in ten belong to another class, however narrow the interval is. The reliability
#   diagram shows whether that holds.
# * It does not cover other class proportions (use a prior), nor classes that are not among the
#   labels.
# * `prediction_set` has another guarantee: for at least nine in ten sources of every class, the set
#   holds the true class, whatever the densities and weights are. It always holds the prediction.
#
# Did the chains converge? If not, the run warns, and `strict=True` (`--strict` in a terminal) makes
# the warning an error. R-hat and effective sample sizes are in the metrics and in the report.

# %%
many.metrics["posterior"]
