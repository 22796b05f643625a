"""What every part of a config is made of: the frozen record, and numbers that are not text."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict

Switch = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Column = Annotated[str, Field(min_length=1)]
Proportions = dict[str, Number]


class Record(BaseModel):
    """A part of a config: frozen, and an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
