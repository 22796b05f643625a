"""A classified catalogue of detections becomes a table of sources.

read -> classes, prior and excluded columns (from the metadata or the run) -> rho -> votes -> table
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
from xbayes.catalog.marked_names import pooled_name_warning
from xbayes.catalog.read import read_catalog
from xbayes.catalog.taxonomy import class_indices
from xbayes.catalog.text_numbers import refuse_rounded
from xbayes.classifier.fitted_model import FittedModel
from xbayes.config.checks import did_you_mean, is_number
from xbayes.config.schema import Config, class_proportions
from xbayes.errors import InputError, XbayesWarning
from xbayes.evaluate.votes import DEFAULT_RHO, RhoFit, group_votes, rho_of_detections, vote
from xbayes.features.conditions import conditions_of_classes
from xbayes.output.source_table import source_table
from xbayes.output.table import groups_of_meta, log_prior_of_rows, pooling_meta
from xbayes.tasks.fitted_run import FittedRun, load
from xbayes.tasks.precision import in_precision
from xbayes.types import UNLABELLED

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike

_SUM_TOLERANCE = 1e-3  # for the sum of a posterior; CSV files may be rounded
_PRIOR_TOLERANCE = 1e-6
_CLASS_COLUMNS = ("true_class", "prediction", "prediction_set", "set_flag", "alternative")


class Pooled(NamedTuple):
    """The table of sources, and how the correlation of their detections was found."""

    table: Table
    rho: float
    origin: str
    doubts: tuple[str, ...]  # worth a warning


class _Context(NamedTuple):
    """The facts about a classified catalogue that its columns do not hold."""

    classes: tuple[str, ...]
    groups: Mapping[str, tuple[int, ...]]  # indices of their classes
    log_prior: Float[np.ndarray, "C"]
    excluded: frozenset[str]  # columns that are, or may be, made from labels
    config: Config | None  # of the run, if one is given


class _Detections(NamedTuple):
    """The columns of a classified catalogue from which the votes are computed."""

    posterior: Float[np.ndarray, "D C"]
    source: Int[np.ndarray, "D"]
    name: Column  # [N], in the order of first detections
    log_prior: Float[np.ndarray, "*R C"]  # of the posteriors


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
        The run that classified the detections. It supplies labels, and the metadata that CSV files
        lack.
    rho
        Correlation between the detections of a source: 0 independent, 1 copies. "auto" learns it
        from the out-of-fold predictions of the run, or from labels in the catalogue; without
        either it is 1. ``table.meta["RHO"]`` and ``["RHO_FROM"]`` hold the value and its origin.
    prior
        Class proportions under which a CSV file was classified.

    Raises
    ------
    InputError
        For a column that may be made from labels, and for a catalogue that was not classified.

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
    """The votes of the detections of each source; arguments and errors as of `sources`.

    If `rho` is None, it is learned from the out-of-fold predictions of the run if they have the
    column `by`, or else from the labels of the catalogue; without either it is `DEFAULT_RHO`.
    """
    context = _context(table, model, prior)
    detections = _detections(table, by, context)
    prediction = _prediction(table, detections.posterior, context.classes)
    marked = pooled_name_warning(table, by)
    doubts = [] if marked is None else [marked]
    if (prediction != detections.posterior.argmax(-1)).any():
        doubts.append(
            "the predictions follow a decision rule: hard_class counts them, "
            "soft_class and combined_class are the most probable classes"
        )
    origin = "as given"
    if rho is None:
        rho, origin = _learned_rho(table, detections, by, model, context)
    votes = vote(detections.posterior, prediction, detections.source, detections.log_prior, rho)
    groups = group_votes(votes, detections.posterior, detections.source, context.groups)
    pooled = source_table(detections.name, votes, context.classes, groups)
    pooled.meta = {
        "CLASSES": ",".join(context.classes),
        "PRIOR": np.exp(context.log_prior).tolist(),
        "RHO": rho,
        "RHO_FROM": origin,
    }
    return Pooled(table=pooled, rho=rho, origin=origin, doubts=tuple(doubts))


def _context(
    table: Table, model: FittedModel | None, prior: Mapping[str, float] | None
) -> _Context:
    """From the metadata of the catalogue, or from the run if the format keeps no metadata."""
    file_meta, run_meta = dict[str, Any](table.meta or {}), dict[str, Any]()
    if model is not None:
        run_meta |= pooling_meta(model.config.catalog, model.applied_log_prior)
        run_meta["GROUPS"] = model.config.taxonomy.groups
    written = str(file_meta.get("CLASSES") or "")
    run_classes = model.classes if model is not None else None
    classes = tuple(written.split(",")) if written else run_classes
    if classes is None:
        raise InputError(
            "the metadata of the catalogue does not name its classes: 'xbayes classify' did not "
            "write it, or it is a CSV file, which keeps no metadata; give the run that classified "
            "it: --run RUN (run=)"
        )
    if run_classes is not None and classes != run_classes:
        raise InputError(
            f"the catalogue has classes {', '.join(classes)}, but the run has "
            f"{', '.join(run_classes)}; give the run that classified it"
        )
    excluded = [*(file_meta.get("NOPOOL") or ()), *run_meta.get("NOPOOL", ())]
    proportions = _proportions(
        classes, in_file=file_meta.get("PRIOR"), given=prior, of_run=run_meta.get("PRIOR")
    )
    return _Context(
        classes=classes,
        groups=groups_of_meta(file_meta.get("GROUPS", run_meta.get("GROUPS")), classes),
        log_prior=np.log(proportions),
        excluded=frozenset(map(str, excluded)),
        config=model.config if model is not None else None,
    )


def _proportions(
    classes: tuple[str, ...],
    *,
    in_file: object,
    given: Mapping[str, float] | None,
    of_run: list | None,
) -> Float[np.ndarray, "C"]:
    """The prior of the posteriors: the one in the file, else the given one, else the run's."""
    written = None if in_file is None else _checked_prior(in_file, classes)
    requested = None if given is None else class_proportions(dict(given), classes)
    if (
        requested is not None
        and written is not None
        and np.abs(requested - written).max() > _PRIOR_TOLERANCE
    ):
        shown = ",".join(f"{c}={p:.6g}" for c, p in zip(classes, written, strict=True))
        raise InputError(
            f"--prior is not the one that the catalogue was classified under, {shown}; leave "
            "it out, or classify the detections again under the new one"
        )
    for proportions in (written, requested, of_run):
        if proportions is not None:
            return np.asarray(proportions, np.float64)
    raise InputError(
        "the metadata of the catalogue does not hold the prior of its posteriors; give the run "
        "that classified it, --run RUN (run=), or the prior, --prior CLASS=proportion,... "
        "(prior=)"
    )


