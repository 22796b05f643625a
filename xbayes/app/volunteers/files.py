"""Writing files: a file is complete or does not exist."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xbayes.errors import InputError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name to write to, which becomes `path` at the end of the block.

    Only the owner can read the file. It is on the disk before it gets its name. Raises InputError
    if the folder cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        temporary.touch(mode=0o600)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; choose another place") from None
    finally:
        temporary.unlink(missing_ok=True)
