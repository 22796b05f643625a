"""A small recipe: joint clusters of three features in two categories, and four classes."""

import numpy as np

from xbayes.classifier.recipe import Recipe
from xbayes.infer.fit_clusters import ClusterOptions, cluster_density
from xbayes.models.assignment_matrix import assignment_model
from xbayes.models.naive_bayes import naive_bayes
from xbayes.types import Names

N_CLUSTERS, N_CLASSES = 2, 4


def cluster_recipe(weights: str = "property", *, assignment: bool = True) -> Recipe:
    options = ClusterOptions(components=N_CLUSTERS, learn="none", starts=1)
    return Recipe(
        density=cluster_density(np.array([False, False, True]), N_CLASSES, options),
        model=naive_bayes((0, 0, 1), N_CLASSES, weights),
        names=Names(
            features=("x", "y", "z"),
            categories=("a", "b"),
            category=(0, 0, 1),
            classes=("A", "B", "D", "E"),
        ),
        penalties=(1.0, 30.0),
        n_starts=1,
        n_folds=2,
        focus=2,
        assignment=assignment_model(N_CLUSTERS, N_CLASSES) if assignment else None,
    )