def _checked_prior(written: object, classes: tuple[str, ...]) -> Float[np.ndarray, "C"]:
    numbers = isinstance(written, list) and all(is_number(share) for share in written)
    prior = np.array(written, np.float64) if numbers else np.empty(0)
    if prior.shape != (len(classes),) or not (prior > 0).all() or not np.isfinite(prior).all():
        raise InputError(
            f"the metadata of the catalogue is damaged: PRIOR is {written!r}; classify it again"
        )
    return prior / prior.sum()


def _detections(table: Table, by: str, context: _Context) -> _Detections:
    if by in context.excluded or by in _CLASS_COLUMNS:
        raise InputError(
            f"--by {by}: this column is a class, or a group for folds only (catalog.label or "
            "catalog.group of the config); it may be made from labels, and pooling by it would "
            "leak them; give the column that names the source (catalog.source, if the config has "
            "one)"
        )
    if by not in table.colnames:
        near = did_you_mean(by, table.colnames)
        raise InputError(f"--by {by}: the catalogue lacks column {by!r}{near}")
    refuse_rounded(table, by, role="--by")
    column = masked_column(table, by)
    if column.dtype.kind not in "iuU":
        raise InputError(
            f"--by {by}: the name of a source must be text or a whole number; column {by!r} holds "
            f"{column.dtype}"
        )
    missing = np.flatnonzero(np.ma.getmaskarray(column))
    if len(missing):
        raise InputError(
            f"--by {by}: {len(missing)} detections name no source, the first in row "
            f"{missing[0] + 1}; name them (a source with one detection: any unique name) or remove "
            "them"
        )
    source, first = _numbered(np.ma.getdata(column))
    name = Column(
        np.ma.getdata(column)[first], by, description=column.description, meta=column.meta
    )
    posterior = _posterior(table, context.classes)
    log_prior = log_prior_of_rows(table, context.classes)
    log_prior = context.log_prior if log_prior is None else log_prior
    return _Detections(posterior=posterior, source=source, name=name, log_prior=log_prior)


