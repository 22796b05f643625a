"""What names a HATS catalogue; apart from Dask and LSDB, because every command asks."""

from pathlib import Path

SPATIAL_INDEX = "_healpix_29"  # the column of the HEALPix cells of order 29
_MARKERS = ("collection.properties", "hats.properties", "properties")


def is_hats(path: str | Path) -> bool:
    """Whether a folder or address is a HATS catalogue, or is named like one."""
    text = str(path)
    if text.rstrip("/").endswith(".hats") or "://" in text:
        return True
    return properties_file(text) is not None


def properties_file(path: str) -> Path | None:
    """The file that describes a catalogue in a folder; None for an address."""
    if "://" in path:
        return None
    folder = Path(path).expanduser()
    return next((folder / name for name in _MARKERS if (folder / name).is_file()), None)
