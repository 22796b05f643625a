"""Prediction sets on another release, by class: coverage.py CATALOG RUN..."""

import sys

import numpy as np

import xbayes
from xbayes.catalog.read import read_catalog
from xbayes.catalog.taxonomy import class_indices


def main(catalog: str, runs: list[str]) -> None:
    """Print a Markdown table of the sources of each class."""
    print(
        "| run | class | sources | recall | coverage | mean size | flagged |\n" + "|---" * 7 + "|"
    )
    for run in runs:
        fit = xbayes.load(run)
        table, label = fit.classify(catalog), fit.config.catalog.label
        known = read_catalog(catalog)[label]
        truth = class_indices(np.ma.asarray(known), fit.config.taxonomy)[0]
        for c, name in enumerate(fit.classes):
            rows = table[truth == c]
            members = [text.split(" or ") for text in rows["prediction_set"]]
            numbers = (
                np.mean(np.asarray(rows["prediction"]) == name),
                np.mean([name in of_set for of_set in members]),
                np.mean([len(of_set) for of_set in members]),
                np.mean(rows["set_flag"]),
            )
            cells = " | ".join(f"{number:.3f}" for number in numbers)
            print(f"| {run} | {name} | {len(rows)} | {cells} |")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
