"""Shell completion: `--show-completion [SHELL]` and `--install-completion [SHELL]`.

typer completes the commands, options and files; it takes the shell from the parent process only.
Here the shell may also be named, which works in scripts, containers and editors.
"""

import os
import sys
from pathlib import Path

from xbayes.errors import InputError

SHOW, INSTALL = "--show-completion", "--install-completion"
SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")
PROGRAM = "xbayes"
VARIABLE = "_XBAYES_COMPLETE"


def handle_completion(arguments: list[str]) -> bool:
    """Whether the arguments ask for completion; if so, it is printed or installed.

    Raises InputError for a shell that is not known.
    """
    option, equals, value = (arguments or [""])[0].partition("=")
    if option not in (SHOW, INSTALL):
        return False
    named = ([value] if equals else []) + arguments[1:]
    if len(named) > 1:
        raise InputError(f"{option} takes one shell; found {' '.join(named)}")
    shell = named[0] if named else _current_shell(option)
    if shell not in SHELLS:
        raise InputError(f"{option}: no shell {shell!r} is known; name one of {', '.join(SHELLS)}")
    from typer import completion

    if option == SHOW:
        script = completion.get_completion_script(  # pyright: ignore[reportPrivateImportUsage]
            prog_name=PROGRAM, complete_var=VARIABLE, shell=shell
        )
        print(script)
        return True
    _, path = completion.install(  # pyright: ignore[reportPrivateImportUsage]
        shell=shell, prog_name=PROGRAM, complete_var=VARIABLE
    )
    print(f"completion for {shell} installed in {path}; it works in new terminals", file=sys.stderr)
    return True


def _current_shell(option: str) -> str:
    from shellingham import ShellDetectionFailure, detect_shell

    try:
        return detect_shell()[0]
    except ShellDetectionFailure:
        shell = Path(os.environ.get("SHELL", "")).name
        if shell in SHELLS:
            return shell
        raise InputError(f"the shell is not known; name it, as in xbayes {option} bash") from None
