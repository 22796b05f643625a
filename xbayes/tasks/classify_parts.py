"""A catalogue that comes in parts: it is surveyed once, then each part is classified by itself.

The survey reads rows that are spread over the catalogue. It finds what is wrong with the columns,
learns what `classify` learns from a whole catalogue, if it is asked to, and gives the rule and the
metadata of every part. A part yields the products only; whoever reads it keeps its other columns.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from xbayes.catalog.columns import FileColumn, plain_meta
from xbayes.catalog.match import NUMBERED, ColumnOptions
from xbayes.catalog.read import Chunks, table_chunks
from xbayes.catalog.whole_check import WholeCheck
from xbayes.classifier.blocks import SMALLEST_CHUNK, padded_size
from xbayes.classifier.decision import DecisionRule
from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.patterns import Patterns
from xbayes.errors import InputError
from xbayes.evaluate.applied_rule import AppliedRule, Asked
from xbayes.evaluate.label_shift import CheckedEstimate
from xbayes.features.build import needed_columns
from xbayes.output.novelty_text import novelty_texts
from xbayes.output.run_directory import resolution
from xbayes.output.table import other_names, output_columns
from xbayes.tasks.classify import classify_chunks, products_of, rows_of
from xbayes.tasks.survey import SAMPLE_SIZE, match_to_run, uniform_chunk
from xbayes.tasks.whole_catalogue import Prior

TRIED = 5_000  # rows of the survey where nothing is learned from the whole catalogue


class Asks(NamedTuple):
    """How a catalogue is to be classified; the options of `FittedRun.classify`."""

    prior: Prior = None
    decision: Asked | None = None
    columns: ColumnOptions = ColumnOptions()

    @property
    def n_surveyed(self) -> int:
        """How many rows the survey needs, spread evenly if it learns something from them."""
        return SAMPLE_SIZE if self.learns else TRIED

    @property
    def learns(self) -> bool:
        """Whether something is learned from the whole catalogue."""
        return isinstance(self.prior, str) or self.decision == "catalogue"


class Surveyed(NamedTuple):
    """What every part needs to know of the whole catalogue."""

    prior: Mapping[str, float] | None  # to classify under
    rule: DecisionRule
    meta: Mapping[str, object]  # of the output
    renamed: Mapping[str, str]  # columns with the name of an output column


class Tell(NamedTuple):
    """Called with what the survey found."""

    warn: Callable[[str], None] = lambda message: None
    estimated: Callable[[CheckedEstimate], None] = lambda estimate: None
    decided: Callable[[AppliedRule], None] = lambda rule: None


def columns_to_read(
    model: FittedModel, colnames: Sequence[str], columns: ColumnOptions
) -> list[str]:
    """The columns of the catalogue that its classification needs, under its own names.

    Raises
    ------
    InputError
        For an option that names a column which the run or the catalogue does not have.
    """
    if columns.id == NUMBERED and NUMBERED not in colnames:
        raise InputError(
            "--id row: rows are not numbered across the partitions of a catalogue; give a column "
            "with ids that are unique in all of it"
        )
    nothing = Chunks(colnames=tuple(colnames), n_rows=0, size=1, read=lambda names: iter(()))
    matched, roles = match_to_run(model, nothing, columns), model.config.catalog
    used = {roles.id, roles.ra, roles.dec, roles.block, *needed_columns(model.config)}
    source = {**{name: name for name in colnames}, **columns.map, **matched.own}
    return [own for own in colnames if own in {source.get(str(name)) for name in used}]


def survey_parts(
    model: FittedModel,
    sample: Table,
    colnames: Sequence[str],
    asks: Asks,
    tell: Tell | None = None,
) -> Surveyed:
    """The facts about a catalogue that each of its parts needs, from rows spread over it.

    Parameters
    ----------
    sample
        These rows, with the columns of `columns_to_read`.
    colnames
        All columns of the catalogue.

    Raises
    ------
    InputError
        As `classify_chunks` does, for the sample.
    """
    tell, found = tell or Tell(), list[AppliedRule]()
    proportions: list[CheckedEstimate] = []

    def decided(rule: AppliedRule) -> None:
        found.append(rule)
        tell.decided(rule)

    def estimated(estimate: CheckedEstimate) -> None:
        proportions.append(estimate)
        tell.estimated(estimate)

    (made,) = classify_chunks(
        model,
        table_chunks(sample, len(sample)),
        prior=asks.prior,
        columns=asks.columns,
        warn=lambda message: tell.warn(f"{message} (in a sample of {len(sample)} rows)"),
        estimated=estimated,
        decision=asks.decision,
        decided=decided,
    )
    renamed = other_names(colnames, model.recipe.names)
    if renamed:
        pairs = ", ".join(f"{name!r} as {new!r}" for name, new in renamed.items())
        tell.warn(f"columns with the name of an output column pass under other names: {pairs}")
    prior = None if isinstance(asks.prior, str) else asks.prior
    if proportions and proportions[0].weight:
        shares = proportions[0].proportions.tolist()
        prior = dict(zip(model.classes, shares, strict=True))
    rule = found[0].rule
    return Surveyed(
        prior=prior,
        rule=DecisionRule(
            class_weight=np.asarray(rule.class_weight),
            threshold=np.asarray(rule.threshold),
            focus=np.asarray(rule.focus),
        ),
        meta=plain_meta(made.meta),
        renamed=renamed,
    )


def is_sound(model: FittedModel, table: Table, columns: ColumnOptions) -> bool:
    """Whether the ids and coordinates of some rows of a part are right."""
    matched = match_to_run(model, table_chunks(table, len(table)), columns)
    model = model.with_optional(columns.optional, **columns.values_by_key())
    rows = uniform_chunk(model, next(iter(matched.chunks.read(None))))
    check = WholeCheck(model.config.catalog)
    try:
        check.add(rows)
        check.close(lambda: [rows])
    except InputError:
        return False
    return True


def classify_part(
    model: FittedModel,
    chunks: Chunks,
    surveyed: Surveyed,
    columns: ColumnOptions,
    patterns: Patterns,
    *,
    compare_ids: bool = True,
) -> Iterator[list[FileColumn]]:
    """The products of each chunk of a part, as columns, with the values of the whole catalogue.

    Parameters
    ----------
    chunks
        The part, with the columns of `columns_to_read`.
    patterns
        Of the run, kept between parts.
    compare_ids
        False: it is known that no id of this part is repeated.

    Raises
    ------
    InputError
        For a missing or repeated id, and a coordinate out of range.
    """
    model = model.under(surveyed.prior)
    matched = match_to_run(model, chunks, columns)
    model = model.with_optional(columns.optional, **columns.values_by_key())
    check, first_row = WholeCheck(model.config.catalog, compare_ids=compare_ids), 0
    size = padded_size(chunks.size)  # whatever the size of the part: JAX compiles twice at most
    names, smallest = model.recipe.names, resolution(model.classifier)

    def read(wanted: Sequence[str] | None) -> Iterator[Table]:
        return (uniform_chunk(model, chunk) for chunk in matched.chunks.read(wanted))

    with matched.explaining_errors():
        for table in read(None):
            check.add(table)
            rows = rows_of(model, table, first_row)
            products = products_of(
                model, rows, patterns, size, rule=surveyed.rule, short=SMALLEST_CHUNK
            )
            why = novelty_texts(model.config.features, products)
            made = output_columns(products, names, smallest, novelty_why=why)
            yield [
                FileColumn(
                    name=name,
                    values=np.asarray(np.ma.getdata(values)),
                    missing=np.broadcast_to(np.ma.getmaskarray(values), np.shape(values)),
                    description=description,
                    ucd=ucd,
                )
                for name, values, description, ucd in made
            ]
            first_row += len(table)
        check.close(lambda: read(None))
