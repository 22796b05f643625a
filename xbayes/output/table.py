"""The output table: the products of each source, as columns with descriptions and UCDs.

`predictions.parquet`, `catalog.fits` and the output of `xbayes classify` have the same columns.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import numpy as np
from astropy.table import Column, MaskedColumn, Table
from jaxtyping import Bool, Float, Int

from xbayes.catalog.columns import plain_columns
from xbayes.classifier.conformal import LEVEL
from xbayes.classifier.predict import Products
from xbayes.config.schema import CatalogConfig
from xbayes.errors import InputError
from xbayes.output.novelty_text import NOVELTY_WHY
from xbayes.types import Names

Made = tuple[str, np.ndarray, str, str]  # name, values, description and UCD of a column

UCD_CLASS = "meta.code.class;src.class"
ENDS = ("lo", "hi")
GROUP = "fold_group"  # column of `predictions.parquet`, if rows come in groups
UCD_PROBABILITY = "stat.probability;src.class"


def output_table(
    passed: Table,
    products: Products,
    names: Names,
    resolution: Float[np.ndarray, "C"],
    true_class: Int[np.ndarray, "N"] | None = None,
    *,
    novelty_why: Sequence[str] | None = None,
) -> Table:
    """The pass-through columns (the id among them), followed by the products.

    Parameters
    ----------
    resolution
        1 / (n + 1), the smallest possible `outlier_p` of each class.
    novelty_why
        The texts of `novelty_texts`; None where there are no joint densities.

    Raises
    ------
    InputError
        A pass-through column has the name of an output column.
    """
    refuse_clashes(passed.colnames, names)
    table = passed.copy()
    table.meta = {}
    made = output_columns(products, names, resolution, true_class, novelty_why=novelty_why)
    for name, values, description, ucd in made:
        kind = MaskedColumn if np.ma.isMaskedArray(values) else Column
        table[name] = kind(values, description=description, meta={"ucd": ucd})
    table.meta["CLASSES"] = ",".join(names.classes)
    table.meta["CATEGS"] = ",".join(names.categories)
    if names.groups:
        table.meta["GROUPS"] = {
            group: [names.classes[c] for c in members] for group, members in names.groups
        }
    return plain_columns(table)


def output_columns(
    products: Products,
    names: Names,
    resolution: Float[np.ndarray, "C"],
    true_class: Int[np.ndarray, "N"] | None = None,
    *,
    novelty_why: Sequence[str] | None = None,
) -> Iterator[Made]:
    """The products as columns; parameters as of `output_table`."""
    yield from _of_classes(products, names, true_class)
    yield from _of_probabilities(products, names)
    yield from _of_prior(products, names.classes)
    yield from _of_outliers(products, names.modelled, resolution)
    yield from _of_novelty(novelty_why)
    text = "number of features without a value"
    yield "n_missing", products.n_missing, text, "meta.number"
    text = "number of those that are not available: no survey is known to cover the source"
    yield "n_not_available", products.n_not_available, text, "meta.number"
    yield from _of_categories(products, names)


def passed_columns(roles: CatalogConfig) -> list[str]:
    """The columns that a run passes through: id, source, position, release and `catalog.keep`."""
    release = roles.release if roles.files else None
    columns = (roles.id, roles.source, roles.ra, roles.dec, release, *roles.keep)
    return [*dict.fromkeys(name for name in columns if name)]


def pooling_meta(
    roles: CatalogConfig, log_prior: Float[np.ndarray, "C"]
) -> dict[str, list[float] | list[str]]:
    """Metadata for pooling detections: the prior of the posteriors, and columns not to pool by.

    Detections may not be pooled by the label or the group, which is often made from the labels.
    """
    prior = np.exp(np.asarray(log_prior, np.float64))
    barred = {roles.label, roles.group if roles.group != roles.source else None} - {None}
    return {"PRIOR": (prior / prior.sum()).tolist(), "NOPOOL": sorted(map(str, barred))}


def log_prior_of_rows(table: Table, classes: Sequence[str]) -> Float[np.ndarray, "N C"] | None:
    """The log prior of each row of a classified table; None if all rows have one prior.

    Raises InputError for a prior that is not positive.
    """
    names = [f"prior_{c}" for c in classes]
    if not {*names} <= {*table.colnames}:
        return None
    prior = np.column_stack([np.asarray(table[name], np.float64) for name in names])
    if not (np.isfinite(prior) & (prior > 0)).all():
        raise InputError(f"columns {', '.join(names)} must hold proportions; classify it again")
    return np.log(prior)


def groups_of_meta(given: object, classes: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The groups of classes in the metadata of a table: the indices of their classes, by name.

    Raises InputError for groups of other classes.
    """
    if given is None:
        return {}
    groups: dict[str, tuple[int, ...]] = {}
    for group, members in given.items() if isinstance(given, Mapping) else [("", None)]:
        if not isinstance(members, list | tuple) or not {*members} <= {*classes}:
            raise InputError(
                f"the metadata of the catalogue is damaged: GROUPS is {given!r}; classify it again"
            )
        groups[str(group)] = tuple(classes.index(name) for name in members)
    return groups


