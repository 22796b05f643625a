"""A classified catalogue of detections becomes a table of sources.

read -> classes, prior and barred columns (metadata, else the run) -> rho -> votes -> table
"""

import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from astropy.table import Column, MaskedColumn, Table
from jaxtyping import Float, Int

from xbayes.catalog.columns import masked_column
from xbayes.catalog.inputs import as_table
from xbayes.catalog.read import read_catalog
from xbayes.catalog.taxonomy import class_indices
from xbayes.classifier.fitted_model import FittedModel
from xbayes.config.checks import did_you_mean, is_number
from xbayes.config.schema import Config, class_proportions
from xbayes.errors import XbayesWarning
from xbayes.evaluate.votes import DEFAULT_RHO, learn_rho, mean_log_odds, vote
from xbayes.output.source_table import source_table
from xbayes.output.table import pooling_meta
from xbayes.tasks.fitted_run import FittedRun, load
from xbayes.tasks.training import in_precision
from xbayes.types import UNLABELLED, InputError

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike

_SUM_TOLERANCE = 1e-3  # of a posterior; CSV files may be rounded
_PRIOR_TOLERANCE = 1e-6
_MADE = (
    "true_class",
    "prediction",
    "prediction_set",
    "alternative",
)  # columns that name classes, not sources


class Pooled(NamedTuple):
    """The table of sources, and how the correlation of their detections was found."""

    table: Table
    rho: float
    origin: str
    doubts: tuple[str, ...]  # worth a warning


class _Known(NamedTuple):
    """What a classified catalogue does not say by its columns."""

    classes: tuple[str, ...]
    log_prior: Float[np.ndarray, "C"]
    barred: frozenset[str]  # columns made from labels, or that may be
    config: Config | None  # of the run, where one is given


class _Detections(NamedTuple):
    """The columns of a classified catalogue that votes are made of."""

    posterior: Float[np.ndarray, "D C"]
    source: Int[np.ndarray, "D"]
    name: Column  # [N], in the order of first detections


def sources(
    catalog: "CatalogLike",
    by: str,
    *,
    run: FittedRun | str | os.PathLike[str] | None = None,
    rho: float | Literal["auto"] = "auto",
    prior: Mapping[str, float] | None = None,
) -> Table:
    """One row per source: soft and hard votes, and the posterior of all its detections together.

    The combined posterior counts n detections as n / (1 + (n - 1) rho) independent ones.

    Parameters
    ----------
    catalog
        Detections classified by `FittedRun.classify`.
    by
        The column that names the source of each detection.
    run
        The run that classified them: for labels, and for CSV files, which keep no metadata.
    rho
        Correlation of the detections of a source: 0 independent, 1 copies. "auto" learns it from
        the held-out sources of the run, else from labels in the catalogue, else takes 1.
        ``table.meta["RHO"]`` and ``["RHO_FROM"]`` say the value and its origin.
    prior
        Class proportions under which a CSV file was classified.

    Raises
    ------
    InputError
        For a column made from labels, and for a catalogue that was not classified.

    Examples
    --------
    >>> made = fit.classify("runs/demo-catalog.fits")
    >>> xbayes.sources(made, "name", rho=0.5).colnames[:3]
    ['name', 'n_detections', 'p_AGN']
    """
    number = None if rho == "auto" else float(rho)
    if number is not None and not 0 <= number <= 1:
        raise InputError(f"rho must be auto or a number from 0 to 1; found {rho!r}")
    fitted = run if run is None or isinstance(run, FittedRun) else load(run)
    precision = "float64" if fitted is None else fitted.config.precision
    with in_precision(precision):
        pooled = pool_detections(
            as_table(catalog, text=[by]),
            by,
            model=None if fitted is None else fitted.model,
            prior=prior,
            rho=number,
        )
    for doubt in pooled.doubts:
        warnings.warn(doubt, XbayesWarning, stacklevel=2)
    return pooled.table


def pool_detections(
    table: Table,
    by: str,
    *,
    model: FittedModel | None = None,
    prior: Mapping[str, float] | None = None,
    rho: float | None = None,
) -> Pooled:
    """Votes of the detections of each source; `by` names the column that names the source.

    `prior` is the one the catalogue was classified under, for a file that keeps no metadata; rho
    None is learned: from the held-out predictions of the run if they have the column, else from
    the labels of the catalogue, else it is `DEFAULT_RHO`. Raises `InputError` for a column made
    from labels and for what is no classified catalogue.
    """
    known = _known(table, model, prior)
    detections = _detections(table, by, known)
    prediction = _prediction(table, detections.posterior, known.classes)
    doubts = []
    if (prediction != detections.posterior.argmax(-1)).any():
        doubts.append(
            "the predictions follow a decision rule: hard_class counts them, "
            "soft_class and combined_class are the most probable classes"
        )
    origin = "as given"
    if rho is None:
        rho, origin = _learned_rho(table, detections, by, model, known)
    votes = vote(detections.posterior, prediction, detections.source, known.log_prior, rho)
    made = source_table(detections.name, votes, known.classes)
    made.meta = {
        "CLASSES": ",".join(known.classes),
        "PRIOR": np.exp(known.log_prior).tolist(),
        "RHO": rho,
        "RHO_FROM": origin,
    }
    return Pooled(made, rho, origin, tuple(doubts))