def _numbered(values: np.ndarray) -> tuple[Int[np.ndarray, "D"], Int[np.ndarray, "N"]]:
    """The index of each row's source, in the order of first rows, and the first rows."""
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
        raise InputError(
            f"column {text[0]!r} must hold probabilities, but holds text; classify it again"
        )
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
    """The predicted class of each detection; without such a column the most probable one."""
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
    table: Table, detections: _Detections, by: str, model: FittedModel | None, context: _Context
) -> tuple[float, str]:
    """Rho, and where it comes from: out-of-fold predictions, labels, or the default."""
    held_out = _held_out(model, by)
    if held_out is not None:
        run_context = _context(held_out, model, None)
        fit = _fit_rho(held_out, _detections(held_out, by, run_context), run_context)
        if fit is not None:
            return fit.rho, f"learned on {fit.n_sources} sources held out in the run"
    fit = _fit_rho(table, detections, context)
    if fit is not None:
        text = "labelled sources of the catalogue, which must not be training sources"
        return fit.rho, f"learned on {fit.n_sources} {text}"
    reason = "the default: no source of known class has two or more detections"
    hint = "" if model is not None else " (--run RUN, run=, supplies labels)"
    return DEFAULT_RHO, f"{reason}{hint}; give another with --rho NUMBER (rho=)"


def _held_out(model: FittedModel | None, by: str) -> Table | None:
    path = model.folder / "predictions.parquet" if model is not None else None
    if path is None or not path.is_file():
        return None
    table = read_catalog(path, text=[by])
    return table if by in table.colnames else None


def _fit_rho(table: Table, detections: _Detections, context: _Context) -> RhoFit | None:
    """Rho learned from labels; None if no labelled source has several detections."""
    label = _labels(table, context)
    if label is None:
        return None
    number = np.bincount(detections.source)
    truth = np.full(len(number), UNLABELLED)
    np.maximum.at(truth, detections.source, label)
    conflicts = np.flatnonzero((label != UNLABELLED) & (label != truth[detections.source]))
    if len(conflicts):
        row = int(conflicts[0])
        source, classes = detections.source[row], context.classes
        raise InputError(
            f"detections of source {detections.name[source]!r} have labels of two classes, "
            f"{classes[label[row]]} and {classes[truth[source]]}; correct the labels or the column "
            "that names the source, or give the correlation: --rho NUMBER (rho=)"
        )
    if not ((truth != UNLABELLED) & (number > 1)).any():
        return None
    posterior, log_prior = detections.posterior, detections.log_prior
    return rho_of_detections(posterior, log_prior, detections.source, truth)


def _labels(table: Table, context: _Context) -> Int[np.ndarray, "D"] | None:
    """The class of each detection, UNLABELLED if unknown; None without a column of labels."""
    if "true_class" in table.colnames:
        return _class_index(masked_column(table, "true_class"), context.classes)
    config = context.config
    if config is None or config.catalog.label not in table.colnames:
        return None
    column = masked_column(table, str(config.catalog.label))
    if np.ma.getmaskarray(column).all():
        return None
    conditions = conditions_of_classes(table, config, {})
    return class_indices(column, config.taxonomy, conditions)[0]