def add_pooling_meta(table: Table, roles: CatalogConfig, log_prior: Float[np.ndarray, "C"]) -> None:
    """Add `pooling_meta` to the metadata of a classified table."""
    table.meta = {**(table.meta or {}), **pooling_meta(roles, log_prior)}


def refuse_clashes(columns: Sequence[str], names: Names) -> None:
    """Raise `InputError` if a column has the name of an output column; FITS ignores case."""
    taken = {name.lower() for name in output_names(names)}
    clash = [name for name in columns if name.lower() in taken]
    if clash:
        raise InputError(
            f"the catalogue has a column {clash[0]!r}, which is also a column of the output; "
            f"rename it in the catalogue, or for a run take it out of catalog.keep (all clashes: "
            f"{clash})"
        )


def other_names(columns: Sequence[str], names: Names) -> dict[str, str]:
    """New names of the columns that have the name of an output column; FITS ignores case."""
    made, result = {name.lower() for name in output_names(names)}, {}
    used = made | {name.lower() for name in columns}
    for name in columns:
        if name.lower() in made:
            numbered = (f"{name}_{attempt}" for attempt in count(2))
            result[name] = next(new for new in numbered if new.lower() not in used)
            used.add(result[name].lower())
    return result


def output_names(names: Names) -> set[str]:
    """The names of all columns that an output table may have."""
    made = {"true_class", "prediction", "margin", "entropy", "alternative", "outlier"}
    made |= {
        "outlier_p",
        "n_missing",
        "n_not_available",
        "fold",
        GROUP,
        "prediction_set",
        "set_flag",
        NOVELTY_WHY,
    }
    made |= {f"p_{c}{end}" for c in names.classes for end in ("", "_lo", "_hi")}
    made |= {f"prior_{c}" for c in names.classes}
    made |= {f"p_{group}{end}" for group, _ in names.groups for end in ("", "_lo", "_hi")}
    made |= {"outlier_lo", "outlier_hi"} | ({"subclass"} if names.subclasses else set())
    return made | {f"p_{g}_{c}" for g in names.categories for c in names.classes}


def _of_classes(products: Products, names: Names, true_class: np.ndarray | None) -> Iterator[Made]:
    if true_class is not None:
        known = class_names(true_class, names.classes)
        yield "true_class", known, "class known beforehand", UCD_CLASS
    chosen = class_names(products.prediction, names.classes)
    yield "prediction", chosen, "class under the decision rule", UCD_CLASS
    text = f"the prediction and the classes not excluded at {100 * LEVEL:.0f} %"
    yield "prediction_set", set_names(products.prediction_set, names.classes), text, UCD_CLASS
    text = "true: every class was excluded, the set is the prediction alone"
    yield "set_flag", products.set_flag, text, "meta.code.qual"
    if names.subclasses:
        text = "most probable subclass of the predicted class"
        yield "subclass", class_names(products.subclass, names.subclasses), text, UCD_CLASS


