"""The files of a comparison: numbers, table, predictions and report, each written atomically."""

import csv
import io
import json
from pathlib import Path

import numpy as np
from astropy.table import Column, Table

from xbayes.catalog.write import write_catalog
from xbayes.compare.results import Comparison
from xbayes.compare.scores import SCORES
from xbayes.output.files import write_whole
from xbayes.output.table import UCD_CLASS, UCD_PROBABILITY


def write_comparison(out: Path, comparison: Comparison, page: str) -> None:
    """Write `compare.json`, `compare.csv`, `predictions.parquet` and `page` as `compare.html`."""
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(comparison.numbers, indent=1, allow_nan=False) + "\n"
    write_whole(out / "compare.json", text.encode())
    write_whole(out / "compare.csv", _table_as_csv(comparison.numbers).encode())
    write_catalog(_predictions(comparison), out / "predictions.parquet", overwrite=True)
    write_whole(out / "compare.html", page.encode())


def _table_as_csv(numbers: dict) -> str:
    """One line per variant: each score with its interval and its standing."""
    stream = io.StringIO()
    columns = [f"{s}{end}" for s in SCORES for end in ("", "_lo", "_hi", "_standing")]
    head = ["variant", "kind", *columns, "ece_calibrated_q95", "fit_seconds", "predict_seconds"]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    for name, one in numbers["variants"].items():
        scores = [one["scores"][s] for s in SCORES]
        cells = [score[key] for score in scores for key in ("value", "lo", "hi", "standing")]
        limit = one["scores"]["ece"]["calibrated_q95"]
        times = (one["fit_seconds"], one["predict_seconds"])
        writer.writerow([name, one["kind"], *cells, limit, *times])
    return stream.getvalue()


def _predictions(comparison: Comparison) -> Table:
    """One row per labelled source and repeat: prediction and posterior of every variant."""
    plan = comparison.plan
    repeats, n_rows = plan.outer_fold.shape
    classes = np.array([*plan.classes, ""])
    table = Table()
    table[plan.id_column] = np.tile(plan.ids, repeats)
    table["true_class"] = np.tile(classes[plan.labels.class_index], repeats)
    table["repeat"] = np.repeat(np.arange(repeats), n_rows)
    table["fold"] = Column(
        plan.outer_fold.ravel(), description="outer fold with this source in its test part"
    )
    for name, one in comparison.predictions.items():
        table[f"{name}:prediction"] = Column(
            classes[one.prediction.ravel()],
            description=f"class by the F1 rule, {name}; empty if the rule is not known",
            meta={"ucd": UCD_CLASS},
        )
        for c, label in enumerate(plan.classes):
            table[f"{name}:p_{label}"] = Column(
                one.posterior[..., c].ravel(),
                description=f"out-of-fold posterior of {label}, {name}",
                meta={"ucd": UCD_PROBABILITY},
            )
    return table
