"""A labelled catalogue, read and checked, and the two ways to learn from it.

read -> check roles and labels -> build features -> drop features that do not vary
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float, Int

from xbayes.catalog.adapt import column_messages
from xbayes.catalog.columns import masked_column, subset
from xbayes.catalog.inputs import Origin
from xbayes.catalog.marked_names import marked_name_warnings
from xbayes.catalog.sky_cells import sky_cells
from xbayes.catalog.splits import joined_groups
from xbayes.catalog.taxonomy import (
    class_indices,
    condition_warnings,
    group_indices,
    label_warnings,
    subclass_indices,
    with_subclasses,
)
from xbayes.classifier.fit import FitReport, fit_classifier
from xbayes.classifier.predict import Classifier
from xbayes.classifier.recipe import Recipe
from xbayes.config.schema import Config, given_log_prior
from xbayes.errors import InputError
from xbayes.evaluate.cross_validate import (
    CrossValidation,
    cross_validate,
    inner_folds,
    labelled_rows,
    scarcity_warnings,
)
from xbayes.evaluate.harder_split import HarderSplit, check_folds, choose_harder
from xbayes.features.build import (
    FeatureReport,
    build_features,
    names_of,
    useful_features,
)
from xbayes.features.conditions import conditions_of_classes, well_characterised
from xbayes.features.described import described
from xbayes.features.prior import source_prior
from xbayes.features.prior_messages import prior_messages
from xbayes.features.trained_on import state_degrees, training_stand_ins
from xbayes.output.table import output_names, passed_columns, refuse_clashes
from xbayes.tasks.read_training import read_training, release_indices
from xbayes.tasks.soft_labels import (
    SoftLabels,
    agreement,
    read_soft_labels,
    scored_rows,
    with_soft_rows,
)
from xbayes.tasks.target import fit_to_target
from xbayes.types import Features, Labels

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike, Releases

Progress = Callable[[float, str], None]  # completed share in [0, 1], the step that begins


class Training(NamedTuple):
    """A catalogue ready to learn from, without the rows whose label the config excludes."""

    config: Config  # without the features that were dropped
    origin: Origin
    table: Table
    features: Features
    report: FeatureReport
    labels: Labels
    warnings: tuple[str, ...]
    well: Bool[np.ndarray, "N"] | None = None  # well-characterised rows, if the config defines them
    row_weight: Float[np.ndarray, "N"] | None = None  # None: equal weights
    releases: tuple[str, ...] = ()  # names of the releases; empty if there are none
    soft: SoftLabels | None = None  # labels that votes made; None: the config has none

    @property
    def learned_rows(self) -> tuple[Features, Labels]:
        """Features and labels that fits learn from, with those of votes after the N rows."""
        return with_soft_rows(self.features, self.labels, self.soft)


def load_training(config: Config, catalog: "CatalogLike | Releases") -> Training:
    """The labelled catalogue, read from a path or a table, checked and turned into features.

    A mapping of releases is joined into one catalogue.

    Raises
    ------
    InputError
        If the catalogue does not match the config, or if no feature of it varies.
    """
    label = _label_column(config)
    read = read_training(config, catalog, label)
    config, table, roles = read.config, read.table, read.config.catalog
    state_degrees(table, config)
    config = described(config, table)
    conditions = conditions_of_classes(table, config)
    taxonomy = with_subclasses(config.taxonomy, masked_column(table, label), conditions)
    config = config.model_copy(update={"taxonomy": taxonomy})
    refuse_clashes(passed_columns(roles), names_of(config))
    about_columns = _column_messages(table, config)
    class_index, included = class_indices(masked_column(table, label), taxonomy, conditions)
    about_labels = [
        *label_warnings(masked_column(table, label), taxonomy),
        *condition_warnings(masked_column(table, label), taxonomy, conditions),
    ]
    subclass = subclass_indices(masked_column(table, label), taxonomy, conditions)
    table, class_index = subset(table, rows=included), class_index[included]
    releases, labels = _labels_of(table, config, class_index, link=read.link, included=included)
    labels = labels._replace(subclass=None if subclass is None else subclass[included])
    joined_names = marked_name_warnings(table, source=roles.source, group=roles.group)
    stand_ins = (*training_stand_ins(table, config), *joined_names)
    features, report = build_features(table, config)
    prior = source_prior(table, config, _constant_log_prior(config, class_index))
    labels = labels if prior is None else labels._replace(log_prior=prior.log_prior)
    about_prior = prior_messages(table, config, prior)
    given = config.model.alpha
    target = fit_to_target(config, table, features, class_index >= 0)
    if target is not None:
        config, features = _with_features(config, features, target.measured)
    config, features, dropped = _drop_constant_features(config, features, class_index >= 0)
    dropped = [*dropped, *_weights_left_out(given, config.model.alpha)]
    about_folds = check_folds(labels, config, releases)
    about_labels += scarcity_warnings(labels, list(config.taxonomy.classes))
    about_target = target.warnings if target else ()
    soft = read_soft_labels(config, table) if "crowd" in config.taxonomy.labels else None
    rules = config.validation.well_characterised
    return Training(
        config=config,
        origin=read.origin,
        table=table,
        features=features,
        report=report,
        labels=labels,
        warnings=(
            *read.warnings,
            *about_folds,
            *report.warnings,
            *about_target,
            *dropped,
            *about_prior,
            *about_labels,
            *(soft.warnings if soft else ()),
            *stand_ins,
            *about_columns,
        ),
        well=None if rules is None else well_characterised(table, rules),
        row_weight=target.row_weight if target else None,
        releases=releases,
        soft=soft,
    )


def _labels_of(
    table: Table,
    config: Config,
    class_index: Int[np.ndarray, "N"],
    *,
    link: Int[np.ndarray, "M"] | None,
    included: Bool[np.ndarray, "M"],
) -> tuple[tuple[str, ...], Labels]:
    """The names of the releases, and classes, groups, cells and releases of the rows.

    `link` numbers the sources of the catalogue before rows were left out; None: one file.
    """
    roles = config.catalog
    releases, release = release_indices(table, roles)
    group = group_indices(table, roles)
    return releases, Labels(
        class_index=class_index,
        group=group if link is None else joined_groups(group, link[included]),
        cell=sky_cells(table, roles, config.validation.cell),
        release=release,
    )


def _constant_log_prior(
    config: Config, class_index: Int[np.ndarray, "N"]
) -> Float[np.ndarray, "C"]:
    """The prior of sources for which the expressions of `model.prior` have no value."""
    given = given_log_prior(config)
    if given is not None:
        return given
    members = np.bincount(class_index[class_index >= 0], minlength=len(config.taxonomy.classes))
    return np.log(np.maximum(members, 1e-3) / members.sum())


def _label_column(config: Config) -> str:
    if config.catalog.label is None:
        raise InputError(
            "the config names no label column (catalog.label), so there are no labels to learn "
            "from; set it, or apply a fitted run with 'xbayes classify'"
        )
    return config.catalog.label


def cross_validate_training(
    training: Training, recipe: Recipe, progress: Progress = lambda share, step: None
) -> CrossValidation:
    """The out-of-fold products of every labelled row, on the folds of the config.

    Rows after those of the catalogue are those of soft labels.
    """
    validation = training.config.validation
    return cross_validate(
        recipe,
        *training.learned_rows,
        jax.random.fold_in(jax.random.key(training.config.seed), 0),
        validation.folds,
        n_repeats=validation.repeats,
        seed=training.config.seed,
        kind=validation.split,
        log_prior=given_log_prior(training.config),
        row_weight=training.row_weight,
        progress=counted(progress),
    )


def scored_and_agreement(
    training: Training, held_out: CrossValidation
) -> tuple[CrossValidation, dict | None]:
    """The products of rows with a reference label, and how the votes agree with the classifier."""
    if training.soft is None:
        return held_out, None
    classes = list(training.config.taxonomy.classes)
    record = agreement(training.soft, training.labels, held_out, classes)
    return scored_rows(held_out, len(training.labels.class_index)), record


def cross_validate_harder(
    training: Training, recipe: Recipe, progress: Progress = lambda share, step: None
) -> HarderSplit | None:
    """Out-of-fold products on the harder folds of `validation.harder`; None if nobody wants it."""
    validation, labels = training.config.validation, training.labels
    choice = choose_harder(labels, training.config)
    if choice is None or choice.split is None:
        return choice
    started = time.monotonic()
    held_out = cross_validate(
        recipe,
        *training.learned_rows,
        jax.random.fold_in(jax.random.key(training.config.seed), 2),
        validation.harder_folds,
        seed=training.config.seed,
        kind=choice.split,
        log_prior=given_log_prior(training.config),
        row_weight=training.row_weight,
        progress=counted(progress),
    )
    held_out = scored_rows(held_out, len(labels.class_index))
    return choice._replace(held_out=held_out, seconds=time.monotonic() - started)


def counted(progress: Progress) -> Callable[[str], None]:
    """A callback for messages such as "outer fold 2 of 5", which tells the completed share."""

    def call(message: str) -> None:
        done, _, total = message.removeprefix("outer fold ").partition(" of ")
        progress((int(done) - 1) / int(total), message)

    return call


def fit_training(training: Training, recipe: Recipe) -> tuple[Classifier, FitReport]:
    """The classifier fitted on all labelled rows, and the choices made in the fit."""
    features, labels = training.learned_rows
    return fit_rows(training.config, recipe, features, labels, training.row_weight)


def fit_rows(
    config: Config,
    recipe: Recipe,
    features: Features,
    labels: Labels,
    row_weight: Float[np.ndarray, "N"] | None = None,
) -> tuple[Classifier, FitReport]:
    """As `fit_training`, for features and labels as `run` stores them."""
    model = config.model
    if model.density != "published_clusters" or model.clusters.fit_on != "everything":
        # The same rows as in cross-validation, so that JAX does not compile again.
        rows, features, labels = labelled_rows(features, labels)
        row_weight = None if row_weight is None else row_weight[rows]
    truth, group, seed = labels.class_index, labels.group, config.seed
    split = recipe.inner_split or config.validation.split
    rows, cell = truth >= 0, labels.cell
    fold = inner_folds(truth, group, rows, recipe.n_folds, seed, split, cell=cell)
    key = jax.random.fold_in(jax.random.key(seed), 1)
    return fit_classifier(recipe, features, labels, fold, key, row_weight)


def _column_messages(table: Table, config: Config) -> list[str]:
    """What the catalogues of the run directory will not hold as it stands."""
    passed, made = subset(table, passed_columns(config.catalog)), output_names(names_of(config))
    messages = (
        message
        for ending in (".fits", ".parquet")
        for message in column_messages(passed, f"catalog{ending}", made)
    )
    return [*dict.fromkeys(messages)]


def _drop_constant_features(
    config: Config, features: Features, labelled: np.ndarray
) -> tuple[Config, Features, list[str]]:
    """Drop features that do not vary among the labelled rows, with a warning for each."""
    evidence = np.array([feature.missing == "evidence" for feature in config.features.values()])
    useful, warnings = useful_features(features, labelled, list(config.features), evidence)
    if not useful.any():
        raise InputError(
            "no feature varies among the labelled rows, so nothing can be learned; "
            "check the expressions and the catalogue: " + "; ".join(warnings)
        )
    return *_with_features(config, features, useful), warnings


def _with_features(
    config: Config, features: Features, selected: Bool[np.ndarray, "F"]
) -> tuple[Config, Features]:
    """The config and the features with the selected features only."""
    pairs = zip(config.features.items(), selected, strict=True)
    remaining = {name: feature for (name, feature), keep in pairs if keep}
    used = {feature.category for feature in remaining.values()}
    categories = {name: value for name, value in config.categories.items() if name in used}
    update: dict[str, object] = {"features": remaining, "categories": categories}
    if config.model.alpha is not None:
        alpha = {name: value for name, value in config.model.alpha.items() if name in used}
        update["model"] = config.model.model_copy(update={"alpha": alpha})
    return config.model_copy(update=update), features.columns(selected)


def _weights_left_out(
    given: Mapping[str, float] | None, alpha: Mapping[str, float] | None
) -> list[str]:
    """A warning for each given weight whose category has no feature left."""
    return [
        f"category {name!r} has no feature left, so its weight model.alpha.{name} is left out; "
        "with model.normalise the sum of the weights lacks it"
        for name in given or {}
        if name not in (alpha or {})
    ]
