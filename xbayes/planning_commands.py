"""Commands that derive something from a fitted run, or plan the next: their arguments are parsed.

Counts of a population; the rooms do the work, as in commands.py.
"""

from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from xbayes.catalog.read import open_chunks
from xbayes.catalog.write import check_output, write_catalog
from xbayes.commands import _warn


def counts(run: Path, catalog: Path, out: Path | None, everything: bool, overwrite: bool) -> None:
    """Print how many sources of each class a catalogue holds; write it where asked for."""
    from xbayes.population import count_classes, population_table
    from xbayes.report.model_store import load_model
    from xbayes.run import use_precision
    from xbayes.stream import CHUNK

    if out is not None:
        check_output(out, overwrite)
    config, *_ = load_model(run)
    use_precision(config)
    chunks = open_chunks(catalog, CHUNK, text=[config.catalog.id])
    found = count_classes(run, chunks, everything, _warn)
    table = population_table(found)
    which = "all sources" if everything else "sources without a label"
    title = f"{found.predicted.sum():,} {which}: count (90 % interval)"
    shown = RichTable(title=title, title_justify="left")
    shown.add_column("class")
    for heading in ("predicted, raw", "by held-out confusion", "by posteriors", "apart"):
        shown.add_column(heading, justify="right")
    for line in table:
        corrected = [_with_interval(line, name) for name in ("by_confusion", "by_posterior")]
        apart = f"{line['difference']:+.1f} sigma"
        shown.add_row(str(line["class"]), f"{line['predicted']:,}", *corrected, apart)
    Console(highlight=False).print(shown)
    for doubt in found.doubts:
        _warn(doubt)
    if out is not None:
        write_catalog(table, out, overwrite)
        told = f"written: {out}"
        Console(stderr=True).print(told, highlight=False, markup=False, soft_wrap=True)


def _with_interval(line, name: str) -> str:
    ends = f"{line[f'{name}_lo']:,.0f}-{line[f'{name}_hi']:,.0f}"
    return f"{line[name]:,.0f} ({ends})"
