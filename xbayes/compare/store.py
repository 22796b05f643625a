"""Finished variants of a comparison, so that one that was stopped goes on where it was."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from xbayes.compare.cross_validate_peer import HeldOut
from xbayes.output.files import write_whole

FOLDER = "variants"


def store_variant(out: Path, name: str, fingerprint: str, found: HeldOut) -> None:
    """`out/variants/<name>.npz`, whole or not at all; arrays and text, nothing that executes."""
    path = path_of(out, name, fingerprint)
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    arrays: dict[str, Any] = found._asdict() | {"chosen": np.array(found.chosen, dtype=str)}
    np.savez_compressed(stream, **arrays, name=np.array(name), fingerprint=np.array(fingerprint))
    write_whole(path, stream.getvalue())


def stored_variant(out: Path, name: str, fingerprint: str) -> HeldOut | None:
    """The variant as stored by the same config on the same catalogue; None if there is none."""
    path = path_of(out, name, fingerprint)
    try:
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["fingerprint"]) != fingerprint:
                return None
            seconds = (float(kept["fit_seconds"]), float(kept["predict_seconds"]))
            arrays = (kept["outer_fold"], kept["posterior"], kept["prediction"])
            return HeldOut(*arrays, *seconds, tuple(kept["chosen"].tolist()))
    except (FileNotFoundError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def path_of(out: Path, name: str, fingerprint: str) -> Path:
    """The file of a variant; names differ in more than files allow, fingerprints do not."""
    safe = re.sub(r"[^A-Za-z0-9._=,+-]+", "_", name)[:80].strip("_")
    return out / FOLDER / f"{safe}-{fingerprint[:8]}.npz"
