"""The sections that show single sources: the sky, two features, probability tracks."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from xbayes.classifier.learned import prior_of_rows, prior_to_apply
from xbayes.classifier.patterns import parts_of
from xbayes.features.functions import galactic
from xbayes.figures.scatter import draw_scatter
from xbayes.figures.sky import draw_sky
from xbayes.figures.track import draw_track
from xbayes.figures.track_record import Track
from xbayes.output.results import Results
from xbayes.report.brief_track import brief_track
from xbayes.report.build_tracks import focus_of, most_certain, strongest_outliers, tracks_of
from xbayes.report.context import Section, known_section, rendered
from xbayes.report.interactive import Points, shown_rows
from xbayes.report.population import equatorial, of_rows, without_training
from xbayes.report.result_sections import labels_of

N_TRACKS = 10


def point_sections(results: Results) -> tuple[list[Section], Points]:
    """The sky, if there are positions, and two features; and the points of both."""
    products, labels = results.products, labels_of(results)
    classes = results.recipe.names.classes
    value = np.where(results.features.measured, results.features.value, np.nan)
    first, place = separating_features(results), positions(results)
    rows = shown_rows(len(value), len(labels), results.config.seed)
    points = Points(
        names=_names(results, rows),
        classes=classes,
        prediction=products.prediction[rows],
        probability=products.posterior[rows, products.prediction[rows]],
        outlier_p=products.outlier_p[rows],
        galactic=None if place is None else place[rows],
        value=value[rows],
        labels=labels,
        first=first,
        n_sources=len(value),
    )
    pair = [labels[f] for f in first]
    scatter = rendered(
        f"{pair[1].name} against {pair[0].name}, by predicted class.",
        draw_scatter(value[:, list(first)], products.prediction, pair, classes),
    )
    sections = [known_section("scatter", {"scatter": scatter}, "scatter")]
    if place is not None:
        sky = rendered(
            "All sources with a position, by predicted class.",
            draw_sky(place[:, 0], place[:, 1], products.prediction, classes),
        )
        sections.append(known_section("sky", {"sky": sky}, "sky"))
    return sections, points


def track_sections(results: Results) -> list[Section]:
    """Tracks of the most certain sources of the focus class and of the strongest outliers.

    Of sources without a label, if there are any. There are no tracks of a focus class that was
    never predicted.
    """
    rows, focus = without_training(results), focus_of(results)
    which = "sources without a label"
    if not len(rows):
        rows, which = np.arange(len(results.table)), "training sources: all sources have a label"
    products = of_rows(results.products, rows)
    name = results.recipe.names.classes[focus]
    certain = rows[most_certain(products, focus, N_TRACKS)]
    outliers = rows[strongest_outliers(products, N_TRACKS)]
    tracks = _tracks(results, np.concatenate([certain, outliers]))
    n = len(certain)
    certain_tracks = [brief_track(track, rank) for rank, track in enumerate(tracks[:n], 1)]
    outlier_tracks = [brief_track(track, rank) for rank, track in enumerate(tracks[n:], 1)]
    sections = [
        known_section("top-outliers", {}, tracks=outlier_tracks, n=len(outliers), which=which)
    ]
    if n:
        full = {f"track_{name}": rendered(f"The most certain {name}.", draw_track(tracks[0]))}
        sections.append(
            known_section("tracks", full, tracks=certain_tracks, focus=name, n=n, which=which)
        )
    return sections


def _tracks(results: Results, rows: Int[np.ndarray, "M"]) -> list[Track]:
    tracks: dict[int, Track] = {}
    for part in parts_of(results.classifier, results.features.rows(rows), results.patterns):
        own = rows[part.rows]
        made = tracks_of(
            results.config,
            results.recipe,
            part.classifier,
            _names(results, own),
            part.features,
            of_rows(results.products, own),
            log_prior=prior_of_rows(prior_to_apply(results.config, results.labels), own),
        )
        tracks |= dict(zip(part.rows.tolist(), made, strict=True))
    return [tracks[place] for place in range(len(rows))]


def _names(results: Results, rows: Int[np.ndarray, "M"]) -> list[str]:
    return np.asarray(results.table[results.config.catalog.id])[rows].astype(str).tolist()


def positions(results: Results) -> Float[np.ndarray, "N 2"] | None:
    """Galactic l and b in degrees; None if the catalogue has no positions."""
    places = equatorial(results, np.arange(len(results.table)))
    if places is None:
        return None
    place = np.stack(galactic(*places.T), axis=1)
    return place if np.isfinite(place).any() else None


def separating_features(results: Results) -> tuple[int, int]:
    """The two features that separate the classes best, from two categories if possible.

    The criterion is the fraction of variance between the class means (all classes with equal
    weight), times the fraction of sources with a measured value.
    """
    value = np.where(results.features.measured, results.features.value, np.nan)
    n_classes = len(results.recipe.names.classes)
    members = [results.labels.class_index == c for c in range(n_classes)]
    between = [_variance_between([column[own] for own in members]) for column in value.T]
    measured = np.asarray(results.features.measured).mean(0)
    order = np.argsort(-np.array(between) * measured).tolist()
    category: Sequence[int] = results.recipe.names.category
    others = [f for f in order if category[f] != category[order[0]]] or order[1:] or order
    return order[0], others[0]


def _variance_between(values: list[np.ndarray]) -> float:
    finite = [own[np.isfinite(own)] for own in values]
    finite = [own for own in finite if len(own) > 1]
    if len(finite) < 2:
        return 0.0
    between = np.var([own.mean() for own in finite])
    within = np.mean([own.var() for own in finite])
    return float(between / (between + within)) if between > 0 else 0.0
