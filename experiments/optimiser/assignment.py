"""Ways to learn the assignment matrix, held out: python experiments/optimiser/assignment.py [OUT].

The study of `run.py` for cluster-then-label, with three kinds of clusters: shapes shared by all
classes (the published form, soft), a separate shape for each class, and such shapes refined
together with the mixture weights before the assignment is fitted.
"""

import sys
from functools import partial
from pathlib import Path

from run import PLAIN, ROOT, SEED, simulated, study

from xbayes.config.reader import load_config
from xbayes.config.schema import Config, catalog_path

SHARED = ["model.clusters.mean_sources=1e9", "model.clusters.covariance_sources=1e9"]
COMPLETE = ("abs_b", "hr_ms", "hr_hm", "flux", "var_intra")
KINDS = {
    "shared shapes": ["model.clusters.learn=none", *SHARED],
    "class shapes": ["model.clusters.learn=none"],
    "class shapes, learned": ["model.clusters.learn=mixture"],
}


def detections(kind: str, settings: list[str]) -> tuple[Config, Path]:
    """The real detections, in folds of whole groups."""
    extra = ["model.weights=assignment", f"seed={SEED}", PLAIN, *KINDS[kind], *settings]
    config = load_config(ROOT / "configs/chandra_detections.yaml", extra)
    return config, catalog_path(config)


def simulated_sources(kind: str, settings: list[str], out: Path) -> tuple[Config, Path]:
    """The simulated sources of `run.py`, with the features that all of them have.

    With missing values, each of the many fits of evolution takes minutes.
    """
    extra = ["model.density=clusters", "model.clusters.components=6", *KINDS[kind], *settings]
    config, path = simulated("assignment", extra, out)
    complete = {name: config.features[name] for name in COMPLETE}
    return config.model_copy(update={"features": complete}), path


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/assignment")
    study(
        folder,
        tuple(KINDS),
        {
            "real detections": detections,
            "simulated sources": partial(simulated_sources, out=folder),
        },
    )
