"""The commands on votes of volunteers."""

from pathlib import Path
from typing import Annotated

import typer

from xbayes.cli.options import Overwrite, Table, distinct_pairs
from xbayes.cli.progress import Reporter
from xbayes.errors import InputError

crowd = typer.Typer(
    help="Votes of volunteers: labels from votes, and sources to vote on.", no_args_is_help=True
)


@crowd.command()
def aggregate(
    votes: Annotated[
        Path,
        typer.Argument(help="Table with the columns source, user, answer and optionally time."),
    ],
    *,
    out: Table,
    run: Annotated[
        Path | None, typer.Option(help="Run whose classes the answers name; checks the sources.")
    ] = None,
    catalog: Annotated[
        Path | None,
        typer.Option(help="Catalogue that holds the sources; that of the run by default."),
    ] = None,
    prior: Annotated[
        bool,
        typer.Option(
            help="Take the run's posterior of each source as the prior of its class. Without it, "
            "the labels come from the votes alone."
        ),
    ] = False,
    classes: Annotated[
        str | None,
        typer.Option(
            help="The classes, without a run; the answers that were given by default.",
            metavar="AGN,Star,...",
        ),
    ] = None,
    answer: Annotated[
        list[str] | None,
        typer.Option(
            help="What an answer of another name means: 'X-ray binary=XRB'; may be repeated.",
            metavar="TEXT=CLASS",
        ),
    ] = None,
    zooniverse: Annotated[
        bool,
        typer.Option("--zooniverse", help="VOTES is a classification export of Zooniverse."),
    ] = False,
    task: Annotated[str, typer.Option(help="Task of the export that holds the answer.")] = "T0",
    subject_key: Annotated[
        str, typer.Option(help="Key of the subject metadata that holds the id of the source.")
    ] = "source",
    intervals: Annotated[
        bool, typer.Option(help="Draw posterior samples, for 90 % intervals; else it is quicker.")
    ] = True,
    copies: Annotated[
        bool, typer.Option(help="Let volunteers who copy each other count as one.")
    ] = True,
    settled: Annotated[
        float,
        typer.Option(help="Probability of the class above which a source is settled.", min=0.5),
    ] = 0.95,
    least_votes: Annotated[
        int, typer.Option(help="Votes that a settled source needs at least.", min=1)
    ] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Turn votes into labels: a posterior for each source, and the skill of each volunteer.

    The last vote of a volunteer on a source counts. LABELS has the id of each source, p_CLASS,
    entropy, n_votes and settled. LABELS.users.csv, beside it, has the skill of each volunteer.

    Examples: `xbayes crowd aggregate votes.csv --out labels.csv --run runs/mine`,
    `xbayes crowd aggregate export.csv --zooniverse --task T0 --out labels.csv`
    """
    import numpy as np

    from xbayes.catalog.write import check_output, write_catalog
    from xbayes.cli.outputs import say
    from xbayes.crowd.aggregate import SettleRule, aggregate_votes

    if not settled < 1:
        raise InputError(f"--settled must be below 1; found {settled:g}")
    if prior and run is None:
        raise InputError("--prior needs a run that gives the posteriors; give --run RUN")
    if catalog is not None and run is None:
        raise InputError("--catalog needs a run that names its columns; give --run RUN")
    users = out.with_name(f"{out.name}.users.csv")
    for path in (out, users):
        check_output(path, overwrite)
    reporter = Reporter()
    with reporter:
        made = aggregate_votes(
            votes,
            run=run,
            catalog=catalog,
            prior=prior,
            classes=[name.strip() for name in classes.split(",")] if classes else (),
            zooniverse=task if zooniverse else None,
            subject_key=subject_key,
            answers=distinct_pairs("--answer", "TEXT=CLASS", answer),
            intervals=intervals,
            copies=copies,
            settle=SettleRule(probability=settled, least_votes=least_votes),
            seed=seed,
            progress=reporter,
        )
    write_catalog(made.labels, out, overwrite)
    write_catalog(made.users, users, overwrite)
    for message in made.messages:
        say(message)
    n_settled = int(np.sum(np.asarray(made.labels["settled"])))
    say(
        f"written: {out} ({len(made.labels)} sources, {n_settled} settled), "
        f"{users} ({len(made.users)} volunteers)"
    )


@crowd.command()
def subjects(
    catalog: Annotated[
        Path,
        typer.Argument(help="Run directory, or a classified catalogue.", metavar="RUN|CATALOG"),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the subject set.")],
    select: Annotated[
        str | None,
        typer.Option(help="Condition over columns: 'entropy > 0.8'.", metavar="CONDITION"),
    ] = None,
    n: Annotated[int | None, typer.Option("-n", help="Largest number of sources.", min=1)] = None,
    id_: Annotated[
        str | None, typer.Option("--id", help="Column of the ids, for a catalogue.")
    ] = None,
    ra: Annotated[str | None, typer.Option(help="Column of the right ascension [deg].")] = None,
    dec: Annotated[str | None, typer.Option(help="Column of the declination [deg].")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write sources as a Zooniverse subject set: manifest.csv and a finder chart for each.

    The least certain sources come first. Class probabilities are hidden from volunteers: their
    columns begin with #.

    Example: `xbayes crowd subjects runs/mine --select "entropy > 0.8" -n 200 --out subjects`
    """
    from xbayes.cli.outputs import say
    from xbayes.crowd.subjects import SkyColumns, write_subjects

    columns = None if id_ is None else SkyColumns(id=id_, ra=ra, dec=dec)
    made = write_subjects(catalog, out, select=select, most=n, columns=columns, overwrite=overwrite)
    if not made.n_charts:
        say("no finder charts, as there are no columns of the position; give --ra and --dec")
    say(f"written: {made.folder} ({made.n_sources} sources, {made.n_charts} finder charts)")
