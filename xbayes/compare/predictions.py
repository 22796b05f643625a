"""Out-of-fold predictions of a variant, and how they are read from a run directory."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from xbayes.catalog.read import read_catalog
from xbayes.compare.plan import Plan
from xbayes.compare.variants import Variant
from xbayes.config.checks import quoted
from xbayes.errors import InputError
from xbayes.evaluate.cross_validate import CrossValidation


class VariantPredictions(NamedTuple):
    """Out-of-fold posteriors of one variant, and its predictions under the F1 rule."""

    outer_fold: Int[np.ndarray, "R N"]
    posterior: Float[np.ndarray, "R N C"]
    prediction: Int[np.ndarray, "R N"]  # -1 if the rule is not known
    fit_seconds: float  # of all folds; NaN if not known
    predict_seconds: float
    chosen: tuple[str, ...] = ()  # the settings chosen on the inner folds, per outer fold


def predictions_of_config(held_out: CrossValidation) -> VariantPredictions:
    """The predictions of a cross-validated config (with decision: f1)."""
    return VariantPredictions(
        outer_fold=held_out.outer_fold,
        posterior=np.stack([p.posterior for p in held_out.products]),
        prediction=np.stack([p.prediction for p in held_out.products]).astype(np.int64),
        fit_seconds=held_out.fit_seconds,
        predict_seconds=held_out.classify_seconds,
        chosen=tuple(
            f"{f'penalty {fit.penalty:.3g}' if fit.penalties else 'weights given'}, "
            f"calibration {fit.calibration.chosen}"
            for fit in held_out.fits
        ),
    )


def predictions_of_run(plan: Plan, variant: Variant) -> VariantPredictions:
    """The predictions of a run directory, which must be of the sources and folds of the plan.

    A run without `decision: f1` has not learned the F1 rule; its predictions are not known.
    Raises `InputError`.
    """
    folder, first = variant.origin, plan.variants[0].name
    table = read_catalog(folder / "predictions.parquet", text=[plan.id_column])
    columns = [plan.id_column, "true_class", "fold", *(f"p_{c}" for c in plan.classes)]
    missing = [name for name in columns if name not in table.colnames]
    if missing:
        raise InputError(
            f"{folder}: predictions.parquet has no columns {quoted(missing)}; make the run again"
        )
    number = {name: c for c, name in enumerate(plan.classes)}
    truth = np.array([number.get(str(name), -1) for name in table["true_class"]])
    same = np.array_equal(np.asarray(table[plan.id_column]).astype(str), plan.ids)
    if not same or not np.array_equal(truth, plan.labels.class_index):
        raise InputError(
            f"{folder}: its sources or their classes differ from those of {first}; make the run "
            "again on this catalogue"
        )
    fold = np.asarray(table["fold"], np.int64)
    if not np.array_equal(fold, plan.outer_fold[0]):
        raise InputError(
            f"{folder}: its outer folds differ from those of {first} although their seed and "
            "number are the same (another version of xbayes?); make the run again"
        )
    posterior = np.column_stack([np.asarray(table[f"p_{c}"], np.float64) for c in plan.classes])
    prediction = np.full(len(truth), -1)
    if variant.config.decision == "f1":
        prediction = np.array([number[str(name)] for name in table["prediction"]])
    return VariantPredictions(
        outer_fold=fold[None],
        posterior=posterior[None],
        prediction=prediction[None],
        fit_seconds=float("nan"),
        predict_seconds=float("nan"),
    )
