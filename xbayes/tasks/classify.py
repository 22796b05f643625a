"""A fitted run applied to any catalogue, chunk by chunk, so that its size does not matter.

first pass: ids, coordinates, and which columns a block lacks throughout -> second pass: chunk ->
features -> products -> chunk of the output
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from astropy.table import Table
from jaxtyping import Float

from xbayes.catalog.columns import subset
from xbayes.catalog.read import Chunks, table_chunks
from xbayes.catalog.roles import check_present, uniform_catalog
from xbayes.catalog.units import convert_units
from xbayes.catalog.whole_check import WholeCheck
from xbayes.classifier.predict import Classifier, classify, padded_size, trained_log_prior
from xbayes.classifier.recipe import Recipe
from xbayes.classifier.store import load_model
from xbayes.config.schema import Config, class_proportions, given_log_prior
from xbayes.evaluate.proportions import Estimate, estimate_proportions
from xbayes.features.blocks import BlockCounts, add_blocks
from xbayes.features.build import (
    FeatureReport,
    build_features,
    merged_report,
    needed_columns,
    survey_blocks,
)
from xbayes.output.table import add_pooling_meta, output_table, refuse_clashes
from xbayes.types import InputError

CHUNK = 65_536  # rows in memory at once
ENOUGH = 50_000  # sources for the proportions of classes


class Applied(NamedTuple):
    """A fitted run, ready for a catalogue."""

    config: Config  # columns that nobody measured count as optional
    recipe: Recipe
    classifier: Classifier
    units: dict[str, str]  # of the columns it was trained on
    log_prior: np.ndarray | None  # replaces that of the training part


def classify_catalog(
    run: Path,
    table: Table,
    prior: dict[str, float] | None = None,
    not_measured: frozenset[str] = frozenset(),
    tell: Callable[[str], None] = lambda warning: None,
) -> Table:
    """Apply a fitted run to a table with the needed columns; every column passes through.

    `not_measured` names columns nobody looked at, as in a row given by hand; `tell` gets the
    warnings. Raises `InputError`.
    """
    chunks = table_chunks(table, max(len(table), 1))
    (classified,) = classify_chunks(run, chunks, prior, not_measured, tell)
    return classified


def classify_chunks(
    run: Path,
    chunks: Chunks,
    prior: dict[str, float] | None = None,
    not_measured: frozenset[str] = frozenset(),
    tell: Callable[[str], None] = lambda warning: None,
) -> Iterator[Table]:
    """The same chunk by chunk, with the values that the whole table would give.

    `tell` gets the warnings after the last chunk. Raises `InputError`, of what is wrong with the
    whole before the first chunk.
    """
    applied = load_applied(run, prior, not_measured)
    refuse_clashes(chunks.colnames, applied.recipe.names)
    _check_columns(applied, chunks)
    blocks = _survey(applied, chunks)
    resolution = 1.0 / (np.asarray(applied.classifier.outlier.size) + 1.0)
    size = padded_size(min(chunks.size, chunks.n_rows))
    reports, first = [], 0
    for raw in chunks.read(None):
        chunk = _uniform(applied, raw)
        with _counted_from(first):
            features, report = build_features(
                convert_units(chunk, applied.units), applied.config, blocks
            )
        reports.append(report)
        first += len(raw)
        products = classify(applied.recipe, applied.classifier, features, applied.log_prior, size)
        kept = [n for n in chunk.colnames if n in raw.colnames or n == applied.config.catalog.id]
        passed = subset(chunk, kept)
        classified = output_table(passed, products, applied.recipe.names, resolution)
        add_pooling_meta(classified, applied.config.catalog, applied_prior(applied))
        yield classified
    report = merged_report(reports, applied.config)
    for warning in (*report.warnings, *_better_learned_anew(report, not_measured)):
        tell(warning)


def _better_learned_anew(report: FeatureReport, not_measured: frozenset[str]) -> list[str]:
    """Advice where a catalogue never measured what the run has learned to lean on."""
    never = [c.name for c in report.counts if not (c.measured or c.not_detected)]
    if not never or not_measured:  # one source given by hand is no catalogue to learn for
        return []
    return [
        f"{len(never)} of {len(report.counts)} features were never measured in this catalogue; "
        "a run learned without them knows better what the others are worth: xbayes run CONFIG "
        "--target FILE, with this file"
    ]


def estimate_prior(run: Path, chunks: Chunks) -> tuple[tuple[str, ...], Estimate]:
    """The classes, and their proportions in a catalogue, from at most ENOUGH of its sources.

    The sources are spread evenly over the file. Raises `InputError` as `classify_chunks` does.
    """
    applied = load_applied(run, None)
    classes, every = applied.recipe.names.classes, -(-chunks.n_rows // ENOUGH)
    parts, first = [], 0
    for table in classify_chunks(run, chunks):
        posterior = np.stack([np.asarray(table[f"p_{name}"]) for name in classes], axis=1)
        parts.append(posterior[-first % every :: every])
        first += len(table)
    key = jax.random.key(applied.config.seed)
    return classes, estimate_proportions(np.concatenate(parts), applied_prior(applied), key)


def load_applied(
    run: Path, prior: dict[str, float] | None, not_measured: frozenset[str] = frozenset()
) -> Applied:
    """Load a run under another prior (None: its own). Raises `InputError`."""
    config, recipe, classifier, units = load_model(run)
    optional = tuple({*config.catalog.optional, *not_measured})
    roles = config.catalog.model_copy(update={"optional": optional})
    config = config.model_copy(update={"catalog": roles})
    classes = recipe.names.classes
    log_prior = np.log(class_proportions(prior, classes)) if prior else given_log_prior(config)
    return Applied(config, recipe, classifier, units, log_prior)


def applied_prior(applied: Applied) -> Float[np.ndarray, "C"]:
    """The log prior in the posteriors: the one given, else that of the training part."""
    given = applied.log_prior
    if given is None:
        return trained_log_prior(applied.recipe, applied.classifier)
    return np.asarray(given, np.float64)


def _check_columns(applied: Applied, chunks: Chunks) -> None:
    """Here, where all names are known, so that the message can name the nearest."""
    roles = applied.config.catalog
    # A single row without an id is given one.
    given = [*chunks.colnames, *([roles.id] if chunks.n_rows == 1 else [])]
    check_present(given, roles, list(needed_columns(applied.config)), "classify")


def _survey(applied: Applied, chunks: Chunks) -> BlockCounts:
    """The first pass over the columns that matter: checks, and what each block lacks."""
    config, roles = applied.config, applied.config.catalog
    used = {roles.id, roles.ra, roles.dec, roles.block, *needed_columns(config)}
    names = [name for name in chunks.colnames if name in used]

    def uniform() -> Iterator[Table]:
        return (_uniform(applied, chunk) for chunk in chunks.read(names))

    check, blocks = WholeCheck(roles), None
    for chunk in uniform():
        check.add(chunk)
        more = survey_blocks(convert_units(chunk, applied.units), config)
        if blocks is None:
            blocks = more
        else:
            add_blocks(blocks, more)
    check.close(uniform)
    assert blocks is not None  # a catalogue has rows
    return blocks


def _uniform(applied: Applied, chunk: Table) -> Table:
    needed = list(needed_columns(applied.config))
    return uniform_catalog(chunk, applied.config.catalog, needed, "classify")


@contextmanager
def _counted_from(first: int) -> Iterator[None]:
    """Messages count the rows of a chunk; say where it begins."""
    try:
        yield
    except InputError as error:
        if not first:
            raise
        raise InputError(f"{error} (rows are counted from row {first + 1})") from None
