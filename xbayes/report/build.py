"""From the results of a run to its figures and its report."""

import gc
import os
from pathlib import Path

import numpy as np

from xbayes.config.schema import catalog_path
from xbayes.evaluate.cross_validate import CrossValidation
from xbayes.output.files import write_whole
from xbayes.output.results import Results
from xbayes.report.cluster_sections import cluster_figures
from xbayes.report.context import (
    KNOWN_SECTIONS,
    FeatureRow,
    Penalty,
    ReportContext,
    ReportFigure,
    Section,
    known_section,
)
from xbayes.report.html import write_report
from xbayes.report.interactive import Points
from xbayes.report.result_sections import (
    classes_of,
    feature_figures,
    held_out_figures,
    labels_of,
    posterior_figures,
    splines_figure,
    terms_figure,
    weights_figure,
)
from xbayes.report.source_sections import point_sections, track_sections


def write_figures_and_report(folder: Path, results: Results, provenance: dict, final: Path) -> None:
    """`figures/*.png` and `report.html` in `folder`, which will be `final`."""
    # Figures make much garbage; what JAX holds need not be searched again for each.
    gc.freeze()
    sections, points, figures = _sections(results)
    gc.unfreeze()
    (folder / "figures").mkdir()
    for name, figure in figures.items():
        write_whole(folder / "figures" / f"{name}.png", figure.png)
    classes = classes_of(results)
    truth = results.labels.class_index[results.held_out.rows]
    counts = np.bincount(truth, minlength=len(classes))
    context = ReportContext(
        name=results.config.name,
        classes=classes,
        labelled=dict(zip(classes, counts.tolist(), strict=True)),
        subclasses=_subclasses(results),
        n_sources=len(results.table),
        metrics=results.metrics,
        warnings=results.warnings,
        sections=sections,
        penalties=_penalties(results),
        features=_feature_rows(results),
        provenance=provenance,
        command=_command(results, final),
        points=points,
    )
    write_report(folder / "report.html", context)


def _subclasses(results: Results) -> dict[str, dict[str, int]]:
    """Labelled sources of each subclass, of the classes that have several."""
    names = results.recipe.names
    if not names.subclasses:
        return {}
    index = results.labels.modelled[results.held_out.rows]
    size = np.bincount(index, minlength=len(names.subclasses)).tolist()
    found: dict[str, dict[str, int]] = {name: {} for name in names.classes}
    for name, c, n in zip(names.subclasses, names.class_of, size, strict=True):
        found[names.classes[c]][name] = n
    return {name: kinds for name, kinds in found.items() if len(kinds) > 1}


def _sections(results: Results) -> tuple[list[Section], Points, dict[str, ReportFigure]]:
    """The sections in the order of `KNOWN_SECTIONS`, and every figure by the name of its file."""
    figures = held_out_figures(results)
    if results.config.model.weights not in ("none", "assignment"):  # one weight, or a temperature
        figures["weights"] = weights_figure(results)
    added = {"splines": splines_figure(results), "terms": terms_figure(results)}
    added = {name: figure for name, figure in added.items() if figure is not None}
    figures |= added
    drawn = posterior_figures(results)
    figures |= drawn
    made = {n: known_section(n, [figure]) for n, figure in figures.items() if n in KNOWN_SECTIONS}
    if "confusion_aggregated" in figures:
        both = [figures["confusion"], figures["confusion_aggregated"]]
        made["confusion"] = known_section("confusion", both)
    if added:
        made["terms"] = known_section("terms", list(added.values()))
    if drawn:
        made["posterior"] = known_section("posterior", list(drawn.values()))
    panels = feature_figures(results)
    for name in ("densities", "histograms"):
        own = [figure for key, figure in panels.items() if key.startswith(name)]
        made[name] = known_section(name, own)
    clusters = cluster_figures(results)
    if clusters:
        made["clusters"] = known_section("clusters", list(clusters.values()))
        figures |= clusters
    with_points, points = point_sections(results)
    made |= with_points
    figures |= panels | {name: section.figures[0] for name, section in with_points.items()}
    with_tracks, tracks = track_sections(results)
    made |= {section.anchor: section for section in with_tracks}
    return [made[name] for name in KNOWN_SECTIONS if name in made], points, figures | tracks


def _penalties(results: Results) -> list[Penalty]:
    held_out: CrossValidation = results.held_out
    named = [(f"outer fold {k + 1}", fit) for k, fit in enumerate(held_out.fits)]
    return [
        Penalty(name, fit.penalty, fit.penalties, fit.held_out_loss)
        for name, fit in [*named, ("all labelled sources", results.fit)]
    ]


def _feature_rows(results: Results) -> list[FeatureRow]:
    by_name = {counts.name: counts for counts in results.feature_report.counts}
    return [
        FeatureRow(
            label,
            by_name[label.name].measured,
            by_name[label.name].not_detected,
            by_name[label.name].not_available,
            by_name[label.name].non_positive,
        )
        for label in labels_of(results)
    ]


def _command(results: Results, final: Path) -> str:
    """The command that makes the run again."""
    command = f"xbayes run {final / 'config.yaml'}"
    named = results.config.catalog.file is not None and results.catalog == catalog_path(
        results.config
    )
    return command if named else f"{command} --catalog {os.path.relpath(results.catalog)}"
