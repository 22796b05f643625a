"""What the probability track of one source holds, and its words and numbers as text."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from xbayes.figures.style import shortened

MISSING, NOT_SURVEYED = "missing", "not available"


class Track(NamedTuple):
    """Everything the picture of one source shows."""

    name: str
    classes: Sequence[str]
    categories: Sequence[str]
    category: Sequence[int]  # of each property
    features: Sequence[str]
    values: Sequence[str]  # with unit, or 'missing', or 'not available'
    contribution: Float[np.ndarray, "F C"]  # to the class scores
    offset: Float[np.ndarray, "C"]  # learned; `apart` is beside it
    log_prior: Float[np.ndarray, "C"]
    category_posterior: Float[np.ndarray, "G C"]  # that each category alone would give
    posterior: Float[np.ndarray, "C"]
    prediction: int
    outlier_p: float
    alternative: str  # '' if leaving a category out changes nothing
    outlier: float
    value: Float[np.ndarray, "F"]  # in `unit`; NaN where there is none
    unit: Sequence[str]
    below: Float[np.ndarray, "F C"]  # share of each class below the value; NaN where there is none
    apart: Float[np.ndarray, "C"] | None = None  # what the data told which subclass it is
    subclasses: Sequence[str] = ()  # of all classes; empty where classes have none
    responsibility: Float[np.ndarray, "T"] | None = None  # of each within its class
    subclass_of: Sequence[int] = ()  # the class of each
    pairs: Sequence[str] = ()  # terms of two properties, the largest for this source first
    pair_contribution: Float[np.ndarray, "P C"] | None = None  # half in either's contribution


class LnOdds(NamedTuple):
    """ln odds of each class against the predicted one; the total is the sum of all the others."""

    prior: Float[np.ndarray, "C"]
    offset: Float[np.ndarray, "C"]
    property: Float[np.ndarray, "F C"]
    category: Float[np.ndarray, "G C"]  # sums over its properties
    apart: Float[np.ndarray, "C"]  # zero without subclasses
    total: Float[np.ndarray, "C"]


def ln_odds(track: Track) -> LnOdds:
    """What prior, offset and each property add to ln p(class) / p(predicted class)."""

    def against(score: np.ndarray) -> np.ndarray:
        score = np.asarray(score, np.float64)
        return score - score[..., [track.prediction]]

    prior, offset = against(track.log_prior), against(track.offset)
    apart = np.zeros(len(track.classes)) if track.apart is None else against(track.apart)
    each = against(track.contribution)  # [F, C]
    category = np.zeros((len(track.categories), len(track.classes)))
    np.add.at(category, np.asarray(track.category, int), each)
    total = prior + offset + apart + category.sum(0)
    return LnOdds(prior, offset, each, category, apart, total)


def runner_up(track: Track) -> int:
    """The most probable class but the predicted one."""
    others = np.array(track.posterior, float)
    others[track.prediction] = -np.inf
    return int(others.argmax())


def subclasses_text(track: Track, c: int, digits: int = 0) -> str:
    """'HMXB 93 %, LMXB 7 %', of one class; empty where it has no subclasses."""
    own = np.flatnonzero(np.asarray(track.subclass_of) == c)
    if len(own) < 2 or track.responsibility is None:
        return ""
    share = track.responsibility
    order = own[np.argsort(-share[own], kind="stable")]
    return ", ".join(
        f"{track.subclasses[t]} {percent_text(float(share[t]), digits)}" for t in order
    )


def facts_text(track: Track, against: int) -> str:
    """Runner-up, alternative and outlier standing in one line."""
    predicted, other = (shortened(track.classes[c], 18) for c in (track.prediction, against))
    without = f"{shortened(track.alternative, 18)} if one category is left out"
    if not track.alternative:
        without = f"{predicted} whichever category is left out"
    standing = standing_text(track)
    second = f"runner-up {other} {percent_text(track.posterior[against], 1)}"
    kinds = subclasses_text(track, track.prediction)
    return "  ·  ".join([*([kinds] if kinds else []), second, without, standing])


def standing_text(track: Track) -> str:
    """How many sources of the predicted class are as strange."""
    strange = 100 * track.outlier_p
    share = f"{strange:.0f}" if strange >= 9.5 else f"{strange:.1g}"
    predicted = shortened(track.classes[track.prediction], 18)
    return f"{share} % of known {predicted} are at least as strange"


def state_of(value: str) -> str:
    """observed, missing or not available, from the text of a value."""
    return value if is_absent(value) else "observed"


def percent_text(share: float, digits: int) -> str:
    """Never '100 %' nor '0 %', which no posterior is."""
    smallest = 10.0**-digits
    if 100 * share > 100 - smallest / 2:
        return f">{100 - smallest:.{digits}f} %"
    if 100 * share < smallest / 2:
        return f"<{smallest:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"


def factor_text(evidence: float) -> str:
    """The factor on the odds: '×20', '÷3.5'; '×1' where it hardly matters."""
    factor = float(np.exp(min(abs(evidence), 700.0)))
    if factor < 1.05:
        return "×1"
    sign = "×" if evidence > 0 else "÷"
    if factor < 10:
        return f"{sign}{factor:.1f}"
    if factor < 9500:
        return f"{sign}{float(f'{factor:.2g}'):,.0f}"
    return f"{sign}$10^{{{np.log10(factor):.1f}}}$"


def factor_tick(evidence: float) -> str:
    """The factor at a round place of an axis: '÷10', '1', '×100'."""
    decade = round(abs(evidence) / np.log(10), 6)
    if decade == round(decade) and decade > 2:
        return ("×" if evidence > 0 else "÷") + f"$10^{{{decade:.0f}}}$"
    return "1" if evidence == 0 else ("×" if evidence > 0 else "÷") + f"{np.exp(abs(evidence)):.0f}"


def is_absent(value: str) -> bool:
    """Whether the text of a value says that there is none."""
    return value in (MISSING, NOT_SURVEYED)


def on_two_lines(text: str) -> str:
    """The name of a category, narrow enough to stand beside its bar."""
    text = text.replace("_", " ")
    if len(text) <= 13:
        return text
    first, _, rest = text.partition(" ")
    return f"{shortened(first, 13)}\n{shortened(rest, 13)}" if rest else shortened(text, 13)
