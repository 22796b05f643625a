"""A fitted classifier on disk: plain arrays and JSON, nothing that executes when loaded.

model/model.json    format, versions, the resolved config, names and checksum of the arrays
model/arrays.npz    every array by its name, such as `weights.offset`
model/SHA256        checksum of model.json
"""

import hashlib
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import xbayes
from xbayes.classifier import Classifier, Recipe, build_recipe
from xbayes.config import Config
from xbayes.config_file import dump_config, parse_config
from xbayes.models.density import DensityParams
from xbayes.models.naive_bayes import NaiveBayesParams
from xbayes.models.published_density import PublishedDensityParams
from xbayes.outlier import OutlierReference
from xbayes.types import InputError

FORMAT = 1
DENSITY_PARAMS = {"smooth": DensityParams, "published": PublishedDensityParams}


def save_model(folder: Path, config: Config, classifier: Classifier) -> None:
    """Write the model of one run into `folder`, which is made."""
    folder.mkdir(parents=True)
    arrays = {
        f"{part}.{name}": np.asarray(value)
        for part, params in classifier._asdict().items()
        if part != "factor"
        for name, value in params._asdict().items()
    } | {"factor": np.asarray(classifier.factor)}
    np.savez_compressed(folder / "arrays.npz", allow_pickle=False, **arrays)
    record = {
        "format": FORMAT,
        "xbayes": xbayes.__version__,
        "config": dump_config(config),
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
        "arrays_sha256": _sha256(folder / "arrays.npz"),
    }
    (folder / "model.json").write_text(json.dumps(record, indent=1) + "\n")
    (folder / "SHA256").write_text(_sha256(folder / "model.json") + "\n")


def load_model(run: Path) -> tuple[Config, Recipe, Classifier]:
    """The model of a run directory; `InputError` if there is none, or it was altered."""
    folder = run / "model"
    missing = [n for n in ("model.json", "arrays.npz", "SHA256") if not (folder / n).is_file()]
    if missing:
        what = (
            "does not exist"
            if not run.exists()
            else f"is no run directory: it has no model/{missing[0]}"
        )
        raise InputError(f"{run} {what}; give a directory written by 'xbayes run'")
    if _sha256(folder / "model.json") != (folder / "SHA256").read_text().strip():
        raise InputError(
            f"{folder}/model.json was altered since it was written; run the experiment again"
        )
    record = json.loads((folder / "model.json").read_text())
    if record.get("format") != FORMAT:
        raise InputError(
            f"{folder} has format {record.get('format')} (xbayes {record.get('xbayes')}); this is "
            f"xbayes {xbayes.__version__}, which reads format {FORMAT}: run the experiment again"
        )
    if _sha256(folder / "arrays.npz") != record["arrays_sha256"]:
        raise InputError(
            f"{folder}/arrays.npz was altered since it was written; run the experiment again"
        )
    config = parse_config(record["config"], f"{folder}/model.json")
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        return config, build_recipe(config), _rebuild(config, dict(arrays))


def _rebuild(config: Config, arrays: dict[str, np.ndarray]) -> Classifier:
    kinds = {
        "density": DENSITY_PARAMS[config.model.density],
        "weights": NaiveBayesParams,
        "outlier": OutlierReference,
    }
    factor = jnp.asarray(arrays["factor"])
    parts = {
        part: kind(**{name: jnp.asarray(arrays[f"{part}.{name}"]) for name in kind._fields})
        for part, kind in kinds.items()
    }
    return Classifier(**parts, factor=factor)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
