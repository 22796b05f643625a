"""A catalogue as users give it, a file, a table or one source as a mapping, read for a run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from astropy.table import Table

from xbayes.catalog.inputs import as_table
from xbayes.catalog.match import ColumnOptions, with_aliases
from xbayes.catalog.read import Reading, row_table
from xbayes.config.schema import Config
from xbayes.features.build import needed_columns
from xbayes.features.conditions import number_columns, text_columns
from xbayes.output.table import passed_columns
from xbayes.tasks.one_source import refuse_unknown

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike

Cell = float | int | str | bool | None
Row = Mapping[str, Cell]  # of one source: the value of each column


def reading_of(config: Config, options: ColumnOptions) -> Reading:
    """How a file is read: id and numbers under their names in the catalogue, and the table."""
    name, own, aliases = config.catalog.id, options.map, config.catalog.aliases
    numbers = {own.get(column, column) for column in number_columns(config)}
    numbers |= {other for column in numbers for other in aliases.get(column, ())}
    text = sorted(own.get(column, column) for column in text_columns(config))
    return {
        "text": [options.id or own.get(name, name), *aliases.get(name, ()), *text],
        "numbers": numbers | set(options.units),
        "table": options.table or config.catalog.table_name,
    }


def table_of(
    config: Config, catalog: "CatalogLike | Row", options: ColumnOptions
) -> tuple[Table, frozenset[str] | None]:
    """The catalogue; for a row given as a mapping also the columns that are not available."""
    if not isinstance(catalog, Mapping):
        return as_table(catalog, **reading_of(config, options)), None
    numbers = set(reading_of(config, options)["numbers"] or ())
    table, needed = row_table(catalog, numbers), needed_columns(config)
    options = with_aliases(options, config.catalog.aliases, table.colnames)
    of_run = {own: name for name, own in options.map.items()}
    given = {of_run.get(name, name) for name in table.colnames}
    others = [name for name in table.colnames if name not in (options.id, *of_run)]
    block = [config.catalog.block] if config.catalog.block else []
    refuse_unknown(others, [*needed, *passed_columns(config.catalog), *block])
    return table, frozenset(needed) - given
