"""A fitted run applied to any catalogue, chunk by chunk, so that its size does not matter.

match_columns -> survey_catalog -> prior -> for each chunk: features -> products -> table

The survey reads the columns that the features need. A catalogue of one chunk is read once; a larger
Parquet file is streamed twice, because the survey must be complete before the first row is
classified.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from astropy.table import Table

from xbayes.catalog.adapt import Told, column_messages
from xbayes.catalog.columns import subset
from xbayes.catalog.match import ColumnOptions
from xbayes.catalog.read import Chunks, table_chunks
from xbayes.catalog.text_numbers import as_it_stood
from xbayes.catalog.write import catalog_writer
from xbayes.classifier.decision import DecisionRule
from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.patterns import Patterns, classify_by_pattern
from xbayes.classifier.predict import Products, padded_size
from xbayes.config.schema import Config
from xbayes.evaluate.applied_rule import AppliedRule, Asked
from xbayes.evaluate.label_shift import CheckedEstimate
from xbayes.features.build import FeatureReport, build_features, columns_of, merged_report
from xbayes.output.run_directory import resolution
from xbayes.output.table import add_pooling_meta, output_names, output_table, refuse_clashes
from xbayes.tasks.absent_features import patterns_of
from xbayes.tasks.one_source import row_warnings
from xbayes.tasks.shift import ShiftCheck
from xbayes.tasks.survey import (
    Survey,
    in_units_of_run,
    match_to_run,
    survey_catalog,
    uniform_chunk,
)
from xbayes.tasks.whole_catalogue import Prior, applied_rule, with_prior
from xbayes.types import Features, InputError

CHUNK_IN_MEMORY = 65_536  # rows of a catalogue
AS_TRAINED = ColumnOptions()

Warn = Callable[[str], None]


def classify_chunks(
    model: FittedModel,
    chunks: Chunks,
    *,
    prior: Prior = None,
    columns: ColumnOptions = AS_TRAINED,
    not_available: frozenset[str] | None = None,
    warn: Warn = lambda message: None,
    estimated: Callable[[CheckedEstimate], None] = lambda estimate: None,
    decision: Asked | None = None,
    decided: Callable[[AppliedRule], None] = lambda rule: None,
) -> Iterator[Table]:
    """The classified catalogue, chunk by chunk, with the same values as for the whole table.

    Parameters
    ----------
    model
        The fitted run.
    chunks
        The catalogue. Every column passes through, under its own name.
    prior
        Class proportions expected in this catalogue; "estimate" estimates them from its sources;
        None keeps those of the run.
    columns
        How its columns differ from those of the run: names, units, markers of missing values.
    not_available
        For a single source given by hand: the columns of the run that are not given.
    warn
        Called with each warning, after the last chunk.
    estimated
        Called with the estimated class proportions, before the first chunk.
    decision
        The decision rule: "argmax", "f1", "expected_f1", {"precision": 0.9}, or "catalogue", which
        learns the threshold of the run's rule on this catalogue; None keeps that of the run.
    decided
        Called with the decision rule, before the first chunk.

    Raises
    ------
    InputError
        For a fault of the whole catalogue, before the first chunk.
    """
    refuse_clashes(chunks.colnames, model.recipe.names)
    matched = match_to_run(model, chunks, columns)
    model = model.with_optional(
        {*(not_available or ()), *columns.optional}, **columns.values_by_key()
    )
    chunks = matched.chunks
    given = None if not_available is None else chunks.colnames
    with matched.explaining_errors():
        survey = survey_catalog(model, chunks)
        size = padded_size(min(chunks.size, chunks.n_rows))
        # One source given by hand usually lacks many features, which needs no warning.
        patterns = patterns_of(model, warn if given is None else lambda message: None)
        sample = partial(_sample_products, survey=survey, patterns=patterns, size=size)
        model = with_prior(model, prior, chunks.n_rows, sample, estimated=estimated, warn=warn)
        applied = applied_rule(model, decision, chunks.n_rows, sample)
        decided(applied)
    reports, first_row, shift = [], 0, ShiftCheck(model)
    for chunk in chunks.read(None):
        with matched.explaining_errors():
            table = uniform_chunk(model, chunk)
            features, report = _features(model, table, first_row)
            products = _products(model, features, patterns, size, rule=applied.rule)
            as_it_stood(chunk, table)
            output = _output(model, table, [*matched.own], products)
            output.meta = {**(output.meta or {}), "DECISION": applied.text}
        yield matched.own_names(output)
        reports.append(report)
        shift.add(features, products)
        first_row += len(chunk)
    found = survey.warnings if given is None else survey.stand_ins
    of_features = _warnings(merged_report(reports, model.config), model.config, given)
    for message in (*found, *of_features, *shift.messages(survey.ranges)):
        warn(matched.explained(message))


def classify_to_file(
    model: FittedModel,
    chunks: Chunks,
    path: Path,
    *,
    overwrite: bool = False,
    warn: Warn = lambda message: None,
    **options,
) -> None:
    """Write the classified catalogue; options and errors as of `classify_chunks`.

    What the format of the file cannot hold is told before the first row is classified.
    """
    told: set[Told] = set()
    first = next(iter(chunks.read(None)))
    for message in column_messages(first, path, output_names(model.recipe.names), told):
        warn(message)
    with catalog_writer(path, overwrite, warn=warn, told=told) as append:
        for part in classify_chunks(model, chunks, warn=warn, **options):
            append(part)


def classify_table(model: FittedModel, table: Table, **options) -> Table:
    """The classified table; options and errors as of `classify_chunks`."""
    chunks = table_chunks(table, max(len(table), 1))
    (classified,) = classify_chunks(model, chunks, **options)
    return classified


def _sample_products(model: FittedModel, survey: Survey, patterns: Patterns, size: int) -> Products:
    """The products of the surveyed sample of the catalogue."""
    features, _ = _features(model, survey.sample, 0)
    return _products(model, features, patterns, size)


def _products(
    model: FittedModel,
    features: Features,
    patterns: Patterns,
    size: int,
    rule: DecisionRule | None = None,
) -> Products:
    """The results of the rows; `size` rows are computed at once."""
    return classify_by_pattern(
        model.recipe,
        model.classifier,
        features,
        patterns,
        log_prior=model.log_prior,
        size=size,
        rule=rule,
    )


def _features(model: FittedModel, table: Table, first_row: int) -> tuple[Features, FeatureReport]:
    """The features of a chunk that begins at `first_row` of the catalogue."""
    with _rows_counted_from(first_row):
        lacked_by = model.trained_on.lacked_by
        return build_features(in_units_of_run(model, table), model.config, lacked_by)


def _output(model: FittedModel, table: Table, colnames: Sequence[str], products: Products) -> Table:
    """The columns of the catalogue, followed by the products."""
    passed = [n for n in table.colnames if n in colnames or n == model.config.catalog.id]
    smallest = resolution(model.classifier)
    output = output_table(subset(table, passed), products, model.recipe.names, smallest)
    add_pooling_meta(output, model.config.catalog, model.applied_log_prior)
    return output


def _warnings(report: FeatureReport, config: Config, given: Sequence[str] | None) -> Iterator[str]:
    """Warnings about a catalogue, or about a single source with the `given` columns."""
    if given is not None:
        yield from row_warnings(config, given, report)
        return
    yield from report.warnings
    evidence = {name for name, f in config.features.items() if f.missing == "evidence"}
    nowhere = [c for c in report.counts if not c.measured]
    for count in nowhere:
        if count.name in evidence and count.not_detected:
            needs = ", ".join(sorted(columns_of(config, count.name)))
            yield (
                f"feature {count.name!r} is measured in no row of this catalogue, and "
                f"{count.not_detected} rows count as not detected, which is evidence; if nobody "
                f"looked, name the empty column with --optional (in Python optional=): {needs}"
            )
    absent = [c.name for c in nowhere if not (c.name in evidence and c.not_detected)]
    if absent:
        yield (
            f"{len(absent)} of {len(report.counts)} features are not available anywhere in this "
            "catalogue; a run trained without them weighs the others better: xbayes run CONFIG "
            "--target FILE, with this file"
        )


@contextmanager
def _rows_counted_from(first_row: int) -> Iterator[None]:
    """Adds the row at which the chunk begins to error messages, which count rows in the chunk."""
    try:
        yield
    except InputError as error:
        if not first_row:
            raise
        raise InputError(f"{error} (rows are counted from row {first_row + 1})") from None
