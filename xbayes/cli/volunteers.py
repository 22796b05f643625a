"""The commands that keep the database of the volunteers' site."""

import os
from pathlib import Path
from typing import Annotated

import typer

from xbayes.cli.options import Overwrite
from xbayes.errors import InputError

volunteers = typer.Typer(
    help="The database of the volunteers' site: migrate, back up, restore, export, admins.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

VARIABLE = "XBAYES_DATABASE"
Url = Annotated[
    str | None,
    typer.Option(
        "--database",
        help="URL of the database, sqlite:////folder/file.sqlite or postgresql://...; else that in "
        "XBAYES_DATABASE, which keeps a password out of the list of processes, else "
        "~/.local/share/xbayes/volunteers.sqlite.",
        metavar="URL",
    ),
]


def default_database() -> str:
    """The URL of the database unless one is given: XBAYES_DATABASE, or a file of the user."""
    if given := os.environ.get(VARIABLE):
        return given
    data = os.environ.get("XDG_DATA_HOME")
    folder = Path(data) if data else Path.home() / ".local" / "share"
    return f"sqlite:///{(folder / 'xbayes' / 'volunteers.sqlite').absolute()}"


def _needed() -> None:
    try:
        import alembic  # noqa: F401
        import argon2  # noqa: F401
        import sqlalchemy  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"the volunteers' site needs further packages ({error}); install them: pip install "
            "'xbayes[app]'"
        ) from None


@volunteers.command()
def migrate(
    database: Url = None,
    to: Annotated[
        str | None,
        typer.Option(help="Revision to go forwards or back to, instead of the newest: r1, base."),
    ] = None,
) -> None:
    """Make the database, or bring its schema to that of this version. Back up first.

    Examples: `xbayes volunteers migrate`, `xbayes volunteers migrate --to r1`
    """
    _needed()
    from xbayes.app.volunteers.schema import migrate_to, revision_of

    url = database or default_database()
    migrate_to(url, to)
    print(f"the schema of the database is {revision_of(url) or 'empty'}")


@volunteers.command()
def backup(
    file: Annotated[Path, typer.Argument(help="File to write, an SQLite database.")],
    database: Url = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a consistent copy of the database to a file, while the site runs.

    Example: `xbayes volunteers backup votes-2026-11-28.sqlite`
    """
    _needed()
    from xbayes.app.volunteers.backup import backup as write

    number = write(database or default_database(), file, overwrite=overwrite)
    print(f"{file}: {number:,} votes")


@volunteers.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `xbayes volunteers backup` wrote.")],
    database: Url = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a database of a backup; of either kind, whatever the backup was made of.

    Stop the site first.

    Example: `xbayes volunteers restore votes-2026-11-28.sqlite`
    """
    _needed()
    from xbayes.app.volunteers.backup import restore as read

    number = read(file, database or default_database(), overwrite=overwrite)
    print(f"restored {number:,} votes from {file}")


@volunteers.command()
def admin(
    name: Annotated[str, typer.Argument(help="Name of the account.")],
    database: Url = None,
    site: Annotated[
        str, typer.Option(help="Address of the site, for the link.", metavar="URL")
    ] = "http://127.0.0.1:8000",
) -> None:
    """Make an account an admin, and print a link that sets its password once, within a day.

    The account is made if there is none of the name.

    Example: `xbayes volunteers admin Ada`
    """
    _needed()
    from xbayes.app.volunteers.admin import make_admin
    from xbayes.app.volunteers.database import open_database

    opened = open_database(database or default_database())
    try:
        token, new = make_admin(opened, name)
    finally:
        opened.close()
    print(f"{name} is an admin{', a new account' if new else ''}; set the password here, once:")
    print(f"{site.rstrip('/')}/reset/{token}")


@volunteers.command()
def export(
    out: Annotated[Path, typer.Option(help="Table of votes to write: VOTES.csv.")],
    database: Url = None,
    run: Annotated[
        str | None, typer.Option(help="Run whose votes to write, if there are several.")
    ] = None,
    training: Annotated[
        bool, typer.Option("--training", help="Write votes in training mode, too.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write the votes as `xbayes crowd aggregate` reads them; people are pseudonyms.

    Example: `xbayes volunteers export --out votes.csv`
    """
    _needed()
    from xbayes.app.volunteers.database import open_database
    from xbayes.app.volunteers.export import export_votes
    from xbayes.app.volunteers.tables import Kind

    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; choose another name or give --overwrite")
    opened = open_database(database or default_database())
    kinds = tuple(Kind) if training else (Kind.REAL, Kind.TEST)
    try:
        number = export_votes(opened, out, run=run, kinds=kinds)
    finally:
        opened.close()
    print(f"{out}: {number:,} votes")


@volunteers.command()
def labels(
    file: Annotated[Path, typer.Argument(help="Labels that `xbayes crowd aggregate` wrote.")],
    run: Annotated[str, typer.Option(help="Name of the run on the site.")],
    database: Url = None,
) -> None:
    """Read labels into the site: settled sources are shown to volunteers no more.

    Example: `xbayes volunteers labels labels.csv --run demo`
    """
    _needed()
    from xbayes.app.volunteers.database import open_database
    from xbayes.app.volunteers.export import import_labels

    opened = open_database(database or default_database())
    try:
        settled = import_labels(opened, None, run, file)
    finally:
        opened.close()
    print(f"{settled:,} settled sources of {run}")
