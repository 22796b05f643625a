"""`xbayes compare`, once its arguments are parsed."""

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

import xbayes
from xbayes.cli.progress import Reporter

WIDTH = 144  # characters, if the output is not a terminal


def compare(items: list[Path], *, reporter: Reporter, **options) -> None:
    """Compare, print the table and the path of the report; exit with an error if interrupted."""
    with reporter:
        done = xbayes.compare(*items, progress=reporter, **options)
    for warning in done.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if done.reused:
        print(f"done before: {', '.join(done.reused)}", file=sys.stderr)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    print_comparison(done.numbers, console)
    console.print(f"report: [bold]{done.folder / 'compare.html'}[/bold]", soft_wrap=True)
    if done.stopped is not None:
        print(
            f"xbayes: stopped; not done: {', '.join(done.numbers['partial'])}. "
            f"The same command with --out {done.folder} --resume does only these",
            file=sys.stderr,
        )
        code = done.stopped.code if isinstance(done.stopped, SystemExit) else 130
        raise SystemExit(code)


def print_comparison(numbers: dict, console: Console) -> None:
    """Print `compare.json`: values and intervals; the significantly best values are bold."""
    from xbayes.compare.text import caption, headings, seconds_of, title

    table = RichTable(title=Text(title(numbers)), title_justify="left")
    table.caption, table.caption_justify = Text(caption(numbers)), "left"
    table.add_column("variant", overflow="fold", min_width=20)
    shown = headings(numbers["focus"])
    for heading in [*shown.values(), "fit\n[s]", "predict\n[s]"]:
        table.add_column(Text(heading), justify="right")
    for name, one in numbers["variants"].items():
        cells = [_cell(one["scores"][score], score) for score in shown]
        times = [seconds_of(one["fit_seconds"]), seconds_of(one["predict_seconds"])]
        table.add_row(Text(name), *cells, *times)
    console.print(table)
    if numbers["psis_loo"]:
        print_loo(numbers["psis_loo"], console)


def print_loo(rows: list[dict], console: Console) -> None:
    """Print the PSIS-LOO comparison of the posteriors of runs, best first."""
    table = RichTable("posterior", "elpd (PSIS-LOO)", "difference", "Pareto k > 0.7")
    table.title, table.title_justify = Text("posteriors of the weights"), "left"
    for row in rows:
        change = f"{row['difference']:.1f} ± {row['difference_se']:.1f}"
        elpd = f"{row['elpd']:.1f} ± {row['se']:.1f}"
        table.add_row(Text(row["name"]), elpd, change, str(row["troubled"]))
    console.print(table)


def _cell(entry: dict, score: str) -> Text:
    from xbayes.compare.text import ALIKE_SIGN, limit, number, short_interval

    sign = ALIKE_SIGN if entry["standing"] == "alike" else ""
    style = "bold" if entry["standing"] == "best" else ""
    text = Text(f"{sign}{number(entry['value'], score)}{limit(entry)}", style=style)
    return text.append(f"\n{short_interval(entry, score)}", style="dim")
