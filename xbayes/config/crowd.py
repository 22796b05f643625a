"""Checks of the labels that votes made: which settings they cannot be combined with."""

from xbayes.config.catalog import CatalogConfig
from xbayes.config.checks import Problem
from xbayes.config.model import ModelConfig
from xbayes.config.taxonomy import TaxonomyConfig

KEY = ("taxonomy", "labels")


def crowd_problems(
    catalog: CatalogConfig,
    taxonomy: TaxonomyConfig,
    model: ModelConfig,
    *,
    variant: str,
    importance: float,
) -> list[Problem]:
    """What is wrong with `taxonomy.labels` and `catalog.crowd`."""
    labels, file = taxonomy.labels, catalog.crowd
    if "reference" not in labels:
        text = "must hold reference, whose sources give all scores; write [reference, crowd]"
        return [Problem(KEY, text)]
    if len(set(labels)) < len(labels):
        return [Problem(KEY, f"names a label twice: {', '.join(labels)}; keep one")]
    if "crowd" not in labels:
        text = "is given, but taxonomy.labels has no crowd; write taxonomy.labels: "
        text += "[reference, crowd], or remove catalog.crowd"
        return [] if file is None else [Problem(("catalog", "crowd"), text)]
    if file is None:
        return [Problem(KEY, "crowd needs catalog.crowd, a table of xbayes crowd aggregate")]
    wrong = {
        "variant: point": variant != "point",
        "target.importance: 0": bool(importance),
        "model.optimiser: gradient": model.optimiser != "gradient",
        "another model.density than published_clusters": model.density == "published_clusters",
        "no taxonomy.subclasses, of which votes know nothing": bool(taxonomy.subclasses),
    }
    return [Problem(KEY, f"crowd needs {needed}") for needed, is_so in wrong.items() if is_so]
