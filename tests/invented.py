"""Invented sources, scores, figures and a complete report."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from xbayes.classifier.probabilities import with_prior
from xbayes.evaluate.scores import Predictions, proportion_weights, score
from xbayes.figures.assignment import draw_assignment
from xbayes.figures.confusion import draw_confusion
from xbayes.figures.densities import draw_densities
from xbayes.figures.histograms import draw_histograms
from xbayes.figures.interval_widths import draw_interval_widths
from xbayes.figures.labels import FeatureLabel
from xbayes.figures.members import draw_members
from xbayes.figures.outliers import draw_outliers
from xbayes.figures.precision import draw_precision_recall
from xbayes.figures.reliability import draw_reliability
from xbayes.figures.scatter import draw_scatter
from xbayes.figures.sky import draw_sky
from xbayes.figures.style import figure_of
from xbayes.figures.terms import draw_terms
from xbayes.figures.track import draw_track
from xbayes.figures.track_record import NOT_AVAILABLE, NOT_DETECTED, Track
from xbayes.figures.weight_posterior import draw_weight_posterior
from xbayes.figures.weights import draw_weights
from xbayes.models.term_tables import TermTables
from xbayes.report.brief_track import brief_track
from xbayes.report.context import (
    KNOWN_SECTIONS,
    FeatureRow,
    HtmlCell,
    HtmlTable,
    Penalty,
    ReportContext,
    known_section,
    rendered,
)
from xbayes.report.interactive import Points
from xbayes.types import Names

CLASSES = ("AGN", "Star", "XRB", "CV")
CATEGORIES = ("location", "spectrum", "counterparts", "variability")
FEATURES = (
    FeatureLabel("abs_b", "location", "galactic latitude, absolute", "deg"),
    FeatureLabel("abs_l", "location", "longitude from the galactic centre", "deg"),
    FeatureLabel("hr_ms", "spectrum", "hardness ratio (M - S) / (M + S)"),
    FeatureLabel("hr_hm", "spectrum", "hardness ratio (H - M) / (H + M)"),
    FeatureLabel("gamma", "spectrum", "photon index"),
    FeatureLabel("flux", "spectrum", "X-ray flux, 0.5-7 keV", "erg/s/cm2", "log10"),
    FeatureLabel("fx_g", "counterparts", "X-ray to G-band flux", "dex"),
    FeatureLabel("bp_rp", "counterparts", "colour BP - RP", "mag"),
    FeatureLabel("w1_w2", "counterparts", "colour W1 - W2", "mag"),
    FeatureLabel("distance", "counterparts", "geometric distance", "pc", "log10"),
    FeatureLabel("parallax_snr", "counterparts", "parallax over its error", "", "squash"),
    FeatureLabel("p_any", "counterparts", "probability of any counterpart"),
    FeatureLabel("var_intra", "variability", "probability of variability within observations"),
    FeatureLabel("var_inter", "variability", "probability of variability between observations"),
)
VALUES = (  # of the features of a source; None: not detected, nan: not available
    *(2.1, 7.3, 0.42, 0.31, 1.62, 3.4e-13, 1.9, 1.84),
    *(None, 8100.0, None, 0.71, 0.997, np.nan),
)


def invented_track(n_features: int = len(FEATURES), n_classes: int = 4, seed: int = 3) -> Track:
    """A track whose terms add up; of the default size, that of a likely X-ray binary."""
    rng = np.random.default_rng(seed)
    classes = invented_classes(n_classes)
    chosen = [f % len(FEATURES) for f in range(n_features)]
    values, unit = [VALUES[f] for f in chosen], [FEATURES[f].unit for f in chosen]
    value = np.array([np.nan if v is None else v for v in values])
    category = np.array([CATEGORIES.index(FEATURES[f].category) for f in chosen])
    contribution = rng.normal(0, 0.75, (n_features, n_classes))
    contribution[:, min(2, n_classes - 1)] += 0.45
    contribution[[v is not None and np.isnan(v) for v in values]] = 0.0  # not available
    contribution -= contribution.mean(-1, keepdims=True)
    log_prior = np.log(np.linspace(2, 0.2, n_classes) / np.linspace(2, 0.2, n_classes).sum())
    offset = rng.normal(0, 0.3, n_classes)
    by_category = np.stack([contribution[category == g].sum(0) for g in range(len(CATEGORIES))])
    posterior = _softmax(log_prior + offset + contribution.sum(0))
    share_below = rng.beta(0.5, 0.5, (n_features, n_classes))
    return Track(
        name="CXO J174540.0-290028",
        classes=classes,
        categories=CATEGORIES,
        category=category.tolist(),
        features=[FEATURES[f].name for f in chosen],
        value_texts=[_value_text(v, u) for v, u in zip(values, unit, strict=True)],
        contribution=contribution,
        offset=offset,
        log_prior=log_prior,
        category_posterior=_softmax(log_prior + by_category),
        posterior=posterior,
        prediction=int(posterior.argmax()),
        outlier_p=0.43,
        alternative=classes[1],
        outlier=12.3,
        value=value,
        unit=unit,
        share_below=np.where(np.isnan(value)[:, None], np.nan, share_below),
    )


def _value_text(value: float | None, unit: str) -> str:
    if value is None:
        return NOT_DETECTED
    return NOT_AVAILABLE if np.isnan(value) else f"{value:.4g} {unit}".strip()


def invented_labels(n_features: int) -> list[FeatureLabel]:
    """Labels of any number of features: those above, repeated under other names."""
    labels = [FEATURES[f % len(FEATURES)] for f in range(n_features)]
    n = len(FEATURES)
    return [x._replace(name=f"{x.name}_{f}") if f >= n else x for f, x in enumerate(labels)]


def invented_names(labels, classes) -> Names:
    """The names of these features and classes."""
    return Names(
        features=tuple(label.name for label in labels),
        categories=CATEGORIES,
        category=tuple(CATEGORIES.index(label.category) for label in labels),
        classes=tuple(classes),
    )


def invented_classes(n_classes: int) -> tuple[str, ...]:
    return (*CLASSES, "NS", "YSO", "ULX", "TDE", "Galaxy cluster", "GRB")[:n_classes]


def invented_predictions(n_sources: int = 2300, n_classes: int = 4, seed: int = 1):
    """Slightly overconfident posteriors `[N, C]`, and the true classes `[N]`."""
    rng = np.random.default_rng(seed)
    share = 0.6 ** np.arange(n_classes)
    truth = rng.choice(n_classes, n_sources, p=share / share.sum())
    score = rng.normal(0, 1.2, (n_sources, n_classes)) + np.log(share)
    score[np.arange(n_sources), truth] += 3.0
    return _softmax(1.3 * score), truth


def invented_weights(n_features: int = len(FEATURES), n_classes: int = 4, seed: int = 2):
    """Weights alpha `[F, C]`, equal for all classes, and mixing `[F, C, C]`."""
    rng = np.random.default_rng(seed)
    alpha = np.tile(rng.gamma(3.0, 0.25, (n_features, 1)), (1, n_classes))
    return alpha, rng.normal(0, 0.3, (n_features, n_classes, n_classes))


def invented_densities(n_features: int = len(FEATURES), n_classes: int = 4, seed: int = 4):
    """Nodes `[F, B]`, densities `[F, B, C]`, and values by feature and class."""
    rng = np.random.default_rng(seed)
    node = np.linspace(-4, 5, 128) * np.ones((n_features, 1))
    centre = rng.normal(0, 1.2, (n_features, 1, n_classes))
    width = rng.uniform(0.3, 1.2, (n_features, 1, n_classes))
    density = np.exp(-0.5 * ((node[..., None] - centre) / width) ** 2) / width / np.sqrt(2 * np.pi)
    values = [
        [rng.normal(centre[f, 0, c], width[f, 0, c], 300 // (c + 1)) for c in range(n_classes)]
        for f in range(n_features)
    ]
    return node, density, values


def invented_metrics(posterior, truth, classes) -> dict:
    """The content of `metrics.json`."""
    n, share = len(truth), np.bincount(truth, minlength=len(classes)) / len(truth)
    sky = np.sqrt(share) / np.sqrt(share).sum()
    held_out = Predictions(
        truth=truth,
        posterior=posterior,
        prediction=posterior.argmax(-1),
        group=np.arange(n),
        weight=np.ones(n),
    )
    sharper = posterior**2 / (posterior**2).sum(-1, keepdims=True)
    sharper[np.arange(n), truth] += 0.2
    sharper /= sharper.sum(-1, keepdims=True)
    in_sample = held_out._replace(posterior=sharper, prediction=sharper.argmax(-1))
    on_sky = with_prior(posterior, share, sky)
    weight = proportion_weights(truth, sky)
    weighted = held_out._replace(posterior=on_sky, prediction=on_sky.argmax(-1), weight=weight)
    blocks = {"in_sample": in_sample, "cross_validated": held_out, "prior_weighted": weighted}
    return {
        "classes": list(classes),
        **{name: score(block, tuple(classes), 100, 1) for name, block in blocks.items()},
        "proportions": dict(zip(classes, sky.tolist(), strict=True)),
    }


def invented_points(labels, classes, posterior) -> Points:
    """Sources with positions and values, some of which are NaN."""
    rng = np.random.default_rng(11)
    n = len(posterior)
    value = rng.normal(0, 1, (n, len(labels)))
    value[rng.random(value.shape) < 0.2] = np.nan
    place = np.stack([rng.uniform(-180, 180, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))], 1)
    place[:5] = np.nan
    return Points(
        names=[f"source <{i}>" for i in range(n)],
        classes=classes,
        prediction=posterior.argmax(-1),
        probability=posterior.max(-1),
        outlier_p=rng.random(n),
        galactic=place,
        value=value,
        labels=labels,
        first=(0, len(labels) - 1),
        n_sources=n,
    )


def invented_clusters(labels, classes, points, n_clusters: int = 4) -> list:
    """Figures of a clustering."""
    rng = np.random.default_rng(10)
    share = rng.dirichlet(np.ones(len(classes)), n_clusters)
    membership = rng.dirichlet(np.ones(n_clusters), len(classes)).T
    cluster, axes = points.prediction % n_clusters, [f % len(labels) for f in range(3)]
    x, y, colour = points.value[:, axes].T
    return [
        draw_assignment(share, np.full(n_clusters, 1 / n_clusters), membership, classes),
        draw_members(np.stack([x, y], 1), colour, cluster, [labels[f] for f in axes], n_clusters),
    ]


def invented_posterior(names, posterior, truth) -> list:
    """Figures of a Bayesian run."""
    alpha = np.exp(np.random.default_rng(11).normal(0, 0.4, (200, len(names.features), 1)))
    ends, shown = np.stack([posterior**1.5, posterior**0.7], axis=-1), [len(names.classes) - 1]
    return [
        draw_weight_posterior(alpha, names),
        draw_interval_widths(posterior, ends, truth, names.classes, shown),
    ]


def invented_figures(labels, classes, posterior, truth, metrics, points) -> dict[str, list]:
    """The figures of each section of a report."""
    names, prediction, first = (
        invented_names(labels, classes),
        points.prediction,
        list(points.first),
    )
    alpha, mixing = invented_weights(len(labels), len(classes))
    node, density, values = invented_densities(len(labels), len(classes))
    absent = np.random.default_rng(9).random((len(labels), len(classes)))
    figures = {
        "confusion": [draw_confusion(np.array(metrics["cross_validated"]["confusion"]), classes)],
        "precision": [draw_precision_recall(posterior, truth, prediction, classes)],
        "reliability": [draw_reliability(posterior, truth, classes)],
        "sky": [draw_sky(*points.galactic.T, prediction, classes)],
        "weights": [draw_weights(alpha, names, "matrix", mixing)],
        "scatter": [
            draw_scatter(points.value[:, first], prediction, [labels[f] for f in first], classes)
        ],
        "outliers": [draw_outliers(points.outlier_p, prediction, classes)],
        "terms": [draw_terms(*invented_terms(labels, classes))],
        "posterior": invented_posterior(names, posterior, truth),
        "clusters": invented_clusters(labels, classes, points),
        "tracks": [draw_track(invented_track(len(labels), len(classes)))],
        "densities": [],
        "histograms": [],
    }
    for g in range(len(CATEGORIES)):
        members = [f for f, at in enumerate(names.category) if at == g]
        of_category = [labels[f] for f in members], classes
        training = [values[f] for f in members]
        figure = draw_densities(node[members], density[members], *of_category, training)
        figures["densities"].append(figure)
        figures["histograms"].append(draw_histograms(training, absent[members], *of_category))
    return figures


def invented_sections(figures, track) -> list:
    """The sections of a report with these figures, each with brief tracks if it shows tracks."""
    live = {"sky": "sky", "scatter": "scatter"}
    return [
        known_section(
            name,
            {
                f"{name}_{k}": rendered(f"Caption of {name}.", figure, 100)
                for k, figure in enumerate(figures.get(name, []))
            },
            live.get(name, ""),
            tracks=[brief_track(track, 1)] if name in ("tracks", "top-outliers") else [],
            tables=invented_tables() if name == "candidates" else [],
            focus="XRB",
            n=1,
            which="sources without a label",
            rule="the most probable class",
        )
        for name in KNOWN_SECTIONS
    ]


def invented_tables() -> list[HtmlTable]:
    """Two lists of one candidate, whose names need escaping."""
    row = [
        HtmlCell(text="<b>SRC</b> & 1"),
        HtmlCell(text="SIMBAD", link="https://example.org/?a=1&b"),
    ]
    return [
        HtmlTable(title=title, head=["name", ""], rows=[row], note="1 of 7", opened=opened)
        for title, opened in (("Most certain XRB", True), ("Strangest", False))
    ]


def invented_terms(labels, classes):
    """The arguments of `draw_terms`: random tables of all features and of six pairs."""
    rng, n_bins = np.random.default_rng(6), 10
    n, c = len(labels), len(classes)
    edge = np.sort(rng.normal(size=(n, n_bins - 2)))
    tables = TermTables(
        share=np.array(0.5),
        base=np.zeros(c),
        edge=edge,
        main=rng.normal(size=(n, n_bins, c)),
        pair=np.array([(0, f) for f in range(1, 7)]),
        pair_table=rng.normal(size=(6, n_bins, n_bins, c)),
        reach=np.tile([-5.0, 5.0], (n, 1)),
    )
    return tables, range(6), labels, classes


def invented_context(n_features: int = len(FEATURES), n_classes: int = 4) -> ReportContext:
    """The content of a report, random but realistic."""
    rng = np.random.default_rng(8)
    classes, labels = invented_classes(n_classes), invented_labels(n_features)
    posterior, truth = invented_predictions(2300, n_classes)
    metrics = invented_metrics(posterior, truth, classes)
    tried = (0.3, 1.0, 3.0, 10.0)
    missing = rng.integers(0, 900, n_features)
    points = invented_points(labels, classes, posterior)
    figures = invented_figures(labels, classes, posterior, truth, metrics, points)
    return ReportContext(
        name="chandra_sources",
        classes=classes,
        labelled=dict(zip(classes, np.bincount(truth).tolist(), strict=True)),
        n_sources=2345,
        metrics=metrics,
        warnings=["feature 'epoch' is the same in every labelled row and was left out"],
        sections=invented_sections(figures, invented_track(n_features, n_classes)),
        penalties=[
            Penalty(f"outer fold {k + 1}", tried[k % 2 + 1], tried, (0.095, 0.0871, 0.0869, 0.091))
            for k in range(5)
        ],
        features=[
            FeatureRow(label, 2345 - int(count), int(count), 0, int(count) // 9)
            for label, count in zip(labels, missing, strict=True)
        ],
        provenance={"xbayes": "0.1.0", "seed": 1, "git_commit": None, "data": {"rows": 2345}},
        command="xbayes run configs/chandra_sources.yaml --set seed=1",
        points=points,
    )


def _softmax(score):
    weight = np.exp(score - score.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)


@pytest.fixture(scope="session")
def invented() -> SimpleNamespace:
    """The functions of this file as a fixture."""
    return SimpleNamespace(
        track=invented_track,
        labels=invented_labels,
        names=invented_names,
        terms=invented_terms,
        classes=invented_classes,
        predictions=invented_predictions,
        weights=invented_weights,
        densities=invented_densities,
        context=invented_context,
        points=invented_points,
        categories=CATEGORIES,
    )


@pytest.fixture(scope="session")
def assert_whole():
    """Checks that no artist reaches beyond the page."""

    def check(drawn):
        figure = figure_of(drawn)
        FigureCanvasAgg(figure).draw()
        box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert box.x0 >= -0.01 and box.y0 >= -0.01, box
        assert box.x1 <= width + 0.01 and box.y1 <= height + 0.01, box

    return check
