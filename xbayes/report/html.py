"""The report as one HTML file that needs nothing else: no other file, no font, no server."""

from collections.abc import Mapping
from importlib.resources import files
from math import isfinite
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from xbayes.figures.style import WIDTH, data_uri
from xbayes.output.files import write_whole
from xbayes.report.context import FeatureRow, ReportContext
from xbayes.report.interactive import as_json
from xbayes.report.summary import score_tables, sentences, well_known


def write_report(path: Path, context: ReportContext) -> None:
    """Write the report; every text of the context is escaped."""
    write_whole(path, render_report(context).encode("utf-8"))


def render_report(context: ReportContext) -> str:
    """The report as HTML text."""
    return template("report.html.j2").render(
        context=context,
        sentences=sentences(context),
        well_known=well_known(context),
        scores=score_tables(context),
        sections=_sections(context),
        contents=_contents(context),
        penalties=_penalties(context),
        features=[_feature_row(counts) for counts in context.features],
        provenance=flattened(context.provenance),
        interactive=_interactive(context),
    )


def template(name: str) -> Template:
    """A page's template; what is put into it is escaped, and a name it lacks is an error."""
    environment = Environment(
        loader=PackageLoader("xbayes.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def flattened(record: Mapping, prefix: str = "") -> list[tuple[str, str]]:
    """Keys and values as text, the keys of a record within a record joined by dots."""
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
            "figures": [
                {
                    "source": data_uri(shown.png),
                    "caption": shown.caption,
                    "fold": shown.fold,
                    "width": f"{shown.width * 96:.0f}px",
                    "share": f"{100 * shown.width / WIDTH:.0f}%",
                }
                for shown in section.figures
            ],
        }
        for section in context.sections
    ]


def _interactive(context: ReportContext) -> dict | None:
    """The library, the data and the script of the interactive figures, and what to say of them."""
    points = context.points
    if points is None or not any(section.live for section in context.sections):
        return None
    from plotly.offline import get_plotlyjs

    shown = len(points.names)
    part = f"; {shown:,} of the {points.n_sources:,} sources, drawn at random, are shown here"
    return {
        # Each stands inside a script element, where nothing is escaped.
        "library": Markup(get_plotlyjs()),
        "points": Markup(as_json(points)),
        "script": Markup(files("xbayes.report").joinpath("templates/interactive.js").read_text()),
        "axes": [label.name for label in points.labels],
        "first": points.first,
        "part": part if shown < points.n_sources else "",
    }


def _contents(context: ReportContext) -> list[tuple[str, str]]:
    first = [("warnings", "Warnings")] if context.warnings else []
    first += [("summary", "Summary"), ("results", "Results")]
    last = [("chains", "Chains")] if context.metrics.get("posterior") else []
    last += [("penalty", "Penalty"), ("features", "Features"), ("provenance", "Provenance")]
    return [*first, *((section.anchor, section.title) for section in context.sections), *last]


def _penalties(context: ReportContext) -> dict:
    tried = list(next((p.tried for p in context.penalties if len(p.tried) > 1), ()))
    return {
        "tried": [f"{strength:.3g}" for strength in tried],
        "rows": [
            {
                "fold": penalty.fold,
                "chosen": f"{penalty.chosen:.3g}",
                "loss": [
                    (f"{loss:.4f}" if isfinite(loss) else "–", strength == penalty.chosen)
                    for strength, loss in zip(penalty.tried, penalty.loss, strict=True)
                ]
                if tried
                else [],
            }
            for penalty in context.penalties
        ],
    }


def _feature_row(counts: FeatureRow) -> dict:
    total = max(counts.measured + counts.not_detected + counts.not_available, 1)
    label = counts.label
    return {
        "name": label.name,
        "category": label.category,
        "description": label.description,
        "unit": label.unit,
        "scale": "" if label.scale == "linear" else label.scale,
        "counts": [
            f"{count:,}"
            for count in (
                counts.measured,
                counts.not_detected,
                counts.not_available,
                counts.non_positive,
            )
        ],
        "share": f"{100 * counts.measured / total:.1f}%",
    }
