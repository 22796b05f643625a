"""The parameters of a selection, typed, so that OpenAPI describes them."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from xbayes.app.selection_url import MOST_ROWS
from xbayes.catalog.selection import PAGE

FREE = (
    "Any column restricts the selection: `f.COLUMN=low..high` (one end may be missing), "
    "`f.COLUMN=a|b` for one of several texts, `f.COLUMN=null` or `f.COLUMN=!null` for sources "
    "without or with a value. The derived columns `p_predicted` (probability of the predicted "
    "class) and `width_predicted` (width of its 90 % interval, where there are intervals) work too."
)


class SelectionQuery(BaseModel):
    """What selects sources."""

    model_config = ConfigDict(populate_by_name=True)

    run: str = Field("", description="name of a served run; the first by default")
    q: str = Field("", description="part of a name, or a position in any usual form")
    ra: float | None = Field(None, description="centre of a circle, degrees (ICRS)")
    dec: float | None = Field(None, ge=-90, le=90, description="centre of a circle, degrees (ICRS)")
    radius: str = Field("", description="degrees, or with a unit: 5arcmin; 30 arcsec by default")
    class_: list[str] = Field([], alias="class", description="predicted class; may be repeated")
    p_min: float | None = Field(None, description="least probability of the predicted class")
    p_max: float | None = Field(None, description="largest probability of the predicted class")
    width_max: float | None = Field(None, description="largest width of its 90 % interval")
    set: str = Field("", description="a class that the prediction set holds")
    ids: list[str] = Field([], description="names of sources: A|B, or repeated")
    box: str = Field("", description="rectangle on the Mollweide map: frame,x0,x1,y0,y1")


class SourcesQuery(SelectionQuery):
    """What selects, orders and shows sources."""

    sort: str = Field("", description="column; with - before it in descending order")
    limit: int = Field(PAGE, ge=1, le=MOST_ROWS, description="sources of an answer at most")
    offset: int = Field(0, ge=0, le=2**53, description="sources to skip")
    columns: list[str] = Field([], description="names of columns: A,B, or repeated; * for all")


class SkyQuery(SelectionQuery):
    """A window of a map of the sky."""

    frame: str = Field("galactic", description="galactic or equatorial")
    x0: float = Field(-2.0, description="window on the Mollweide map, x from -2 to 2")
    x1: float = 2.0
    y0: float = Field(-1.0, description="y from -1 to 1")
    y1: float = 1.0


class ScatterQuery(SelectionQuery):
    """The axes of a scatter plot."""

    x: str = Field("", description="column of numbers; one that features read by default")
    y: str = ""
    xlog: bool | None = Field(None, description="logarithmic axis; by default where values need it")
    ylog: bool | None = None
    x0: float | None = Field(None, description="ends of the axes, in the units of the columns")
    x1: float | None = None
    y0: float | None = None
    y1: float | None = None
    colour: str = Field("", description="column of numbers that colours the sources")


Sources = Annotated[SourcesQuery, Query()]
Sky = Annotated[SkyQuery, Query()]
Scatter = Annotated[ScatterQuery, Query()]
