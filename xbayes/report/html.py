"""The report as one HTML file that needs nothing else: no script, no font, no server."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from xbayes.report.context import PropertyCounts, ReportContext
from xbayes.report.files import write_whole
from xbayes.report.style import WIDTH, png_data_uri
from xbayes.report.summary import score_tables, sentences


def write_report(path: Path, context: ReportContext) -> None:
    """Write the report; every text of the context is escaped."""
    write_whole(path, render_report(context).encode("utf-8"))


def render_report(context: ReportContext) -> str:
    """The report as HTML text."""
    environment = Environment(
        loader=PackageLoader("xbayes.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        context=context,
        sentences=sentences(context),
        scores=score_tables(context),
        sections=_sections(context),
        contents=_contents(context),
        penalties=_penalties(context),
        properties=[_property_row(counts) for counts in context.properties],
        provenance=flattened(context.provenance),
    )


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
            "figures": [
                {
                    "source": png_data_uri(shown.figure),
                    "caption": shown.caption,
                    # Inches of the figure are those of the page, so that its letters are readable.
                    "width": f"{shown.figure.get_figwidth() * 96:.0f}px",
                    "share": f"{100 * shown.figure.get_figwidth() / WIDTH:.0f}%",
                }
                for shown in section.figures
            ],
        }
        for section in context.sections
    ]


def _contents(context: ReportContext) -> list[tuple[str, str]]:
    first = [("warnings", "Warnings")] if context.warnings else []
    first += [("summary", "Summary"), ("results", "Results")]
    last = [("penalty", "Penalty"), ("properties", "Properties"), ("provenance", "Provenance")]
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


def _property_row(counts: PropertyCounts) -> dict:
    total = max(counts.observed + counts.missing + counts.not_surveyed, 1)
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
                counts.observed,
                counts.missing,
                counts.not_surveyed,
                counts.non_positive,
            )
        ],
        "share": f"{100 * counts.observed / total:.1f}%",
    }
