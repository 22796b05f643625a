"""The model file: a fitted classifier as plain arrays and JSON; loading executes no code.

model/model.json    format, versions, the resolved config, shapes and checksum of the arrays
model/arrays.npz    every array under its name, such as `weights.offset`
model/SHA256        checksum of model.json
"""

import hashlib
import json
import zipfile
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array

import xbayes
from xbayes.catalog.ranges import NOTHING_KNOWN, TrainedOn, ValueRange
from xbayes.classifier.build_density import params_of
from xbayes.classifier.calibration import Calibrator
from xbayes.classifier.conformal import ConformalReference
from xbayes.classifier.decision import DecisionRule
from xbayes.classifier.held_out import HeldOutSample
from xbayes.classifier.intervals import JointDraws
from xbayes.classifier.novelty import Novelty
from xbayes.classifier.outlier import OutlierReference
from xbayes.classifier.predict import Classifier
from xbayes.classifier.recipe import Recipe, build_recipe
from xbayes.classifier.states import StatesSeen
from xbayes.config.reader import dump_config, parse_config
from xbayes.config.schema import Config
from xbayes.errors import InputError
from xbayes.models.additive_terms import SplineTerms
from xbayes.models.base import Params
from xbayes.models.naive_bayes import NaiveBayesParams
from xbayes.models.term_tables import TermTables

# 5: a value that is not available adds zero to terms; 4: held-out posteriors, states seen
FORMAT = 5


def save_model(
    folder: Path,
    config: Config,
    classifier: Classifier,
    trained_on: TrainedOn = NOTHING_KNOWN,
    *,
    smallest: bool = False,
) -> None:
    """Write the model of a run, and what it was trained on, into the new directory `folder`.

    `smallest` halves the arrays once more, at 0.1 s for each MB on load.
    """
    folder.mkdir(parents=True)
    arrays = {
        f"{prefix}.{name}": _stored(prefix, value)
        for prefix, record in _records(config, classifier).items()
        for name, value in record._asdict().items()
        if value is not None
    }
    if smallest:
        _save_smallest(folder / "arrays.npz", arrays)
    else:
        np.savez_compressed(folder / "arrays.npz", allow_pickle=False, **arrays)
    record = {
        "format": FORMAT,
        "xbayes": xbayes.__version__,
        "config": dump_config(config),
        "units": trained_on.units,
        "columns": trained_on.columns,  # the ranges of values, as lists
        "features": trained_on.features,
        "lacked_by": trained_on.lacked_by,
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
        "arrays_sha256": _sha256(folder / "arrays.npz"),
    }
    (folder / "model.json").write_text(json.dumps(record, indent=1) + "\n")
    (folder / "SHA256").write_text(_sha256(folder / "model.json") + "\n")


