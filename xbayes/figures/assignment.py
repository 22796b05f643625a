"""The figure of the assignment matrix of a clustering."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from xbayes.figures.labels import shortened
from xbayes.figures.style import WIDTH, readable_on, styled


@styled
def draw_assignment(
    assignment: Float[np.ndarray, "K C"],
    size: Float[np.ndarray, "K"],
    membership: Float[np.ndarray, "K C"],
    classes: Sequence[str],
) -> Figure:
    """The assignment matrix, the mean membership of each class, and the sizes of the clusters.

    Rows of `assignment`, P(class | cluster), and columns of `membership` sum to 1, and so does
    `size`, the share of the labelled sources in each cluster.
    """
    n_clusters = len(size)
    short = [shortened(name, 12) for name in classes]
    crowded = max(map(len, short)) * len(classes) > 44
    height = (2.2 if crowded else 1.6) + 0.36 * n_clusters
    figure = Figure((WIDTH, height), layout="constrained")
    left, middle, right = figure.subplots(1, 3, gridspec_kw={"width_ratios": [2, 2, 1]})
    fontsize = 7.0 if len(classes) > 6 else 8.5
    names = [f"cluster {k + 1}" for k in range(n_clusters)]
    for axes, share in ((left, assignment), (middle, membership)):
        mesh = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for k, c in np.ndindex(*share.shape):
            colour = readable_on(mesh.to_rgba(share[k, c]))
            text = f"{100 * share[k, c]:.0f} %" if share[k, c] >= 0.005 else "<1 %"
            axes.text(c, k, text, ha="center", va="center", fontsize=fontsize, color=colour)
        axes.set_xticks(range(len(classes)), short, rotation=90 if crowded else 0)
        axes.set_yticks(range(n_clusters), names if axes is left else [""] * n_clusters)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    left.set_title("P(class | cluster): rows sum to 100 %")
    middle.set_title("mean membership: columns sum to 100 %")
    right.barh(range(n_clusters), 100 * size, color="#8A97A3")
    right.set_ylim(n_clusters - 0.5, -0.5)
    right.set_yticks([])
    right.set_xlabel("labelled sources, %")
    right.set_title("size")
    return figure
