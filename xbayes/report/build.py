"""Draw the figures of a run and write them with its report."""

import gc
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xbayes.catalog.write import write_catalog
from xbayes.config.schema import Config, catalog_path, gives_proportions
from xbayes.errors import InputError
from xbayes.output.results import Results
from xbayes.report.cluster_sections import cluster_sections
from xbayes.report.context import KNOWN_SECTIONS, FeatureRow, Penalty, ReportContext, Section
from xbayes.report.html import write_report
from xbayes.report.interactive import Points
from xbayes.report.population import candidate_table, population_sections
from xbayes.report.result_sections import labels_of, result_sections
from xbayes.report.source_sections import point_sections, track_sections

# Formats of figures besides PNG, and the entry of the metadata that holds the date.
FORMATS = {"pdf": "CreationDate", "svg": "Date"}


def check_formats(figures: Sequence[str]) -> None:
    """Raise `InputError` unless figures can be written in these formats besides PNG."""
    wrong = [name for name in figures if name not in FORMATS]
    if wrong:
        raise InputError(
            f"figures cannot be written as {wrong[0]!r}; PNG is always written, and besides it: "
            f"{', '.join(FORMATS)}"
        )


def write_figures_and_report(
    run: Path, results: Results, provenance: dict, figures: Sequence[str] = ()
) -> None:
    """Write the figures, `candidates.csv` and `report.html` into a run directory.

    They are made in a temporary folder, and appear together, in place of earlier ones. `figures`
    are formats of the figures besides PNG.
    """
    with tempfile.TemporaryDirectory(prefix=".report-", dir=run) as name:
        folder = Path(name)
        sections, points = _sections(results)
        _write_figures(folder / "figures", sections, figures)
        candidates = candidate_table(results)
        if len(candidates):
            write_catalog(candidates, folder / "candidates.csv")
        context = _context(results, provenance, run, sections=sections, points=points)
        write_report(folder / "report.html", context)
        shutil.rmtree(run / "figures", ignore_errors=True)
        for made in folder.iterdir():
            made.replace(run / made.name)


def _sections(results: Results) -> tuple[list[Section], Points]:
    """The sections of the report in their order, and the points of the interactive figures."""
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
    return sections, points


def _write_figures(folder: Path, sections: Sequence[Section], formats: Sequence[str]) -> None:
    folder.mkdir()
    for section in sections:
        for name, figure in section.figures.items():
            (folder / f"{name}.png").write_bytes(figure.png)
            for ending in formats:
                if figure.drawn is not None:
                    # Without the date, so that equal figures give equal files.
                    figure.drawn.savefig(
                        folder / f"{name}.{ending}", metadata={FORMATS[ending]: None}
                    )


def _context(
    results: Results,
    provenance: dict,
    run: Path,
    *,
    sections: Sequence[Section],
    points: Points,
) -> ReportContext:
    classes = results.recipe.names.classes
    truth = results.labels.class_index
    counts = np.bincount(truth[truth >= 0], minlength=len(classes))
    return ReportContext(
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
        command=_command(results, run),
        points=points,
        reweighted=gives_proportions(results.config),
        split=results.config.validation.split,
    )


def _subclasses(results: Results) -> dict[str, dict[str, int]]:
    """Number of labelled sources in each subclass, for classes with several subclasses."""
    names = results.recipe.names
    index = results.labels.modelled[results.labels.class_index >= 0]
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
        Penalty(
            fit=name,
            chosen=fit.penalty,
            tried=fit.penalties,
            loss=fit.held_out_loss,
            f1_weight=fit.f1_weight if fit.held_out_f1 else None,
        )
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


def _command(results: Results, run: Path) -> str:
    """The command that repeats the run."""
    command = f"xbayes run {run / 'config.yaml'}"
    if results.config.catalog.files and all(file.file for file in results.config.catalog.files):
        return command
    path = results.origin.path
    if _is_named(path, results.config):
        return command
    return f"{command} --catalog {'FILE' if path is None else os.path.relpath(path)}"


def _is_named(path: Path | None, config: Config) -> bool:
    """Whether the config names this file. Its variables need not be set if it does not."""
    if path is None or config.catalog.file is None:
        return False
    try:
        return path == catalog_path(config)
    except InputError:
        return False
