"""What a run would do: every check of `run`, and nothing else.

load_training -> build_recipe -> Plan
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xbayes.classifier.recipe import build_recipe
from xbayes.config.reader import config_of
from xbayes.config.schema import Config, catalog_path
from xbayes.features.build import FeatureCounts
from xbayes.output.run_directory import check_run_directory
from xbayes.report.build import check_formats
from xbayes.tasks.run import default_directory, refuse_sweep
from xbayes.tasks.training import Training, load_training

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike


class Plan(NamedTuple):
    """What `run` would do with a config and a catalogue."""

    config: Config  # without features that would be dropped
    catalog: str
    n_sources: int
    labelled: dict[str, int]  # sources by class
    features: tuple[FeatureCounts, ...]
    warnings: tuple[str, ...]
    out: Path

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def plan(
    config: str | os.PathLike[str] | Mapping | Config,
    *,
    catalog: "CatalogLike | None" = None,
    out: str | os.PathLike[str] | None = None,
    target: str | os.PathLike[str] | None = None,
    set: Sequence[str] = (),
    overwrite: bool = False,
    figures: Sequence[str] = (),
) -> Plan:
    """The plan of a run: config and catalogue are checked as in `run`, and nothing is written.

    Arguments and errors are those of `run`; `print` shows the plan.

    Examples
    --------
    >>> planned = xbayes.plan("configs/demo.yaml", catalog="runs/demo-catalog.fits")
    >>> planned.n_sources, list(planned.labelled)
    (3000, ['AGN', 'Star', 'XRB', 'CV'])
    """
    loaded = config_of(config, set, target=target)
    refuse_sweep(loaded)
    check_formats(figures)
    folder = default_directory(loaded) if out is None else Path(out)
    check_run_directory(folder, overwrite)
    training = load_training(loaded, catalog_path(loaded) if catalog is None else catalog)
    build_recipe(training.config)  # refuses options that do not go together
    return _plan(training, folder)


def _plan(training: Training, out: Path) -> Plan:
    classes = list(training.config.taxonomy.classes)
    index = training.labels.class_index
    counts = np.bincount(index[index >= 0], minlength=len(classes)).tolist()
    return Plan(
        config=training.config,
        catalog=training.origin.name,
        n_sources=len(training.table),
        labelled=dict(zip(classes, counts, strict=True)),
        features=training.report.counts,
        warnings=training.warnings,
        out=out,
    )


def _lines(made: Plan) -> list[str]:
    model, validation = made.config.model, made.config.validation
    by_class = ", ".join(f"{n:,} {name}" for name, n in made.labelled.items())
    total = sum(made.labelled.values())
    width = max(len(name) for name in made.config.features)
    kept = [counts for counts in made.features if counts.name in made.config.features]
    features = [
        f"  {counts.name:{width}}  {made.config.features[counts.name].category:14}"
        f"{counts.measured:10,} measured{counts.not_detected:10,} not detected"
        f"{counts.not_available:10,} not available"
        for counts in kept
    ]
    repeats = validation.repeats
    folds = f"{validation.folds} outer folds" + (f", drawn {repeats} times" if repeats > 1 else "")
    return [
        f"{made.config.name}: {made.n_sources:,} sources of {made.catalog}",
        f"labelled: {total:,} ({by_class}); without a label: {made.n_sources - total:,}",
        f"features: {len(kept)}",
        *features,
        f"model: densities {model.density}, weights {model.weights}, variant "
        f"{made.config.variant}, calibration {model.calibration}",
        f"validation: {folds}, each with {validation.inner_folds} inner folds; then a fit on all "
        "labelled sources",
        f"would be written: {made.out} (tables, metrics, model, figures, report)",
        *(f"warning: {warning}" for warning in made.warnings),
    ]