def _of_probabilities(products: Products, names: Names) -> Iterator[Made]:
    classes, ucd = names.classes, "stat.confidenceLevel;stat.probability"
    for c, label in enumerate(classes):
        text = f"posterior probability of {label}"
        yield f"p_{label}", products.posterior[:, c], text, UCD_PROBABILITY
        yield from _ends(f"p_{label}", products.posterior_interval[:, c], f"p_{label}", ucd)
    for q, (group, members) in enumerate(names.groups):
        text = f"probability of {group}: the sum over {', '.join(classes[c] for c in members)}"
        yield f"p_{group}", products.posterior[:, members].sum(1), text, UCD_PROBABILITY
        if products.group_interval.shape[-1]:
            yield from _ends(f"p_{group}", products.group_interval[:, q], f"p_{group}", ucd)
    text = "2 max p - 1: 1 is certain, negative if no class has half of the probability"
    yield "margin", products.margin, text, "stat.value"
    yield "entropy", products.entropy, "Shannon entropy of the posterior, nats", "stat.value"
    text = "most probable other class that wins if one category is left out"
    yield "alternative", class_names(products.alternative, classes), text, UCD_CLASS


def _of_prior(products: Products, classes: Sequence[str]) -> Iterator[Made]:
    """The prior of each source; nothing if all sources have one prior."""
    for label, share in zip(classes, products.prior.T, strict=False):
        text = f"prior probability of {label} for this source"
        yield f"prior_{label}", share, text, "stat.probability"


def _of_outliers(
    products: Products, modelled: Sequence[str], resolution: np.ndarray
) -> Iterator[Made]:
    text = "outlier measure -log(P(c) L(c)) of the predicted class"
    yield "outlier", products.outlier, text, "stat.likelihood"
    ucd = "stat.confidenceLevel"
    yield from _ends("outlier", products.outlier_interval, "the outlier measure", ucd)
    steps = ", ".join(f"{c} {r:.2g}" for c, r in zip(modelled, resolution, strict=True))
    text = f"share of held-out members of the class with at least its score; resolution {steps}"
    yield "outlier_p", products.outlier_p, text, "stat.probability"


def _of_novelty(novelty_why: Sequence[str] | None) -> Iterator[Made]:
    if novelty_why is not None:
        values = np.array(novelty_why, str)
        text = "why the source is unlike the training sources of its class; empty if it is not"
        yield NOVELTY_WHY, np.ma.array(values, mask=values == ""), text, "meta.note"


def _ends(name: str, interval: np.ndarray, of: str, ucd: str) -> Iterator[Made]:
    """The two ends of an interval; nothing without posterior samples."""
    for end, word in enumerate(ENDS[: interval.shape[-1]]):
        text = f"{'lower' if end == 0 else 'upper'} end of the 90 % interval of {of}"
        yield f"{name}_{word}", interval[..., end], text, ucd


def _of_categories(products: Products, names: Names) -> Iterator[Made]:
    for g, category in enumerate(names.categories):
        for c, label in enumerate(names.classes):
            text = f"probability of {label} from {category} alone"
            yield f"p_{category}_{label}", products.track[:, g, c], text, UCD_PROBABILITY


def set_names(sets: Bool[np.ndarray, "N C"], classes: Sequence[str]) -> np.ndarray:
    """Prediction sets as text, such as 'AGN or XRB'."""
    sets = np.asarray(sets)
    # `unique` sorts one string of bytes per row much faster than the rows of an array.
    packed = np.packbits(sets, axis=1)
    code = np.ascontiguousarray(packed).view(f"V{packed.shape[1]}")[:, 0]
    _, first, which = np.unique(code, return_index=True, return_inverse=True)
    names = [" or ".join(np.array(classes, str)[sets[row]]) for row in first]
    return np.array(names, str)[which.reshape(-1)]


def class_names(index: Int[np.ndarray, "N"], classes: Sequence[str]) -> np.ndarray:
    """Class names; masked where the index is negative."""
    unknown = np.asarray(index) < 0
    names = np.array([*classes, ""])[np.asarray(index)]  # -1 picks the empty name
    return np.ma.array(names, mask=unknown) if unknown.any() else names
