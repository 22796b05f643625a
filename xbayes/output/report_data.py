"""What the report needs beyond the other files of a run: written by `run`, read by `report`.

report/data.npz     arrays
report/data.json    records of these arrays and of plain values; loading executes no code
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xbayes.catalog.inputs import Origin
from xbayes.catalog.read import read_catalog
from xbayes.classifier.calibration import CalibrationReport
from xbayes.classifier.decision import DecisionRule
from xbayes.classifier.fit import FitReport
from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.learned import prior_to_apply
from xbayes.classifier.patterns import Patterns, classify_by_pattern
from xbayes.classifier.posterior_draws import PosteriorReport
from xbayes.classifier.predict import Products
from xbayes.config.schema import Config
from xbayes.errors import InputError
from xbayes.evaluate.cross_validate import CrossValidation
from xbayes.features.build import FeatureCounts, FeatureReport
from xbayes.infer.gradient import GradientInfo
from xbayes.infer.select_splines import SplineReport
from xbayes.infer.select_terms import TermReport
from xbayes.output.results import Results
from xbayes.types import Features, Labels

FOLDER = "report"


class ReportData(NamedTuple):
    """The fields of `Results` that no other file of a run holds."""

    path: str  # of the catalogue; empty for a table in memory, and for several files
    features: Features
    feature_report: FeatureReport
    labels: Labels
    fit: FitReport
    held_out: CrossValidation


_RECORDS = {
    record.__name__: record
    for record in (
        ReportData, Features, FeatureReport, FeatureCounts, Labels, FitReport, GradientInfo,
        CalibrationReport, PosteriorReport, TermReport, SplineReport, CrossValidation, Products,
        DecisionRule,
    )
}  # fmt: skip


def save_report_data(run: Path, results: Results) -> None:
    """Write what the report needs into the run directory."""
    fit, held_out = results.fit, results.held_out
    if fit.posterior is not None:
        # The report shows the weights; the log-likelihoods are in posterior.nc.
        shown = {name: draws for name, draws in fit.posterior.sites.items() if name == "alpha"}
        nothing = np.zeros((0, 0, 0))
        fit = fit._replace(
            posterior=fit.posterior._replace(sites=shown, sample_stats={}, log_lik=nothing)
        )
    data = ReportData(
        path="" if results.origin.path is None else str(results.origin.path),
        features=results.features,
        feature_report=results.feature_report,
        labels=results.labels,
        fit=fit,
        held_out=held_out._replace(fits=tuple(f._replace(posterior=None) for f in held_out.fits)),
    )
    arrays: dict[str, np.ndarray] = {}
    record = _packed(data, "data", arrays)
    (run / FOLDER).mkdir()
    np.savez_compressed(run / FOLDER / "data.npz", allow_pickle=False, **arrays)
    (run / FOLDER / "data.json").write_text(json.dumps(record) + "\n")


def has_training_rows(run: Path) -> bool:
    """Whether a run directory has the files of `load_training_rows`; ready-made models do not."""
    return (run / FOLDER).is_dir()


def refuse_ready_made(run: Path, wanted: str) -> None:
    """Raise InputError for a ready-made model, which comes without its training sources."""
    if (run / "card.md").is_file():
        raise InputError(
            f"{run.name} is a ready-made model: it has no training sources, and so no {wanted}; "
            f"its held-out scores: xbayes models {run.name}"
        )


def load_training_rows(run: Path) -> tuple[Features, Labels]:
    """The features and labels that a run was fitted to. Raises InputError if it lacks the files."""
    data = _load(run)
    return data.features, data.labels


def load_results(model: FittedModel, patterns: Patterns) -> tuple[Results, dict]:
    """The results of a fitted run, as they were when it was written, and its provenance.

    The products of the catalogue are computed again, with the classifiers of `patterns`.

    Raises
    ------
    InputError
        If the run was written without these files.
    """
    run, config, recipe, classifier = model.folder, model.config, model.recipe, model.classifier
    data = _load(run)
    provenance = json.loads((run / "provenance.json").read_text())
    results = Results(
        config=config,
        origin=Origin(
            path=Path(data.path) if data.path else None,
            sha256=provenance["catalog_sha256"],
            files=_files(config, provenance.get("catalog_files", {})),
        ),
        table=read_catalog(run / "catalog.parquet"),
        features=data.features,
        feature_report=data.feature_report,
        labels=data.labels,
        warnings=tuple(provenance["warnings"]),
        recipe=recipe,
        classifier=classifier,
        fit=data.fit,
        held_out=data.held_out,
        patterns=patterns,
        products=classify_by_pattern(
            recipe,
            classifier,
            data.features,
            patterns,
            log_prior=prior_to_apply(config, data.labels),
        ),
        metrics=json.loads((run / "metrics.json").read_text()),
        seconds=provenance["seconds"],
    )
    return results, provenance


def _load(run: Path) -> ReportData:
    folder = run / FOLDER
    refuse_ready_made(run, "report")
    if not (folder / "data.json").is_file() or not (folder / "data.npz").is_file():
        raise InputError(
            f"{run} has no {FOLDER}/data.json and data.npz, so its report cannot be drawn again, "
            "and its weights cannot be fitted again; make the run again with 'xbayes run'"
        )
    with np.load(folder / "data.npz", allow_pickle=False) as arrays:
        return _unpacked(json.loads((folder / "data.json").read_text()), arrays)


def _files(config: Config, listed: Mapping[str, Mapping[str, str]]) -> dict[str, Origin]:
    """The files of a catalogue that was joined from several."""
    path = {file.release_name: Path(file.file) for file in config.catalog.files if file.file}
    return {
        name: Origin(path=path.get(name), sha256=file["sha256"]) for name, file in listed.items()
    }


def _packed(value: Any, name: str, arrays: dict[str, np.ndarray]) -> object:
    """The value as JSON; its arrays go into `arrays`, under their place in the value."""
    if type(value) in _RECORDS.values():
        fields = {k: _packed(v, f"{name}.{k}", arrays) for k, v in value._asdict().items()}
        return {"record": type(value).__name__, "fields": fields}
    if isinstance(value, tuple | list):
        return {"tuple": [_packed(v, f"{name}.{k}", arrays) for k, v in enumerate(value)]}
    if isinstance(value, Mapping):
        return {"dict": {k: _packed(v, f"{name}.{k}", arrays) for k, v in value.items()}}
    if isinstance(value, str | int | None) or (isinstance(value, float) and math.isfinite(value)):
        return value
    arrays[name] = np.asarray(value)  # JSON has no NaN either
    return {"array": name}


def _unpacked(packed: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The value that was packed; a record of an unknown type is a KeyError."""
    if not isinstance(packed, dict):
        return packed
    (kind, content), *fields = packed.items()
    if kind == "record":
        made = {k: _unpacked(v, arrays) for k, v in fields[0][1].items()}
        return _RECORDS[content](**made)
    if kind == "tuple":
        return tuple(_unpacked(v, arrays) for v in content)
    if kind == "dict":
        return {k: _unpacked(v, arrays) for k, v in content.items()}
    array = arrays[content]
    return array if array.ndim else array.item()


def catalogue_path(run: Path) -> Path | None:
    """The file of the catalogue that the run was made from, if it was one file."""
    path = run / FOLDER / "data.json"
    if not path.is_file():
        return None
    text = json.loads(path.read_text())["fields"]["path"]
    return Path(text) if text else None
