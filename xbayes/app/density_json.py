"""Each feature of a source against the densities of the classes, as JSON for plots."""

from functools import lru_cache

from pydantic import BaseModel, Field

from xbayes.app.compute import computing
from xbayes.app.served_run import ServedRun
from xbayes.app.source_json import Numbers, finite, numbers
from xbayes.app.source_page import computed
from xbayes.figures.track_record import state_of
from xbayes.tasks.feature_densities import FeatureDensity


class DensityPanel(BaseModel):
    """One feature: class densities, and the value of the source."""

    feature: str
    category: str
    description: str
    axis: str = Field(description="text of the axis, with unit and scale")
    x: list[float]
    density: dict[str, list[float | None]] = Field(description="by class, per unit of x")
    not_detected: Numbers = Field(description="share of each class that is not detected")
    value: float | None = Field(description="of the source, on the axis")
    error: float | None = Field(description="its standard error; null if exact or unknown")
    text: str
    state: str


class Densities(BaseModel):
    """All features of a source."""

    classes: list[str]
    panels: list[DensityPanel]


def densities_of(run: ServedRun, source: str) -> Densities:
    """The densities, and where the source lies."""
    result = computed(run, source)
    panels = []
    for f, one in enumerate(_densities(run)):
        text = "" if result is None else result.track.value_texts[f]
        error = None if result is None else finite(float(result.scaled_error[f]))
        panels.append(
            DensityPanel(
                feature=one.label.name,
                category=one.label.category,
                description=one.label.description,
                axis=one.axis,
                x=one.x.tolist(),
                density={
                    name: [finite(v) for v in one.density[c].tolist()]
                    for c, name in enumerate(run.fitted.classes)
                },
                not_detected={}
                if one.not_detected is None
                else numbers(one.not_detected, run.fitted.classes),
                value=None if result is None else finite(float(result.scaled_value[f])),
                error=error or None,
                text=text,
                state=state_of(text) if text else "",
            )
        )
    return Densities(classes=list(run.fitted.classes), panels=panels)


@lru_cache(maxsize=8)
def _densities(run: ServedRun) -> tuple[FeatureDensity, ...]:
    with computing(run):
        return tuple(run.fitted.densities())
