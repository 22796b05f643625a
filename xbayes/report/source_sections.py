"""The sections about single sources: sky, two properties, tracks."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from xbayes.catalog.columns import masked_column
from xbayes.config import focus_class
from xbayes.report.context import ReportFigure, Section, known_section, rendered
from xbayes.report.figures import Track, draw_scatter, draw_sky, draw_track
from xbayes.report.interactive import Points, shown_rows
from xbayes.report.results_figures import classes_of, labels_of
from xbayes.report.run_directory import Results
from xbayes.report.sky import galactic
from xbayes.report.track import percent_text
from xbayes.report.tracks import most_certain, strangest, tracks_of
from xbayes.types import Features

N_TRACKS = 10
SMALL_DPI = 100


def point_sections(results: Results) -> tuple[dict[str, Section], Points]:
    """The sky, if there are positions, and two properties; with the points of both."""
    products, classes, labels = results.products, classes_of(results), labels_of(results)
    value = np.where(results.features.observed, results.features.value, np.nan)
    first, place = _first_properties(results), _positions(results)
    rows = shown_rows(*value.shape, results.config.seed)
    points = Points(
        names=[str(name) for name in results.table[results.config.catalog.id][rows]],
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
            draw_sky(*place.T, products.prediction, classes),
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
    """The surest source of each class, the surest of the focus, the strangest; and all figures."""
    products, classes = results.products, classes_of(results)
    focus = focus_of(results)
    surest = [most_certain(products, c, 1) for c in range(len(classes))]
    chosen = [
        np.concatenate(surest),
        most_certain(products, focus, N_TRACKS),
        strangest(products, N_TRACKS),
    ]
    tracks = _tracks(results, np.concatenate(chosen))
    ends = np.cumsum([len(rows) for rows in chosen])
    full, certain, strange = np.split(np.arange(len(tracks)), ends[:-1])
    figures = {f"track_{_predicted(tracks[i])}": _full(tracks[i]) for i in full}
    small = {f"certain_{k + 1}": _small(tracks[i], k + 1) for k, i in enumerate(certain)}
    odd = {f"strange_{k + 1}": _small(tracks[i], k + 1) for k, i in enumerate(strange)}
    sections = [known_section("tracks", list(figures.values()))]
    if small:
        named = {"focus": classes[focus], "n": len(small)}
        sections.append(known_section("certain", list(small.values()), **named))
    sections.append(known_section("strange", list(odd.values()), n=len(odd)))
    return sections, figures | small | odd


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
        list(results.table[results.config.catalog.id][once]),
        Features(*(np.asarray(a)[once] for a in results.features)),
        results.products._replace(**{k: v[once] for k, v in results.products._asdict().items()}),
    )
    return [tracks[i] for i in back]


def _full(track: Track) -> ReportFigure:
    return rendered(f"The most certain {_predicted(track)}.", draw_track(track))


def _small(track: Track, rank: int) -> ReportFigure:
    share = percent_text(track.posterior[track.prediction], 1)
    fold = f"{rank}. {track.name}: {_predicted(track)} {share}, outlier_p {track.outlier_p:.2g}"
    return rendered("", draw_track(track, most=1), fold, SMALL_DPI)


def _predicted(track: Track) -> str:
    return track.classes[track.prediction]


def _positions(results: Results) -> Float[np.ndarray, "N 2"] | None:
    """Galactic l, b; None if the catalogue has no positions."""
    roles = results.config.catalog
    if roles.ra is None or roles.dec is None:
        return None
    columns = [masked_column(results.table, name) for name in (roles.ra, roles.dec)]
    ra, dec = (np.ma.filled(column.astype(float), np.nan) for column in columns)
    place = np.stack(galactic(ra, dec), axis=1)
    return place if np.isfinite(place).any() else None


def _first_properties(results: Results) -> tuple[int, int]:
    """The properties that weigh most and are often there, of two categories if there are two."""
    properties: Sequence[int] = results.recipe.properties.category
    alpha = np.asarray(results.recipe.model.alpha(results.classifier.weights)).mean(1)
    speaks = alpha * np.asarray(results.features.observed).mean(0)
    order = np.argsort(-speaks).tolist()
    others = [f for f in order if properties[f] != properties[order[0]]] or order[1:] or order
    return order[0], others[0]
