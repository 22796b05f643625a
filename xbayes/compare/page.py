"""The report of a comparison as one self-contained HTML page."""

import json
from importlib.resources import files

import numpy as np
from jaxtyping import Float
from markupsafe import Markup
from matplotlib.figure import Figure

from xbayes.compare.figures import (
    draw_compared_precision,
    draw_compared_reliability,
    draw_differences,
)
from xbayes.compare.results import Comparison
from xbayes.compare.scores import best_of, disagreement
from xbayes.compare.text import (
    ALIKE_SIGN,
    caption,
    headings,
    limit,
    number,
    seconds_of,
    short_interval,
    signed,
    title,
)
from xbayes.evaluate.paired import is_real
from xbayes.figures.style import WIDTH, data_uri
from xbayes.report.context import rendered
from xbayes.report.html import flattened, template

MOST_ROWS = 60  # sources with disagreement in the table
MOST_DATA = 2000  # sources in the page, for the pairs that a reader selects
DPI = 120


def render_comparison(comparison: Comparison) -> str:
    """The report as HTML text."""
    numbers, names = comparison.numbers, list(comparison.predictions)
    reference = best_of(numbers, names)
    pair = _pair(comparison)
    posterior = {n: one.posterior.mean(0) for n, one in comparison.predictions.items()}
    return template("compare.html.j2").render(
        title=title(numbers),
        caption=caption(numbers),
        numbers=numbers,
        headings=[text.replace("\n", " ") for text in headings(numbers["focus"]).values()],
        rows=[_row(name, numbers) for name in names],
        reference=reference,
        differences=_figure(
            "Differences with 90 % intervals. A filled point: the interval excludes 0. An arrow: "
            "the value is beyond the axis.",
            draw_differences(
                names, reference, _to_reference(numbers, names, reference), numbers["focus"]
            ),
        ),
        matrices=_matrices(numbers, names),
        precision=_figure(
            "Precision against recall of the out-of-fold probabilities. Marked points: predictions "
            "by the F1 rule. Grey: equal F1.",
            _precision(comparison),
        ),
        reliability=_figure(
            "Reliability of the most probable class.",
            draw_compared_reliability(
                _first_repeat(comparison), comparison.plan.labels.class_index
            ),
        ),
        pair=pair,
        disagreements=_disagreements(comparison, posterior, pair),
        data=_data(comparison, posterior, pair),
        script=Markup(files("xbayes.report").joinpath("templates/compare.js").read_text()),
        settings=[_settings(name, numbers) for name in names],
        provenance=flattened(numbers["provenance"]),
        command=comparison.command,
    )


def _figure(text: str, figure: Figure) -> dict[str, str]:
    shown = rendered(text, figure, dpi=DPI)
    return {
        "source": data_uri(shown.png),
        "caption": shown.caption,
        "width": f"{shown.width * 96:.0f}px",
        "share": f"{100 * shown.width / WIDTH:.0f}%",
    }


def _first_repeat(comparison: Comparison) -> dict[str, Float[np.ndarray, "N C"]]:
    """Posteriors of the first repeat: the intervals of the figures need each source once."""
    return {name: one.posterior[0] for name, one in comparison.predictions.items()}


def _precision(comparison: Comparison) -> Figure:
    predictions = {name: one.prediction[0] for name, one in comparison.predictions.items()}
    truth, classes = comparison.plan.labels.class_index, comparison.plan.classes
    return draw_compared_precision(_first_repeat(comparison), truth, predictions, classes)


def _row(name: str, numbers: dict) -> dict:
    one = numbers["variants"][name]
    cells = [
        {
            "value": number(entry["value"], score) + limit(entry),
            "interval": short_interval(entry, score),
            "best": entry["standing"] == "best",
            "sign": ALIKE_SIGN if entry["standing"] == "alike" else "",
        }
        for score, entry in one["scores"].items()
    ]
    times = [seconds_of(one["fit_seconds"]), seconds_of(one["predict_seconds"])]
    return {"name": name, "kind": one["kind"], "cells": cells, "times": times}


def _change(numbers: dict, score: str, first: str, second: str) -> dict:
    """A score of the second variant minus that of the first, whatever the order of the pair."""
    for one in numbers["differences"]:
        if (one["first"], one["second"]) == (first, second):
            return one[score]
        if (one["first"], one["second"]) == (second, first):
            change = one[score]
            if change["value"] is None:
                return change
            reverse = {"value": -change["value"], "lo": -change["hi"], "hi": -change["lo"]}
            return reverse | {"p_better": 1 - change["p_better"]}
    raise KeyError((first, second))


