"""Draw the figures of a run and write them with its report."""

import gc
import os
from pathlib import Path

import numpy as np

from xbayes.catalog.write import write_catalog
from xbayes.config.schema import catalog_path, gives_proportions
from xbayes.output.files import write_whole
from xbayes.output.results import Results
from xbayes.report.cluster_sections import cluster_sections
from xbayes.report.context import KNOWN_SECTIONS, FeatureRow, Penalty, ReportContext
from xbayes.report.html import write_report
from xbayes.report.population import candidate_table, population_sections
from xbayes.report.result_sections import labels_of, result_sections
from xbayes.report.source_sections import point_sections, track_sections


def write_figures_and_report(folder: Path, results: Results, provenance: dict, final: Path) -> None:
    """Write `figures/*.png` and `report.html` to `folder`, which becomes `final` afterwards."""
    # Figures create much garbage. Frozen objects, such as those of JAX, are not searched each time.
    gc.freeze()
    with_points, points = point_sections(results)
    sections = [
        *population_sections(results),
        *result_sections(results),
        *cluster_sections(results),
        *with_points,
        *track_sections(results),
    ]
    gc.unfreeze()
    sections.sort(key=lambda section: list(KNOWN_SECTIONS).index(section.anchor))
    (folder / "figures").mkdir()
    for section in sections:
        for name, figure in section.figures.items():
            write_whole(folder / "figures" / f"{name}.png", figure.png)
    candidates = candidate_table(results)
    if len(candidates):
        write_catalog(candidates, folder / "candidates.csv")
    classes = results.recipe.names.classes
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
        reweighted=gives_proportions(results.config),
    )
    write_report(folder / "report.html", context)


def _subclasses(results: Results) -> dict[str, dict[str, int]]:
    """Number of labelled sources in each subclass, for classes with several subclasses."""
    names = results.recipe.names
    index = results.labels.modelled[results.held_out.rows]
    size = np.bincount(index, minlength=len(names.subclasses)).tolist()
    by_class: dict[str, dict[str, int]] = {}
    for t, subclass in enumerate(names.subclasses):
        by_class.setdefault(names.classes[names.class_of[t]], {})[subclass] = size[t]
    return {name: subclasses for name, subclasses in by_class.items() if len(subclasses) > 1}


def _penalties(results: Results) -> list[Penalty]:
    if results.recipe.given_alpha is not None:
        return []  # nothing was learned that a penalty could shrink
    named = [(f"outer fold {k + 1}", fit) for k, fit in enumerate(results.held_out.fits)]
    return [
        Penalty(fit=name, chosen=fit.penalty, tried=fit.penalties, loss=fit.held_out_loss)
        for name, fit in [*named, ("all labelled sources", results.fit)]
    ]


def _feature_rows(results: Results) -> list[FeatureRow]:
    by_name = {counts.name: counts for counts in results.feature_report.counts}
    return [
        FeatureRow(
            label=label,
            measured=by_name[label.name].measured,
            not_detected=by_name[label.name].not_detected,
            not_available=by_name[label.name].not_available,
            undefined=by_name[label.name].undefined,
        )
        for label in labels_of(results)
    ]


def _command(results: Results, final: Path) -> str:
    """The command that repeats the run."""
    command = f"xbayes run {final / 'config.yaml'}"
    path = results.origin.path
    named = results.config.catalog.file is not None and path == catalog_path(results.config)
    if named:
        return command
    return f"{command} --catalog {'FILE' if path is None else os.path.relpath(path)}"
