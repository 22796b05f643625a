"""The answers on single sources, as JSON: typed, so that OpenAPI describes them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, Field

from xbayes.app.served_run import Cell
from xbayes.figures.track_record import LnOdds, Track, ln_odds, state_of

Numbers = dict[str, float | None]


class ClassProbability(BaseModel):
    """The posterior probability of one class."""

    name: str
    p: float | None
    low: float | None = Field(
        None, description="lower end of the 90 % interval, where there is one"
    )
    high: float | None = Field(None, description="upper end of the 90 % interval")
    in_set: bool = Field(False, description="whether the prediction set holds the class")


class Term(BaseModel):
    """One feature of the source, and what it adds to the log-odds."""

    feature: str
    category: str
    description: str
    value: float | None = Field(description="in the unit; null where it was not measured")
    unit: str
    text: str = Field(description="the value with its unit, or the state of the value")
    state: str = Field(description="measured, not detected or not available")
    ln_odds: Numbers = Field(description="added to ln p(class) / p(reference), by class")
    share_below: Numbers = Field(description="share of each class with a smaller value")


class TrackAnswer(BaseModel):
    """The probability track: the terms of ln p(class) / p(reference), which sum to `total`."""

    reference: str = Field(description="the predicted class")
    runner_up: str
    prior: Numbers
    offset: Numbers
    subclasses: Numbers | None
    categories: dict[str, Numbers] = Field(description="sums over the features of each category")
    category_posterior: dict[str, Numbers] = Field(description="posterior from each category alone")
    features: list[Term]
    pairs: dict[str, Numbers] = Field(description="largest terms of two features")
    total: Numbers


class SourceAnswer(BaseModel):
    """One source of the catalogue."""

    id: str
    run: str
    prediction: str
    prediction_set: list[str]
    posterior: list[ClassProbability]
    alternative: str = Field(description="class that wins if one category is left out, or empty")
    outlier_p: float | None
    unlike: str = Field(description="why it is unlike known sources of its class, or empty")
    not_available: list[str] = Field(description="features without information on this source")
    track: TrackAnswer | None
    columns: dict[str, Cell] = Field({}, description="all columns of the catalogue")


class Changed(BaseModel):
    """The posterior under changed circumstances, beside the one in the catalogue."""

    id: str
    before: list[ClassProbability]
    after: list[ClassProbability]
    prediction_before: str
    prediction_after: str
    track: TrackAnswer


class Question(BaseModel):
    """What to change."""

    prior: dict[str, float] | None = Field(
        None, description="class proportions, or counts in proportion; of every class"
    )
    without: list[str] = Field([], description="names of features or categories to leave out")
    changes: dict[str, float | str | None] = Field(
        {}, description="new values of columns; null: not detected"
    )
    not_available: list[str] = Field([], description="columns to treat as not available")
    distance: float | None = Field(None, gt=0, description="assumed distance, pc")


def finite(value: object) -> float | None:
    """The number; None for one that JSON cannot hold."""
    number = float(value) if isinstance(value, int | float) else math.nan
    return number if math.isfinite(number) else None


def track_answer(track: Track, descriptions: Mapping[str, str]) -> TrackAnswer:
    """The track as JSON; `descriptions` are those of the features."""
    from xbayes.figures.track_record import runner_up

    odds, classes = ln_odds(track), list(track.classes)
    return TrackAnswer(
        reference=classes[track.prediction],
        runner_up=classes[runner_up(track)],
        prior=numbers(odds.prior, classes),
        offset=numbers(odds.offset, classes),
        subclasses=numbers(odds.subclass_term, classes) if track.subclasses else None,
        categories={g: numbers(odds.category[k], classes) for k, g in enumerate(track.categories)},
        category_posterior={
            g: numbers(track.category_posterior[k], classes) for k, g in enumerate(track.categories)
        },
        features=[_term(track, odds, f, descriptions) for f in range(len(track.features))],
        pairs=_pairs(track),
        total=numbers(odds.total, classes),
    )


def _term(track: Track, odds: LnOdds, f: int, descriptions: Mapping[str, str]) -> Term:
    classes = list(track.classes)
    return Term(
        feature=track.features[f],
        category=track.categories[track.category[f]],
        description=descriptions.get(track.features[f], ""),
        value=finite(float(track.value[f])),
        unit=track.unit[f],
        text=track.value_texts[f],
        state=state_of(track.value_texts[f]),
        ln_odds=numbers(odds.feature[f], classes),
        share_below=numbers(track.share_below[f], classes),
    )


def _pairs(track: Track) -> dict[str, Numbers]:
    if track.pair_contribution is None:
        return {}
    return {
        name: numbers(term, list(track.classes))
        for name, term in zip(track.pairs, track.pair_contribution, strict=True)
    }


def numbers(values: Float[np.ndarray, "C"], classes: Sequence[str]) -> Numbers:
    """A number for each class."""
    return {name: finite(v) for name, v in zip(classes, values.tolist(), strict=True)}


def posterior_of(row: Mapping[str, object], classes: Sequence[str]) -> list[ClassProbability]:
    """The posterior in the columns of a classified row."""
    members = set_of(row)
    return [
        ClassProbability(
            name=name,
            p=finite(row.get(f"p_{name}")),
            low=finite(row.get(f"p_{name}_lo")),
            high=finite(row.get(f"p_{name}_hi")),
            in_set=name in members,
        )
        for name in classes
    ]


def set_of(row: Mapping[str, object]) -> list[str]:
    """The classes of the prediction set of a classified row."""
    text = row.get("prediction_set")
    return text.split(" or ") if isinstance(text, str) and text else []
