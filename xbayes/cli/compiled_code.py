"""Compiled code is kept between commands, so that the second one does not wait for the compiler.

`XBAYES_CACHE` names another folder, or says `off`. JAX locks the folder against other processes and
deletes what was used least recently beyond the size limit.
"""

import os
from pathlib import Path

LIMIT = 1_000_000_000  # bytes
LEAST_SECONDS = 0.1  # what compiles faster than it is read is not kept


def keep_compiled_code() -> None:
    """Tell JAX, before it is imported, where to keep compiled code; what is set already stays."""
    choice = os.environ.get("XBAYES_CACHE", "")
    if choice.lower() in ("off", "0", "no", "false"):
        return
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(choice).expanduser() if choice else Path(home) / "xbayes" / "compiled"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
    os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(LIMIT))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(LEAST_SECONDS))
