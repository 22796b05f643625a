"""Invented sources, scores and a whole report."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from xbayes.classifier.probabilities import with_prior
from xbayes.evaluate.scores import Predictions, class_weights, score
from xbayes.figures.all_figures import (
    draw_assignment,
    draw_confusion,
    draw_densities,
    draw_histograms,
    draw_members,
    draw_outliers,
    draw_precision_recall,
    draw_reliability,
    draw_scatter,
    draw_sky,
    draw_terms,
    draw_track,
    draw_weights,
)
from xbayes.figures.labels import FeatureLabel
from xbayes.figures.posterior import draw_interval_widths, draw_weight_posterior
from xbayes.figures.track_record import Track
from xbayes.models.term_tables import TermTables
from xbayes.report.context import (
    KNOWN_SECTIONS,
    FeatureRow,
    Penalty,
    ReportContext,
    known_section,
    rendered,
)
from xbayes.report.interactive import Points
from xbayes.report.result_sections import panel_dpi

CLASSES = ("AGN", "Star", "XRB", "CV")
CATEGORIES = ("location", "spectrum", "counterparts", "variability")
PROPERTIES = (
    *(FeatureLabel("abs_b", "location", "galactic latitude, absolute", "deg"),),
    *(FeatureLabel("abs_l", "location", "longitude from the galactic centre", "deg"),),
    *(FeatureLabel("hr_ms", "spectrum", "hardness ratio (M - S) / (M + S)"),),
    *(FeatureLabel("hr_hm", "spectrum", "hardness ratio (H - M) / (H + M)"),),
    *(FeatureLabel("gamma", "spectrum", "photon index"),),
    *(FeatureLabel("flux", "spectrum", "X-ray flux, 0.5-7 keV", "erg/s/cm2", "log10"),),
    *(FeatureLabel("fx_g", "counterparts", "X-ray to G-band flux", "dex"),),
    *(FeatureLabel("bp_rp", "counterparts", "colour BP - RP", "mag"),),
    *(FeatureLabel("w1_w2", "counterparts", "colour W1 - W2", "mag"),),
    *(FeatureLabel("distance", "counterparts", "geometric distance", "pc", "log10"),),
    *(FeatureLabel("parallax_snr", "counterparts", "parallax over its error", "", "squash"),),
    *(FeatureLabel("p_any", "counterparts", "probability of any counterpart"),),
    *(FeatureLabel("var_intra", "variability", "probability of variability within"),),
    *(FeatureLabel("var_inter", "variability", "probability of variability between"),),
)
VALUES = (
    *("2.1 deg", "7.3 deg", "0.42", "0.31", "1.62", "3.4e-13 erg/s/cm2", "1.9 dex", "1.84 mag"),
    *("missing", "8,100 pc", "missing", "0.71", "0.997", "not available"),
)
CATEGORY = tuple(CATEGORIES.index(p.category) for p in PROPERTIES)


def invented_track(n_features: int = len(PROPERTIES), n_classes: int = 4, seed: int = 3) -> Track:
    """A source whose bars add up; at the default size a likely X-ray binary."""
    rng = np.random.default_rng(seed)
    classes = invented_classes(n_classes)
    take = [f % len(PROPERTIES) for f in range(n_features)]
    values = tuple(VALUES[f] for f in take)
    category = tuple(CATEGORY[f] for f in take)
    contribution = rng.normal(0, 0.75, (n_features, n_classes))
    contribution[:, min(2, n_classes - 1)] += 0.45
    contribution[[v == "not available" for v in values]] = 0.0
    contribution -= contribution.mean(-1, keepdims=True)
    log_prior = np.log(np.linspace(2, 0.2, n_classes) / np.linspace(2, 0.2, n_classes).sum())
    offset = rng.normal(0, 0.3, n_classes)
    by_category = np.stack([contribution[np.array(category) == g].sum(0) for g in range(4)])
    posterior = _softmax(log_prior + offset + contribution.sum(0))
    return Track(
        "CXO J174540.0-290028", classes, CATEGORIES, category, [PROPERTIES[f].name for f in take],
        values, contribution, offset, log_prior, _softmax(log_prior + by_category), posterior,
        int(posterior.argmax()), 0.43, classes[1], 12.3,
        *_invented_values(values, n_classes, rng),
    )  # fmt: skip


def _invented_values(values, n_classes: int, rng):
    """Number, unit and place among the classes, of each text of a value."""
    absent = np.array([value in ("missing", "not available") for value in values])
    texts = [value.replace(",", "").split() for value in values]
    number = np.array([np.nan if no else float(t[0]) for no, t in zip(absent, texts, strict=True)])
    unit = ["" if no else " ".join(t[1:]) for no, t in zip(absent, texts, strict=True)]
    below = np.where(absent[:, None], np.nan, rng.beta(0.5, 0.5, (len(values), n_classes)))
    return number, unit, below


def invented_labels(n_features: int) -> list[FeatureLabel]:
    """As many properties as asked for; the invented ones over and over, with names of their own."""
    times = [PROPERTIES[f % len(PROPERTIES)] for f in range(n_features)]
    return [p._replace(name=f"{p.name}_{f}") if f >= 14 else p for f, p in enumerate(times)]


def invented_classes(n_classes: int) -> tuple[str, ...]:
    return (*CLASSES, "NS", "YSO", "ULX", "TDE", "Galaxy cluster", "GRB")[:n_classes]


def invented_predictions(n_sources: int = 2300, n_classes: int = 4, seed: int = 1):
    """Posteriors `[N, C]`, a little too sure of themselves, and the truth."""
    rng = np.random.default_rng(seed)
    share = 0.6 ** np.arange(n_classes)
    truth = rng.choice(n_classes, n_sources, p=share / share.sum())
    score = rng.normal(0, 1.2, (n_sources, n_classes)) + np.log(share)
    score[np.arange(n_sources), truth] += 3.0
    return _softmax(1.3 * score), truth


def invented_weights(n_features: int = len(PROPERTIES), n_classes: int = 4, seed: int = 2):
    """alpha `[F, C]`, the same for all classes, and mixing `[F, C, C]`."""
    rng = np.random.default_rng(seed)
    alpha = np.tile(rng.gamma(3.0, 0.25, (n_features, 1)), (1, n_classes))
    return alpha, rng.normal(0, 0.3, (n_features, n_classes, n_classes))


def invented_densities(n_features: int = len(PROPERTIES), n_classes: int = 4, seed: int = 4):
    """Nodes `[F, B]`, densities `[F, B, C]` and values by property and class."""
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
    held_out = Predictions(truth, posterior, posterior.argmax(-1), np.arange(n), np.ones(n))
    surer = posterior**2 / (posterior**2).sum(-1, keepdims=True)
    surer[np.arange(n), truth] += 0.2
    surer /= surer.sum(-1, keepdims=True)
    in_sample = held_out._replace(posterior=surer, prediction=surer.argmax(-1))
    there = with_prior(posterior, share, sky)
    weight = class_weights(truth, sky)
    weighted = held_out._replace(posterior=there, prediction=there.argmax(-1), weight=weight)
    blocks = {"in_sample": in_sample, "cross_validated": held_out, "prior_weighted": weighted}
    return {
        "classes": list(classes),
        **{name: score(block, tuple(classes), 100, 1) for name, block in blocks.items()},
        "proportions": dict(zip(classes, sky.tolist(), strict=True)),
    }


def invented_points(labels, classes, posterior) -> Points:
    """Sources with positions and values, some of them missing."""
    rng = np.random.default_rng(11)
    n = len(posterior)
    value = rng.normal(0, 1, (n, len(labels)))
    value[rng.random(value.shape) < 0.2] = np.nan
    place = np.stack([rng.uniform(-180, 180, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))], 1)
    place[:5] = np.nan
    return Points(
        [f"source <{i}>" for i in range(n)], classes, posterior.argmax(-1), posterior.max(-1),
        rng.random(n), place, value, labels, (0, len(labels) - 1), n,
    )  # fmt: skip


def invented_clusters(labels, classes, points, n_clusters: int = 4) -> list:
    """What a run with cluster densities shows of its clusters."""
    rng = np.random.default_rng(10)
    share = rng.dirichlet(np.ones(len(classes)), n_clusters)
    membership = rng.dirichlet(np.ones(n_clusters), len(classes)).T
    cluster, axes = points.prediction % n_clusters, [f % len(labels) for f in range(3)]
    x, y, colour = points.value[:, axes].T
    drawn = (
        draw_assignment(share, np.full(n_clusters, 1 / n_clusters), membership, classes),
        draw_members(np.stack([x, y], 1), colour, cluster, [labels[f] for f in axes], n_clusters),
    )
    return [rendered("Clusters.", figure) for figure in drawn]


def invented_posterior(names, category, classes, posterior, truth) -> list:
    """What a Bayesian run shows of its weights and intervals."""
    rng = np.random.default_rng(11)
    alpha = np.exp(rng.normal(0, 0.4, (200, len(names), 1)))
    ends = np.stack([posterior**1.5, posterior**0.7], axis=-1)
    drawn = (
        draw_weight_posterior(alpha, names, category, CATEGORIES, classes),
        draw_interval_widths(posterior, ends, truth, classes, [len(classes) - 1]),
    )
    return [rendered("Posterior.", figure) for figure in drawn]


def invented_sections(labels, classes, posterior, truth, metrics, points) -> list:
    """The sections of figures, as a run fills them."""
    confusion = np.array(metrics["cross_validated"]["confusion"])
    alpha, mixing = invented_weights(len(labels), len(classes))
    node, density, values = invented_densities(len(labels), len(classes))
    names = [label.name for label in labels]
    category = [CATEGORIES.index(label.category) for label in labels]
    absent = np.random.default_rng(9).random((len(labels), len(classes)))
    panels, histograms = [], []
    for g, name in enumerate(CATEGORIES):
        members = [f for f, at in enumerate(category) if at == g]
        named, own = [labels[f] for f in members], [values[f] for f in members]
        figure = draw_densities(node[members], density[members], named, classes, own)
        dpi = panel_dpi(len(members))
        panels.append(rendered(f"Names of the category {name}.", figure, dpi=dpi))
        figure = draw_histograms(own, absent[members], named, classes)
        histograms.append(rendered(f"Values of the category {name}.", figure, dpi=dpi))
    prediction, first = points.prediction, list(points.first)
    scatter = draw_scatter(points.value[:, first], prediction, [labels[f] for f in first], classes)
    track = invented_track(len(labels), len(classes))
    small = rendered("", draw_track(track, most=1), f"1. {track.name}")
    figures = {
        "confusion": draw_confusion(confusion, classes),
        "precision": draw_precision_recall(posterior, truth, prediction, classes),
        "reliability": draw_reliability(posterior, truth, classes),
        "sky": draw_sky(*points.galactic.T, prediction, classes),
        "weights": draw_weights(alpha, mixing, names, CATEGORIES, category, classes, "matrix"),
        "scatter": scatter,
        "outliers": draw_outliers(points.outlier_p, prediction, classes),
    }
    made = {name: [rendered("Held out.", figure)] for name, figure in figures.items()}
    made |= {"densities": panels, "histograms": histograms}
    made["terms"] = [rendered("Terms.", draw_terms(*invented_terms(labels, classes)))]
    made["posterior"] = invented_posterior(names, category, classes, posterior, truth)
    made["clusters"] = invented_clusters(labels, classes, points)
    made |= {"tracks": [rendered("In full.", draw_track(track)), small], "strange": [small]}
    live = {"sky": "sky", "scatter": "scatter"}
    return [
        known_section(name, made[name], live.get(name, ""), focus="XRB", n=1)
        for name in KNOWN_SECTIONS
    ]


def invented_terms(labels, classes):
    """Tables of all properties and of six pairs, at random."""
    rng, n_bins = np.random.default_rng(6), 10
    n, c = len(labels), len(classes)
    edge = np.sort(rng.normal(size=(n, n_bins - 2)))
    pair = np.array([(0, f) for f in range(1, 7)])
    main, table = rng.normal(size=(n, n_bins, c)), rng.normal(size=(6, n_bins, n_bins, c))
    reach = np.tile([-5.0, 5.0], (n, 1))
    return (
        TermTables(np.array(0.5), np.zeros(c), edge, main, pair, table, reach),
        range(6),
        labels,
        classes,
    )


def invented_context(n_features: int = len(PROPERTIES), n_classes: int = 4) -> ReportContext:
    """A report's content, random but realistic."""
    rng = np.random.default_rng(8)
    classes, labels = invented_classes(n_classes), invented_labels(n_features)
    posterior, truth = invented_predictions(2300, n_classes)
    metrics = invented_metrics(posterior, truth, classes)
    tried = (0.3, 1.0, 3.0, 10.0)
    missing = rng.integers(0, 900, n_features)
    points = invented_points(labels, classes, posterior)
    return ReportContext(
        name="chandra_sources",
        classes=classes,
        labelled=dict(zip(classes, np.bincount(truth).tolist(), strict=True)),
        n_sources=2345,
        metrics=metrics,
        warnings=["feature 'epoch' is the same in every labelled row and was left out"],
        sections=invented_sections(labels, classes, posterior, truth, metrics, points),
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
    """The builders above, for tests that cannot import a conftest."""
    return SimpleNamespace(
        track=invented_track,
        labels=invented_labels,
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
    """Something is drawn, and no artist reaches beyond the page."""

    def check(figure):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert box.x0 >= -0.01 and box.y0 >= -0.01, box
        assert box.x1 <= width + 0.01 and box.y1 <= height + 0.01, box
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
        assert (pixels.min(-1) < 230).mean() > 0.01

    return check
