"""The section on the clusters of a run whose densities are Gaussian mixtures."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from xbayes.classifier.build_density import groups_of
from xbayes.figures.assignment import draw_assignment
from xbayes.figures.histograms import draw_histograms
from xbayes.figures.members import draw_members
from xbayes.figures.sky import draw_sky
from xbayes.infer.fit_clusters import measured_rows
from xbayes.models.cluster_label import ClusterParams, assignment, responsibility
from xbayes.output.results import Results
from xbayes.published.clusters import PublishedClusterParams, hard_cluster, scaled_rows
from xbayes.report.context import ReportFigure, Section, known_section, rendered
from xbayes.report.result_sections import labels_of, panel_dpi
from xbayes.report.source_sections import positions, separating_features
from xbayes.types import Features


def cluster_sections(results: Results) -> list[Section]:
    """One section with the clusters of every category, or no section without clusters."""
    groups = groups_of(results.config)
    densities = results.classifier.density if len(groups) > 1 else [results.classifier.density]
    figures = {}
    for (kind, members), params in zip(groups, densities, strict=True):
        if kind in ("clusters", "published_clusters"):
            feature = results.config.features[results.recipe.names.features[members[0]]]
            suffix = "" if len(groups) == 1 else f"_{feature.category}"
            of_category = _figures_of(results, list(members), params)
            figures |= {f"{name}{suffix}": figure for name, figure in of_category.items()}
    return [known_section("clusters", figures)] if figures else []


def _figures_of(results: Results, members: list[int], params) -> dict[str, ReportFigure]:
    columns = [np.asarray(each)[:, members] for each in results.features]
    features = Features._make(columns)
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
        "assignment": rendered(
            "Left: the classes of each cluster. Middle: the clusters of the labelled sources of "
            "each class. Right: the size of each cluster.",
            draw_assignment(matrix, size, membership, modelled),
        )
    }
    value = np.where(features.measured, features.value, np.nan)
    if len(members) >= 3:
        place = _axes(results, members)
        figures["members"] = rendered(
            "The sources of each cluster in colour, all others in grey.",
            draw_members(
                value[:, place[:2]],
                value[:, place[2]],
                cluster,
                [labels[f] for f in place],
                n_clusters,
            ),
        )
    names = [f"cluster {k + 1}" for k in range(n_clusters)]
    of_cluster = [value[cluster == k] for k in range(n_clusters)]
    values = [[own[np.isfinite(own[:, f]), f] for own in of_cluster] for f in range(len(members))]
    n_members = np.array([len(own) if len(own) else np.nan for own in of_cluster])
    absent = np.stack([np.isnan(own).sum(0) for own in of_cluster], axis=1) / n_members
    figures["cluster_histograms"] = rendered(
        "The features of the sources of each cluster.",
        draw_histograms(values, absent, labels, names),
        panel_dpi(len(members)),
    )
    sky = positions(results)
    if sky is not None:
        figures["cluster_sky"] = rendered(
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
    """Two features and a third for the colour, as indices into the members.

    The published figure shows hard_hs against hard_hm, coloured by the variability in the hard
    band. Without these features, the two that separate the classes best are shown.
    """
    names = [results.recipe.names.features[f] for f in members]
    published = ("hard_hs", "hard_hm", "var_prob_h")
    if set(published) <= set(names):
        return [names.index(name) for name in published]
    order = [members.index(f) for f in separating_features(results) if f in members]
    return [*order, *(f for f in range(len(members)) if f not in order)][:3]