def _known(table: Table, model: FittedModel | None, prior: Mapping[str, float] | None) -> _Known:
    """From the metadata of the catalogue; from the run where a format keeps none."""
    meta: dict[str, Any] = dict(table.meta or {})
    own = model.classes if model is not None else None
    told = str(meta.get("CLASSES") or "")
    classes = tuple(told.split(",")) if told else own
    if classes is None:
        raise InputError(
            "the catalogue does not say its classes: it is none that 'xbayes classify' wrote, or "
            "a CSV file, which keeps no metadata; give the run that classified it: --run RUN"
        )
    if own is not None and classes != own:
        raise InputError(
            f"the catalogue has classes {', '.join(classes)}, but the run has {', '.join(own)}; "
            "give the run that classified it"
        )
    ours: dict[str, Any] = {}
    if model is not None:
        ours = pooling_meta(model.config.catalog, model.applied_log_prior)
    barred = frozenset(map(str, [*(meta.get("NOPOOL") or ()), *ours.get("NOPOOL", ())]))
    config = model.config if model is not None else None
    proportions = _proportions(meta.get("PRIOR"), prior, ours.get("PRIOR"), classes)
    return _Known(classes, np.log(proportions), barred, config)


def _proportions(
    told: object, given: Mapping[str, float] | None, own: list | None, classes: tuple[str, ...]
) -> Float[np.ndarray, "C"]:
    """The prior in the posteriors: that the file tells, else the one given, else the run's own."""
    written = None if told is None else _told_prior(told, classes)
    asked = None if given is None else class_proportions(dict(given), classes)
    if (
        asked is not None
        and written is not None
        and np.abs(asked - written).max() > _PRIOR_TOLERANCE
    ):
        shown = ",".join(f"{c}={p:.6g}" for c, p in zip(classes, written, strict=True))
        raise InputError(
            f"--prior is not the one that the catalogue was classified under, {shown}; leave "
            "it out, or classify the detections again under the new one"
        )
    for proportions in (written, asked, own):
        if proportions is not None:
            return np.asarray(proportions, np.float64)
    raise InputError(
        "the catalogue does not say the prior of its posteriors; give the run that classified "
        "it, --run RUN, or the prior, --prior CLASS=proportion,..."
    )


def _told_prior(told: object, classes: tuple[str, ...]) -> Float[np.ndarray, "C"]:
    numbers = isinstance(told, list) and all(is_number(share) for share in told)
    found = np.array(told, np.float64) if numbers else np.empty(0)
    if found.shape != (len(classes),) or not (found > 0).all() or not np.isfinite(found).all():
        raise InputError(f"the metadata of the catalogue is damaged: PRIOR is {told!r}")
    return found / found.sum()


def _detections(table: Table, by: str, known: _Known) -> _Detections:
    if by in known.barred or by in _MADE:
        raise InputError(
            f"--by {by}: this column is a class, or a group for folds only (catalog.label or "
            "catalog.group of the config); it may be made from labels, which pooling by it would "
            "tell; give the column that names the source (catalog.source, if the config has one)"
        )
    if by not in table.colnames:
        near = did_you_mean(by, table.colnames)
        raise InputError(f"--by {by}: the catalogue lacks column {by!r}{near}")
    column = masked_column(table, by)
    if column.dtype.kind not in "iuU":
        raise InputError(
            f"--by {by}: a source is named by text or by a whole number; column {by!r} holds "
            f"{column.dtype}"
        )
    missing = np.flatnonzero(np.ma.getmaskarray(column))
    if len(missing):
        raise InputError(
            f"--by {by}: {len(missing)} detections name no source, the first in row "
            f"{missing[0] + 1}; name it (a detection of its own: its own name) or remove them"
        )
    source, first = _numbered(np.ma.getdata(column))
    name = Column(
        np.ma.getdata(column)[first], by, description=column.description, meta=column.meta
    )
    return _Detections(_posterior(table, known.classes), source, name)


