"""Which density a config asks for, and the arrays it will learn."""

from typing import Any

import numpy as np

from xbayes.config.schema import Config, focus_class
from xbayes.features.build import names_of, scale_bounds
from xbayes.infer.check_clusters import refusing
from xbayes.infer.fit_clusters import ClusterOptions, cluster_density
from xbayes.models.base import Density
from xbayes.models.cluster_label import ClusterParams
from xbayes.models.product_density import side_by_side
from xbayes.models.smooth_density import DensityParams, smooth_density
from xbayes.published.clusters import PublishedClusterParams
from xbayes.published.density import PublishedDensityParams, published_density
from xbayes.published.fit_clusters import published_cluster_density

Groups = list[tuple[str, tuple[int, ...]]]  # kind, places of its properties


def build_density(config: Config) -> Density:
    """The density of all properties of a config."""
    parts = [(members, _density(config, kind, members)) for kind, members in groups_of(config)]
    return parts[0][1] if len(parts) == 1 else side_by_side(parts)


def groups_of(config: Config) -> Groups:
    """Names that share a density: the joint categories, and all the others."""
    properties = names_of(config)
    everything = range(len(properties.features))
    joint = [name for name, c in config.categories.items() if c.likelihood == "mixture"]
    of_category = {
        name: tuple(f for f in everything if properties.categories[properties.category[f]] == name)
        for name in joint
    }
    groups = [("clusters", members) for members in of_category.values() if members]
    taken = {f for _, members in groups for f in members}
    rest = tuple(f for f in everything if f not in taken)
    return [*groups, (config.model.density, rest)] if rest else groups


def params_of(config: Config) -> list[type]:
    """The records that the density's parameters are made of, one a group."""
    kinds: dict[str, Any] = {
        "smooth": DensityParams,
        "published": PublishedDensityParams,
        "clusters": ClusterParams,
        "published_clusters": PublishedClusterParams,
    }
    return [kinds[kind] for kind, _ in groups_of(config)]


def _density(config: Config, kind: str, members: tuple[int, ...]) -> Density:
    names = [list(config.features)[f] for f in members]
    features = [config.features[name] for name in names]
    properties, model = names_of(config), config.model
    n_modelled = len(properties.modelled)
    missing_weight = 1.0 if model.missing_weight == "auto" else model.missing_weight
    evidence = np.array([feature.missing == "evidence" for feature in features])
    if kind == "clusters":
        options = _options(config)
        density = cluster_density(evidence, n_modelled, options)
        least = 1 if options.components == "auto" else options.components
        return refusing(density, names, least)
    if kind == "published_clusters":
        return _published_clusters(config, names)
    if kind == "published":
        classes = [properties.classes[c] for c in properties.class_of]
        cosine = np.array([[c in feature.cosine_for for c in classes] for feature in features])
        return published_density(evidence, cosine, missing_weight)
    bounds = np.array([scale_bounds(feature) for feature in features])
    return smooth_density(bounds, evidence, n_modelled, missing_weight, tails=model.tails)


def _options(config: Config) -> ClusterOptions:
    given, model = config.model.clusters, config.model
    own = {name: getattr(given, name) for name in ClusterOptions._fields if name != "focus"}
    focus, place = focus_class(config), -1
    if model.objective == "f1" and model.optimiser == "gradient" and focus is not None:
        place = list(config.taxonomy.classes).index(focus)
    return ClusterOptions(**own, focus=place)


def _published_clusters(config: Config, names: list[str]) -> Density:
    given = config.model.clusters
    components = 6 if given.components == "auto" else given.components
    density = published_cluster_density(
        tuple(config.features[name].rescale for name in names),
        len(names_of(config).modelled),
        components,
        given.starts,
        given.fit_on == "everything",
    )
    return refusing(density, names, components, fills_gaps=True)
