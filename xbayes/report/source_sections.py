"""The sections about single sources: sky, two properties, tracks."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from xbayes.catalog.columns import masked_column
from xbayes.config.schema import focus_class, given_log_prior
from xbayes.features.functions import galactic
from xbayes.figures.all_figures import Track, draw_scatter, draw_sky, draw_track
from xbayes.figures.track_record import percent_text
from xbayes.output.results import Results
from xbayes.report.build_tracks import most_certain, strangest, tracks_of
from xbayes.report.context import ReportFigure, Section, known_section, rendered
from xbayes.report.interactive import Points, shown_rows
from xbayes.report.result_sections import classes_of, labels_of

N_TRACKS = 10
SMALL_DPI = 100


def point_sections(results: Results) -> tuple[dict[str, Section], Points]:
    """The sky, if there are positions, and two properties; with the points of both."""
    products, classes, labels = results.products, classes_of(results), labels_of(results)
    value = np.where(results.features.measured, results.features.value, np.nan)
    first, place = first_properties(results), positions(results)
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
    sections = {}
    if place is not None:
        figure = rendered(
            "All sources with a position, by predicted class.",
            draw_sky(place[:, 0], place[:, 1], products.prediction, classes),
        )
        sections["sky"] = known_section("sky", [figure], "sky")
    pair = [labels[f] for f in first]
    figure = rendered(
        f"{pair[1].name} against {pair[0].name}, by predicted class.",
        draw_scatter(value[:, list(first)], products.prediction, pair, classes),
    )
    sections["scatter"] = known_section("scatter", [figure], "scatter")
    return sections, points


def track_sections(results: Results) -> tuple[list[Section], dict[str, ReportFigure]]:
    """The surest sources of the focus class, the strangest of all; and every figure by name.

    Nothing is shown of a focus class that no source was given.
    """
    products, focus = results.products, focus_of(results)
    name = classes_of(results)[focus]
    certain, strange = most_certain(products, focus, N_TRACKS), strangest(products, N_TRACKS)
    tracks = _tracks(results, np.concatenate([certain, strange]))
    small = [_small(track, k) for k, track in enumerate(tracks[: len(certain)], 1)]
    odd = [_small(track, k) for k, track in enumerate(tracks[len(certain) :], 1)]
    sections = [known_section("strange", odd, n=len(odd))]
    figures = {f"strange_{k}": figure for k, figure in enumerate(odd, 1)}
    if small:
        full = rendered(f"The most certain {name}.", draw_track(tracks[0]))
        sections.append(known_section("tracks", [full, *small], focus=name, n=len(small)))
        figures[f"track_{name}"] = full
        figures |= {f"certain_{k}": figure for k, figure in enumerate(small, 1)}
    return sections, figures


def focus_of(results: Results) -> int:
    """The class whose F1 counts; if none is named, the rarest."""
    classes, name = classes_of(results), focus_class(results.config)
    truth = results.labels.class_index[results.held_out.rows]
    counts = np.bincount(truth, minlength=len(classes))
    return classes.index(name) if name else int(counts.argmin())


def _tracks(results: Results, rows: Int[np.ndarray, "M"]) -> list[Track]:
    once, back = np.unique(rows, return_inverse=True)
    tracks = tracks_of(
        results.config,
        results.recipe,
        results.classifier,
        _names(results, once),
        results.features.rows(once),
        results.products._replace(**{k: v[once] for k, v in results.products._asdict().items()}),
        given_log_prior(results.config),
    )
    return [tracks[i] for i in back]


def _small(track: Track, rank: int) -> ReportFigure:
    share = percent_text(track.posterior[track.prediction], 1)
    predicted = track.classes[track.prediction]
    fold = f"{rank}. {track.name}: {predicted} {share}, outlier_p {track.outlier_p:.2g}"
    return rendered("", draw_track(track, most=1), fold, SMALL_DPI)


def _names(results: Results, rows: Int[np.ndarray, "M"]) -> list[str]:
    return np.asarray(results.table[results.config.catalog.id])[rows].astype(str).tolist()


def positions(results: Results) -> Float[np.ndarray, "N 2"] | None:
    """Galactic l, b; None if the catalogue has no positions."""
    roles = results.config.catalog
    if roles.ra is None or roles.dec is None:
        return None
    columns = [masked_column(results.table, name) for name in (roles.ra, roles.dec)]
    ra, dec = (np.asarray(np.ma.filled(column.astype(float), np.nan)) for column in columns)
    place = np.stack(galactic(ra, dec), axis=1)
    return place if np.isfinite(place).any() else None


def first_properties(results: Results) -> tuple[int, int]:
    """The properties that part the classes best, of two categories if there are two.

    Measured by the share of the variance that lies between the classes, each counted alike.
    """
    value = np.where(results.features.measured, results.features.value, np.nan)
    members = [results.labels.class_index == c for c in range(len(classes_of(results)))]
    parted = [_between([column[own] for own in members]) for column in value.T]
    often = np.asarray(results.features.measured).mean(0)
    order = np.argsort(-np.array(parted) * often).tolist()
    category: Sequence[int] = results.recipe.names.category
    others = [f for f in order if category[f] != category[order[0]]] or order[1:] or order
    return order[0], others[0]


def _between(values: list[np.ndarray]) -> float:
    there = [own[np.isfinite(own)] for own in values]
    there = [own for own in there if len(own) > 1]
    if len(there) < 2:
        return 0.0
    between = np.var([own.mean() for own in there])
    within = np.mean([own.var() for own in there])
    return float(between / (between + within)) if between > 0 else 0.0
