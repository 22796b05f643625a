"""The message about numbers that probably stand for a missing value: where, and what to do."""

from collections.abc import Mapping, Sequence

import numpy as np

from xbayes.catalog.ranges import ValueRange
from xbayes.catalog.stand_ins import REFUSED_SHARE, Suspect
from xbayes.errors import InputError


def stand_in_messages(
    suspects: Sequence[Suspect],
    markers: Mapping[str, Sequence[str | int | float]],
    *,
    trained: Mapping[str, ValueRange] | None = None,
) -> tuple[str, ...]:
    """One message that names columns with probable stand-ins, values, rows, and what to do.

    Parameters
    ----------
    suspects
        The probable stand-ins.
    markers
        The `missing_values` that hold already, for the line to write.
    trained
        The ranges of the training catalogue, if a fitted run is applied.

    Raises
    ------
    InputError
        If one makes more than REFUSED_SHARE of its column.
    """
    if not suspects:
        return ()
    by_column: dict[str, list[Suspect]] = {}
    for suspect in suspects:
        by_column.setdefault(suspect.column, []).append(suspect)
    found = "; ".join(
        _found(name, of_column, (trained or {}).get(name)) for name, of_column in by_column.items()
    )
    values = {
        name: [shown_number(suspect.value) for suspect in of_column]
        for name, of_column in by_column.items()
    }
    advice = _advice_to_train(values, markers) if trained is None else _advice_to_classify(values)
    message = f"{found}. {advice}"
    if any(suspect.is_refused for suspect in suspects):
        raise InputError(
            f"{message}. Without either, such a number is refused in more than "
            f"{REFUSED_SHARE:.0%} of the values of a column"
        )
    return (message,)


def shown_number(value: float) -> str:
    """The shortest text of a number; a 32-bit form as the 32-bit number, -99.99."""
    with np.errstate(over="ignore"):
        single = np.float32(value)
    text = str(single) if float(single) == value else repr(float(value))
    return text.removesuffix(".0")


def _found(name: str, suspects: Sequence[Suspect], trained: ValueRange | None) -> str:
    counts = " and ".join(
        f"{shown_number(suspect.value)} in {suspect.count} of {suspect.n} rows with a value"
        for suspect in suspects
    )
    reach = "" if trained is None else f" (training: {trained.low:.4g} to {trained.high:.4g})"
    return f"column {name!r} holds {counts}{reach}"


def _advice_to_train(
    values: Mapping[str, Sequence[str]], markers: Mapping[str, Sequence[str | int | float]]
) -> str:
    listed = {name: [*map(str, markers.get(name, ())), *texts] for name, texts in values.items()}
    return (
        "If that stands for no value, write in the config, under catalog: missing_values: "
        f"{_as_yaml(listed)}; if it is measured: measured_values: {_as_yaml(values)}"
    )


def _advice_to_classify(values: Mapping[str, Sequence[str]]) -> str:
    missing, measured = (
        " ".join(f"{option} {name}={text}" for name, texts in values.items() for text in texts)
        for option in ("--missing-values", "--measured-values")
    )
    listed = _as_yaml(values, quote="'")
    return (
        f"If that stands for no value: {missing} (in Python missing_values={listed}; in the config "
        f"of a new run, under catalog: missing_values: {_as_yaml(values)}); if it is measured: "
        f"{measured} (in Python measured_values={listed})"
    )


def _as_yaml(values: Mapping[str, Sequence[str]], quote: str = "") -> str:
    pairs = [f"{quote}{name}{quote}: [{', '.join(texts)}]" for name, texts in values.items()]
    return "{" + ", ".join(pairs) + "}"
