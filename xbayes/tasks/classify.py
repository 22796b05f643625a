"""A fitted run applied to any catalogue, chunk by chunk, so that its size does not matter.

survey (ids, coordinates, empty columns) -> prior -> each chunk: features -> products -> table

The survey reads the columns that the features need. A catalogue of one chunk is read once; a larger
Parquet file is streamed twice, because the survey must be complete before the first row is
classified.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import jax
from astropy.table import Table, vstack

from xbayes.catalog.columns import subset
from xbayes.catalog.read import Chunks, table_chunks
from xbayes.catalog.roles import check_present, uniform_catalog
from xbayes.catalog.units import convert_units
from xbayes.catalog.whole_check import WholeCheck
from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.predict import classify, padded_size
from xbayes.evaluate.proportions import Estimate, estimate_proportions
from xbayes.features.blocks import BlockCounts, add_blocks
from xbayes.features.build import (
    FeatureReport,
    build_features,
    count_table_blocks,
    merged_report,
    needed_columns,
)
from xbayes.output.run_directory import resolution
from xbayes.output.table import add_pooling_meta, output_table, refuse_clashes
from xbayes.types import Features, InputError

CHUNK = 65_536  # rows in memory at once
ENOUGH = 50_000  # sources from which the class proportions are estimated
ESTIMATE = "estimate"  # the prior that the catalogue itself suggests

Prior = Mapping[str, float] | str | None
Tell = Callable[[str], None]


class Survey(NamedTuple):
    """What must be known of the whole catalogue before a row is classified."""

    blocks: BlockCounts  # which columns each block lacks throughout
    sample: Table  # evenly spaced rows, at most ENOUGH: the columns that the features need


def classify_chunks(
    model: FittedModel,
    chunks: Chunks,
    *,
    prior: Prior = None,
    not_available: frozenset[str] = frozenset(),
    tell: Tell = lambda message: None,
    estimated: Callable[[Estimate], None] = lambda estimate: None,
) -> Iterator[Table]:
    """The classified catalogue, chunk by chunk, with the values that the whole table would give.

    Parameters
    ----------
    model
        The fitted run.
    chunks
        The catalogue. Every column passes through.
    prior
        Class proportions expected in this catalogue; "estimate" takes them from its own sources;
        None keeps those of the run.
    not_available
        Columns that nobody looked at, as in a single row given by hand.
    tell
        Called with each warning, after the last chunk.
    estimated
        Called with the estimated class proportions, before the first chunk.

    Raises
    ------
    InputError
        For a fault of the whole catalogue before the first chunk.
    """
    model = model.with_optional(not_available)
    _check_columns(model, chunks)
    survey = survey_catalog(model, chunks)
    model = _under_prior(model, survey, chunks, prior, estimated)
    size = padded_size(min(chunks.size, chunks.n_rows))
    reports, first = [], 0
    for raw in chunks.read(None):
        table = _uniform(model, raw)
        features, report = _features(model, table, survey.blocks, first)
        products = classify(model.recipe, model.classifier, features, model.log_prior, size)
        yield _classified(model, table, raw.colnames, products)
        reports.append(report)
        first += len(raw)
    for warning in _warnings(merged_report(reports, model.config), not_available):
        tell(warning)


def classify_table(model: FittedModel, table: Table, **options) -> Table:
    """The classified table; options and errors as of `classify_chunks`."""
    chunks = table_chunks(table, max(len(table), 1))
    (classified,) = classify_chunks(model, chunks, **options)
    return classified


def survey_catalog(model: FittedModel, chunks: Chunks) -> Survey:
    """Checks ids and coordinates, and finds the columns that are empty throughout a block.

    Raises
    ------
    InputError
        For an id that is missing or repeated, and coordinates out of range.
    """
    config, roles = model.config, model.config.catalog
    used = {roles.id, roles.ra, roles.dec, roles.block, *needed_columns(config)}
    names = [name for name in chunks.colnames if name in used]

    def uniform() -> Iterator[Table]:
        return (_uniform(model, chunk) for chunk in chunks.read(names))

    check, blocks, sample = WholeCheck(roles), None, []
    every, first = -(-chunks.n_rows // ENOUGH), 0
    for chunk in uniform():
        check.add(chunk)
        more = count_table_blocks(convert_units(chunk, model.units), config)
        if blocks is None:
            blocks = more
        else:
            add_blocks(blocks, more)
        sample.append(subset(chunk, rows=slice(-first % every, None, every)))
        first += len(chunk)
    check.close(uniform)
    assert blocks is not None  # a catalogue has rows
    whole = sample[0] if len(sample) == 1 else vstack(sample, metadata_conflicts="silent")
    return Survey(blocks=blocks, sample=whole)


def estimate_prior(model: FittedModel, survey: Survey, size: int) -> Estimate:
    """The class proportions of a surveyed catalogue; `size` rows are computed at once."""
    features, _ = _features(model, survey.sample, survey.blocks, 0)
    products = classify(model.recipe, model.classifier, features, model.log_prior, size)
    key = jax.random.key(model.config.seed)
    return estimate_proportions(products.posterior, model.applied_log_prior, key)


def _under_prior(
    model: FittedModel,
    survey: Survey,
    chunks: Chunks,
    prior: Prior,
    estimated: Callable[[Estimate], None],
) -> FittedModel:
    if prior != ESTIMATE:
        if isinstance(prior, str):
            raise InputError(f"prior must be class proportions or {ESTIMATE!r}; found {prior!r}")
        return model.under(prior)
    if chunks.n_rows == 1:
        raise InputError("prior 'estimate' needs a catalogue; one source shows no proportions")
    found = estimate_prior(model, survey, padded_size(min(chunks.size, chunks.n_rows)))
    estimated(found)
    return model.under(dict(zip(model.classes, found.proportions.tolist(), strict=True)))


def _features(
    model: FittedModel, table: Table, blocks: BlockCounts, first: int
) -> tuple[Features, FeatureReport]:
    with _counted_from(first):
        return build_features(convert_units(table, model.units), model.config, blocks)


def _classified(model: FittedModel, table: Table, colnames: Sequence[str], products) -> Table:
    passed = [n for n in table.colnames if n in colnames or n == model.config.catalog.id]
    names, smallest = model.recipe.names, resolution(model.classifier)
    made = output_table(subset(table, passed), products, names, smallest)
    add_pooling_meta(made, model.config.catalog, model.applied_log_prior)
    return made


def _warnings(report: FeatureReport, not_available: frozenset[str]) -> Iterator[str]:
    yield from report.warnings
    absent = [c.name for c in report.counts if not (c.measured or c.not_detected)]
    # A single source given by hand is no catalogue to train for.
    if absent and not not_available:
        yield (
            f"{len(absent)} of {len(report.counts)} features are not available anywhere in this "
            "catalogue; a run trained without them weighs the others better: xbayes run CONFIG "
            "--target FILE, with this file"
        )


def _check_columns(model: FittedModel, chunks: Chunks) -> None:
    """Before reading, where all names are known, so that a message can name the nearest."""
    refuse_clashes(chunks.colnames, model.recipe.names)
    roles = model.config.catalog
    # A single row without an id is given one.
    names = [*chunks.colnames, *([roles.id] if chunks.n_rows == 1 else [])]
    check_present(names, roles, list(needed_columns(model.config)), "classify")


def _uniform(model: FittedModel, chunk: Table) -> Table:
    needed = list(needed_columns(model.config))
    return uniform_catalog(chunk, model.config.catalog, needed, "classify")


@contextmanager
def _counted_from(first: int) -> Iterator[None]:
    """Messages count the rows of a chunk; say where it begins."""
    try:
        yield
    except InputError as error:
        if not first:
            raise
        raise InputError(f"{error} (rows are counted from row {first + 1})") from None
