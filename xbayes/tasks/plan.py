"""What a run would do: every check of `run`, and nothing else.

load_training -> build_recipe -> Plan
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool

from xbayes.classifier.recipe import build_recipe
from xbayes.config.reader import config_of
from xbayes.config.schema import Config, catalog_source
from xbayes.evaluate.harder_split import choose_harder
from xbayes.features.build import FeatureCounts
from xbayes.output.run_directory import check_run_directory
from xbayes.report.build import check_formats
from xbayes.tasks.run import default_directory, refuse_sweep
from xbayes.tasks.training import Training, load_training

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike, Releases


class PlannedRelease(NamedTuple):
    """The rows of one of several files."""

    release: str
    file: str
    n_sources: int
    labelled: dict[str, int]  # sources by class


class Plan(NamedTuple):
    """What `run` would do with a config and a catalogue."""

    config: Config  # without features that would be dropped
    catalog: str
    n_sources: int
    labelled: dict[str, int]  # sources by class
    features: tuple[FeatureCounts, ...]
    warnings: tuple[str, ...]
    out: Path
    releases: tuple[PlannedRelease, ...] = ()  # empty for a single file
    harder: str = "none"  # the harder folds: "release", "blocks", or why there are none

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def plan(
    config: str | os.PathLike[str] | Mapping | Config,
    *,
    catalog: "CatalogLike | Releases | None" = None,
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
    training = load_training(loaded, catalog_source(loaded) if catalog is None else catalog)
    build_recipe(training.config)  # refuses options that do not go together
    return _plan(training, folder)


def _plan(training: Training, out: Path) -> Plan:
    harder = choose_harder(training.labels, training.config)
    return Plan(
        config=training.config,
        catalog=training.origin.name,
        n_sources=len(training.table),
        labelled=_labelled(training, np.ones(len(training.table), bool)),
        features=training.report.counts,
        warnings=training.warnings,
        out=out,
        releases=tuple(_releases(training)),
        harder="none" if harder is None else harder.split or f"none, because {harder.skipped}",
    )


def _releases(training: Training) -> Iterator[PlannedRelease]:
    index = training.labels.release
    if index is None:
        return
    for name, origin in training.origin.files.items():
        # All rows of a file may have labels that are left out.
        rows = index == (training.releases.index(name) if name in training.releases else -1)
        yield PlannedRelease(
            release=name,
            file=origin.name,
            n_sources=int(rows.sum()),
            labelled=_labelled(training, rows),
        )


def _labelled(training: Training, rows: Bool[np.ndarray, "N"]) -> dict[str, int]:
    """The labelled sources of each class among these rows."""
    classes, index = list(training.config.taxonomy.classes), training.labels.class_index[rows]
    counts = np.bincount(index[index >= 0], minlength=len(classes)).tolist()
    return dict(zip(classes, counts, strict=True))


def _lines(made: Plan) -> list[str]:
    model, validation = made.config.model, made.config.validation
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
    number = "releases as" if validation.split == "release" else f"{validation.folds}"
    folds = f"{number} outer folds ({validation.split})"
    folds += f", drawn {repeats} times" if repeats > 1 else ""
    releases = [
        f"  {one.release}: {one.file}, {one.n_sources:,} sources, labelled: "
        f"{_counted(one.labelled)}"
        for one in made.releases
    ]
    return [
        f"{made.config.name}: {made.n_sources:,} sources of {made.catalog}",
        f"labelled: {total:,} ({_counted(made.labelled)}); without a label: "
        f"{made.n_sources - total:,}",
        *(["releases:"] if releases else []),
        *releases,
        f"features: {len(kept)}",
        *features,
        f"model: densities {model.density}, weights {model.weights}, variant "
        f"{made.config.variant}, calibration {model.calibration}",
        f"validation: {folds}, each with {validation.inner_folds} inner folds; then a fit on all "
        "labelled sources; harder folds: " + made.harder,
        f"would be written: {made.out} (tables, metrics, model, figures, report)",
        *(f"warning: {warning}" for warning in made.warnings),
    ]


def _counted(labelled: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in labelled.items())
