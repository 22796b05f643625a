"""Which features of a track speak for a class against another, as numbers that words can hold."""

from typing import NamedTuple

import numpy as np

from xbayes.figures.track_record import Track, state_of

LEAST = 0.2  # nats; smaller terms say nothing to a reader


class Reason(NamedTuple):
    """A feature that speaks for a class against another."""

    feature: str
    text: str  # the value with its unit, or 'not detected'
    measured: bool
    higher: bool  # whether `share` counts values at least as high, else at least as low
    share: float  # of the class, with a value at least as extreme; NaN if not measured
    other_share: float  # of the other class
    ln_odds: float  # for the class against the other, in nats


def reasons(track: Track, name: str, against: str = "", most: int = 3) -> list[Reason]:
    """The features that speak most for a class against another, the strongest first.

    Parameters
    ----------
    track
        The probability track of the source.
    name
        The class.
    against
        The other class; the most probable one besides `name` if it is empty or no other class.
    most
        Number of features.
    """
    classes = list(track.classes)
    own = classes.index(name)
    other = classes.index(against) if against in classes and against != name else _best(track, own)
    odds = track.contribution[:, own] - track.contribution[:, other]
    order = np.argsort(-odds, kind="stable")[:most]
    return [_reason(track, int(f), own, other, float(odds[f])) for f in order if odds[f] >= LEAST]


def out_of(share: float) -> tuple[int, int]:
    """A share as counts: 0.4 is 40 of 100, 0.001 is 1 of 1,000. A share below this is 0."""
    whole = 100 if share >= 0.01 else 1000
    return round(share * whole), whole


def _best(track: Track, own: int) -> int:
    posterior = np.array(track.posterior, float)
    posterior[own] = -np.inf
    return int(posterior.argmax())


def _reason(track: Track, f: int, own: int, other: int, ln_odds: float) -> Reason:
    below = np.asarray(track.share_below[f], float)
    low, high = below[[own, other]], 1 - below[[own, other]]
    higher = bool(high[0] - high[1] >= low[0] - low[1])
    side = high if higher else low
    return Reason(
        feature=track.features[f],
        text=track.value_texts[f],
        measured=state_of(track.value_texts[f]) == "measured" and bool(np.isfinite(side).all()),
        higher=higher,
        share=float(side[0]),
        other_share=float(side[1]),
        ln_odds=ln_odds,
    )
