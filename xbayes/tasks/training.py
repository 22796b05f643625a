"""A labelled catalogue, read and checked, ready to learn from.

read -> roles, labels -> features -> the features that tell labelled sources apart
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float

from xbayes.catalog.columns import masked_column, subset
from xbayes.catalog.inputs import Origin, as_table, origin_of
from xbayes.catalog.roles import check_catalog
from xbayes.catalog.taxonomy import class_indices, group_indices, subclass_indices
from xbayes.catalog.units import stand_in_warnings
from xbayes.classifier.recipe import Recipe
from xbayes.config.schema import Config, given_log_prior
from xbayes.evaluate.cross_validate import CrossValidation, cross_validate, require_members
from xbayes.features.build import (
    FeatureReport,
    build_features,
    names_of,
    needed_columns,
    useful_features,
)
from xbayes.features.conditions import well_characterised
from xbayes.output.table import passed_columns, refuse_clashes
from xbayes.tasks.target import for_target
from xbayes.types import Features, InputError, Labels

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike

Progress = Callable[[float, str], None]  # share done in [0, 1], what is being done


class Training(NamedTuple):
    """A catalogue ready to learn from; rows with a label that is left out are gone."""

    config: Config  # without the features that say nothing
    origin: Origin
    table: Table
    features: Features
    report: FeatureReport
    labels: Labels
    warnings: tuple[str, ...]
    well: Bool[np.ndarray, "N"] | None = None  # rows known well, where the config tells which
    row_weight: Float[np.ndarray, "N"] | None = None  # what each counts for; None: all alike


def use_precision(config: Config) -> None:
    """Switch JAX to the precision of the config for good; for scripts, never on import."""
    jax.config.update("jax_enable_x64", config.precision == "float64")


@contextmanager
def in_precision(precision: str) -> Iterator[None]:
    """JAX computes in `precision`, "float64" or "float32", in every thread until the block ends."""
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", precision == "float64")
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


def load_training(config: Config, catalog: "CatalogLike") -> Training:
    """A labelled catalogue, read and checked: a path, or a table in memory.

    Raises
    ------
    InputError
        For a catalogue that the config does not fit, or that nothing can be learned from.
    """
    roles, label = config.catalog, config.catalog.label
    if label is None:
        raise InputError(
            "the config names no label column (catalog.label), so there is nothing to learn from; "
            "set it, or apply a fitted run with 'xbayes classify'"
        )
    needed = [*needed_columns(config), label, *roles.keep]
    needed += [column for column in (roles.source, roles.group, roles.block) if column]
    table = check_catalog(as_table(catalog, text=[roles.id]), roles, needed, "train")
    _refuse_what_fits_cannot_hold(subset(table, passed_columns(roles)))
    refuse_clashes(passed_columns(roles), names_of(config))
    class_index, kept = class_indices(masked_column(table, label), config.taxonomy)
    table, class_index = subset(table, rows=kept), class_index[kept]
    subclass = subclass_indices(masked_column(table, label), config.taxonomy)
    features, report = build_features(table, config)
    asked = for_target(config, table, features, class_index >= 0)
    if asked is not None:
        config, features = _with_features(config, features, asked.measured)
    config, features, dropped = _drop_useless(config, features, class_index >= 0)
    labels = Labels(class_index, group_indices(table, roles), subclass)
    validation = config.validation
    require_members(labels, list(config.taxonomy.classes), validation.folds, validation.inner_folds)
    doubts = stand_in_warnings(table, list(needed_columns(config)))
    told = (*report.warnings, *(asked.warnings if asked else ()), *dropped, *doubts)
    wanted = validation.well_characterised
    well = None if wanted is None else well_characterised(table, wanted)
    return Training(
        config=config,
        origin=origin_of(catalog),
        table=table,
        features=features,
        report=report,
        labels=labels,
        warnings=told,
        well=well,
        row_weight=asked.row_weight if asked else None,
    )


def cross_validate_training(
    training: Training, recipe: Recipe, progress: Progress = lambda share, what: None
) -> CrossValidation:
    """Held-out products of every labelled row, on the folds that the config asks for."""
    validation = training.config.validation
    total = validation.folds * validation.repeats
    done = iter(range(total))
    return cross_validate(
        recipe,
        training.features,
        training.labels,
        jax.random.fold_in(jax.random.key(training.config.seed), 0),
        validation.folds,
        n_repeats=validation.repeats,
        seed=training.config.seed,
        kind=validation.split,
        log_prior=given_log_prior(training.config),
        row_weight=training.row_weight,
        progress=lambda message: progress(next(done) / total, message),
    )


def _refuse_what_fits_cannot_hold(table: Table) -> None:
    """Known now, rather than when `catalog.fits` is written after all the work."""
    for name in table.colnames:
        for text in np.ma.asarray(table[name]).compressed():
            if isinstance(text, str) and not text.isascii():
                raise InputError(
                    f"column {name!r} holds {str(text)!r}, which FITS cannot; use plain ASCII"
                )


def _drop_useless(
    config: Config, features: Features, labelled: np.ndarray
) -> tuple[Config, Features, list[str]]:
    """Leave out features that tell no labelled rows apart, with a warning each."""
    evidence = np.array([feature.missing == "evidence" for feature in config.features.values()])
    useful, warnings = useful_features(features, labelled, list(config.features), evidence)
    if not useful.any():
        raise InputError(
            "no feature varies among the labelled rows, so nothing can be learned; "
            "check the expressions and the catalogue: " + "; ".join(warnings)
        )
    return *_with_features(config, features, useful), warnings


def _with_features(
    config: Config, features: Features, kept: Bool[np.ndarray, "F"]
) -> tuple[Config, Features]:
    named = {name: f for (name, f), use in zip(config.features.items(), kept, strict=True) if use}
    columns = features.columns(kept)
    categories = {feature.category for feature in named.values()}
    told = {name: c for name, c in config.categories.items() if name in categories}
    return config.model_copy(update={"features": named, "categories": told}), columns
