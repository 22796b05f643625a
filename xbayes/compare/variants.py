"""The variants of a comparison: configs (with their sweeps), run directories and peers."""

import hashlib
import importlib.metadata
import json
import shlex
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import xbayes
from xbayes.compare.peers import PEERS, chosen_peers
from xbayes.config.model import ModelConfig
from xbayes.config.reader import dump_config, load_config, swept
from xbayes.config.schema import Config, focus_class
from xbayes.errors import InputError

CALIBRATIONS = get_args(ModelConfig.model_fields["calibration"].annotation)
DISTRIBUTION = {"sklearn": "scikit-learn", "interpret": "interpret-core"}


class Request(NamedTuple):
    """The arguments of `xbayes compare`."""

    items: tuple[Path, ...]  # config files and run directories
    settings: tuple[str, ...] = ()  # key=value, for every config
    catalog: Path | None = None
    peers: tuple[str, ...] = ()
    peers_on: Path | None = None  # the config with the features of the peers; None: the first
    peer_calibration: str | None = None  # None: as in that config


class Variant(NamedTuple):
    """One row of the table."""

    name: str
    kind: Literal["config", "run", "peer"]
    config: Config  # of a peer: the config with its features
    origin: Path
    settings: dict[str, Any]  # listed in the report
    fingerprint: str = ""  # checksum of everything that determines the numbers


def list_variants(request: Request) -> list[Variant]:
    """The variants in the order of the request; the peers come last. Raises `InputError`."""
    peers = chosen_peers(request.peers)
    variants: list[Variant] = []
    for item in request.items:
        variants += [_run(item)] if item.is_dir() else _configs(item, request.settings)
    if peers:
        variants += _peers(request, peers, variants[0])
    return variants


def with_fingerprint(variant: Variant, sha256: str) -> Variant:
    """The variant with its fingerprint on the catalogue that has this checksum."""
    settings = json.dumps(variant.settings) if variant.kind == "peer" else ""
    parts = [xbayes.__version__, variant.kind, variant.name, sha256, dump_config(variant.config)]
    text = json.dumps([*parts, settings])
    return variant._replace(fingerprint=hashlib.sha256(text.encode()).hexdigest())


def command_of(request: Request) -> str:
    """The command that repeats the comparison, with paths as they were given."""
    words = ["xbayes", "compare", *map(str, request.items)]
    for option, value in (
        ("--catalog", request.catalog and request.catalog.name),
        ("--peers-on", request.peers_on),
        ("--peer-calibration", request.peer_calibration),
    ):
        words += [option, str(value)] if value else []
    words += [word for name in request.peers for word in ("--peer", name)]
    words += [word for setting in request.settings for word in ("--set", setting)]
    return shlex.join(words)


def _configs(path: Path, overrides: tuple[str, ...]) -> list[Variant]:
    variants = []
    for name, config in swept(load_config(path, overrides)).items():
        # Every variant learns the same decision rule, whatever rule its config asks for.
        config = config.model_copy(update={"decision": "f1", "f1_class": focus_class(config)})
        settings = {"model": config.model.model_dump(mode="json"), "variant": config.variant}
        if config.variant == "bayes":
            settings["posterior"] = config.posterior.model_dump(mode="json")
        variants.append(
            Variant(name=name, kind="config", config=config, origin=path, settings=settings)
        )
    return variants


def _run(folder: Path) -> Variant:
    for name in ("config.yaml", "predictions.parquet", "provenance.json"):
        if not (folder / name).is_file():
            raise InputError(
                f"{folder}: has no {name}, so it is not a finished run; give a run directory of "
                "'xbayes run', or a config file"
            )
    config = load_config(folder / "config.yaml", stored=True)
    settings = {"model": config.model.model_dump(mode="json"), "variant": config.variant}
    return Variant(
        name=folder.resolve().name, kind="run", config=config, origin=folder, settings=settings
    )


def _peers(request: Request, names: list[str], first: Variant) -> list[Variant]:
    config, origin = first.config, first.origin
    if request.peers_on is not None:
        config, origin = load_config(request.peers_on, request.settings), request.peers_on
        if config.sweep:
            raise InputError(f"--peers-on {origin}: has a sweep; give a config without a sweep")
    calibration = request.peer_calibration or config.model.calibration
    if calibration not in CALIBRATIONS:
        raise InputError(
            f"--peer-calibration must be one of {', '.join(CALIBRATIONS)}; found {calibration!r}"
        )
    model = config.model.model_copy(update={"calibration": calibration})
    config = config.model_copy(update={"model": model, "f1_class": focus_class(config)})
    variants = []
    for name in names:
        peer = PEERS[name]
        settings = {
            "title": peer.title,
            "version": importlib.metadata.version(DISTRIBUTION.get(peer.library, peer.library)),
            "settings": [*peer.settings],
            "trees": [*peer.stages],
            "calibration": calibration,
            "features of": str(origin),
        }
        variants.append(
            Variant(name=name, kind="peer", config=config, origin=origin, settings=settings)
        )
    return variants
