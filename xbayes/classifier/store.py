"""A fitted classifier on disk: plain arrays and JSON, nothing that executes when loaded.

model/model.json    format, versions, the resolved config, names and checksum of the arrays
model/arrays.npz    every array by its name, such as `weights.offset`
model/SHA256        checksum of model.json
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import xbayes
from xbayes.classifier.build_density import params_of
from xbayes.classifier.calibration import Calibrator
from xbayes.classifier.conformal import ConformalReference
from xbayes.classifier.intervals import JointDraws
from xbayes.classifier.outlier import OutlierReference
from xbayes.classifier.predict import Classifier
from xbayes.classifier.recipe import Recipe, build_recipe
from xbayes.config.reader import dump_config, parse_config
from xbayes.config.schema import Config
from xbayes.models.additive_terms import SplineTerms
from xbayes.models.naive_bayes import NaiveBayesParams
from xbayes.models.term_tables import TermTables
from xbayes.types import InputError

FORMAT = (
    3  # 3: the decision rule has class weights; 2: calibrator, reference of the prediction sets
)


def save_model(
    folder: Path, config: Config, classifier: Classifier, units: Mapping[str, str]
) -> None:
    """Write the model of one run into `folder`, which is made."""
    folder.mkdir(parents=True)
    arrays = {
        f"{part}.{name}": _stored(part, value)
        for part, params in _parts(config, classifier).items()
        for name, value in params._asdict().items()
    } | {"class_weight": np.asarray(classifier.class_weight)}
    np.savez_compressed(folder / "arrays.npz", allow_pickle=False, **arrays)
    record = {
        "format": FORMAT,
        "xbayes": xbayes.__version__,
        "config": dump_config(config),
        "units": dict(units),
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
        "arrays_sha256": _sha256(folder / "arrays.npz"),
    }
    (folder / "model.json").write_text(json.dumps(record, indent=1) + "\n")
    (folder / "SHA256").write_text(_sha256(folder / "model.json") + "\n")


def load_model(run: Path) -> tuple[Config, Recipe, Classifier, dict[str, str]]:
    """The model of a run directory, and the units of the columns it was trained on.

    Raises `InputError` if there is none, it is of another version, or it was altered.
    """
    folder = run / "model"
    missing = [n for n in ("model.json", "arrays.npz", "SHA256") if not (folder / n).is_file()]
    if missing:
        nothing = f"is no finished run: it has no model/{missing[0]}"
        what = nothing if run.exists() else "does not exist"
        raise InputError(f"{run} {what}; give a directory written by 'xbayes run'")
    if _sha256(folder / "model.json").encode() != (folder / "SHA256").read_bytes().strip():
        raise InputError(f"{folder}/model.json was altered since it was written; run again")
    try:
        record = json.loads((folder / "model.json").read_text())
        _check_version(folder, record)
        if _sha256(folder / "arrays.npz") != record["arrays_sha256"]:
            raise InputError(f"{folder}/arrays.npz was altered since it was written; run again")
        config = parse_config(record["config"], f"{folder}/model.json")
        with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
            classifier = _rebuild(config, _checked(dict(arrays), record["arrays"]))
        return config, build_recipe(config), classifier, dict(record["units"])
    except InputError:
        raise
    except Exception as error:
        # The checksums hold, so somebody rewrote them: whatever it is, it is no model of ours.
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{folder} holds no model of xbayes ({reason}); run again") from error


def _check_version(folder: Path, record: dict) -> None:
    if record.get("format") != FORMAT:
        raise InputError(
            f"{folder} has format {record.get('format')!r} (xbayes {record.get('xbayes')}); this "
            f"is xbayes {xbayes.__version__}, which reads format {FORMAT}: run again"
        )


def _checked(arrays: dict[str, np.ndarray], shapes: dict) -> dict[str, np.ndarray]:
    """The arrays, if they are those listed and hold numbers."""
    found = {name: list(array.shape) for name, array in arrays.items()}
    if found != shapes:
        raise InputError("the arrays of the model are not those its model.json lists; run again")
    bad = [name for name, array in arrays.items() if np.isnan(array).any()]
    if bad:
        raise InputError(f"the model holds NaN in {bad}; run the experiment again")
    return arrays


def _parts(config: Config, classifier: Classifier) -> dict[str, Any]:
    """The records of arrays, by the name they have in the file."""
    density = classifier.density
    several = density if len(params_of(config)) > 1 else [density]
    named = {_density_name(i, len(several)): params for i, params in enumerate(several)}
    if classifier.draws is not None:
        drawn = classifier.draws.density
        if drawn is not None:
            each = drawn if len(several) > 1 else [drawn]
            named |= {f"draws.{_density_name(i, len(several))}": p for i, p in enumerate(each)}
        named["draws.weights"] = classifier.draws.weights
    if classifier.terms is not None:
        named["terms"] = classifier.terms
    if classifier.splines is not None:
        named["splines"] = classifier.splines
    return named | {name: getattr(classifier, name) for name in _RECORDS}


_RECORDS = {
    "weights": NaiveBayesParams,
    "outlier": OutlierReference,
    "calibrator": Calibrator,
    "conformal": ConformalReference,
}


def _stored(part: str, value: Any) -> np.ndarray:
    """Draws were rounded to single precision when made."""
    value = np.asarray(value)
    small = part.startswith("draws.") and value.dtype == np.float64
    return value.astype(np.float32) if small else value


def _density_name(i: int, n: int) -> str:
    return "density" if n == 1 else f"density_{i}"


def _rebuild(config: Config, arrays: dict[str, np.ndarray]) -> Classifier:
    exact = arrays["class_weight"].dtype

    def one(array):
        return jnp.asarray(array.astype(exact) if array.dtype == np.float32 else array)

    def record(part, kind):
        return kind(**{name: one(arrays[f"{part}.{name}"]) for name in kind._fields})

    kinds = params_of(config)

    def densities(prefix):
        parts = [record(prefix + _density_name(i, len(kinds)), k) for i, k in enumerate(kinds)]
        return parts[0] if len(parts) == 1 else tuple(parts)

    drawn = any(name.startswith("draws.density") for name in arrays)
    draws = None
    if any(name.startswith("draws.") for name in arrays):
        weights = record("draws.weights", NaiveBayesParams)
        draws = JointDraws(densities("draws.") if drawn else None, weights)

    def beside(part, kind):
        there = any(name.startswith(f"{part}.") for name in arrays)
        return record(part, kind) if there else None

    return Classifier(
        density=densities(""),
        draws=draws,
        class_weight=jnp.asarray(arrays["class_weight"]),
        splines=beside("splines", SplineTerms),
        terms=beside("terms", TermTables),
        **{name: record(name, kind) for name, kind in _RECORDS.items()},
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
