"""The figures of a run whose densities are Gaussian mixtures."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from xbayes.classifier.build_density import groups_of
from xbayes.figures.all_figures import draw_assignment, draw_histograms, draw_members, draw_sky
from xbayes.infer.fit_clusters import measured_rows
from xbayes.models.cluster_label import ClusterParams, assignment, responsibility
from xbayes.output.results import Results
from xbayes.published.clusters import PublishedClusterParams, hard_cluster, scaled_rows
from xbayes.report.context import ReportFigure, rendered
from xbayes.report.result_sections import labels_of, panel_dpi
from xbayes.report.source_sections import first_properties, positions
from xbayes.types import Features


def cluster_figures(results: Results) -> dict[str, ReportFigure]:
    """Assignment, members, histograms and sky of the clusters, by the name of the file; or none."""
    groups = groups_of(results.config)
    several = results.classifier.density if len(groups) > 1 else [results.classifier.density]
    figures = {}
    for (kind, members), params in zip(groups, several, strict=True):
        if kind in ("clusters", "published_clusters"):
            category = results.config.features[results.recipe.names.features[members[0]]]
            end = "" if len(groups) == 1 else f"_{category.category}"
            figures |= _figures_of(results, list(members), params, end)
    return figures


def _figures_of(results: Results, members: list[int], params, end: str) -> dict[str, ReportFigure]:
    features = Features(*(np.asarray(a)[:, members] for a in results.features))
    value, observed = np.asarray(features.value), np.asarray(features.measured)
    truth, labels = results.labels.modelled, [labels_of(results)[f] for f in members]
    modelled = results.recipe.names.modelled
    n_classes = len(modelled)
    proportions = np.bincount(truth[truth >= 0], minlength=n_classes) / (truth >= 0).sum()
    share = _responsibility(params, features, proportions)
    cluster, n_clusters = share.argmax(1), share.shape[1]
    membership = np.stack([share[truth == c].mean(0) for c in range(n_classes)], axis=1)
    if isinstance(params, ClusterParams):
        matrix, size = map(np.asarray, assignment(params, jnp.asarray(proportions)))
    else:
        size = (membership * proportions).sum(1)
        matrix = membership * proportions / np.maximum(size, 1e-9)[:, None]
    figures = {
        f"assignment{end}": rendered(
            "Left: of which classes each cluster is made. Middle: in which clusters the labelled "
            "sources of each class lie.",
            draw_assignment(matrix, size, membership, modelled),
        )
    }
    shown = np.where(observed, value, np.nan)
    if len(members) >= 3:
        place = _axes(results, members)
        axes = shown[:, place[:2]], shown[:, place[2]]
        figures[f"members{end}"] = rendered(
            "The sources of each cluster (all others grey).",
            draw_members(*axes, cluster, [labels[f] for f in place], n_clusters),
        )
    names = [f"cluster {k + 1}" for k in range(n_clusters)]
    values = [
        [shown[(cluster == k) & observed[:, f], f] for k in range(n_clusters)]
        for f in range(len(members))
    ]
    absent = np.stack([1 - observed[cluster == k].mean(0) for k in range(n_clusters)], axis=1)
    figures[f"cluster_histograms{end}"] = rendered(
        "The properties of the sources of each cluster.",
        draw_histograms(values, absent, labels, names),
        dpi=panel_dpi(len(members)),
    )
    sky = positions(results)
    if sky is not None:
        figures[f"cluster_sky{end}"] = rendered(
            "The sky by most probable cluster.", draw_sky(sky[:, 0], sky[:, 1], cluster, names)
        )
    return figures


def _responsibility(params, features: Features, proportions) -> Float[np.ndarray, "N K"]:
    if isinstance(params, PublishedClusterParams):
        rows = scaled_rows(params, jnp.asarray(features.value), jnp.asarray(features.measured))
        hard = hard_cluster(params, rows)
        return np.eye(len(params.log_weight))[np.asarray(hard)]
    return np.asarray(responsibility(params, measured_rows(features), jnp.asarray(proportions)))


def _axes(results: Results, members: list[int]) -> list[int]:
    """Two properties and a third to colour by, as places among the members.

    The published figure is hard_hs against hard_hm coloured by the variability in the hard band;
    where they are not there, the two that part the classes best and the next in another category.
    """
    names = [results.recipe.names.features[f] for f in members]
    published = ("hard_hs", "hard_hm", "var_prob_h")
    if set(published) <= set(names):
        return [names.index(name) for name in published]
    order = [members.index(f) for f in first_properties(results) if f in members]
    return [*order, *(f for f in range(len(members)) if f not in order)][:3]