def _numbered(values: np.ndarray) -> tuple[Int[np.ndarray, "D"], Int[np.ndarray, "N"]]:
    """The number of each row's source, in the order of first rows, and those rows."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(first), np.int64)
    rank[order] = np.arange(len(first))
    return rank[inverse], first[order]


def _posterior(table: Table, classes: tuple[str, ...]) -> Float[np.ndarray, "D C"]:
    lacking = [f"p_{c}" for c in classes if f"p_{c}" not in table.colnames]
    if lacking:
        raise InputError(
            f"the catalogue lacks {', '.join(lacking)}, the posterior of its classes; "
            "give a catalogue that 'xbayes classify' wrote"
        )
    columns = [masked_column(table, f"p_{c}") for c in classes]
    text = [column.name for column in columns if column.dtype.kind not in "iuf"]
    if text:
        raise InputError(f"column {text[0]!r} is to hold probabilities, but holds text")
    posterior = np.column_stack(
        [
            np.where(np.ma.getmaskarray(column), np.nan, np.ma.getdata(column).astype(np.float64))
            for column in columns
        ]
    )
    total = posterior.sum(1)
    sound = (posterior >= 0).all(1) & (np.abs(total - 1.0) <= _SUM_TOLERANCE)
    if not sound.all():
        row = int(np.flatnonzero(~sound)[0])
        found = ", ".join(f"{p:.6g}" for p in posterior[row])
        raise InputError(
            f"{int((~sound).sum())} detections have no posterior that sums to 1, the first in row "
            f"{row + 1}: {found}; classify them again, or remove them"
        )
    return posterior / total[:, None]


def _prediction(
    table: Table, posterior: Float[np.ndarray, "D C"], classes: tuple[str, ...]
) -> Int[np.ndarray, "D"]:
    """The predicted class of each detection; the most probable one if there is no such column."""
    if "prediction" not in table.colnames:
        return posterior.argmax(-1)
    index = _class_index(masked_column(table, "prediction"), classes)
    unknown = np.flatnonzero(index == UNLABELLED)
    if len(unknown):
        row = int(unknown[0])
        raise InputError(
            f"column 'prediction' names no class in row {row + 1}: {table['prediction'][row]!r}; "
            f"classes are {', '.join(classes)}"
        )
    return index


def _class_index(names: MaskedColumn, classes: tuple[str, ...]) -> Int[np.ndarray, "D"]:
    texts = np.where(np.ma.getmaskarray(names), "", np.ma.getdata(names).astype(str))
    index = np.full(len(texts), UNLABELLED)
    for c, label in enumerate(classes):
        index[texts == label] = c
    return index


def _learned_rho(
    table: Table, detections: _Detections, by: str, model: FittedModel | None, known: _Known
) -> tuple[float, str]:
    """From the run's held-out predictions, else from labels in the catalogue, else the default."""
    held_out = _held_out(model, by)
    if held_out is not None:
        there = _known(held_out, model, None)
        found = _fitted(held_out, _detections(held_out, by, there), there)
        if found is not None:
            return found[0], f"learned on {found[1]} sources held out in the run"
    found = _fitted(table, detections, known)
    if found is not None:
        text = "labelled sources of the catalogue, which must be no training sources"
        return found[0], f"learned on {found[1]} {text}"
    lacking = "the default: no source of known class has two or more detections"
    hint = "" if model is not None else " (to know the labels: --run RUN)"
    return DEFAULT_RHO, f"{lacking}{hint}; give another with --rho NUMBER"


def _held_out(model: FittedModel | None, by: str) -> Table | None:
    path = model.folder / "predictions.parquet" if model is not None else None
    if path is None or not path.is_file():
        return None
    table = read_catalog(path, text=[by])
    return table if by in table.colnames else None


def _fitted(table: Table, detections: _Detections, known: _Known) -> tuple[float, int] | None:
    """Rho and how many sources it was learned on; None where nothing can be learned."""
    label = _labels(table, known)
    if label is None:
        return None
    number = np.bincount(detections.source)
    truth = np.full(len(number), UNLABELLED)
    np.maximum.at(truth, detections.source, label)
    torn = np.flatnonzero((label != UNLABELLED) & (label != truth[detections.source]))
    if len(torn):
        row = int(torn[0])
        raise InputError(
            f"detections of source {detections.name[detections.source[row]]!r} have labels of two "
            f"classes, {known.classes[label[row]]} and "
            f"{known.classes[truth[detections.source[row]]]}; is it one source? Mend the labels, "
            "or do without them: --rho NUMBER"
        )
    if not ((truth != UNLABELLED) & (number > 1)).any():
        return None
    evidence = mean_log_odds(detections.posterior, known.log_prior, detections.source)
    fit = learn_rho(evidence, number, known.log_prior, truth)
    return fit.rho, fit.n_sources


def _labels(table: Table, known: _Known) -> Int[np.ndarray, "D"] | None:
    """The class of each detection, UNLABELLED where unknown; None where no column tells."""
    if "true_class" in table.colnames:
        return _class_index(masked_column(table, "true_class"), known.classes)
    name = known.config.catalog.label if known.config is not None else None
    if known.config is None or name is None or name not in table.colnames:
        return None
    column = masked_column(table, name)
    if np.ma.getmaskarray(column).all():
        return None
    return class_indices(column, known.config.taxonomy)[0]
