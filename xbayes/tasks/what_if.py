"""One source given by its columns: its products and probability track, and what would change them.

Everything is computed for one row at a time, so that JAX compiles once per run. The numbers are
those of `classify` and `explain`: the same functions compute them.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from xbayes.catalog.match import ColumnOptions, with_aliases
from xbayes.catalog.read import table_chunks
from xbayes.catalog.whole_check import WholeCheck
from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.learned import Classifier
from xbayes.classifier.patterns import parts_of, without
from xbayes.classifier.predict import Products, classify
from xbayes.config.checks import did_you_mean
from xbayes.config.schema import Config
from xbayes.errors import InputError
from xbayes.evaluate.applied_rule import rule_of_run
from xbayes.features.build import FeatureReport, build_features, needed_columns
from xbayes.features.prior import source_prior
from xbayes.figures.track_record import Track
from xbayes.models.term_tables import padded
from xbayes.output.novelty_text import novelty_texts
from xbayes.output.run_directory import resolution
from xbayes.output.table import output_columns
from xbayes.report.build_tracks import tracks_of
from xbayes.tasks.absent_features import Kept, patterns_of
from xbayes.tasks.assumed_distance import at_distance
from xbayes.tasks.given_catalogue import Cell, Row, table_of
from xbayes.tasks.one_source import row_warnings
from xbayes.tasks.survey import in_units_of_run, match_to_run, uniform_chunk
from xbayes.types import Features

AS_TRAINED = ColumnOptions()
NOTHING: Row = MappingProxyType({})


class SourceResult(NamedTuple):
    """One source: its track, and the columns that `classify` gives it."""

    track: Track
    products: Mapping[str, Cell]  # None where masked or not a number
    scaled_value: Float[np.ndarray, "F"]  # of each feature, as its density reads it; else NaN
    scaled_error: Float[np.ndarray, "F"]  # standard error of it: 0 exact or not read, inf unknown
    given: Mapping[str, Cell]  # the columns that were read, with their changes
    warnings: tuple[str, ...]


class OneSource:
    """A run applied to one source at a time; it keeps what another source may need again."""

    def __init__(self, model: FittedModel) -> None:
        self.model = model._replace(classifier=_padded(model.classifier))
        self._kept: Kept = {}

    def result(
        self,
        row: Row,
        *,
        prior: Mapping[str, float] | None = None,
        without: Sequence[str] = (),
        changes: Row = NOTHING,
        distance: float | None = None,
    ) -> SourceResult:
        """The source under what is assumed of it, as `FittedRun.what_if` describes it.

        Raises
        ------
        InputError
            If a column, category, feature or class is not known, or a value cannot be read.
        """
        categories, features, columns = self._left_out(without)
        cells = _under_names_of_run(self.model.config, row)
        cells |= _under_names_of_run(self.model.config, changes)
        if distance is not None:
            cells |= at_distance(self.model.config, self.model.units, cells, distance)
        cells = {name: cell for name, cell in cells.items() if name not in columns}
        names = self.model.recipe.names
        absent = np.array([f in features for f in names.features])
        absent |= np.array([names.categories[g] in categories for g in names.category])
        with jax.enable_x64(self.model.config.precision == "float64"):  # of this thread only
            return self._classified(_built(self.model.under(prior), cells), absent, cells)

    def _left_out(self, names: Sequence[str]) -> tuple[set[str], set[str], set[str]]:
        """The categories, the features and the columns among these names."""
        categories = set(self.model.recipe.names.categories)
        features, columns = set(self.model.config.features), set(needed_columns(self.model.config))
        known = [*sorted(categories), *self.model.config.features, *sorted(columns)]
        for name in names:
            if name not in known:
                near = did_you_mean(name, list(dict.fromkeys(known)), "it has")
                raise InputError(f"the run has no category, feature or column {name!r}{near}")
        asked = set(names)
        features &= asked - categories
        return asked & categories, features, asked & columns - categories - features

    def _classified(
        self, built: "_Built", absent: Bool[np.ndarray, "F"], cells: Row
    ) -> SourceResult:
        model, features, log_prior = built.model, built.features, built.log_prior
        left_out = absent if absent.any() else None
        if left_out is not None:
            features = without(features, absent)
        patterns = patterns_of(model, left_out=left_out, kept=self._kept)
        (part,) = parts_of(model.classifier, features, patterns)
        classifier = _padded(part.classifier)
        rule = rule_of_run(model.recipe, model.classifier, model.prior_of_rule).rule
        products = classify(model.recipe, classifier, part.features, log_prior, 1, rule=rule)
        (track,) = tracks_of(
            model.config,
            model.recipe,
            classifier,
            [built.name],
            part.features,
            products,
            log_prior=log_prior,
        )
        measured = np.asarray(part.features.measured)[0]
        return SourceResult(
            track=track,
            products=_columns(model, classifier, products),
            scaled_value=np.where(measured, np.asarray(part.features.value)[0], np.nan),
            scaled_error=np.where(measured, np.asarray(part.features.error)[0], 0.0),
            given=cells,
            warnings=tuple(row_warnings(model.config, list(cells), built.report)),
        )


class _Built(NamedTuple):
    """The features of the source, and the model for a row that lacks these columns."""

    model: FittedModel
    name: str
    features: Features
    report: FeatureReport
    log_prior: Float[np.ndarray, "*R C"] | None


def _built(model: FittedModel, cells: Row) -> _Built:
    table, absent = table_of(model.config, cells, AS_TRAINED)
    matched = match_to_run(model, table_chunks(table, 1), AS_TRAINED)
    model = model.with_optional(absent or ())
    config, lacked_by = model.config, model.trained_on.lacked_by
    with matched.explaining_errors():
        checked = uniform_chunk(model, next(matched.chunks.read(None)))
        check = WholeCheck(config.catalog)
        check.add(checked)
        check.close(lambda: [checked])
        converted = in_units_of_run(model, checked)
        features, report = build_features(converted, config, lacked_by)
        own = source_prior(converted, config, model.applied_log_prior, lacked_by)
    return _Built(
        model=model,
        name=str(checked[config.catalog.id][0]),
        features=features,
        report=report,
        log_prior=model.log_prior if own is None else own.log_prior,
    )


def _under_names_of_run(config: Config, row: Row) -> dict[str, Cell]:
    options = with_aliases(AS_TRAINED, config.catalog.aliases, list(row))
    of_run = {own: name for name, own in options.map.items()}
    return {of_run.get(name, name): cell for name, cell in row.items()}


def _padded(classifier: Classifier) -> Classifier:
    """With terms of a size that other classifiers share, so that JAX compiles once."""
    return classifier._replace(terms=classifier.terms and padded(classifier.terms))


def _columns(model: FittedModel, classifier: Classifier, products: Products) -> dict[str, Cell]:
    why, names = novelty_texts(model.config.features, products), model.recipe.names
    made = output_columns(products, names, resolution(classifier), novelty_why=why)
    return {name: _plain(values[0]) for name, values, _, _ in made}


def _plain(value: object) -> Cell:
    """A value of NumPy as one of Python."""
    if value is np.ma.masked:
        return None
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and np.isnan(plain) else plain  # type: ignore[return-value]
