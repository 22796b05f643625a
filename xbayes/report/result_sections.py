"""The figures of a run, from its results; rendered once, for the page and for their files."""

import numpy as np
from jaxtyping import Float

from xbayes.classifier.predict import densities_of_classes
from xbayes.evaluate.metrics import pool_repeats
from xbayes.figures.all_figures import (
    FeatureLabel,
    draw_confusion,
    draw_densities,
    draw_histograms,
    draw_interval_widths,
    draw_outliers,
    draw_precision_recall,
    draw_reliability,
    draw_splines,
    draw_terms,
    draw_weight_posterior,
    draw_weights,
)
from xbayes.models.naive_bayes import NaiveBayesParams
from xbayes.output.results import Results
from xbayes.report.context import ReportFigure, rendered

PANEL_DPI = 120  # many panels: half the bytes, and still sharp
MANY_PANELS, MANY_DPI = 16, 100  # a figure of so many is drawn coarser, or the page grows too big


def held_out_figures(results: Results) -> dict[str, ReportFigure]:
    """Confusion, precision and recall, reliability and outliers of the held-out predictions."""
    classes, pooled = classes_of(results), pool_repeats(results.held_out, results.labels)
    confusion = np.array(results.metrics["cross_validated"]["confusion"])
    first = results.held_out.products[0]
    curves = draw_precision_recall(pooled.posterior, pooled.truth, pooled.prediction, classes)
    aggregated = {}
    if results.config.taxonomy.aggregated is not None:
        coarse = np.array(results.metrics["aggregated"]["confusion"])
        aggregated["confusion_aggregated"] = rendered(
            "The same of the aggregated classes.",
            draw_confusion(coarse, tuple(results.config.taxonomy.aggregated)),
        )
    return aggregated | {
        "confusion": rendered(
            "Held-out confusion matrix, both ways.", draw_confusion(confusion, classes)
        ),
        "precision": rendered(
            "Precision against recall of the held-out probabilities, per class. Dashed: the share "
            "of the class, which is the precision of taking sources at random.",
            curves,
        ),
        "reliability": rendered(
            "Reliability of the held-out probabilities, per class.",
            draw_reliability(pooled.posterior, pooled.truth, classes),
        ),
        "outliers": rendered(
            "Tail probability of the held-out sources, per predicted class.",
            draw_outliers(first.outlier_p, first.prediction, classes),
        ),
    }


def weights_figure(results: Results) -> ReportFigure:
    """The weights of the classifier fitted on all labelled sources."""
    weights: NaiveBayesParams = results.classifier.weights
    properties, kind = results.recipe.names, results.config.model.weights
    figure = draw_weights(
        np.asarray(results.recipe.model.alpha(weights)),
        np.asarray(weights.mixing) if kind == "matrix" else None,
        properties.features,
        properties.categories,
        properties.category,
        properties.modelled,
        kind,
    )
    return rendered("Weights of the properties.", figure)


def splines_figure(results: Results) -> ReportFigure | None:
    """What the smooth curves of the classifier fitted on all labelled sources add, if there are."""
    splines, modelled = results.classifier.splines, results.recipe.names.modelled
    if splines is None:
        return None
    figure = draw_splines(splines, labels_of(results), modelled)
    return rendered("Smooth curves of one property.", figure, dpi=PANEL_DPI)


def terms_figure(results: Results) -> ReportFigure | None:
    """What the boosted terms of the classifier fitted on all labelled sources add, if any do."""
    tables, report = results.classifier.terms, results.fit.terms
    if tables is None or report is None:
        return None
    place = {tuple(pair): p for p, pair in enumerate(np.asarray(tables.pair).tolist())}
    order = [place[pair] for pair in report.pair]
    figure = draw_terms(tables, order, labels_of(results), results.recipe.names.modelled)
    return rendered("Terms of one property, and of two.", figure, dpi=PANEL_DPI)


def posterior_figures(results: Results) -> dict[str, ReportFigure]:
    """The posterior of the weights, and how wide the intervals are; none without draws."""
    sampled, properties = results.fit.posterior, results.recipe.names
    if sampled is None:
        return {}
    figures = {}
    if "alpha" in sampled.sites:
        alpha = sampled.sites["alpha"].reshape(-1, *sampled.sites["alpha"].shape[2:])
        by_property = alpha.shape[1] == len(properties.features)
        names = properties.features if by_property else properties.categories
        group = properties.category if by_property else tuple(range(len(names)))
        alpha = alpha if alpha.ndim == 3 else alpha[..., None]
        own = (names, group, properties.categories, properties.modelled)
        figures["posterior_weights"] = rendered(
            "Posterior of the weights: medians, half of the draws (thick) and 90 % (thin).",
            draw_weight_posterior(alpha, *own),
        )
    first = results.held_out.products[0]
    truth = results.labels.class_index[results.held_out.rows]
    rare = np.argsort(np.bincount(truth, minlength=len(properties.classes)))[:3]
    figures["posterior_intervals"] = rendered(
        "Held-out sources: the mean probability (points, on the line) and its 90 % interval, for "
        "the rarest classes.",
        draw_interval_widths(
            first.posterior,
            first.posterior_interval,
            truth,
            properties.classes,
            sorted(rare.tolist()),
        ),
    )
    return figures


def panel_dpi(n_panels: int) -> int:
    """How finely a figure of so many panels is drawn, so that the page stays small."""
    return MANY_DPI if n_panels > MANY_PANELS else PANEL_DPI


def feature_figures(results: Results) -> dict[str, ReportFigure]:
    """Densities and histograms, one figure a category each."""
    properties, labels = results.recipe.names, labels_of(results)
    values, absent = _training_values(results)
    node, of_subclass = results.recipe.density.curves(results.classifier.density)
    height = densities_of_classes(results.recipe, results.classifier, of_subclass)
    figures = {}
    for g, category in enumerate(properties.categories):
        members = [f for f, at in enumerate(properties.category) if at == g]
        own, named = [values[f] for f in members], [labels[f] for f in members]
        dpi = panel_dpi(len(members))
        figure = draw_densities(node[members], height[members], named, properties.classes, own)
        figures[f"densities_{category}"] = rendered(_of(category, "densities"), figure, dpi=dpi)
        figure = draw_histograms(own, absent[members], named, properties.classes)
        figures[f"histograms_{category}"] = rendered(_of(category, "histograms"), figure, dpi=dpi)
    return figures


def labels_of(results: Results) -> list[FeatureLabel]:
    """What the properties are called, in the order of the features."""
    return [
        FeatureLabel(name, feature.category, feature.description, feature.unit, feature.scale)
        for name, feature in results.config.features.items()
    ]


def classes_of(results: Results) -> tuple[str, ...]:
    """The names on the class axis."""
    return results.recipe.names.classes


def _of(category: str, what: str) -> str:
    return f"Class {what} of the properties of {category}."


def _training_values(
    results: Results,
) -> tuple[list[list[np.ndarray]], Float[np.ndarray, "F C"]]:
    """The observed values by property and class, and the share of each class without one."""
    value, observed = np.asarray(results.features.value), np.asarray(results.features.measured)
    members = [results.labels.class_index == c for c in range(len(classes_of(results)))]
    values = [[value[own & observed[:, f], f] for own in members] for f in range(value.shape[1])]
    size = np.array([own.sum() for own in members], float)
    counts = np.array([[len(v) for v in of_property] for of_property in values], float)
    return values, 1 - counts / np.where(size > 0, size, np.nan)
