"""The sections of the catalogue's sources without a label: how many of each class, and lists."""

from typing import NamedTuple
from urllib.parse import quote, urlencode

import jax
import numpy as np
from astropy.table import Table
from jaxtyping import Float, Int

from xbayes.catalog.columns import masked_column
from xbayes.classifier.decision import DecisionRule, decide
from xbayes.classifier.learned import prior_to_apply, rule_under
from xbayes.classifier.predict import Products
from xbayes.evaluate.counts import confusion_counts
from xbayes.output.novelty_text import NOVELTY_WHY, novelty_texts
from xbayes.output.results import Results
from xbayes.output.table import set_names
from xbayes.report.build_tracks import focus_of, most_certain, strongest_outliers
from xbayes.report.context import HtmlCell, HtmlTable, Section, known_section
from xbayes.types import UNLABELLED

LISTED, SHOWN = 100, 10  # sources of a list in the file, and in the report
RADIUS = 10.0  # arcsec, of the search in SIMBAD
FIELD = 0.05  # degrees, of the maps
IN_FILE_ONLY = ("entropy", "n_missing")  # the page has no room
SERVICES = ("SIMBAD", "Aladin", "ESASky")


class CandidateList(NamedTuple):
    """Sources worth a look, the first ones most."""

    title: str
    rows: Int[np.ndarray, "M"]


def without_training(results: Results) -> Int[np.ndarray, "M"]:
    """The rows of the catalogue whose class is unknown."""
    return np.flatnonzero(results.labels.class_index == UNLABELLED)


def population_sections(results: Results) -> list[Section]:
    """Class counts and candidate lists of the sources without a label; empty if there are none."""
    rows = without_training(results)
    if not len(rows):
        return []
    focus = f"Most certain {results.recipe.names.classes[focus_of(results)]}"
    lists = sorted(candidate_lists(results), key=lambda candidates: candidates.title != focus)
    tables = [_list_table(results, candidates, opened=k == 0) for k, candidates in enumerate(lists)]
    return [
        known_section("population", {}, tables=[_count_table(results, rows)], n=f"{len(rows):,}"),
        known_section("candidates", {}, tables=tables, n=min(LISTED, len(rows))),
    ]


def candidate_lists(results: Results) -> list[CandidateList]:
    """The most certain sources of each class, the most ambiguous and the strangest ones.

    Only sources without a label are listed.
    """
    rows = without_training(results)
    products = of_rows(results.products, rows)
    classes = results.recipe.names.classes
    lists = [
        CandidateList(title=f"Most certain {name}", rows=rows[most_certain(products, c, LISTED)])
        for c, name in enumerate(classes)
    ]
    ambiguous = np.argsort(-products.entropy, kind="stable")[:LISTED]
    strange = strongest_outliers(products, LISTED)
    lists += [
        CandidateList(title="Most ambiguous", rows=rows[ambiguous]),
        CandidateList(title="Strangest", rows=rows[strange]),
    ]
    return [candidates for candidates in lists if len(candidates.rows)]


def candidate_table(results: Results) -> Table:
    """All candidate lists below each other, as in `candidates.csv`; empty without candidates."""
    lists = candidate_lists(results)
    if not lists:
        return Table()
    rows = np.concatenate([candidates.rows for candidates in lists])
    columns = {
        "list": np.repeat([c.title for c in lists], [len(c.rows) for c in lists]),
        "rank": np.concatenate([np.arange(1, len(c.rows) + 1) for c in lists]),
    }
    return Table(columns | _columns(results, rows))


def _columns(results: Results, rows: Int[np.ndarray, "M"]) -> dict[str, np.ndarray]:
    """The columns of a list of sources, by name."""
    products, classes = of_rows(results.products, rows), results.recipe.names.classes
    every, name = np.arange(len(rows)), results.config.catalog.id
    columns = {
        name: np.asarray(results.table[name])[rows].astype(str),
        "prediction": np.array(classes)[products.prediction],
        "probability": products.posterior[every, products.prediction],
    }
    if products.posterior_interval.shape[-1]:
        ends = products.posterior_interval[every, products.prediction]
        columns |= {"probability_lo": ends[:, 0], "probability_hi": ends[:, 1]}
    columns |= {
        "prediction_set": set_names(products.prediction_set, classes),
        "set_flag": np.asarray(products.set_flag, bool),
        "entropy": products.entropy,
        "outlier_p": products.outlier_p,
        "n_missing": products.n_missing,
    }
    why = novelty_texts(results.config.features, products)
    if why is not None:
        columns[NOVELTY_WHY] = np.array(why, str)
    place = equatorial(results, rows)
    if place is None:
        return columns
    known = np.isfinite(place.sum(axis=1)).tolist()
    found = [links(*at) if ok else {} for at, ok in zip(place.tolist(), known, strict=True)]
    columns |= {"ra": place[:, 0], "dec": place[:, 1]}
    return columns | {name: np.array([at.get(name, "") for at in found]) for name in SERVICES}


