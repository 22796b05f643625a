"""The sections on the classifier and on its held-out predictions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from xbayes.classifier.learned import densities_of_classes
from xbayes.evaluate.metrics import pool_repeats
from xbayes.figures.confusion import draw_confusion
from xbayes.figures.densities import draw_densities
from xbayes.figures.histograms import draw_histograms
from xbayes.figures.interval_widths import draw_interval_widths
from xbayes.figures.labels import FeatureLabel
from xbayes.figures.outliers import draw_outliers
from xbayes.figures.precision import draw_precision_recall
from xbayes.figures.reliability import draw_reliability
from xbayes.figures.splines import draw_splines
from xbayes.figures.terms import draw_terms
from xbayes.figures.weight_posterior import draw_weight_posterior
from xbayes.figures.weights import draw_weights
from xbayes.models.naive_bayes import NaiveBayesParams
from xbayes.output.results import Results
from xbayes.report.context import ReportFigure, Section, known_section, rendered
from xbayes.report.summary import in_words

PANEL_DPI = 120  # of figures with several panels: half the size at DPI, and still sharp
MANY_PANELS, MANY_DPI = 16, 100  # coarser, so that the page stays small


def result_sections(results: Results) -> list[Section]:
    """The sections of all figures that show no single sources; empty ones are left out."""
    by_anchor = {
        **_held_out_figures(results),
        "weights": _weight_figures(results),
        "terms": _term_figures(results),
        "posterior": _posterior_figures(results),
        **_feature_figures(results),
    }
    rule = results.metrics["decision"]["rule"]
    return [
        known_section(anchor, figures, rule=rule)
        for anchor, figures in by_anchor.items()
        if figures
    ]


def _held_out_figures(results: Results) -> dict[str, dict[str, ReportFigure]]:
    """Confusion, precision and recall, reliability and outliers, by section."""
    classes, pooled = results.recipe.names.classes, pool_repeats(results.held_out, results.labels)
    first, taxonomy = results.held_out.products[0], results.config.taxonomy
    confusion = {
        "confusion": rendered(
            "Held-out confusion matrix: numbers of sources and percentages.",
            draw_confusion(np.array(results.metrics["cross_validated"]["confusion"]), classes),
        )
    }
    coarser = {
        "groups": ("groups of classes", taxonomy.coarse_classes),
        "aggregated": ("aggregated classes", taxonomy.aggregated),
    }
    for block, (name, joins) in coarser.items():
        if joins and block in results.metrics:
            scores = results.metrics[block]
            confusion[f"confusion_{block}"] = rendered(
                f"Held-out confusion matrix of the {name}. {_coarse_scores(scores)}",
                draw_confusion(np.array(scores["confusion"]), tuple(joins)),
            )
    precision = rendered(
        "Precision against recall of the held-out sources, per class. Dashed: the share of the "
        "class, which is the precision of a random sample.",
        draw_precision_recall(pooled.posterior, pooled.truth, pooled.prediction, classes),
    )
    reliability = rendered(
        "Reliability of the held-out probabilities, per class.",
        draw_reliability(pooled.posterior, pooled.truth, classes),
    )
    outliers = rendered(
        "Outlier p-values of the held-out sources, per predicted class.",
        draw_outliers(first.outlier_p, first.prediction, classes),
    )
    return {
        "confusion": confusion,
        "precision": {"precision": precision},
        "reliability": {"reliability": reliability},
        "outliers": {"outliers": outliers},
    }


def _coarse_scores(scores: Mapping[str, Any]) -> str:
    """F1 of each coarser class and their log loss, in words."""
    f1 = ", ".join(f"{name} {in_words(value)}" for name, value in scores["f1"].items())
    return f"F1: {f1}; log loss {in_words(scores['log_loss'])} nats per source."


def _weight_figures(results: Results) -> dict[str, ReportFigure]:
    """The weights of the final classifier; none if it has a single weight, or a temperature."""
    kind = results.config.model.weights
    if kind in ("none", "assignment"):
        return {}
    weights: NaiveBayesParams = results.classifier.weights
    mixing = np.asarray(weights.mixing) if kind == "matrix" else None
    alpha = np.asarray(results.recipe.model.alpha(weights))
    figure = draw_weights(alpha, results.recipe.names, kind, mixing)
    given = results.recipe.given_alpha is not None
    caption = "Weights given in the config (model.alpha), not learned." if given else ""
    return {"weights": rendered(caption or "Weights of the features.", figure)}


def _term_figures(results: Results) -> dict[str, ReportFigure]:
    """Smooth curves and boosted terms of the final classifier, if it has any."""
    labels, modelled = labels_of(results), results.recipe.names.modelled
    splines, tables = results.classifier.splines, results.classifier.terms
    report, figures = results.fit.terms, {}
    if splines is not None:
        figure = draw_splines(splines, labels, modelled)
        figures["splines"] = rendered("Smooth curves of single features.", figure, PANEL_DPI)
    if tables is not None and report is not None:
        pairs = list(map(tuple, np.asarray(tables.pair).tolist()))
        order = [pairs.index(pair) for pair in report.pair]
        figure = draw_terms(tables, order, labels, modelled)
        figures["terms"] = rendered("Terms of one feature, and of two.", figure, PANEL_DPI)
    return figures


def _posterior_figures(results: Results) -> dict[str, ReportFigure]:
    """The posterior of the weights and the intervals of the probabilities, of Bayesian runs."""
    sampled, names = results.fit.posterior, results.recipe.names
    if sampled is None:
        return {}
    figures = {}
    if "alpha" in sampled.sites:
        alpha = sampled.sites["alpha"].reshape(-1, *sampled.sites["alpha"].shape[2:])
        figures["posterior_weights"] = rendered(
            "Posterior of the weights: median, 50 % interval (thick) and 90 % interval (thin).",
            draw_weight_posterior(alpha if alpha.ndim == 3 else alpha[..., None], names),
        )
    first = results.held_out.products[0]
    truth = results.labels.class_index[results.held_out.rows]
    rare = np.argsort(np.bincount(truth, minlength=len(names.classes)))[:3]
    figures["posterior_intervals"] = rendered(
        "Held-out sources: mean probability (points, on the line) and 90 % interval, for the "
        "rarest classes.",
        draw_interval_widths(
            first.posterior,
            first.posterior_interval,
            truth,
            names.classes,
            sorted(rare.tolist()),
        ),
    )
    return figures


def panel_dpi(n_panels: int) -> int:
    """The resolution of a figure with so many panels."""
    return MANY_DPI if n_panels > MANY_PANELS else PANEL_DPI


def _feature_figures(results: Results) -> dict[str, dict[str, ReportFigure]]:
    """Densities and histograms, each with one figure per category."""
    names, labels = results.recipe.names, labels_of(results)
    values, absent = _training_values(results)
    node, of_subclass = results.recipe.density.curves(results.classifier.density)
    density = densities_of_classes(results.recipe, results.classifier, of_subclass)
    densities, histograms = {}, {}
    for g, category in enumerate(names.categories):
        members = [f for f, at in enumerate(names.category) if at == g]
        of_members, named = [values[f] for f in members], [labels[f] for f in members]
        dpi = panel_dpi(len(members))
        densities[f"densities_{category}"] = rendered(
            f"Class densities of the features in the category {category}.",
            draw_densities(node[members], density[members], named, names.classes, of_members),
            dpi,
        )
        histograms[f"histograms_{category}"] = rendered(
            f"Class histograms of the features in the category {category}.",
            draw_histograms(of_members, absent[members], named, names.classes),
            dpi,
        )
    return {"densities": densities, "histograms": histograms}


def labels_of(results: Results) -> list[FeatureLabel]:
    """Names, descriptions and units of the features."""
    return [
        FeatureLabel(name, feature.category, feature.description, feature.unit, feature.scale)
        for name, feature in results.config.features.items()
    ]


def _training_values(
    results: Results,
) -> tuple[list[list[np.ndarray]], Float[np.ndarray, "F C"]]:
    """The measured values by feature and class, and the share of each class without a value."""
    value, measured = np.asarray(results.features.value), np.asarray(results.features.measured)
    n_classes = len(results.recipe.names.classes)
    members = [results.labels.class_index == c for c in range(n_classes)]
    values = [[value[own & measured[:, f], f] for own in members] for f in range(value.shape[1])]
    size = np.array([own.sum() for own in members], float)
    counts = np.array([[len(v) for v in of_feature] for of_feature in values], float)
    return values, 1 - counts / np.where(size > 0, size, np.nan)
