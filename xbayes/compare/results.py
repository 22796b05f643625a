"""What a comparison found."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from xbayes.compare.cross_validate_peer import HeldOut
from xbayes.types import Labels


class Comparison(NamedTuple):
    """Everything a comparison found, before it is written."""

    names: list[str]  # of the variants, in the order asked for
    kinds: dict[str, str]  # config, run or peer
    found: dict[str, HeldOut]
    id_column: str
    ids: np.ndarray  # of the labelled rows, as `labels`
    labels: Labels
    classes: tuple[str, ...]
    outer_fold: Int[np.ndarray, "R N"]
    numbers: dict  # of compare.json
    command: str
