"""From the results of a run to its figures and its report."""

import os
from pathlib import Path

import numpy as np

from xbayes.classifier import explain
from xbayes.config import catalog_path, given_log_prior
from xbayes.evaluate.cross_validate import CrossValidation
from xbayes.evaluate.metrics import pool_repeats
from xbayes.models.naive_bayes import NaiveBayesParams
from xbayes.report.context import (
    Penalty,
    PropertyCounts,
    ReportContext,
    ReportFigure,
    Section,
    known_section,
)
from xbayes.report.figures import (
    PropertyLabel,
    Track,
    draw_confusion,
    draw_densities,
    draw_reliability,
    draw_track,
    draw_weights,
)
from xbayes.report.html import write_report
from xbayes.report.run_directory import Results
from xbayes.report.style import save_png
from xbayes.types import Features


def write_figures_and_report(folder: Path, results: Results, provenance: dict, final: Path) -> None:
    """`figures/*.png` and `report.html` in `folder`, which will be `final`."""
    drawn = _figures(results)
    (folder / "figures").mkdir()
    for name, figure in drawn.items():
        save_png(figure.figure, folder / "figures" / f"{name}.png")
    tracks = [figure for name, figure in drawn.items() if name.startswith("track")]
    sections = [
        *(
            known_section(name, [drawn[name]])
            for name in ("confusion", "reliability", "weights", "densities")
        ),
        Section(
            "tracks",
            "Probability tracks",
            "Why a source got its class: what each category alone would say, and what each "
            "property adds to the log-odds of the predicted class against the runner-up. Shown "
            "are the most certain sources of each class.",
            tracks,
        ),
    ]
    counts = np.bincount(
        results.labels.class_index[results.held_out.rows], minlength=len(_classes(results))
    )
    context = ReportContext(
        name=results.config.name,
        classes=_classes(results),
        labelled=dict(zip(_classes(results), counts.tolist(), strict=True)),
        n_sources=len(results.table),
        metrics=results.metrics,
        warnings=results.warnings,
        sections=sections,
        penalties=_penalties(results),
        properties=_property_counts(results),
        provenance=provenance,
        command=_command(results, final),
    )
    write_report(folder / "report.html", context)


def track_of(results: Results, row: int) -> Track:
    """The probability track of one row of the catalogue, by the classifier fitted on all."""
    properties, products = results.recipe.properties, results.products
    rows = Features(*(np.asarray(a)[[row]] for a in results.features))
    explained = explain(results.recipe, results.classifier, rows, given_log_prior(results.config))
    alternative = int(products.alternative[row])
    return Track(
        name=str(results.table[results.config.catalog.id][row]),
        classes=properties.classes,
        categories=properties.categories,
        category=properties.category,
        properties=properties.features,
        values=_value_texts(results, rows),
        contribution=explained.contribution[0],
        offset=explained.offset[0],
        log_prior=explained.log_prior,
        category_posterior=products.track[row],
        posterior=products.posterior[row],
        prediction=int(products.prediction[row]),
        outlier_p=float(products.outlier_p[row]),
        alternative=properties.classes[alternative] if alternative >= 0 else "",
    )


def _figures(results: Results) -> dict[str, ReportFigure]:
    classes, pooled = _classes(results), pool_repeats(results.held_out, results.labels)
    confusion = np.array(results.metrics["cross_validated"]["confusion"])
    figures = {
        "confusion": ReportFigure(
            "Held-out confusion matrix, both ways.", draw_confusion(confusion, classes)
        ),
        "reliability": ReportFigure(
            "Reliability of the held-out probabilities, per class.",
            draw_reliability(pooled.posterior, pooled.truth, classes),
        ),
        "weights": ReportFigure("Weights of the properties.", _draw_weights(results)),
        "densities": ReportFigure("Class densities of the properties.", _draw_densities(results)),
    }
    for c, label in enumerate(classes):
        sure = np.where(results.products.prediction == c, results.products.posterior[:, c], -1)
        if sure.max() >= 0:
            figure = draw_track(track_of(results, int(sure.argmax())))
            figures[f"track_{label}"] = ReportFigure(f"The most certain {label}.", figure)
    return figures


def _draw_weights(results: Results):
    weights: NaiveBayesParams = results.classifier.weights
    alpha = np.asarray(results.recipe.model.alpha(weights))
    properties, kind = results.recipe.properties, results.config.model.weights
    mixing = np.asarray(weights.mixing) if kind == "matrix" else None
    return draw_weights(
        alpha,
        mixing,
        properties.features,
        properties.categories,
        properties.category,
        properties.classes,
        kind,
    )


def _draw_densities(results: Results):
    density = results.classifier.density
    step, truth = np.asarray(density.step), results.labels.class_index
    node = np.asarray(density.origin)[:, None] + step[:, None] * np.arange(
        density.log_density.shape[1]
    )
    height = np.exp(np.asarray(density.log_density)) / step[:, None, None]
    value, observed = np.asarray(results.features.value), np.asarray(results.features.observed)
    values = [
        [value[(truth == c) & observed[:, f], f] for c in range(height.shape[2])]
        for f in range(height.shape[0])
    ]
    return draw_densities(node, height, _labels(results), _classes(results), values)


def _labels(results: Results) -> list[PropertyLabel]:
    return [
        PropertyLabel(name, feature.category, feature.description, feature.unit, feature.scale)
        for name, feature in results.config.features.items()
    ]


def _classes(results: Results) -> tuple[str, ...]:
    return results.recipe.properties.classes


def _value_texts(results: Results, rows: Features) -> list[str]:
    """Values of one row in the units of the expression, or why there is none."""
    texts = []
    for f, feature in enumerate(results.config.features.values()):
        if not rows.surveyed[0, f]:
            texts.append("not surveyed")
        elif not rows.observed[0, f]:
            texts.append("missing")
        else:
            value = rows.value[0, f]
            if feature.scale == "log10":
                value = 10.0**value
            elif feature.scale == "squash":
                value = value / (1 - abs(value))
            texts.append(f"{value:.4g} {feature.unit}".strip())
    return texts


def _penalties(results: Results) -> list[Penalty]:
    held_out: CrossValidation = results.held_out
    named = [(f"outer fold {k + 1}", fit) for k, fit in enumerate(held_out.fits)]
    return [
        Penalty(name, fit.strength, fit.strengths, fit.held_out_loss)
        for name, fit in [*named, ("all labelled sources", results.fit)]
    ]


def _property_counts(results: Results) -> list[PropertyCounts]:
    by_name = {counts.name: counts for counts in results.feature_report.counts}
    return [
        PropertyCounts(
            label,
            by_name[label.name].observed,
            by_name[label.name].missing,
            by_name[label.name].not_surveyed,
            by_name[label.name].non_positive,
        )
        for label in _labels(results)
    ]


def _command(results: Results, final: Path) -> str:
    """The command that makes the run again."""
    command = f"xbayes run {final / 'config.yaml'}"
    named = results.config.catalog.file is not None and results.catalog == catalog_path(
        results.config
    )
    return command if named else f"{command} --catalog {os.path.relpath(results.catalog)}"
