"""The command line. Heavy libraries are imported only by the commands that use them."""

import errno
import gc
import signal
import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from xbayes import __version__
from xbayes.cli.archives import archives
from xbayes.cli.catalogues import catalogues
from xbayes.cli.compiled_code import keep_compiled_code
from xbayes.cli.completion import handle_completion
from xbayes.cli.crowd import crowd
from xbayes.cli.experiments import experiments
from xbayes.cli.options import CATALOGUES
from xbayes.cli.site import site
from xbayes.cli.volunteers import volunteers
from xbayes.errors import InputError, XbayesWarning

PLACE_ERRORS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


class Commands(TyperGroup):
    """The commands, which say what is left if they are stopped; typer would exit in silence."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C ends it with exit code 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stopped:
            left = str(stopped) or "nothing was written"
            print(f"xbayes: stopped; {left}", file=sys.stderr)
            raise SystemExit(130) from None


app = typer.Typer(
    name="xbayes",
    cls=Commands,
    help="From an X-ray catalogue to calibrated, explainable class posteriors.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> bool:
    if wanted:
        print(f"xbayes {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """From an X-ray catalogue to calibrated, explainable class posteriors."""


app.add_typer(experiments)
app.add_typer(catalogues)
app.add_typer(archives)
app.add_typer(site)
app.add_typer(crowd, name="crowd", rich_help_panel=CATALOGUES)
app.add_typer(volunteers, name="volunteers", rich_help_panel=CATALOGUES)


def _stop(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: wrong use or wrong input gives one message and exit code 2."""
    keep_compiled_code()
    # Imports and tracing make many lasting objects: looking for garbage among them costs 0.2 s.
    gc.set_threshold(100_000, 50, 100)
    # A signal raises SystemExit, so that context managers remove partial output.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    warnings.filterwarnings("always", category=XbayesWarning)
    try:
        if handle_completion(sys.argv[1:] if arguments is None else arguments):
            raise SystemExit(0)
        app(args=arguments)
    except InputError as error:
        print(f"xbayes: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno not in PLACE_ERRORS:
            raise
        # Files that cannot be read, and places that cannot be written to, wherever they are met.
        print(f"xbayes: {error}; choose a file or folder that you may use", file=sys.stderr)
        raise SystemExit(2) from None
