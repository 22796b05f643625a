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
# # The Bayesian variants, and what their intervals mean
#
# With 30 labelled X-ray binaries nobody knows the distribution of their hardness well, nor how
# much hardness should count. A point estimate takes one answer and hides that. `variant: bayes`
# draws class densities and weights from their posterior together; each draw gives each source its
# probabilities, and the catalogue holds their mean and the interval that holds 90 % of them.

# %%
from pathlib import Path

import xbayes
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.classifier.recipe import build_recipe
from xbayes.cli import commands
from xbayes.cli.progress import Reporter
from xbayes.config.reader import load_config
from xbayes.figures.all_figures import draw_interval_widths
from xbayes.figures.notebook import show
from xbayes.simulate.catalog import simulate_catalog
from xbayes.tasks.training import cross_validate_training, load_training, use_precision

# %% tags=["parameters"]
folder = Path("runs/notebooks/bayes")  # where everything is written
n_few, n_many = 400, 2000  # labelled sources, of which about one in 30 is an X-ray binary
settings = ["posterior.method=nuts"]  # laplace is a quick look

# %% [markdown]
# ## Few labels
#
# The config is that of the demo, with three changes: the variant, one weight a property (few
# enough to look at), and two of the categories only, so that there is something left to doubt.

# %%
folder.mkdir(parents=True, exist_ok=True)
config = folder / "bayes.yaml"
config.write_text(f"""\
extends: {Path(xbayes.__file__).parent.resolve() / "demo.yaml"}
name: bayes
features: {{fx_g: null, g_j: null, j_k: null, k_w1: null, w1_w2: null, parallax_snr: null}}
variant: bayes
model: {{weights: property}}
posterior: {{chains: 2, warmup: 300, draws: 300}}
validation: {{folds: 2, inner_folds: 2, bootstrap: 200}}
""")
few, many = folder / "few.fits", folder / "many.fits"
write_catalog(simulate_catalog(n_few, 3), few, overwrite=True)
write_catalog(simulate_catalog(n_many, 3), many, overwrite=True)

# %% [markdown]
# With few labels, held out: each source is a line, at its mean probability, from the lower to the
# upper end of its interval. Narrow near 0 and 1, wide between, and wider for the rare classes.


# %%
def held_out_intervals(catalog):
    """Cross-validate on a catalogue; the intervals of its sources, for the rarest classes."""
    loaded = load_config(config, settings)
    use_precision(loaded)
    training = load_training(loaded, catalog)
    found = cross_validate_training(training, build_recipe(training.config))
    products, truth = found.products[0], training.labels.class_index[found.rows]
    classes = tuple(loaded.taxonomy.classes)
    shown = [classes.index(name) for name in ("XRB", "CV")]
    intervals = products.posterior_interval
    return show(draw_interval_widths(products.posterior, intervals, truth, classes, shown))


held_out_intervals(few)

# %% [markdown]
# ## More labels
#
# The same experiment with more labels, as a whole run. The intervals shrink: they are what
# *labels* would settle. A source that is still near 0.5, with a narrow interval, is one that more
# labels will not decide; its properties really are those of both classes, and only a new
# observation helps.

# %%
run = folder / "run"
commands.run(config, many, run, settings, True, False, Reporter())
show(run / "figures" / "posterior_intervals.png")

# %% [markdown]
# What the labels say of the weights: the median, half of the draws (thick) and 90 % (thin). A
# weight near 0 is a property that is not believed; one whose draws reach from 0 to 2 is a property
# that nobody can judge with these labels.

# %%
show(run / "figures" / "posterior_weights.png")

# %% [markdown]
# New sources come with their intervals, and with the set of classes that are not excluded.

# %%
new, classified = folder / "new.fits", folder / "classified.fits"
write_catalog(simulate_catalog(200, 4), new, overwrite=True)
commands.classify(run, [str(new)], classified, [], None, True)
table = read_catalog(classified)
table.sort("p_XRB", reverse=True)
table["name", "Class", "prediction", "p_XRB", "p_XRB_lo", "p_XRB_hi", "prediction_set"][:12]

# %% [markdown]
# ## What an interval is not
#
# * It is not the chance to be wrong. That is the probability itself: of the sources with p = 0.7,
#   three in ten are something else, however narrow the interval. Whether that holds, the
#   reliability diagram tells.
# * It does not know of other proportions of the classes (`--prior` does), nor of classes that
#   nobody labelled (`outlier_p` does).
# * The `prediction_set` is another promise: of every class, nine in ten sources have it in their
#   set, whatever densities and weights are.
#
# Did the chains converge? If they did not, it is the first warning of the run, and `--strict`
# makes it an error; R-hat and effective draws are in `metrics.json` and the report.

# %%
show(run / "figures" / "reliability.png")
