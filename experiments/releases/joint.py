"""Both releases in one training sample: scores at random, by sky block and by release.

python -m experiments.releases.joint            # half A of the 2022 release
python -m experiments.releases.joint --all      # all of it: for the final report only
"""

import argparse
import os
from pathlib import Path

import numpy as np
from astropy.table import Table

from experiments.releases.halves import half
from xbayes.catalog.columns import masked_column, subset
from xbayes.catalog.read import read_catalog
from xbayes.catalog.splits import joined_groups
from xbayes.classifier.recipe import build_recipe
from xbayes.config.reader import load_config
from xbayes.config.schema import focus_class
from xbayes.evaluate.metrics import pool_repeats
from xbayes.evaluate.scores import Predictions, score
from xbayes.tasks.precision import use_precision
from xbayes.tasks.training import Training, cross_validate_training, load_training

CONFIG = Path(__file__).parents[2] / "configs" / "chandra_both_releases.yaml"
SPLITS = ("random", "blocks", "release")
ALL = "all"


def catalogues(everything: bool) -> dict[str, Path | Table]:
    """The two releases; of that of 2022 half A, or everything."""
    folder = Path(os.environ["XBAYES_DATA"])
    old = read_catalog(folder / "chandra_sources_2022.csv", text=["name"])
    ra, dec = (np.asarray(masked_column(old, name), np.float64) for name in ("ra", "dec"))
    rows = np.ones(len(old), bool) if everything else half(ra, dec) == 0
    return {"2023": folder / "chandra_sources.csv", "2022": subset(old, rows=rows)}


def scores_of(training: Training) -> dict[str, dict]:
    """Scores of all tested sources, and of those of each release; cells are resampled."""
    classes = tuple(training.config.taxonomy.classes)
    labels, validation = training.labels, training.config.validation
    assert labels.release is not None and labels.cell is not None
    held_out = cross_validate_training(training, build_recipe(training.config))
    labels = labels._replace(group=joined_groups(labels.group, labels.cell))
    pooled = pool_repeats(held_out, labels)
    release = np.tile(labels.release[held_out.rows], len(held_out.products))
    parts = {name: release == r for r, name in enumerate(training.releases)}
    parts = {name: rows for name, rows in parts.items() if rows.any()}
    if len(parts) > 1:
        parts = {ALL: np.ones(len(release), bool)} | parts
    return {
        name: score(
            Predictions._make(array[rows] for array in pooled),
            classes,
            validation.bootstrap,
            training.config.seed,
        )
        for name, rows in parts.items()
    }


def row(split: str, part: str, scores: dict, focus: str) -> str:
    """One line of the table."""

    def cell(entry: dict, digits: int) -> str:
        if entry["value"] is None:
            return "-"
        ends = f"{entry['lo']:.{digits}f}-{entry['hi']:.{digits}f}"
        return f"{entry['value']:.{digits}f} ({ends})"

    cells = [cell(scores["log_loss"], 4), cell(scores["f1"][focus], 2)]
    cells += [cell(scores["macro_f1"], 2), cell(scores["ece"], 3)]
    return f"| {split} | {part} | {scores['n_sources']:,} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="all of the 2022 release")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--splits", nargs="+", default=SPLITS, choices=SPLITS)
    given = parser.parse_args()
    sources = catalogues(given.all)
    print("| folds | sources of | n | log loss | F1 of the rare class | macro F1 | ECE |")
    print("|---|---|---|---|---|---|---|")
    for split in given.splits:
        config = load_config(given.config, [*given.set, f"validation.split={split}"])
        use_precision(config)
        training = load_training(config, sources)
        focus = focus_class(config) or list(config.taxonomy.classes)[-1]
        for part, scores in scores_of(training).items():
            print(row(split, part, scores, focus), flush=True)
        for warning in training.warnings:
            if "not held out" in warning:
                print(f"\n{warning}\n")


if __name__ == "__main__":
    main()
