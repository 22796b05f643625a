"""Cluster-then-label on the real detections: python experiments/chandra_detections/run.py.

Prints held-out scores with folds of whole groups, and with folds of contiguous blocks of the sky.
Intervals come from a bootstrap over groups. `--only N` runs the first N variants.
"""

import sys
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.progress import track

from xbayes.classifier.recipe import build_recipe
from xbayes.config.reader import load_config
from xbayes.config.schema import Config, catalog_path, given_log_prior
from xbayes.evaluate.cross_validate import cross_validate
from xbayes.evaluate.paired import paired_differences
from xbayes.evaluate.scores import Predictions, score
from xbayes.tasks.precision import use_precision
from xbayes.tasks.training import load_training
from xbayes.types import Labels

CONFIGS = Path(__file__).parents[2] / "configs"
SEED = 21  # no choice was made on its folds
DRAWS = 1000
DEFAULT = "learned clusters"
VARIANTS: dict[str, tuple[str, list[str]]] = {
    "published recipe": ("chandra_detections_published.yaml", []),
    "the same, clusters see the test rows": (
        "chandra_detections_published.yaml",
        ["model.clusters.fit_on=everything"],
    ),
    "soft clusters, shrunk, not learned": (
        "chandra_detections_plain.yaml",
        ["model.clusters.learn=none"],
    ),
    "the assignment alone learned": (
        "chandra_detections_plain.yaml",
        ["model.clusters.learn=assignment"],
    ),
    DEFAULT: ("chandra_detections_plain.yaml", []),
    "the same, weights for F1": ("chandra_detections_plain.yaml", ["model.objective=f1"]),
    "a mixture for each category": ("chandra_detections_joint.yaml", []),
    "independent smooth densities": (
        "chandra_detections_plain.yaml",
        ["model.density=smooth", "model.weights=matrix"],
    ),
}
IN_BLOCKS = (
    "published recipe",
    DEFAULT,
    "a mixture for each category",
    "independent smooth densities",
)


def variant(name: str) -> Config:
    """The config of a variant."""
    file, settings = VARIANTS[name]
    return load_config(CONFIGS / file, [f"seed={SEED}", *settings])


def held_out(name: str, blocks: bool) -> tuple[Predictions, Predictions]:
    """Held-out predictions by the most probable class and by the F1 rule."""
    config = variant(name)
    use_precision(config)
    training = load_training(config, catalog_path(config))
    recipe, labels = build_recipe(training.config), training.labels
    split = labels.group
    if blocks:  # rows are sorted by source name, which starts with the position
        split = np.arange(len(labels.group)) * config.validation.folds // len(labels.group)
    validation = config.validation
    result = cross_validate(
        recipe,
        training.features,
        Labels(class_index=labels.class_index, group=split),
        jax.random.key(SEED),
        validation.folds,
        seed=SEED,
        log_prior=given_log_prior(training.config),
    )
    truth, group = labels.class_index[result.rows], labels.group[result.rows]
    posterior = result.products[0].posterior
    most_probable = Predictions(
        truth=truth,
        posterior=posterior,
        prediction=posterior.argmax(1),
        group=group,
        weight=np.ones(len(truth)),
    )
    return most_probable, most_probable._replace(prediction=result.products[0].prediction)


def line(name: str, predictions: Predictions, classes: tuple[str, ...]) -> str:
    """One row of the table."""
    scores = score(predictions, classes, DRAWS, SEED)
    entries = (scores["f1"]["XRB"], scores["macro_f1"], scores["log_loss"], scores["ece"])
    cells = [f"{e['value']:.3f} ({e['lo']:.3f}-{e['hi']:.3f})" for e in entries]
    return f"| {name} | {' | '.join(cells)} |"


def main(limit: int) -> None:
    """Print the tables."""
    classes = tuple(variant(DEFAULT).taxonomy.classes)
    head = "\n| variant | XRB F1 | macro F1 | log loss | ECE |\n|---|---|---|---|---|"
    for blocks in (False, True):
        print("\nFolds of " + ("contiguous blocks of the sky" if blocks else "whole groups"), head)
        names = [n for n in list(VARIANTS)[:limit] if not blocks or n in IN_BLOCKS]
        by_name = {}
        for name in track(names, console=Console(stderr=True)):
            most_probable, by_rule = held_out(name, blocks)
            by_name[name] = by_rule
            print(line(name, most_probable, classes), flush=True)
            if not np.array_equal(most_probable.prediction, by_rule.prediction):
                print(line(f"{name}, with the F1 rule", by_rule, classes), flush=True)
        if DEFAULT in by_name:
            print(f"\nDifferences to '{DEFAULT}' with the rule (negative log loss: better):")
            for name, predictions in by_name.items():
                if name != DEFAULT:
                    pair = paired_differences(by_name[DEFAULT], predictions, classes, DRAWS, SEED)
                    f1, loss = pair["f1"]["XRB"], pair["log_loss"]
                    cells = [
                        f"{e['value']:+.3f} ({e['lo']:+.3f} to {e['hi']:+.3f})" for e in (f1, loss)
                    ]
                    print(f"- {name}: XRB F1 {cells[0]}, log loss {cells[1]}")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[given.index("--only") + 1]) if "--only" in given else len(VARIANTS))