def _to_reference(numbers: dict, names: list[str], reference: str) -> dict:
    return {
        score: [
            None if name == reference else _change(numbers, score, reference, name)
            for name in names
        ]
        for score in ("log_loss", "f1")
    }


def _matrices(numbers: dict, names: list[str]) -> list[dict]:
    """Row minus column for every pair, with P(row better), and a sign if it is real."""
    matrices = []
    for score, text in (("log_loss", "Log loss"), ("f1", f"F1 of {numbers['focus']} (rule)")):
        rows = [
            {"name": row, "cells": [_matrix_cell(numbers, score, row, column) for column in names]}
            for row in names
        ]
        matrices.append({"title": text, "rows": rows})
    return matrices


def _matrix_cell(numbers: dict, score: str, row: str, column: str) -> dict[str, str]:
    if row == column:
        return {"text": "", "better": "", "sign": "", "interval": ""}
    change = _change(numbers, score, column, row)
    if change["value"] is None:
        return {"text": "–", "better": "", "sign": "", "interval": "the rule is not known"}
    sign = ("▲" if change["p_better"] > 0.5 else "▼") if is_real(change) else ""
    return {
        "text": f"{change['value']:+.4f}",
        "better": f"{100 * change['p_better']:.0f} %",
        "sign": sign,
        "interval": signed(change),
    }


def _pair(comparison: Comparison) -> tuple[str, str] | None:
    """The best variant of xbayes and the best peer, or else the two best variants."""
    numbers, names = comparison.numbers, list(comparison.predictions)
    if len(names) < 2:
        return None
    peers = [name for name in names if numbers["variants"][name]["kind"] == "peer"]
    first = best_of(numbers, [name for name in names if name not in peers] or names)
    second = best_of(numbers, [name for name in (peers or names) if name != first])
    return first, second


def _disagreements(
    comparison: Comparison, posterior: dict[str, Float[np.ndarray, "N C"]], pair
) -> list[dict]:
    """Sources with different most probable classes, in order of decreasing disagreement."""
    if pair is None:
        return []
    first, second = (posterior[name] for name in pair)
    strength = disagreement(first, second)
    rows = np.flatnonzero(first.argmax(1) != second.argmax(1))
    rows = rows[np.argsort(-strength[rows], kind="stable")][:MOST_ROWS]
    order = [*pair, *(name for name in posterior if name not in pair)]
    classes, truth = comparison.plan.classes, comparison.plan.labels.class_index
    return [
        {
            "id": comparison.plan.ids[row],
            "truth": classes[truth[row]],
            "strength": f"{strength[row]:.2f}",
            "given": [
                (classes[posterior[n][row].argmax()], f"{posterior[n][row].max():.2f}")
                for n in order
            ],
        }
        for row in rows
    ]


def _data(comparison: Comparison, posterior: dict[str, Float[np.ndarray, "N C"]], pair) -> Markup:
    """The data with which the script shows another pair: the sources on which any two differ."""
    if pair is None:
        return Markup("null")
    names, plan = list(posterior), comparison.plan
    stacked = np.stack([posterior[name] for name in names])  # [V, N, C]
    top = stacked.argmax(-1)
    rows = np.flatnonzero((top != top[0]).any(0))
    spread = (stacked.max(0) - stacked.min(0)).max(-1)
    rows = rows[np.argsort(-spread[rows], kind="stable")][:MOST_DATA]
    data = {
        "names": names,
        "classes": list(plan.classes),
        "pair": [names.index(name) for name in pair],
        "most": MOST_ROWS,
        "ids": plan.ids[rows].tolist(),
        "truth": plan.labels.class_index[rows].tolist(),
        "p": np.round(stacked[:, rows], 3).tolist(),
    }
    text = json.dumps(data, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))  # it is inside a script element


def _settings(name: str, numbers: dict) -> dict:
    one = numbers["variants"][name]
    return {
        "name": name,
        "kind": {"config": "cross-validated here", "run": "run directory", "peer": "third-party"}[
            one["kind"]
        ],
        "rows": flattened({"from": one["origin"], **one["settings"]}),
        "chosen": one["chosen"],
    }
