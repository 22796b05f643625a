"""What a comparison compares: configs, runs and peers, all on the same sources and folds.

Whatever keeps two variants from being compared is refused here, before any work.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Int

import xbayes
from xbayes.catalog.read import read_catalog
from xbayes.compare.cross_validate_peer import Folds, HeldOut
from xbayes.compare.peers import PEERS, chosen_peers
from xbayes.config.checks import quoted
from xbayes.config.model import ModelConfig
from xbayes.config.reader import dump_config, load_config, swept
from xbayes.config.schema import Config, catalog_path, focus_class
from xbayes.evaluate.cross_validate import labelled_rows, nested_splits
from xbayes.output.run_directory import sha256_of
from xbayes.tasks.training import Training, load_training
from xbayes.types import InputError, Labels

CALIBRATIONS = get_args(ModelConfig.model_fields["calibration"].annotation)
DISTRIBUTION = {"sklearn": "scikit-learn", "interpret": "interpret-core"}


class Request(NamedTuple):
    """What the user asked to compare."""

    items: tuple[Path, ...]  # config files and run directories
    settings: tuple[str, ...] = ()  # key=value, for every config
    catalog: Path | None = None
    peers: tuple[str, ...] = ()
    peers_on: Path | None = None  # the config that gives their properties; None: the first
    peer_calibration: str | None = None  # None: that of this config


class Variant(NamedTuple):
    """One line of the table."""

    name: str
    kind: Literal["config", "run", "peer"]
    config: Config  # of a peer, the one that gives its properties
    origin: Path
    fingerprint: str  # of everything its numbers follow from
    settings: dict[str, Any]  # told in the report


class Plan(NamedTuple):
    """Variants, and the sources and folds they share."""

    variants: tuple[Variant, ...]
    catalog: Path
    sha256: str
    classes: tuple[str, ...]
    focus: int
    folds: Folds
    bootstrap: int
    id_column: str
    ids: np.ndarray  # of the labelled rows
    labels: Labels  # of the labelled rows
    outer_fold: Int[np.ndarray, "R N"]
    trainings: dict[str, Training]  # by what they are read from
    warnings: tuple[str, ...]


def make_plan(request: Request) -> Plan:
    """Read configs, runs and the catalogue; nothing is fitted. Raises `InputError`."""
    peers = chosen_peers(request.peers)
    variants = _variants_of_items(request)
    variants += _peers(request, peers, variants)
    _refuse_too_few(variants)
    _refuse_same_names(variants)
    first = variants[0].config
    shared = _refuse_differences(variants)
    focus = focus_class(first)
    if focus is None:
        raise InputError(
            f"say whose F1 counts, for none of {quoted(first.taxonomy.classes)} is named XRB: "
            "--set f1_class=NAME"
        )
    path, sha256 = _one_catalogue(request, variants)
    trainings = {_reading(v.config): v.config for v in variants}
    trainings = {key: load_training(config, path) for key, config in trainings.items()}
    training = trainings[_reading(first)]
    rows, _, labels = labelled_rows(training.features, training.labels)
    validation = first.validation
    folds = Folds(
        validation.folds,
        shared["validation.repeats"],
        validation.inner_folds,
        first.seed,
        validation.split,
    )
    outer = np.full((folds.repeats, len(rows)), -1)
    for split in nested_splits(labels, *folds):
        outer[split.repeat, split.test] = split.fold
    warnings = [text for one in trainings.values() for text in one.warnings]
    return Plan(
        tuple(variants),
        path,
        sha256,
        tuple(first.taxonomy.classes),
        list(first.taxonomy.classes).index(focus),
        folds,
        validation.bootstrap,
        first.catalog.id,
        np.asarray(training.table[first.catalog.id])[rows].astype(str),
        labels,
        outer,
        trainings,
        tuple(dict.fromkeys(warnings)),
    )


def training_of(plan: Plan, variant: Variant) -> Training:
    """The catalogue as this variant reads it; its config less the features that say nothing."""
    training = plan.trainings[_reading(variant.config)]
    features = {"features": training.config.features}
    return training._replace(config=variant.config.model_copy(update=features))


def predictions_of_run(plan: Plan, variant: Variant) -> HeldOut:
    """Held-out predictions of a run directory, of the same sources and folds as all others.

    Without `decision: f1` the run has not learned the rule, and its predictions count as unknown.
    Raises `InputError`.
    """
    table = read_catalog(variant.origin / "predictions.parquet", text=[plan.id_column])
    columns = [plan.id_column, "true_class", "fold", *(f"p_{c}" for c in plan.classes)]
    lacking = [name for name in columns if name not in table.colnames]
    if lacking:
        raise InputError(f"{variant.origin}: predictions.parquet has no columns {quoted(lacking)}")
    number = {name: c for c, name in enumerate(plan.classes)}
    truth = np.array([number.get(str(name), -1) for name in table["true_class"]])
    same = np.array_equal(np.asarray(table[plan.id_column]).astype(str), plan.ids)
    if not same or not np.array_equal(truth, plan.labels.class_index):
        raise InputError(
            f"{variant.origin}: holds other sources, or other classes of them, than "
            f"{plan.variants[0].name}; make the run again on this catalogue"
        )
    fold = np.asarray(table["fold"], np.int64)
    if not np.array_equal(fold, plan.outer_fold[0]):
        raise InputError(
            f"{variant.origin}: its outer folds differ from those of {plan.variants[0].name} "
            "although seed and number are the same (another version?); make the run again"
        )
    posterior = np.column_stack([np.asarray(table[f"p_{c}"], np.float64) for c in plan.classes])
    prediction = np.full(len(truth), -1)
    if variant.config.decision == "f1":
        prediction = np.array([number[str(name)] for name in table["prediction"]])
    nan = float("nan")
    return HeldOut(fold[None], posterior[None], prediction[None], nan, nan)


def _variants_of_items(request: Request) -> list[Variant]:
    variants = []
    for item in request.items:
        if item.is_dir():
            variants.append(_run(item))
            continue
        for name, config in swept(load_config(item, request.settings)).items():
            # The same rule for all: learned for every variant, whatever its config decides by.
            focus = focus_class(config)
            config = config.model_copy(update={"decision": "f1", "f1_class": focus})
            settings = {"model": config.model.model_dump(mode="json"), "variant": config.variant}
            if config.variant == "bayes":
                settings["posterior"] = config.posterior.model_dump(mode="json")
            variants.append(Variant(name, "config", config, item, "", settings))
    return variants


def _run(folder: Path) -> Variant:
    for name in ("config.yaml", "predictions.parquet", "provenance.json"):
        if not (folder / name).is_file():
            raise InputError(
                f"{folder}: holds no {name}, so it is no finished run; give a run directory of "
                "'xbayes run', or a config file"
            )
    config = load_config(folder / "config.yaml")
    settings = {"model": config.model.model_dump(mode="json"), "variant": config.variant}
    return Variant(folder.resolve().name, "run", config, folder, "", settings)


def _peers(request: Request, names: list[str], variants: list[Variant]) -> list[Variant]:
    if not names:
        return []
    on = variants[0]
    if request.peers_on is not None:
        config = load_config(request.peers_on, request.settings)
        if config.sweep:
            raise InputError(f"--peers-on {request.peers_on}: has a sweep; peers read one config")
        on = Variant("", "config", config, request.peers_on, "", {})
    calibration = request.peer_calibration or on.config.model.calibration
    if calibration not in CALIBRATIONS:
        raise InputError(
            f"--peer-calibration must be one of {', '.join(CALIBRATIONS)}; found {calibration!r}"
        )
    model = on.config.model.model_copy(update={"calibration": calibration})
    config = on.config.model_copy(update={"model": model, "f1_class": focus_class(on.config)})
    made = []
    for name in names:
        peer = PEERS[name]
        settings = {
            "title": peer.title,
            "version": importlib.metadata.version(DISTRIBUTION.get(peer.library, peer.library)),
            "settings": [*peer.settings],
            "trees": [*peer.stages],
            "calibration": calibration,
            "properties of": str(on.origin),
        }
        made.append(Variant(name, "peer", config, on.origin, "", settings))
    return made


def _refuse_too_few(variants: list[Variant]) -> None:
    if len(variants) < 2:
        raise InputError(
            f"comparing needs at least two variants; found {quoted(v.name for v in variants)}: "
            "give another config or run, --peer NAME (or --peer all), or a sweep in the config"
        )


def _refuse_same_names(variants: list[Variant]) -> None:
    names = [variant.name for variant in variants]
    for name in names:
        if names.count(name) > 1:
            where = quoted(dict.fromkeys(str(v.origin) for v in variants if v.name == name))
            raise InputError(
                f"two variants are called {name!r} ({where}); give each config its own 'name', "
                "and each run directory its own folder name"
            )


def _shared_keys(variant: Variant) -> dict[str, Any]:
    """What must be the same in all variants, by its key."""
    config, validation = variant.config, variant.config.validation
    return {
        "seed": config.seed,
        "validation.folds": validation.folds,
        "validation.split": validation.split,
        # A run keeps the predictions of its first repeat.
        "validation.repeats": 1 if variant.kind == "run" else validation.repeats,
        "f1_class": focus_class(config),
        "taxonomy.classes": config.taxonomy.classes,
        "taxonomy.left_out": tuple(sorted(config.taxonomy.left_out)),
        **{f"catalog.{k}": getattr(config.catalog, k) for k in ("id", "label", "group", "source")},
    }


def _refuse_differences(variants: list[Variant]) -> dict[str, Any]:
    first = variants[0]
    shared = _shared_keys(first)
    for other in variants[1:]:
        for key, value in _shared_keys(other).items():
            if not _same(value, shared[key]):
                raise InputError(
                    f"variants are compared on the same sources and folds, but {key} differs: "
                    f"{first.name} has {shared[key]!r}, {other.name} has {value!r}; "
                    f"--set {key}=VALUE sets it for every config, and a run must be made again"
                )
    return shared


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):  # the order of classes fixes their axis
        return list(one.items()) == list(other.items())
    return one == other


def _one_catalogue(request: Request, variants: Iterable[Variant]) -> tuple[Path, str]:
    """The file all variants are about, and its checksum."""
    known: dict[Path, str] = {}
    first: tuple[str, Path, str] | None = None
    for variant in variants:
        if variant.kind == "run":
            record = json.loads((variant.origin / "provenance.json").read_text())
            path, found = Path(record["catalog"]), record["catalog_sha256"]
            if first is None:
                first = variant.name, request.catalog or catalog_path(variant.config), found
        else:
            path = request.catalog or catalog_path(variant.config)
            found = known.get(path) or known.setdefault(path, _checksum(path))
        first = first or (variant.name, path, found)
        if found != first[2]:
            raise InputError(
                f"variants are compared on the same catalogue, but that of {variant.name} ({path}) "
                f"is not that of {first[0]} ({first[1]}): their SHA-256 differ; give one with "
                "--catalog FILE, or make the run again"
            )
    assert first is not None
    if _checksum(first[1]) != first[2]:
        raise InputError(
            f"{first[1]} has changed since the run {first[0]} was made (another SHA-256); make the "
            "run again, or give its catalogue with --catalog FILE"
        )
    return first[1], first[2]


def _checksum(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def _reading(config: Config) -> str:
    """The part of a config that the arrays follow from, as text."""
    parts = (config.catalog, config.taxonomy, config.validation)
    texts = [part.model_dump_json() for part in parts]
    features = {name: feature.model_dump(mode="json") for name, feature in config.features.items()}
    return json.dumps([texts, list(features.items())])


def with_fingerprint(variant: Variant, sha256: str) -> Variant:
    """The variant with the checksum of all that its numbers follow from."""
    told = json.dumps(variant.settings) if variant.kind == "peer" else ""
    parts = [xbayes.__version__, variant.kind, variant.name, sha256, dump_config(variant.config)]
    text = json.dumps([*parts, told])
    return variant._replace(fingerprint=hashlib.sha256(text.encode()).hexdigest())