def _save_smallest(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """As `np.savez_compressed`, with the compression that makes the smallest file."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # without a date: same arrays, same file
            member.compress_type = zipfile.ZIP_LZMA
            with archive.open(member, "w") as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)


def load_model(run: Path) -> tuple[Config, Recipe, Classifier, TrainedOn]:
    """The model of a run directory, and the units and ranges of the columns it was trained on.

    Raises
    ------
    InputError
        The directory has no model, or one of another format, or the files were altered.
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
        config = parse_config(record["config"], f"{folder}/model.json", stored=True)
        with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
            classifier = _rebuild(config, _checked(dict(arrays), record["arrays"]))
        return config, build_recipe(config), classifier, _trained_on(record)
    except InputError:
        raise
    except Exception as error:
        # The checksums are right, so another program wrote these files.
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{folder} holds no model of xbayes ({reason}); run again") from error


def _trained_on(record: dict) -> TrainedOn:
    columns, features = (
        {name: ValueRange._make(numbers) for name, numbers in record.get(key, {}).items()}
        for key in ("columns", "features")
    )
    lacked_by = {name: tuple(blocks) for name, blocks in record.get("lacked_by", {}).items()}
    return TrainedOn(
        units=dict(record["units"]), columns=columns, features=features, lacked_by=lacked_by
    )


def _check_version(folder: Path, record: dict) -> None:
    if record.get("format") != FORMAT:
        raise InputError(
            f"{folder} has format {record.get('format')!r} (xbayes {record.get('xbayes')}); this "
            f"is xbayes {xbayes.__version__}, which reads format {FORMAT}: run again"
        )


def _checked(arrays: dict[str, np.ndarray], shapes: dict) -> dict[str, np.ndarray]:
    """The arrays, after a check of their names, shapes and values."""
    if {name: list(array.shape) for name, array in arrays.items()} != shapes:
        raise InputError("the arrays of the model are not those its model.json lists; run again")
    bad = [name for name, array in arrays.items() if np.isnan(array).any()]
    if bad:
        raise InputError(f"the model holds NaN in {bad}; run the experiment again")
    return arrays


def _records(config: Config, classifier: Classifier) -> dict[str, Params]:
    """The records of arrays under the prefix that their names have in the file."""
    named = _density_records(config, "density", classifier.density)
    if classifier.draws is not None:
        named["draws.weights"] = classifier.draws.weights
        if classifier.draws.density is not None:
            named |= _density_records(config, "draws.density", classifier.draws.density)
    given = classifier._asdict()
    del given["density"], given["draws"]
    return named | {name: record for name, record in given.items() if record is not None}


def _density_records(config: Config, prefix: str, density: Params) -> dict[str, Params]:
    """One record for each group of features that shares a density."""
    prefixes = _density_prefixes(config, prefix)
    return dict(zip(prefixes, density if len(prefixes) > 1 else [density], strict=True))


def _density_prefixes(config: Config, prefix: str) -> list[str]:
    n_groups = len(params_of(config))
    return [prefix] if n_groups == 1 else [f"{prefix}_{i}" for i in range(n_groups)]


def _stored(prefix: str, value: Array | np.ndarray) -> np.ndarray:
    """Posterior samples in single precision, to which they were rounded when made."""
    value = np.asarray(value)
    single = prefix.startswith("draws.") and value.dtype == np.float64
    return value.astype(np.float32) if single else value


def _rebuild(config: Config, arrays: dict[str, np.ndarray]) -> Classifier:
    precision = arrays["rule.class_weight"].dtype

    def restored(array):
        # `jnp.asarray` would compile a program for every shape.
        return jax.device_put(array.astype(precision) if array.dtype == np.float32 else array)

    def stored(prefix: str) -> bool:
        return any(name.startswith((f"{prefix}.", f"{prefix}_")) for name in arrays)

    def record(prefix, kind):
        optional = [f for f in kind._field_defaults if f"{prefix}.{f}" not in arrays]
        fields = [field for field in kind._fields if field not in optional]
        return kind(**{field: restored(arrays[f"{prefix}.{field}"]) for field in fields})

    def density(prefix: str) -> Params:
        prefixes = _density_prefixes(config, prefix)
        groups = [record(p, kind) for p, kind in zip(prefixes, params_of(config), strict=True)]
        return groups[0] if len(groups) == 1 else tuple(groups)

    draws = None
    if stored("draws.weights"):
        draws = JointDraws(
            density=density("draws.density") if stored("draws.density") else None,
            weights=record("draws.weights", NaiveBayesParams),
        )
    return Classifier(
        density=density("density"),
        weights=record("weights", NaiveBayesParams),
        outlier=record("outlier", OutlierReference),
        rule=record("rule", DecisionRule),
        calibrator=record("calibrator", Calibrator),
        conformal=record("conformal", ConformalReference),
        states=record("states", StatesSeen),
        draws=draws,
        splines=record("splines", SplineTerms) if stored("splines") else None,
        terms=record("terms", TermTables) if stored("terms") else None,
        novelty=record("novelty", Novelty) if stored("novelty") else None,
        held_out=record("held_out", HeldOutSample),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
