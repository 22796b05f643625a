"""The figure of the information criterion that chooses the number of clusters."""

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xbayes.figures.style import INK, WIDTH, styled


@styled
def draw_criterion(
    n_components: Int[np.ndarray, "M"], bic: Float[np.ndarray, "M R"], chosen: int
) -> Figure:
    """BIC and its change against the number of components: mean and range of the R runs of EM."""
    figure = Figure((WIDTH, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    curves = (
        (left, n_components, bic / 1e3, "BIC / 1000"),
        (right, n_components[1:], np.diff(bic, axis=0) / 1e3, "change of BIC / 1000"),
    )
    for axes, at, runs, name in curves:
        axes.fill_between(at, runs.min(1), runs.max(1), color="#0072B2", alpha=0.25, linewidth=0)
        axes.plot(at, runs.mean(1), "o-", color="#0072B2", markersize=4)
        axes.axvline(chosen, color="#D55E00", linestyle="--", linewidth=1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("number of components K")
        axes.set_ylabel(name)
    left.set_title("mean (line) and range (band) of the runs")
    right.set_title(f"change per component; chosen: K = {chosen} (dashed)")
    right.axhline(0, color=INK, linewidth=0.6)
    return figure
