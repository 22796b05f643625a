"""The cache of compiled code: a second command does not wait for the compiler again.

`XBAYES_CACHE` sets the folder of the cache; `off` disables it. JAX locks the folder against other
processes, and deletes the least recently used entries above the size limit.
"""

import os
from pathlib import Path

LIMIT = 1_000_000_000  # bytes
LEAST_SECONDS = 0.1  # programs that compile faster are not stored


def keep_compiled_code() -> None:
    """Set JAX's cache folder and limits, before it is imported; settings of the user stay."""
    choice = os.environ.get("XBAYES_CACHE", "")
    if choice.lower() in ("off", "0", "no", "false"):
        return
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(choice).expanduser() if choice else Path(home) / "xbayes" / "compiled"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
    os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(LIMIT))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(LEAST_SECONDS))
