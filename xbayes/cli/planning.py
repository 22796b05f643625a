"""Commands that derive something from a fitted run, or plan the next: their arguments are parsed.

Counts of a population, learning curves, what to label next; the rooms do the work, as in
commands.py.
"""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table as RichTable

from xbayes.catalog.read import open_chunks, read_catalog
from xbayes.catalog.write import check_output, write_catalog
from xbayes.cli.commands import checked_outputs, warn, write_outputs
from xbayes.cli.progress import Reporter
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path
from xbayes.types import InputError

SHOWN = 20  # suggestions on the screen


def counts(run: Path, catalog: Path, out: Path | None, everything: bool, overwrite: bool) -> None:
    """Print how many sources of each class a catalogue holds; write it where asked for."""
    from xbayes.classifier.store import load_model
    from xbayes.tasks.classify import CHUNK
    from xbayes.tasks.count_classes import count_classes, population_table
    from xbayes.tasks.training import use_precision

    if out is not None:
        check_output(out, overwrite)
    config, *_ = load_model(run)
    use_precision(config)
    chunks = open_chunks(catalog, CHUNK, text=[config.catalog.id])
    found = count_classes(run, chunks, everything, warn)
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
        warn(doubt)
    if out is not None:
        write_catalog(table, out, overwrite)
        told = f"written: {out}"
        Console(stderr=True).print(told, highlight=False, markup=False, soft_wrap=True)


def _with_interval(line, name: str) -> str:
    ends = f"{line[f'{name}_lo']:,.0f}-{line[f'{name}_hi']:,.0f}"
    return f"{line[name]:,.0f} ({ends})"


def learning_curve(
    config: Path,
    catalog: Path | None,
    sizes: str | None,
    outs: list[Path],
    settings: list[str],
    overwrite: bool,
    reporter: Reporter,
) -> None:
    """Print F1 and log loss of each class by labelled members; write figure and table."""
    from xbayes.figures.learning import draw_learning
    from xbayes.figures.style import FIGURE_ENDINGS
    from xbayes.tasks.learning_curve import ALL, learning_table, measure_learning
    from xbayes.tasks.training import use_precision

    outs = checked_outputs(outs, FIGURE_ENDINGS, overwrite)
    loaded, chosen = load_config(config, settings), _parse_sizes(sizes)
    use_precision(loaded)
    path = catalog or catalog_path(loaded)
    with reporter:
        points, classes = measure_learning(loaded, path, chosen, warn, reporter)
    table = learning_table(points, classes)
    shown = RichTable("share", "class", "members", "F1 (90 % interval)", "log loss (90 % interval)")
    for line in table:
        cells = [_score(line, name) for name in ("f1", "log_loss")]
        named = str(line["class"])
        shown.add_row(f"{line['fraction']:.3g}", named, f"{line['members']:.0f}", *cells)
        if named == ALL:
            shown.add_section()
    Console(highlight=False).print(shown)
    write_outputs(outs, lambda: draw_learning(points, classes), lambda: table, overwrite)


def suggest(run: Path, catalog: Path, n: int, out: Path | None, overwrite: bool) -> None:
    """Print which sources to label first; write the whole list where asked for."""
    from xbayes.classifier.store import load_model
    from xbayes.tasks.suggest_labels import suggest_labels
    from xbayes.tasks.training import use_precision

    if out is not None:
        check_output(out, overwrite)
    config, *_ = load_model(run)
    use_precision(config)
    table = suggest_labels(run, read_catalog(catalog, text=[config.catalog.id]), n, warn)
    shown = RichTable("rank", "source", "gain, nat", "prediction", "p", "least certain evidence")
    for line in table[:SHOWN]:
        why = f"{line['why']}: {line['prediction']} or {line['runner_up']}"
        cells = (f"{line['gain']:.4f}", str(line["prediction"]), f"{line['p']:.2f}", why)
        shown.add_row(str(line["rank"]), str(line[config.catalog.id]), *cells)
    console = Console(highlight=False)
    console.print(shown)
    total, alone = (float(np.asarray(table[name]).sum()) for name in ("gain", "gain_alone"))
    told = f"{len(table)} labels tell {total:.3g} nats of the classifier together"
    console.print(f"{told}; one by one it would be {alone:.3g}")
    if out is not None:
        write_catalog(table, out, overwrite)
    told = f"written: {out}" if out is not None else "for the whole list: --out FILE"
    Console(stderr=True).print(told, highlight=False, markup=False, soft_wrap=True)


def _score(line, name: str) -> str:
    value, low, high = (line[f"{name}{end}"] for end in ("", "_lo", "_hi"))
    if np.ma.is_masked(value):
        return "-"
    return f"{value:.3f} ({low:.3f}-{high:.3f})"


def _parse_sizes(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--sizes needs shares such as 0.1,0.3,1; found {text!r}") from None
