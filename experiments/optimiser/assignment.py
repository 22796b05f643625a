"""Objectives of the assignment matrix, held out: python experiments/optimiser/assignment.py [OUT].

The study of `run.py` for cluster-then-label, with three kinds of clusters: shapes shared by all
classes (the published form, soft), a separate shape for each class, and such shapes refined
together with the mixture weights before the assignment is fitted.
"""

import sys
from pathlib import Path

from run import detections, simulated, study

from xbayes.config.schema import Config

SHARED = ["model.clusters.mean_sources=1e9", "model.clusters.covariance_sources=1e9"]
COMPLETE = ("abs_b", "hr_ms", "hr_hm", "flux", "var_intra")
ASSIGNMENT = "model.weights=assignment"
KINDS = {
    "shared shapes": [ASSIGNMENT, "model.clusters.learn=none", *SHARED],
    "class shapes": [ASSIGNMENT, "model.clusters.learn=none"],
    "class shapes, learned": [ASSIGNMENT, "model.clusters.learn=mixture"],
}


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/assignment")

    def simulated_sources(settings: list[str]) -> tuple[Config, Path]:
        """The simulated sources, with the features that all of them have."""
        extra = ["model.density=clusters", "model.clusters.components=6", *settings]
        config, path = simulated(extra, folder)
        complete = {name: config.features[name] for name in COMPLETE}
        return config.model_copy(update={"features": complete}), path

    study(
        folder,
        {
            "real detections": (KINDS, detections),
            "simulated sources": (KINDS, simulated_sources),
        },
    )
