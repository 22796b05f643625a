"""What each part of the best model gained: ablation.py [SEED ...]; 51 and 52 if none is given."""

import sys
from pathlib import Path

import numpy as np

from xbayes.classifier import build_recipe
from xbayes.config import catalog_path
from xbayes.config_file import load_config
from xbayes.run import cross_validate_training, load_training, use_precision

CONFIGS = Path(__file__).parents[2] / "configs"
ROWS = (
    ("chandra_sources.yaml", ()),
    ("chandra_sources.yaml", ("model.terms=pairs",)),
    ("chandra_sources_best.yaml", ("model.terms=none",)),
    ("chandra_sources_best.yaml", ("model.terms=single",)),
    ("chandra_sources_best.yaml", ()),
)


def scores(name: str, settings: tuple[str, ...], seed: int) -> tuple[float, float]:
    """Held-out log loss, and the F1 of XRB by its rule."""
    config = load_config(CONFIGS / name, [*settings, "decision=f1", f"seed={seed}"])
    use_precision(config)
    training = load_training(config, catalog_path(config))
    recipe = build_recipe(training.config)
    held_out = cross_validate_training(training, recipe)
    truth, found = training.labels.class_index[held_out.rows], held_out.products[0]
    given, is_focus = found.prediction == recipe.focus, truth == recipe.focus
    loss = -np.log(found.posterior[np.arange(len(truth)), truth]).mean()
    return float(loss), float(2 * (given & is_focus).sum() / (given.sum() + is_focus.sum()))


if __name__ == "__main__":
    seeds = [int(word) for word in sys.argv[1:]] or [51, 52]
    for name, settings in ROWS:
        cells = [
            f"{loss:.4f} | {f1:.3f}" for loss, f1 in (scores(name, settings, s) for s in seeds)
        ]
        print("|", " | ".join([name, *(settings or [""]), *cells]), "|", flush=True)
