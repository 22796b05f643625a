"""The gain from each part of the best model: ablation.py [detections|blocks] [SEED ...].

Runs on the sources, or on the detections with folds of groups or of contiguous blocks of the sky.
The default seeds are 51 and 52, for the detections 51.
"""

import sys
from pathlib import Path

import numpy as np

from xbayes.classifier.recipe import build_recipe
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path
from xbayes.tasks.precision import use_precision
from xbayes.tasks.training import cross_validate_training, load_training

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = ("LM-STAR", "HM-STAR", "YSO", "LMXB", "HMXB")
SUBCLASSES = "taxonomy.subclasses={" + ", ".join(f"{name}: [{name}]" for name in NAMES) + "}"
SOURCES = (
    ("chandra_sources_plain.yaml", ()),
    ("chandra_sources_plain.yaml", (SUBCLASSES,)),
    ("chandra_sources_plain.yaml", ("model.terms=pairs",)),
    ("chandra_sources.yaml", ("taxonomy.subclasses={}",)),
    ("chandra_sources.yaml", ("model.terms=none",)),
    ("chandra_sources.yaml", ("model.terms=single",)),
    ("chandra_sources.yaml", ()),
    ("chandra_sources.yaml", ("model.splines=true",)),
)
NO_TERMS = ("model.terms=none", "model.terms_share=auto")
SPLINES, TERMS = "model.splines=true", ("model.terms=pairs", "model.terms_share=0.3")
DETECTIONS = (
    ("chandra_detections_joint.yaml", ()),
    ("chandra_detections_joint.yaml", (SPLINES,)),
    ("chandra_detections_joint.yaml", TERMS),
    ("chandra_detections_joint.yaml", (SPLINES, *TERMS)),
    ("chandra_detections.yaml", ("model.splines=false", *NO_TERMS)),
    ("chandra_detections.yaml", NO_TERMS),
    ("chandra_detections.yaml", ("model.splines=false",)),
    ("chandra_detections.yaml", ()),
    ("chandra_detections.yaml", ("model.terms=single",)),
    ("chandra_detections.yaml", ("model.terms_share=auto",)),
)


def scores(name: str, settings: tuple[str, ...], seed: int) -> tuple[float, float]:
    """Held-out log loss, and the F1 of XRB with the decision rule."""
    config = load_config(CONFIGS / name, [*settings, "decision=f1", f"seed={seed}"])
    use_precision(config)
    training = load_training(config, catalog_path(config))
    recipe = build_recipe(training.config)
    held_out = cross_validate_training(training, recipe)
    truth, products = training.labels.class_index[held_out.rows], held_out.products[0]
    predicted, actual = products.prediction == recipe.focus, truth == recipe.focus
    loss = -np.log(products.posterior[np.arange(len(truth)), truth]).mean()
    return float(loss), float(2 * (predicted & actual).sum() / (predicted.sum() + actual.sum()))


if __name__ == "__main__":
    words = sys.argv[1:]
    study = words.pop(0) if words and words[0] in ("detections", "blocks") else "sources"
    seeds = [int(word) for word in words] or ([51, 52] if study == "sources" else [51])
    split = "validation.split=blocks" if study == "blocks" else "validation.split=random"
    for name, settings in SOURCES if study == "sources" else DETECTIONS:
        cells = [
            f"{loss:.4f} | {f1:.3f}"
            for loss, f1 in (scores(name, (*settings, split), s) for s in seeds)
        ]
        print("|", " | ".join([name, " ".join(settings), *cells]), "|", flush=True)
