"""What names a HATS catalogue; kept apart from Dask and LSDB, because every command asks."""

from pathlib import Path

MARKERS = ("collection.properties", "hats.properties", "properties")


def is_hats(path: str | Path) -> bool:
    """Whether a folder or address is a HATS catalogue, or is named like one."""
    text = str(path)
    if text.rstrip("/").endswith(".hats") or "://" in text:
        return True
    return any((Path(text).expanduser() / name).is_file() for name in MARKERS)