def of_rows(products: Products, rows: Int[np.ndarray, "M"]) -> Products:
    """The products of a few sources; one that was not made stays empty."""
    return jax.tree.map(lambda column: column[rows] if len(column) else column, products)


def links(ra: float, dec: float) -> dict[str, str]:
    """Addresses of pages on a position (ICRS degrees), by the name of the service."""
    place = f"{ra:.6f} {dec:+.6f}"
    simbad = {"Coord": place, "Radius": f"{RADIUS:g}", "Radius.unit": "arcsec"}
    aladin = {"target": place, "fov": f"{FIELD:g}"}
    esasky = {"target": place, "fov": f"{FIELD:g}", "cooframe": "J2000", "sci": "true"}
    pages = (
        "https://simbad.cds.unistra.fr/simbad/sim-coo?" + urlencode(simbad, quote_via=quote),
        "https://aladin.cds.unistra.fr/AladinLite/?" + urlencode(aladin, quote_via=quote),
        "https://sky.esa.int/esasky/?" + urlencode(esasky, quote_via=quote),
    )
    return dict(zip(SERVICES, pages, strict=True))


def _list_table(results: Results, candidates: CandidateList, opened: bool) -> HtmlTable:
    rows = candidates.rows[:SHOWN]
    columns = _columns(results, rows)
    for name in IN_FILE_ONLY:
        del columns[name]
    if NOVELTY_WHY in columns and not any(columns[NOVELTY_WHY]):
        del columns[NOVELTY_WHY]
    linked = [name for name in SERVICES if name in columns]
    head = [name for name in columns if name not in linked]
    return HtmlTable(
        title=candidates.title,
        note=f"{len(rows)} of {len(candidates.rows)}" if len(rows) < len(candidates.rows) else "",
        head=[*(title.replace("_", " ") for title in head), *([""] * len(linked))],
        rows=[
            [
                *(HtmlCell(text=_text(columns[name][k])) for name in head),
                *(HtmlCell(text=name, link=str(columns[name][k])) for name in linked),
            ]
            for k in range(len(rows))
        ],
        opened=opened,
    )


def _text(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.4f}" if isinstance(value, float | np.floating) else str(value)


def _rule_of(results: Results) -> DecisionRule:
    """The decision rule of the final classifier, under the prior of the run."""
    prior = prior_to_apply(results.config, results.labels)
    return rule_under(results.recipe, results.classifier, prior)


def _count_table(results: Results, rows: Int[np.ndarray, "M"]) -> HtmlTable:
    classes, held_out = results.recipe.names.classes, results.held_out
    pooled = [products.posterior for products in held_out.products]
    repeats = len(pooled)
    rule = _rule_of(results)
    prediction = decide(np.concatenate(pooled), jax.tree.map(np.asarray, rule))
    predicted = np.bincount(results.products.prediction[rows], minlength=len(classes))
    counts = confusion_counts(
        np.tile(results.labels.class_index[held_out.rows], repeats),
        np.asarray(prediction),
        np.tile(results.labels.group[held_out.rows], repeats),
        predicted,
        results.config.seed,
    )
    expected = results.products.posterior[rows].sum(axis=0)
    low, high = counts.interval()
    lines = zip(classes, predicted, expected, counts.median(), low, high, strict=True)
    return HtmlTable(
        title="",
        head=["class", "predicted", "sum of probabilities", "corrected count", "90 % interval"],
        rows=[
            [
                HtmlCell(text=name),
                HtmlCell(text=f"{n:,}"),
                HtmlCell(text=f"{total:,.1f}"),
                HtmlCell(text=f"{middle:,.0f}"),
                HtmlCell(text=f"{start:,.0f} – {end:,.0f}"),
            ]
            for name, n, total, middle, start, end in lines
        ],
        opened=True,
    )


def equatorial(results: Results, rows: Int[np.ndarray, "M"]) -> Float[np.ndarray, "M 2"] | None:
    """Right ascension and declination in degrees; None if the catalogue has no positions."""
    roles = results.config.catalog
    if roles.ra is None or roles.dec is None:
        return None
    columns = [masked_column(results.table, name)[rows] for name in (roles.ra, roles.dec)]
    degrees = [np.ma.filled(column.astype(float), np.nan) for column in columns]
    return np.stack([np.asarray(values) for values in degrees], axis=1)
