"""Storage of finished variants, so that an interrupted comparison can be resumed."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from xbayes.compare.predictions import VariantPredictions
from xbayes.compare.variants import Variant
from xbayes.output.files import write_whole

FOLDER = "variants"


def store_variant(out: Path, variant: Variant, predictions: VariantPredictions) -> None:
    """Write `out/variants/<name>.npz`, atomically; it holds arrays and text, nothing executable."""
    path = _path_of(out, variant)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = predictions._asdict()
    arrays |= {"chosen": np.array(predictions.chosen, dtype=str)}
    arrays |= {"name": np.array(variant.name), "fingerprint": np.array(variant.fingerprint)}
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    write_whole(path, stream.getvalue())


def stored_variant(out: Path, variant: Variant) -> VariantPredictions | None:
    """The stored predictions; None unless they are of the same config on the same catalogue."""
    try:
        with np.load(_path_of(out, variant), allow_pickle=False) as stored:
            if str(stored["fingerprint"]) != variant.fingerprint:
                return None
            return VariantPredictions(
                outer_fold=stored["outer_fold"],
                posterior=stored["posterior"],
                prediction=stored["prediction"],
                fit_seconds=float(stored["fit_seconds"]),
                predict_seconds=float(stored["predict_seconds"]),
                chosen=tuple(stored["chosen"].tolist()),
            )
    except (FileNotFoundError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _path_of(out: Path, variant: Variant) -> Path:
    """The file of a variant; the fingerprint tells names apart that map to the same file name."""
    safe = re.sub(r"[^A-Za-z0-9._=,+-]+", "_", variant.name)[:80].strip("_")
    return out / FOLDER / f"{safe}-{variant.fingerprint[:8]}.npz"
