"""The table of the held-out scores on usual and on harder folds."""

from collections.abc import Mapping
from typing import NamedTuple

from xbayes.report.summary import OVERALL, Cell, cell

SPLITS = {
    "random": "random folds",
    "blocks": "whole blocks held out",
    "release": "whole releases held out",
}


class HarderTable(NamedTuple):
    """Scores of the same classifier on different folds, and what to expect."""

    expect: str
    notes: list[str]
    titles: list[str]
    sizes: list[str]  # number of sources below each title
    rows: list[tuple[str, list[Cell]]]


def harder_table(metrics: Mapping, split: str = "random") -> HarderTable | None:
    """The table of `metrics["harder"]`; None if the run has no such block.

    `split` is the `validation.split` of the run.
    """
    block = metrics.get("harder")
    if block is None:
        return None
    columns = harder_columns(metrics, split)
    sizes = [f"{scores['n_sources']:,} sources" for scores in columns.values()]
    names = {name: title for name, (title, _) in OVERALL.items()}
    rows = [(title, [cell(of[name]) for of in columns.values()]) for name, title in names.items()]
    rows += [
        (f"F1 of {name}", [cell(of["f1"][name]) for of in columns.values()])
        for name in metrics["classes"]
    ]
    return HarderTable(
        expect=block["expect"],
        notes=block.get("not_held_out", []),
        titles=[*columns],
        sizes=sizes,
        rows=rows if columns else [],
    )


def harder_columns(metrics: Mapping, split: str = "random") -> dict[str, Mapping]:
    """The blocks of scores of the table, by title; empty if no harder folds were possible."""
    block, usual = metrics["harder"], metrics["cross_validated"]
    if block["split"] is None:
        return {}
    columns = {SPLITS[split]: usual}
    # The scores differ only in the bootstrap if all sources were tested.
    if block["same_sources"]["n_sources"] < usual["n_sources"]:
        columns[f"{SPLITS[split]}, the same sources"] = block["same_sources"]
    columns[SPLITS[block["split"]]] = block["scores"]
    if len(block.get("releases", {})) > 1:
        columns |= {f"{name} held out": scores for name, scores in block["releases"].items()}
    return columns
