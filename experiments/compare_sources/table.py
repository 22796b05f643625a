"""A comparison as a Markdown table: experiments/compare_sources/table.py [FOLDER]."""

import json
import sys
from pathlib import Path

from xbayes.compare.text import ALIKE_SIGN, number, seconds_of

SHOWN = ("f1", "f1_argmax", "precision", "recall", "macro_f1", "log_loss", "brier", "ece")
WITH_INTERVAL = ("f1", "log_loss")


def cell(entry: dict, score: str) -> str:
    """The value, bold if significantly the best, with a sign if not significantly worse."""
    text = number(entry["value"], score)
    text = {"best": f"**{text}**", "alike": ALIKE_SIGN + text, "": text}[entry["standing"]]
    if score in WITH_INTERVAL and entry["lo"] is not None:
        text += f" ({number(entry['lo'], score)}-{number(entry['hi'], score)})"
    if "calibrated_q95" in entry:
        text += f" ({entry['calibrated_q95']:.3f})"
    return text


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/compare_sources")
    numbers = json.loads((folder / "compare.json").read_text())
    focus = numbers["focus"]
    head = (f"{focus} F1 (rule)", "(argmax)", "precision", "recall", "macro F1", "log loss")
    print(
        "| variant |", " | ".join((*head, "Brier", "ECE (calibrated)", "fit s", "predict s")), "|"
    )
    print("|" + "---|" * 11)
    for name, one in numbers["variants"].items():
        cells = [cell(one["scores"][score], score) for score in SHOWN]
        times = [seconds_of(one["fit_seconds"]), seconds_of(one["predict_seconds"])]
        print(f"| {name} |", " | ".join([*cells, *times]), "|")
    losses = {n: v["scores"]["log_loss"]["value"] for n, v in numbers["variants"].items()}
    ours = [name for name in losses if numbers["variants"][name]["kind"] != "peer"]
    best = min(ours, key=lambda name: losses[name])
    print(f"\n{best} against each third-party classifier (log loss, F1 of {focus}, P(better)):\n")
    for pair in numbers["differences"]:
        other = pair["second"] if pair["first"] == best else pair["first"]
        if (
            best not in (pair["first"], pair["second"])
            or numbers["variants"][other]["kind"] != "peer"
        ):
            continue
        sign = 1 if pair["second"] == best else -1
        cells = []
        for score in ("log_loss", "f1"):
            change = pair[score]
            ends = sorted((sign * change["lo"], sign * change["hi"]))
            better = change["p_better"] if sign > 0 else 1 - change["p_better"]
            value = f"{sign * change['value']:+.4f} ({ends[0]:+.4f} to {ends[1]:+.4f})"
            cells.append(f"{value}, {better:.3f}")
        print(f"- {other}: {'; '.join(cells)}")
