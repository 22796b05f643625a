"""Prints results as tables in the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table as RichTable

if TYPE_CHECKING:
    from astropy.table import Table

BLOCKS = {
    "in_sample": "in sample (optimistic)",
    "cross_validated": "held out",
    "prior_weighted": "held out, re-weighted",
}


def print_metrics(metrics: Mapping, name: str, reweighted: bool, *, split: str = "random") -> None:
    """Print the scores of `metrics.json`: in sample, held out, and re-weighted if asked for."""
    blocks = {k: title for k, title in BLOCKS.items() if reweighted or k != "prior_weighted"}
    _print_scores(f"{name}: value (90 % interval)", metrics, metrics["classes"], blocks)
    if "harder" in metrics:
        _print_harder(metrics, split)
    for block, title in {"groups": "groups of classes", "aggregated": "aggregated classes"}.items():
        if block in metrics:
            coarse = list(metrics[block]["f1"])
            _print_scores(title, metrics, coarse, {block: "held out"})


def _print_harder(metrics: Mapping, split: str) -> None:
    """Print the scores on harder folds, and which to expect for another catalogue."""
    from xbayes.report.harder import harder_columns

    columns = harder_columns(metrics, split)
    if columns:
        titles = {title: title for title in columns}
        _print_scores("for another catalogue", columns, metrics["classes"], titles)
    Console(highlight=False).print(metrics["harder"]["expect"])


def _print_scores(
    title: str, metrics: Mapping, classes: Sequence[str], blocks: Mapping[str, str]
) -> None:
    table = _table(title, "score", *blocks.values())
    rows = {f"F1 of {c}": ("f1", c) for c in classes}
    rows |= {
        "macro F1": ("macro_f1",),
        "log loss": ("log_loss",),
        "Brier": ("brier",),
        "ECE": ("ece",),
    }
    for name, path in rows.items():
        table.add_row(name, *(_score(metrics[block], path) for block in blocks))
    Console().print(table)


def _score(block: Mapping, path: Sequence[str]) -> str:
    for key in path:
        block = block[key]
    if block["value"] is None:
        return "-"
    if block["lo"] is None:
        return f"{block['value']:.3f}"
    return f"{block['value']:.3f} ({block['lo']:.3f}-{block['hi']:.3f})"


def print_source(table: "Table") -> None:
    """Print one classified source: its posterior with intervals, track and prediction set."""
    row, meta = table[0], table.meta or {}
    classes = meta["CLASSES"].split(",")
    shown = _table(f"{row[table.colnames[0]]}: {row['prediction']}", "evidence", *classes)
    shown.add_row("all", *(f"{row[f'p_{c}']:.4f}" for c in classes), style="bold")
    if all(f"p_{c}_lo" in table.colnames for c in classes):
        ends = (f"{row[f'p_{c}_lo']:.3f}-{row[f'p_{c}_hi']:.3f}" for c in classes)
        shown.add_row("90 % interval", *ends)
    if all(f"prior_{c}" in table.colnames for c in classes):
        shown.add_row("prior of this source", *(f"{row[f'prior_{c}']:.4f}" for c in classes))
    for category in meta["CATEGS"].split(","):
        shown.add_row(f"{category} alone", *(f"{row[f'p_{category}_{c}']:.4f}" for c in classes))
    console = Console(highlight=False, markup=False)
    console.print(shown)
    alone = " (the prediction alone: every class was excluded)" if row["set_flag"] else ""
    console.print(f"prediction set (90 %): {row['prediction_set']}{alone}")
    console.print(
        f"margin {row['margin']:.3f}, outlier_p {row['outlier_p']:.3g}, "
        f"{row['n_missing']} features without a value"
    )


def print_components(table: "Table", reason: str) -> None:
    """Print BIC and silhouette for each number of components, and the selected number."""
    forms = {"bic": ",.0f", "bic_sd": ",.0f", "bic_gradient": ",.0f", "silhouette": ".3f"}
    shown = _table("", "K", "BIC", "spread", "gradient", "silhouette")
    for line in _lines(table):
        cells = ["" if np.ma.is_masked(line[c]) else f"{line[c]:{forms[c]}}" for c in forms]
        shown.add_row(str(line["n_components"]), *cells)
    console = Console(highlight=False)
    console.print(shown)
    console.print(reason)


def print_models(models: "Table") -> None:
    """The ready-made models, one row each."""
    shown = RichTable("name", "classes", "features", "for")
    for name, classes, features, purpose in models.iterrows():
        shown.add_row(name, classes, str(features), purpose)
    Console(highlight=False).print(shown)


def print_counts(table: "Table", which: str) -> None:
    """Print the counts of each class: predicted, and corrected in two ways."""
    total = int(np.asarray(table["predicted"]).sum())
    headings = ("predicted, raw", "by held-out confusion", "by posteriors", "difference")
    shown = _table(f"{total:,} {which}: count (90 % interval)", "class", *headings)
    for line in _lines(table):
        corrected = [_count(line, name) for name in ("by_confusion", "by_posterior")]
        apart = f"{line['difference']:+.1f} sigma"
        shown.add_row(str(line["class"]), f"{line['predicted']:,}", *corrected, apart)
    Console(highlight=False).print(shown)


def _count(line: Mapping, name: str) -> str:
    return f"{line[name]:,.0f} ({line[f'{name}_lo']:,.0f}-{line[f'{name}_hi']:,.0f})"


def print_learning(table: "Table", all_classes: str) -> None:
    """Print F1 and log loss of each class for each number of labelled sources."""
    headings = ("share", "class", "members", "F1 (90 % interval)", "log loss (90 % interval)")
    shown = _table("", *headings)
    for line in _lines(table):
        cells = [_with_ends(line, name) for name in ("f1", "log_loss")]
        name = str(line["class"])
        shown.add_row(f"{line['fraction']:.3g}", name, f"{line['members']:.0f}", *cells)
        if name == all_classes:
            shown.add_section()
    Console(highlight=False).print(shown)


def _with_ends(line: Mapping, name: str) -> str:
    value, low, high = (line[f"{name}{end}"] for end in ("", "_lo", "_hi"))
    return "-" if np.ma.is_masked(value) else f"{value:.3f} ({low:.3f}-{high:.3f})"


def print_suggestions(table: "Table", id_column: str, most: int) -> None:
    """Print the first suggestions, and the information of all labels together."""
    shown = RichTable("rank", "source", "gain, nat", "prediction", "p", "least certain evidence")
    for line in _lines(table, most):
        why = f"{line['why']}: {line['prediction']} or {line['runner_up']}"
        cells = (f"{line['gain']:.4f}", str(line["prediction"]), f"{line['p']:.2f}", why)
        shown.add_row(str(line["rank"]), str(line[id_column]), *cells)
    console = Console(highlight=False)
    console.print(shown)
    total, alone = (float(np.asarray(table[name]).sum()) for name in ("gain", "gain_alone"))
    console.print(
        f"{len(table)} labels together hold {total:.3g} nats of information about the classifier; "
        f"the sum over single labels is {alone:.3g}"
    )


def _lines(table: "Table", most: int | None = None) -> Iterator[Mapping]:
    lines = islice(table.iterrows(), most)
    return (dict(zip(table.colnames, line, strict=True)) for line in lines)


def _table(title: str, first: str, *headings: str) -> RichTable:
    table = RichTable(title=title or None, title_justify="left")
    table.add_column(first)
    for heading in headings:
        table.add_column(heading, justify="right" if title else "left")
    return table
