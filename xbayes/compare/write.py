"""The folder of a comparison: numbers, table, predictions and the report, each whole or not."""

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
    write_whole(out / "compare.csv", table_as_csv(comparison.numbers).encode())
    write_catalog(predictions_of(comparison), out / "predictions.parquet", overwrite=True)
    write_whole(out / "compare.html", page.encode())


def table_as_csv(numbers: dict) -> str:
    """One line a variant: each score, its interval, and whether it is the best."""
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


def predictions_of(comparison: Comparison) -> Table:
    """One row a labelled source and repeat: the decision and the posterior of every variant."""
    repeats, n_rows = comparison.outer_fold.shape
    classes = np.array([*comparison.classes, ""])
    table = Table()
    table[comparison.id_column] = np.tile(comparison.ids, repeats)
    table["true_class"] = np.tile(classes[comparison.labels.class_index], repeats)
    table["repeat"] = np.repeat(np.arange(repeats), n_rows)
    table["fold"] = Column(
        comparison.outer_fold.ravel(), description="outer fold that held this source out"
    )
    for name, one in comparison.found.items():
        decision = Column(
            classes[one.prediction.ravel()],
            description=f"class by the F1 rule, {name}; empty where the rule is not known",
            meta={"ucd": UCD_CLASS},
        )
        table[f"{name}:prediction"] = decision
        for c, label in enumerate(comparison.classes):
            table[f"{name}:p_{label}"] = Column(
                one.posterior[..., c].ravel(),
                description=f"held-out posterior of {label}, {name}",
                meta={"ucd": UCD_PROBABILITY},
            )
    return table
