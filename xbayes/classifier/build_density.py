"""Which class densities a config asks for, and the records of arrays that they learn."""

import numpy as np

from xbayes.config.schema import Config
from xbayes.features.build import names_of, scale_bounds
from xbayes.infer.check_clusters import checked_density
from xbayes.infer.fit_clusters import ClusterOptions, cluster_density
from xbayes.models.base import Density
from xbayes.models.cluster_label import ClusterParams
from xbayes.models.product_density import side_by_side
from xbayes.models.smooth_density import DensityParams, smooth_density
from xbayes.published.clusters import PublishedClusterParams
from xbayes.published.code_density import CodeDensityParams, published_code_density
from xbayes.published.density import PublishedDensityParams, published_density
from xbayes.published.fit_clusters import published_cluster_density

GroupParams = (
    DensityParams
    | PublishedDensityParams
    | CodeDensityParams
    | ClusterParams
    | PublishedClusterParams
)
PARAMS_OF_DENSITY: dict[str, type[GroupParams]] = {
    "smooth": DensityParams,
    "published": PublishedDensityParams,
    "published_code": CodeDensityParams,
    "clusters": ClusterParams,
    "published_clusters": PublishedClusterParams,
}

Groups = list[tuple[str, tuple[int, ...]]]  # name of the density, indices of its features


def build_density(config: Config) -> Density:
    """The class density of all features of a config."""
    parts = [(members, _density(config, name, members)) for name, members in groups_of(config)]
    return parts[0][1] if len(parts) == 1 else side_by_side(parts)


def groups_of(config: Config) -> Groups:
    """Features that share a density: each joint category, then all the others."""
    names = names_of(config)
    groups: Groups = []
    for category, options in config.categories.items():
        members = tuple(f for f, g in enumerate(names.category) if names.categories[g] == category)
        if options.likelihood == "mixture" and members:
            groups.append(("clusters", members))
    taken = {f for _, members in groups for f in members}
    rest = tuple(f for f in range(len(names.features)) if f not in taken)
    return [*groups, (config.model.density, rest)] if rest else groups


def params_of(config: Config) -> list[type[GroupParams]]:
    """The record of arrays that each group's density learns."""
    return [PARAMS_OF_DENSITY[name] for name, _ in groups_of(config)]


def _density(config: Config, name: str, members: tuple[int, ...]) -> Density:
    chosen = tuple(list(config.features)[f] for f in members)
    if name == "published_clusters":
        return _published_clusters(config, chosen)
    features = [config.features[feature] for feature in chosen]
    names, model = names_of(config), config.model
    n_modelled = len(names.modelled)
    evidence = np.array([feature.missing == "evidence" for feature in features])
    if name == "clusters":
        options = _cluster_options(config)
        fewest = 1 if options.components == "auto" else options.components
        return checked_density(cluster_density(evidence, n_modelled, options), chosen, fewest)
    missing_weight = 1.0 if model.missing_weight == "auto" else model.missing_weight
    if name in ("published", "published_code"):
        classes = [names.classes[c] for c in names.class_of]
        cosine = np.array([[c in feature.cosine_for for c in classes] for feature in features])
        if name == "published_code":
            return published_code_density(cosine, missing_weight)
        return published_density(evidence, cosine, missing_weight)
    bounds = np.array([scale_bounds(feature) for feature in features])
    errors = np.array([feature.error is not None for feature in features])
    return smooth_density(
        bounds,
        evidence,
        n_modelled,
        missing_weight,
        tails=[model.tails if f.tails is None else f.tails for f in features],
        errors=errors,
    )


def _cluster_options(config: Config) -> ClusterOptions:
    options = config.model.clusters
    return ClusterOptions(**{name: getattr(options, name) for name in ClusterOptions._fields})


def _published_clusters(config: Config, chosen: tuple[str, ...]) -> Density:
    options = config.model.clusters
    components = 6 if options.components == "auto" else options.components
    density = published_cluster_density(
        rescale=tuple(config.features[name].rescale for name in chosen),
        n_classes=len(names_of(config).modelled),
        components=components,
        starts=options.starts,
        everything=options.fit_on == "everything",
    )
    return checked_density(density, chosen, components, fills_gaps=True)
