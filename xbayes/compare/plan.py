"""The plan of a comparison: its variants, and the sources and folds that they share.

Variants that cannot be compared are rejected here, before any fit.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from xbayes.catalog.inputs import origin_of
from xbayes.compare.variants import Request, Variant, list_variants, with_fingerprint
from xbayes.config.checks import quoted
from xbayes.config.schema import Config, catalog_source, focus_class
from xbayes.errors import InputError
from xbayes.evaluate.cross_validate import labelled_rows, nested_splits
from xbayes.tasks.training import Training, load_training
from xbayes.types import Labels


class Folds(NamedTuple):
    """The arguments of `nested_splits`, the same for all variants."""

    outer: int
    repeats: int
    inner: int
    seed: int
    kind: str = "random"  # a `validation.split`


class Plan(NamedTuple):
    """Variants, and the sources and folds that they share."""

    variants: tuple[Variant, ...]
    catalog: Path | dict[str, Path]  # of each release, if there are several files
    sha256: str
    classes: tuple[str, ...]
    focus: int
    folds: Folds
    bootstrap: int
    id_column: str
    ids: np.ndarray  # of the tested rows: all labelled ones, but for split: release
    labels: Labels  # of the tested rows
    outer_fold: Int[np.ndarray, "R N"]
    trainings: dict[str, Training]  # by `_training_key`
    warnings: tuple[str, ...]


def make_plan(request: Request) -> Plan:
    """The plan of a comparison, from its configs, runs and catalogue; nothing is fitted.

    Raises
    ------
    InputError
        For wrong input, and for variants that cannot be compared.
    """
    variants = list_variants(request)
    _refuse_too_few(variants)
    _refuse_same_names(variants)
    _refuse_differences(variants)
    config, classes = variants[0].config, tuple(variants[0].config.taxonomy.classes)
    focus = focus_class(config)
    if focus is None:
        raise InputError(
            f"no class is named XRB, so the class whose F1 is compared must be given (classes: "
            f"{quoted(classes)}); add --set f1_class=NAME"
        )
    path, sha256 = _shared_catalogue(request, variants)
    configs = {_training_key(variant.config): variant.config for variant in variants}
    trainings = {key: load_training(one, path) for key, one in configs.items()}
    training = trainings[_training_key(config)]
    rows, _, labels = labelled_rows(training.features, training.labels)
    folds = Folds(
        outer=config.validation.folds,
        repeats=_repeats(variants[0]),
        inner=config.validation.inner_folds,
        seed=config.seed,
        kind=config.validation.split,
    )
    warnings = [text for one in trainings.values() for text in one.warnings]
    outer = _outer_folds(labels, folds)
    tested = outer[0] >= 0
    return Plan(
        variants=tuple(with_fingerprint(variant, sha256) for variant in variants),
        catalog=path,
        sha256=sha256,
        classes=classes,
        focus=classes.index(focus),
        folds=folds,
        bootstrap=config.validation.bootstrap,
        id_column=config.catalog.id,
        ids=np.asarray(training.table[config.catalog.id])[rows][tested].astype(str),
        labels=labels.rows(tested),
        outer_fold=outer[:, tested],
        trainings=trainings,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def training_of(plan: Plan, variant: Variant) -> Training:
    """The catalogue as this variant reads it, and its config without useless features."""
    training = plan.trainings[_training_key(variant.config)]
    features = {"features": training.config.features}
    return training._replace(config=variant.config.model_copy(update=features))


def _outer_folds(labels: Labels, folds: Folds) -> Int[np.ndarray, "R N"]:
    outer = np.full((folds.repeats, len(labels.class_index)), -1)
    for split in nested_splits(labels, *folds):
        outer[split.repeat, split.test] = split.fold
    return outer


def _training_key(config: Config) -> str:
    """The part of a config that determines the arrays, as text."""
    parts = (config.catalog, config.taxonomy, config.validation)
    texts = [part.model_dump_json() for part in parts]
    features = {name: feature.model_dump(mode="json") for name, feature in config.features.items()}
    return json.dumps([texts, list(features.items())])


def _refuse_too_few(variants: Sequence[Variant]) -> None:
    if len(variants) < 2:
        raise InputError(
            "a comparison needs at least two variants; found "
            f"{quoted(v.name for v in variants)}: give another config or run, --peer NAME (or "
            "--peer all), or a sweep in the config"
        )


def _refuse_same_names(variants: Sequence[Variant]) -> None:
    names = [variant.name for variant in variants]
    for name in names:
        if names.count(name) > 1:
            origins = quoted(dict.fromkeys(str(v.origin) for v in variants if v.name == name))
            raise InputError(
                f"two variants are called {name!r} ({origins}); give each config its own 'name', "
                "and each run directory its own folder name"
            )


def _refuse_differences(variants: Sequence[Variant]) -> None:
    first = variants[0]
    shared = _shared_values(first)
    for other in variants[1:]:
        for key, value in _shared_values(other).items():
            if not _same(value, shared[key]):
                raise InputError(
                    f"variants are compared on the same sources and folds, but {key} differs: "
                    f"{first.name} has {shared[key]!r}, {other.name} has {value!r}; set it for "
                    f"every config with --set {key}=VALUE, and make the run again if it is a run"
                )


def _shared_values(variant: Variant) -> dict[str, object]:
    """The values that must be the same in all variants, by key."""
    config, validation = variant.config, variant.config.validation
    return {
        "seed": config.seed,
        "validation.folds": validation.folds,
        "validation.split": validation.split,
        "validation.repeats": _repeats(variant),
        "f1_class": focus_class(config),
        "taxonomy.classes": config.taxonomy.classes,
        "taxonomy.left_out": tuple(sorted(config.taxonomy.left_out)),
        **{f"catalog.{k}": getattr(config.catalog, k) for k in ("id", "label", "group", "source")},
    }


def _repeats(variant: Variant) -> int:
    """Repeats of the folds; a run directory holds the predictions of the first one only."""
    return 1 if variant.kind == "run" else variant.config.validation.repeats


def _same(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):  # the order of the classes matters
        return list(one.items()) == list(other.items())
    return one == other


def _shared_catalogue(
    request: Request, variants: Sequence[Variant]
) -> tuple[Path | dict[str, Path], str]:
    """The catalogue of all variants, or that of each release, and its checksum."""
    known: dict[str, str] = {}

    def checksum(source: Path | dict[str, Path]) -> str:
        if repr(source) not in known:
            known[repr(source)] = _checksum(source)
        return known[repr(source)]

    def catalogue_of(variant: Variant) -> tuple[str, str]:
        if variant.kind == "run":
            record = json.loads((variant.origin / "provenance.json").read_text())
            return record["catalog"], record["catalog_sha256"]
        source = request.catalog or catalog_source(variant.config)
        return shown_catalog(source), checksum(source)

    first = variants[0]
    source, sha256 = request.catalog or catalog_source(first.config), catalogue_of(first)[1]
    shown = shown_catalog(source)
    for other in variants[1:]:
        other_path, other_sha256 = catalogue_of(other)
        if other_sha256 != sha256:
            raise InputError(
                f"variants are compared on the same catalogue, but the catalogue of {other.name} "
                f"({other_path}) is not that of {first.name} ({shown}): their SHA-256 differ; give "
                "one catalogue with --catalog FILE, or make the run again"
            )
    if checksum(source) != sha256:
        raise InputError(
            f"{shown} has changed since the run {first.name} was made (its SHA-256 differs); make "
            "the run again, or give its catalogue with --catalog FILE"
        )
    return source, sha256


def shown_catalog(source: Path | dict[str, Path], *, names: bool = False) -> str:
    """The paths, or only the names, of a catalogue or of all its releases."""
    paths = [source] if isinstance(source, Path) else source.values()
    return ", ".join(path.name if names else str(path) for path in paths)


def _checksum(source: Path | dict[str, Path]) -> str:
    try:
        return origin_of(source).sha256
    except OSError as error:
        raise InputError(
            f"{shown_catalog(source)}: cannot be read: {error}; check the path"
        ) from None
