"""The report as one HTML file without any external resource."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from math import isfinite
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from xbayes.figures.style import WIDTH, class_colours, class_markers, data_uri
from xbayes.output.files import write_whole
from xbayes.report.brief_track import SYMBOLS
from xbayes.report.context import FeatureRow, ReportContext
from xbayes.report.harder import harder_table
from xbayes.report.interactive import as_json
from xbayes.report.summary import score_tables, sentences, well_characterised


def write_report(path: Path, context: ReportContext) -> None:
    """Write the report to `path`; every text of the context is escaped."""
    write_whole(path, render_report(context).encode("utf-8"))


def render_report(context: ReportContext) -> str:
    """The report as HTML text."""
    return template("report.html.j2").render(
        context=context,
        sentences=sentences(context),
        well_characterised=well_characterised(context),
        scores=score_tables(context),
        harder=harder_table(context.metrics, context.split),
        sections=_sections(context),
        contents=_contents(context),
        penalties=_penalties(context),
        key=_key(context.classes),
        features=[_feature_row(counts) for counts in context.features],
        provenance=flattened(context.provenance),
        interactive=_interactive(context),
    )


def template(name: str) -> Template:
    """A template that escapes what it shows; a name it does not get is an error."""
    environment = Environment(
        loader=PackageLoader("xbayes.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    environment.filters["percent"] = lambda share: f"{100 * share:.2f}%"
    return environment.get_template(name)


def _key(classes: Sequence[str]) -> list[tuple[str, str, str]]:
    """Name, colour and symbol of each class."""
    markers = class_markers(classes)
    return [(name, at, SYMBOLS[markers[name]]) for name, at in class_colours(classes).items()]


def flattened(record: Mapping, prefix: str = "") -> list[tuple[str, str]]:
    """Keys and values as text; the keys of nested records are joined by dots."""
    rows = []
    for key, value in record.items():
        if isinstance(value, Mapping):
            rows += flattened(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", "–" if value is None else str(value)))
    return rows


def _sections(context: ReportContext) -> list[dict]:
    return [
        {
            "anchor": section.anchor,
            "title": section.title,
            "text": section.text,
            "live": section.live,
            "tracks": section.tracks,
            "tables": section.tables,
            "figures": [
                {
                    "source": data_uri(shown.png),
                    "caption": shown.caption,
                    "width": f"{shown.width * 96:.0f}px",
                    "share": f"{100 * shown.width / WIDTH:.0f}%",
                }
                for shown in section.figures.values()
            ],
        }
        for section in context.sections
    ]


def _interactive(context: ReportContext) -> dict | None:
    """Library, data and script of the interactive figures, and the names for their menus."""
    points = context.points
    if points is None or not any(section.live for section in context.sections):
        return None
    from plotly.offline import get_plotlyjs

    shown = len(points.names)
    part = f" A random subsample of {shown:,} of the {points.n_sources:,} sources is shown."
    return {
        # The content of a script element must not be escaped.
        "library": Markup(get_plotlyjs()),
        "points": Markup(as_json(points)),
        "script": Markup(files("xbayes.report").joinpath("templates/interactive.js").read_text()),
        "axes": [label.name for label in points.labels],
        "first": points.first,
        "subsample": part if shown < points.n_sources else "",
    }


def _contents(context: ReportContext) -> list[tuple[str, str]]:
    first = [("warnings", "Warnings")] if context.warnings else []
    first += [("summary", "Summary"), ("results", "Results")]
    last = [("chains", "Chains")] if context.metrics.get("posterior") else []
    last += [("penalty", "Penalty")] if context.penalties else []
    last += [("features", "Features"), ("provenance", "Provenance")]
    return [*first, *((section.anchor, section.title) for section in context.sections), *last]


def _penalties(context: ReportContext) -> dict:
    tried = list(next((p.tried for p in context.penalties if len(p.tried) > 1), ()))
    return {
        "f1_term": any(p.f1_weight is not None for p in context.penalties),
        "tried": [f"{value:.3g}" for value in tried],
        "rows": [
            {
                "fit": penalty.fit,
                "chosen": f"{penalty.chosen:.3g}",
                "f1_weight": "" if penalty.f1_weight is None else f"{penalty.f1_weight:.3g}",
                "loss": [
                    (f"{loss:.4f}" if isfinite(loss) else "–", value == penalty.chosen)
                    for value, loss in zip(penalty.tried, penalty.loss, strict=True)
                ]
                if tried
                else [],
            }
            for penalty in context.penalties
        ],
    }


def _feature_row(row: FeatureRow) -> dict:
    total = max(row.measured + row.not_detected + row.not_available, 1)
    counts = (row.measured, row.not_detected, row.not_available, row.undefined)
    return {
        **row.label._asdict(),
        "scale": "" if row.label.scale == "linear" else row.label.scale,
        "counts": [f"{count:,}" for count in counts],
        "share": row.measured / total,
    }
