"""The content of the probability track of one source, and its numbers as text."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from xbayes.figures.labels import shortened

NOT_DETECTED, NOT_AVAILABLE = "not detected", "not available"


class Track(NamedTuple):
    """The probability track of one source: F features in G categories, C classes."""

    name: str
    classes: Sequence[str]
    categories: Sequence[str]
    category: Sequence[int]  # of each feature
    features: Sequence[str]
    value_texts: Sequence[str]  # with unit, or 'not detected', or 'not available'
    contribution: Float[np.ndarray, "F C"]  # to the class scores, in nats
    offset: Float[np.ndarray, "C"]  # learned, without `subclass_term`
    log_prior: Float[np.ndarray, "C"]
    category_posterior: Float[np.ndarray, "G C"]  # from each category alone
    posterior: Float[np.ndarray, "C"]
    prediction: int
    outlier_p: float
    alternative: str  # class that wins if one category is left out; '' if none does
    outlier: float  # outlier score
    value: Float[np.ndarray, "F"]  # in `unit`; NaN if not measured
    unit: Sequence[str]
    share_below: Float[np.ndarray, "F C"]  # share of each class below the value; else NaN
    subclass_term: Float[np.ndarray, "C"] | None = None  # from assigning it to subclasses
    subclasses: Sequence[str] = ()  # of all classes; empty without subclasses
    responsibility: Float[np.ndarray, "T"] | None = None  # of each subclass within its class
    subclass_of: Sequence[int] = ()  # the class of each subclass
    pairs: Sequence[str] = ()  # terms of two features, the largest for this source first
    pair_contribution: Float[np.ndarray, "P C"] | None = None  # half is in each contribution
    groups: Sequence[tuple[str, float]] = ()  # groups of classes, and their probabilities
    novelty_why: str = ""  # why it is unlike the training sources of its class; '' if it is not


class LnOdds(NamedTuple):
    """Terms of ln p(class) / p(predicted class), in nats.

    `total` is the sum of prior, offset, subclass term and features (or categories).
    """

    prior: Float[np.ndarray, "C"]
    offset: Float[np.ndarray, "C"]
    feature: Float[np.ndarray, "F C"]
    category: Float[np.ndarray, "G C"]  # sum over its features
    subclass_term: Float[np.ndarray, "C"]  # zero without subclasses
    total: Float[np.ndarray, "C"]


def ln_odds(track: Track) -> LnOdds:
    """The terms of the ln odds of each class against the predicted class."""

    def relative(score: np.ndarray) -> np.ndarray:
        score = np.asarray(score, np.float64)
        return score - score[..., [track.prediction]]

    prior, offset = relative(track.log_prior), relative(track.offset)
    nothing = np.zeros(len(track.classes))
    subclass_term = nothing if track.subclass_term is None else relative(track.subclass_term)
    feature = relative(track.contribution)
    category = np.zeros((len(track.categories), len(track.classes)))
    np.add.at(category, np.asarray(track.category, int), feature)
    return LnOdds(
        prior=prior,
        offset=offset,
        feature=feature,
        category=category,
        subclass_term=subclass_term,
        total=prior + offset + subclass_term + category.sum(0),
    )


def runner_up(track: Track) -> int:
    """The most probable class other than the predicted one."""
    others = np.array(track.posterior, float)
    others[track.prediction] = -np.inf
    return int(others.argmax())


def subclasses_text(track: Track, c: int, digits: int = 0) -> str:
    """The subclasses of class c, such as 'HMXB 93 %, LMXB 7 %'; empty if it has none."""
    members = np.flatnonzero(np.asarray(track.subclass_of) == c)
    if len(members) < 2 or track.responsibility is None:
        return ""
    share = track.responsibility
    order = members[np.argsort(-share[members], kind="stable")]
    return ", ".join(
        f"{track.subclasses[t]} {percent_text(float(share[t]), digits)}" for t in order
    )


def groups_text(track: Track, digits: int = 0) -> str:
    """The groups of classes and their probabilities; empty if there are none."""
    return ", ".join(f"{group} {percent_text(share, digits)}" for group, share in track.groups)


def facts_text(track: Track, against: int) -> str:
    """One line with subclasses, runner-up, alternative and outlier p-value."""
    predicted, other = (shortened(track.classes[c], 15) for c in (track.prediction, against))
    alternative = f"alternative {shortened(track.alternative, 15)} if one category is left out"
    if not track.alternative:
        alternative = f"{predicted} whichever category is left out"
    score = 100 * track.outlier_p
    share = f"{score:.0f}" if score >= 9.5 else f"{score:.1g}"
    facts = [
        groups_text(track),
        subclasses_text(track, track.prediction),
        f"runner-up {other} {percent_text(track.posterior[against], 1)}",
        alternative,
        f"{share} % of known {predicted} have at least this outlier score",
    ]
    return "  ·  ".join(fact for fact in facts if fact)


def unlike_text(track: Track) -> str:
    """The reason for which a source is unlike the training sources; empty if there is none."""
    if not track.novelty_why:
        return ""
    predicted = shortened(track.classes[track.prediction], 15)
    return f"unlike known {predicted}: {track.novelty_why}"


def state_of(value_text: str) -> str:
    """The state of a value from its text: measured, not detected or not available."""
    return value_text if is_absent(value_text) else "measured"


def percent_text(share: float, digits: int) -> str:
    """A posterior in percent, never '100 %' or '0 %'."""
    smallest = 10.0**-digits
    if 100 * share > 100 - smallest / 2:
        return f">{100 - smallest:.{digits}f} %"
    if 100 * share < smallest / 2:
        return f"<{smallest:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"


def factor_text(evidence: float) -> str:
    """The factor exp(evidence) on the odds: '×20', '÷3.5', or '×1' if it is within 5 %."""
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
    """The factor exp(evidence) at a round tick of an axis: '÷10', '1', '×100'."""
    if evidence == 0:
        return "1"
    sign, decade = "×" if evidence > 0 else "÷", round(abs(evidence) / np.log(10), 6)
    if decade == round(decade) and decade > 2:
        return f"{sign}$10^{{{decade:.0f}}}$"
    return f"{sign}{np.exp(abs(evidence)):.0f}"


def is_absent(value_text: str) -> bool:
    """Whether the text says that the value is not detected or not available."""
    return value_text in (NOT_DETECTED, NOT_AVAILABLE)


def on_two_lines(text: str) -> str:
    """The name of a category in at most two lines of 13 characters."""
    text = text.replace("_", " ")
    if len(text) <= 13:
        return text
    first, _, rest = text.partition(" ")
    return f"{shortened(first, 13)}\n{shortened(rest, 13)}" if rest else shortened(text, 13)
