"""A fitted run applied to any catalogue, chunk by chunk, so that its size does not matter.

match_columns -> survey_catalog -> prior -> for each chunk: features -> products -> table

The survey reads the columns that the features need. A catalogue of one chunk is read once; a larger
Parquet file is streamed twice, because the survey must be complete before the first row is
classified.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from astropy.table import Table

from xbayes.catalog.adapt import Told, column_messages
from xbayes.catalog.columns import subset
from xbayes.catalog.match import ColumnOptions
from xbayes.catalog.read import Chunks, table_chunks
from xbayes.catalog.text_numbers import as_it_stood
from xbayes.catalog.units import units_of
from xbayes.catalog.write import catalog_writer
from xbayes.classifier.blocks import padded_size
from xbayes.classifier.decision import DecisionRule
from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.patterns import Patterns, classify_by_pattern
from xbayes.classifier.predict import Products
from xbayes.errors import InputError
from xbayes.evaluate.applied_rule import AppliedRule, Asked
from xbayes.evaluate.label_shift import CheckedEstimate
from xbayes.features.build import FeatureReport, build_features, columns_of, merged_report
from xbayes.features.prior import SourcePrior, source_prior
from xbayes.features.prior_messages import constant_prior_text
from xbayes.output.novelty_text import novelty_texts
from xbayes.output.report_data import has_training_rows
from xbayes.output.run_directory import resolution
from xbayes.output.table import add_pooling_meta, other_names, output_names, output_table
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
from xbayes.types import Features

CHUNK_IN_MEMORY = 65_536  # rows of a catalogue
LISTED = 5  # columns that a warning names
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
        The catalogue. Every column passes through, under its own name unless a product has it.
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
    clashing = other_names(chunks.colnames, model.recipe.names)
    if isinstance(prior, Mapping):
        model = model.under(prior)  # then the columns of the prior of the run are not needed
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
    shown = {name: clashing.get(name, name) for name in matched.own}
    own = {shown[name]: clashing.get(own, own) for name, own in matched.own.items()}
    output_as = matched._replace(own=own)
    reports, priors, first_row, shift = [], [], 0, ShiftCheck(model)
    for chunk in chunks.read(None):
        with matched.explaining_errors():
            table = uniform_chunk(model, chunk)
            rows = rows_of(model, table, first_row)
            products = products_of(model, rows, patterns, size, rule=applied.rule)
            as_it_stood(chunk, table)
            output = _output(model, table, shown, products)
            output.meta = {**(output.meta or {}), "DECISION": applied.text}
        yield output_as.own_names(output)
        reports.append(rows.report)
        priors.append(rows.prior)
        shift.add(rows.features, products)
        first_row += len(chunk)
    found = survey.warnings if given is None else survey.stand_ins
    in_file = units_of(survey.sample, survey.sample.colnames)
    if clashing:
        pairs = [f"{name!r} as {new!r}" for name, new in clashing.items()]
        more = f" and {len(pairs) - LISTED} more" if len(pairs) > LISTED else ""
        renamed = ", ".join(pairs[:LISTED]) + more
        warn(f"columns with the name of an output column pass under other names: {renamed}")
    of_features = _warnings(merged_report(reports, model.config), model, given)
    of_prior = _prior_warnings(priors, first_row)
    for message in (*found, *of_features, *of_prior, *shift.messages(survey.ranges, in_file)):
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
    return products_of(model, rows_of(model, survey.sample, 0), patterns, size)


def products_of(
    model: FittedModel,
    rows: "Rows",
    patterns: Patterns,
    size: int,
    rule: DecisionRule | None = None,
    short: int | None = None,
) -> Products:
    """The results of the rows; `size` rows are computed at once, `short` rows of a remainder."""
    return classify_by_pattern(
        model.recipe,
        model.classifier,
        rows.features,
        patterns,
        log_prior=model.log_prior if rows.prior is None else rows.prior.log_prior,
        size=size,
        rule=rule,
        short=short,
    )


class Rows(NamedTuple):
    """What is known of the rows of a chunk before they are classified."""

    features: Features
    report: FeatureReport
    prior: SourcePrior | None


def rows_of(model: FittedModel, table: Table, first_row: int) -> Rows:
    """The features and priors of a chunk that begins at `first_row` of the catalogue."""
    with _rows_counted_from(first_row):
        table, lacked_by = in_units_of_run(model, table), model.trained_on.lacked_by
        features, report = build_features(table, model.config, lacked_by)
        prior = source_prior(table, model.config, model.applied_log_prior, lacked_by)
        return Rows(features=features, report=report, prior=prior)


def _output(
    model: FittedModel, table: Table, shown: Mapping[str, str], products: Products
) -> Table:
    """The columns of the catalogue, under the names `shown`, followed by the products."""
    passed = subset(
        table, [n for n in table.colnames if n in shown or n == model.config.catalog.id]
    )
    for name in passed.colnames:
        if shown.get(name, name) != name:
            passed.rename_column(name, shown[name])
    smallest = resolution(model.classifier)
    why, names = novelty_texts(model.config.features, products), model.recipe.names
    output = output_table(passed, products, names, smallest, novelty_why=why)
    add_pooling_meta(output, model.config.catalog, model.applied_log_prior)
    return output


def _warnings(
    report: FeatureReport, model: FittedModel, given: Sequence[str] | None
) -> Iterator[str]:
    """Warnings about a catalogue, or about a single source with the `given` columns."""
    config = model.config
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
        advice = (
            "; a run trained without them weighs the others better: xbayes run CONFIG --target "
            "FILE, with this file"
        )
        yield (
            f"{len(absent)} of {len(report.counts)} features are not available anywhere in this "
            f"catalogue{advice if has_training_rows(model.folder) else ''}"
        )


def _prior_warnings(priors: Sequence[SourcePrior | None], n_rows: int) -> Iterator[str]:
    """A warning of the sources with the constant prior; with the reasons if there is one chunk."""
    known = [prior for prior in priors if prior is not None]
    n_constant = sum(prior.n_constant for prior in known)
    if n_constant:
        reasons = known[0].reasons if len(known) == 1 else ()
        yield constant_prior_text(n_constant, n_rows, reasons)


@contextmanager
def _rows_counted_from(first_row: int) -> Iterator[None]:
    """Adds the row at which the chunk begins to error messages, which count rows in the chunk."""
    try:
        yield
    except InputError as error:
        if not first_row:
            raise
        raise InputError(f"{error} (rows are counted from row {first_row + 1})") from None
