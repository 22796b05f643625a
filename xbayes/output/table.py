"""The output table: what each source gets, as columns with units, descriptions and UCDs.

The same columns in `predictions.parquet`, `catalog.fits` and what `xbayes classify` writes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from astropy.table import Column, MaskedColumn, Table
from jaxtyping import Bool, Float, Int

from xbayes.classifier.conformal import LEVEL
from xbayes.classifier.predict import Products
from xbayes.config.schema import CatalogConfig
from xbayes.types import InputError, Names

UCD_CLASS = "meta.code.class;src.class"
ENDS = ("lo", "hi")
GROUP = "fold_group"  # column of the held-out predictions, where rows come in groups
UCD_PROBABILITY = "stat.probability;src.class"


def output_table(
    passed: Table,
    products: Products,
    properties: Names,
    resolution: Float[np.ndarray, "C"],
    true_class: Int[np.ndarray, "N"] | None = None,
) -> Table:
    """Pass-through columns first (the id among them), then the products.

    `resolution` is 1 / (n + 1), the smallest `outlier_p` of each class. A pass-through column named
    like an output column raises `InputError`.
    """
    refuse_clashes(passed.colnames, properties)
    made = _columns(products, properties, resolution, true_class)
    table = passed.copy()
    table.meta = {}
    for name, column in made.items():
        table[name] = column
    table.meta["CLASSES"] = ",".join(properties.classes)
    table.meta["CATEGS"] = ",".join(properties.categories)
    return table


def passed_columns(roles: CatalogConfig) -> list[str]:
    """What an experiment passes through: the id, the source, the position, and `catalog.keep`."""
    named = (roles.id, roles.source, roles.ra, roles.dec, *roles.keep)
    return [*dict.fromkeys(name for name in named if name)]


def pooling_meta(
    roles: CatalogConfig, log_prior: Float[np.ndarray, "C"]
) -> dict[str, list[float] | list[str]]:
    """What must be known to pool detections: the prior in the posteriors, and by what one must not.

    A group is made to split folds, and often from the labels; `catalog.source` names sources.
    """
    prior = np.exp(np.asarray(log_prior, np.float64))
    barred = {roles.label, roles.group if roles.group != roles.source else None} - {None}
    return {"PRIOR": (prior / prior.sum()).tolist(), "NOPOOL": sorted(map(str, barred))}


def add_pooling_meta(table: Table, roles: CatalogConfig, log_prior: Float[np.ndarray, "C"]) -> None:
    """Write it into the metadata of a classified table."""
    table.meta = {**(table.meta or {}), **pooling_meta(roles, log_prior)}


def refuse_clashes(names: Sequence[str], properties: Names) -> None:
    """Raise `InputError` where a column would be there twice; case tells none apart in FITS."""
    made = {"true_class", "prediction", "margin", "entropy", "alternative", "outlier"}
    made |= {"outlier_p", "n_missing", "fold", GROUP, "prediction_set"}
    made |= {f"p_{c}{end}" for c in properties.classes for end in ("", "_lo", "_hi")}
    made |= {"outlier_lo", "outlier_hi"} | ({"subclass"} if properties.subclasses else set())
    made |= {f"p_{g}_{c}" for g in properties.categories for c in properties.classes}
    taken = {name.lower() for name in made}
    clash = [name for name in names if name.lower() in taken]
    if clash:
        raise InputError(
            f"the catalogue has a column {clash[0]!r}, which is also a column of the output; "
            f"rename it, or take it out of catalog.keep (all clashes: {clash})"
        )


def _columns(products, properties, resolution, true_class) -> dict[str, Any]:
    """The made columns, in their order; each is given as name, values, description, UCD."""
    given = [
        *_of_classes(products, properties.classes, true_class),
        *_of_subclasses(products, properties),
        *_of_probabilities(products, properties.classes),
        *_of_strangeness(products, properties.modelled, resolution),
        ("n_missing", products.n_missing, "number of properties without a value", "meta.number"),
        *_of_track(products, properties),
    ]
    columns: dict[str, Any] = {}
    for name, values, description, ucd in given:
        kind = MaskedColumn if np.ma.isMaskedArray(values) else Column
        columns[name] = kind(values, description=description, meta={"ucd": ucd})
    return columns


def _of_classes(products, classes, true_class) -> Iterator[tuple[str, Any, str, str]]:
    if true_class is not None:
        known = class_names(true_class, classes)
        yield "true_class", known, "class known beforehand", UCD_CLASS
    chosen = class_names(products.prediction, classes)
    yield "prediction", chosen, "class under the decision rule", UCD_CLASS
    text = f"classes not excluded at {100 * LEVEL:.0f} %; none: unlike every class"
    yield "prediction_set", set_names(products.prediction_set, classes), text, UCD_CLASS


def _of_subclasses(products, properties) -> Iterator[tuple[str, Any, str, str]]:
    if properties.subclasses:
        text = "most probable subclass of the predicted class"
        yield "subclass", class_names(products.subclass, properties.subclasses), text, UCD_CLASS


def _of_probabilities(products, classes) -> Iterator[tuple[str, Any, str, str]]:
    """Those of each class with their intervals, and what sums them up."""
    for c, label in enumerate(classes):
        text = f"posterior probability of {label}"
        yield f"p_{label}", products.posterior[:, c], text, UCD_PROBABILITY
        ucd = "stat.confidenceLevel;stat.probability"
        yield from _ends(f"p_{label}", products.posterior_interval[:, c], f"p_{label}", ucd)
    text = "2 max p - 1: 1 certain, negative if no class has half"
    yield "margin", products.margin, text, "stat.value"
    yield "entropy", products.entropy, "Shannon entropy of the posterior, nats", "stat.value"
    text = "most probable other class that wins when one category is left out"
    yield "alternative", class_names(products.alternative, classes), text, UCD_CLASS


def _of_strangeness(products, modelled, resolution) -> Iterator[tuple[str, Any, str, str]]:
    text = "outlier measure -log(P(c) L(c)) of the predicted class"
    yield "outlier", products.outlier, text, "stat.likelihood"
    yield from _ends("outlier", products.outlier_interval, "the measure", "stat.confidenceLevel")
    steps = ", ".join(f"{c} {r:.2g}" for c, r in zip(modelled, resolution, strict=True))
    text = f"share of held-out sources of that class at least as strange; resolution {steps}"
    yield "outlier_p", products.outlier_p, text, "stat.probability"


def _ends(name: str, interval, of: str, ucd: str) -> Iterator[tuple[str, Any, str, str]]:
    """Both ends of an interval; none where there are no draws."""
    for end, word in enumerate(ENDS[: interval.shape[-1]]):
        text = f"{'lower' if end == 0 else 'upper'} end of the 90 % interval of {of}"
        yield f"{name}_{word}", interval[..., end], text, ucd


def _of_track(products, properties) -> Iterator[tuple[str, Any, str, str]]:
    for g, category in enumerate(properties.categories):
        for c, label in enumerate(properties.classes):
            text = f"probability of {label} from {category} alone"
            yield f"p_{category}_{label}", products.track[:, g, c], text, UCD_PROBABILITY


def set_names(sets: Bool[np.ndarray, "N C"], classes: Sequence[str]) -> np.ndarray:
    """'AGN or XRB', in the order of the classes; the empty string for none."""
    sets = np.asarray(sets)
    # As one text of bytes a row, which is sorted much faster than rows of an array.
    packed = np.packbits(sets, axis=1)
    code = np.ascontiguousarray(packed).view(f"V{packed.shape[1]}")[:, 0]
    _, first, which = np.unique(code, return_index=True, return_inverse=True)
    names = [" or ".join(np.array(classes, str)[sets[row]]) for row in first]
    return np.array(names, str)[which.reshape(-1)]


def class_names(index: Int[np.ndarray, "N"], classes: Sequence[str]):
    """Class names; masked where the index is negative."""
    names = np.array([*classes, ""])[np.asarray(index)]  # -1 picks the empty name
    return (
        np.ma.array(names, mask=np.asarray(index) < 0) if (np.asarray(index) < 0).any() else names
    )
