"""The survey of a catalogue: the first pass over its chunks, before any row is classified."""

from collections.abc import Iterator
from typing import NamedTuple

from astropy.table import Table, vstack

from xbayes.catalog.columns import subset
from xbayes.catalog.read import Chunks
from xbayes.catalog.roles import check_present, uniform_catalog
from xbayes.catalog.units import convert_units
from xbayes.catalog.whole_check import WholeCheck
from xbayes.classifier.fitted_model import FittedModel
from xbayes.features.blocks import BlockCounts, add_blocks
from xbayes.features.build import count_table_blocks, needed_columns
from xbayes.output.table import refuse_clashes

SAMPLE_SIZE = 50_000  # rows from which the class proportions are estimated


class Survey(NamedTuple):
    """Facts about the whole catalogue that the classification of each row needs."""

    blocks: BlockCounts  # which columns are empty in a whole block
    sample: Table  # evenly spaced rows, at most SAMPLE_SIZE, with the columns for the features


def survey_catalog(model: FittedModel, chunks: Chunks) -> Survey:
    """Checks columns, ids and coordinates, and finds the columns that are empty in a whole block.

    Raises
    ------
    InputError
        For a missing column, a missing or repeated id, and coordinates out of range.
    """
    _check_columns(model, chunks)
    config, roles = model.config, model.config.catalog
    used = {roles.id, roles.ra, roles.dec, roles.block, *needed_columns(config)}
    names = [name for name in chunks.colnames if name in used]

    def read() -> Iterator[Table]:
        return (uniform_chunk(model, chunk) for chunk in chunks.read(names))

    check, blocks, sample = WholeCheck(roles), None, []
    spacing, first_row = -(-chunks.n_rows // SAMPLE_SIZE), 0
    for chunk in read():
        check.add(chunk)
        counts = count_table_blocks(convert_units(chunk, model.units), config)
        if blocks is None:
            blocks = counts
        else:
            add_blocks(blocks, counts)
        sample.append(subset(chunk, rows=slice(-first_row % spacing, None, spacing)))
        first_row += len(chunk)
    check.close(read)
    assert blocks is not None  # a catalogue has rows
    stacked = sample[0] if len(sample) == 1 else vstack(sample, metadata_conflicts="silent")
    return Survey(blocks=blocks, sample=stacked)


def uniform_chunk(model: FittedModel, chunk: Table) -> Table:
    """The chunk with the column types of a training catalogue."""
    needed = list(needed_columns(model.config))
    return uniform_catalog(chunk, model.config.catalog, needed, "classify")


def _check_columns(model: FittedModel, chunks: Chunks) -> None:
    """Check the names of all columns before reading; an error suggests the nearest name."""
    refuse_clashes(chunks.colnames, model.recipe.names)
    roles = model.config.catalog
    # A single row without an id is given one.
    names = [*chunks.colnames, *([roles.id] if chunks.n_rows == 1 else [])]
    check_present(names, roles, list(needed_columns(model.config)), "classify")
