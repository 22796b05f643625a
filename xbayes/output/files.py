"""Writing files atomically: a file is complete or does not exist."""

import os
from pathlib import Path

from xbayes.catalog.write import cannot_write, check_writable
from xbayes.errors import InputError


def check_new_folder(out: Path) -> None:
    """Raise InputError if the folder cannot be made or filled; the folders above it need not exist.

    Nothing is left there by this check.
    """
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not above.is_dir():
        raise InputError(f"cannot write {out}: {above} is a file, no folder; give another --out")
    check_writable(above, out)


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` under a temporary name in the same folder, then rename it to `path`.

    Raises InputError if the disk is full or cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
