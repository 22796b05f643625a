"""A table and a config to the arrays that the models read.

Every row is built from itself alone, but for one thing: whether a column was measured in a block
of rows is seen in the whole block. So what a test row holds cannot alter a training row's values.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float

from xbayes.catalog.taxonomy import subclasses_of
from xbayes.config.schema import Config, FeatureConfig
from xbayes.features.blocks import BlockCounts, count_blocks, unmeasured_rows
from xbayes.features.expression import Expression, parse
from xbayes.features.values import Value, read_column
from xbayes.types import Features, InputError, Names

T = TypeVar("T")


class FeatureCounts(NamedTuple):
    """Rows of one feature in each state; their sum is all rows."""

    name: str
    measured: int
    not_detected: int
    not_available: int
    non_positive: int  # without a value: a log, root or division of measured numbers has no result
    outside_bounds: int  # of the measured


class FeatureReport(NamedTuple):
    """What became of the rows, per feature, and what the user should know of it."""

    counts: tuple[FeatureCounts, ...]
    warnings: tuple[str, ...]


class _Parsed(NamedTuple):
    """The expressions of one feature."""

    config: FeatureConfig
    expression: Expression
    error: Expression | None
    measured: Expression | None


class _Built(NamedTuple):
    """One feature in N rows, as in Features, and its counts."""

    value: Float[np.ndarray, "N"]
    measured: Bool[np.ndarray, "N"]
    available: Bool[np.ndarray, "N"]
    weight: Float[np.ndarray, "N"]
    error: Float[np.ndarray, "N"]
    counts: FeatureCounts


def build_features(
    table: Table, config: Config, blocks: BlockCounts | None = None
) -> tuple[Features, FeatureReport]:
    """The features of every row, in the order of the config.

    A value is not available where `measured` is not true, and where a column of its expression is
    unmeasured: absent from the file, or missing in all of a block of at least MIN_BLOCK rows (all
    columns of a coalesce).
    The weight is 1 without an error; with one it is 1 / error in the unit of the expression, to be
    normalised on the training part, and 0 where the error is unknown or not positive. The error
    itself is carried to the scale of the value to first order.
    `blocks` are the counts of the whole catalogue where the table is only a chunk of it.
    Raises InputError, one line for each thing wrong.
    """
    parsed = _parse(config)
    values, block = _read_columns(table, needed_columns(config)), _read_block(table, config)
    counts = blocks or count_blocks(block, values, len(table))
    unmeasured = _unmeasured(table, block, counts)
    built = _for_each(
        parsed, lambda name: _build(name, parsed[name], values, unmeasured, len(table))
    )
    *arrays, counts = zip(*built.values(), strict=True)
    features = Features(*(np.stack(part, axis=1) for part in arrays))
    return features, FeatureReport(counts, tuple(_warnings(counts, config)))


def survey_blocks(table: Table, config: Config) -> BlockCounts:
    """Which columns are missing where in a chunk of a catalogue. Raises InputError."""
    values = _read_columns(table, needed_columns(config))
    return count_blocks(_read_block(table, config), values, len(table))


def merged_report(reports: Sequence[FeatureReport], config: Config) -> FeatureReport:
    """One report of all chunks of a catalogue."""
    each = zip(*(report.counts for report in reports), strict=True)
    counts = tuple(
        FeatureCounts(same[0].name, *map(sum, list(zip(*same, strict=True))[1:])) for same in each
    )
    return FeatureReport(counts, tuple(_warnings(counts, config)))


def needed_columns(config: Config) -> dict[str, tuple[str, ...]]:
    """The columns that the features read, each with the names of those features.

    Raises InputError for expressions that cannot be read.
    """
    users: dict[str, tuple[str, ...]] = {}
    for name, feature in _parse(config).items():
        for column in sorted(_columns(feature)):
            users[column] = (*users.get(column, ()), name)
    return users


def scale_bounds(feature: FeatureConfig) -> tuple[float, float]:
    """The natural limits after the scale; -inf and inf stand for none.

    A squashed value stays within -1 and 1 anyway; these are limits only where the config says so.
    """
    low, high = feature.bounds or (None, None)
    lowest = -np.inf if low is None or (feature.scale == "log10" and low <= 0) else low
    limits = np.array([lowest, np.inf if high is None else high], dtype=np.float64)
    known = np.isfinite(limits)
    limits[known] = _scaled(limits[known], feature.scale)
    return float(limits[0]), float(limits[1])


def names_of(config: Config) -> Names:
    """The names on the axes F, G, C and T; categories in the order they first appear."""
    categories = tuple(dict.fromkeys(f.category for f in config.features.values()))
    subclasses = subclasses_of(config.taxonomy)
    return Names(
        tuple(config.features),
        categories,
        tuple(categories.index(f.category) for f in config.features.values()),
        tuple(config.taxonomy.classes),
        tuple(subclass.name for subclass in subclasses),
        tuple(subclass.class_index for subclass in subclasses),
    )


def useful_features(
    features: Features,
    rows: Bool[np.ndarray, "N"],
    names: Sequence[str],
    evidence: Bool[np.ndarray, "F"] | None = None,
) -> tuple[Bool[np.ndarray, "F"], list[str]]:
    """Which features tell the rows apart, and a warning for each that does not.

    One that is missing everywhere, or has one value only, tells nothing; unless its absence is
    evidence (`missing: evidence`, false for all by default) and it is there in some rows only.
    """
    useful = np.ones(len(names), bool)
    warnings = []
    for f, name in enumerate(names):
        measured = np.asarray(features.measured)[rows, f]
        values = np.asarray(features.value)[rows, f][measured]
        gaps = bool((np.asarray(features.available)[rows, f] & ~measured).any())
        if not values.size:
            state = "is missing in every labelled row"
        elif values.min() < values.max() or (gaps and evidence is not None and evidence[f]):
            continue
        else:
            state = f"has the same value, {values[0]:.6g}, in every labelled row that has one"
        useful[f] = False
        warnings.append(f"feature {name!r} {state}; it is left out")
    return useful, warnings


def _for_each(names: Iterable[str], do: Callable[[str], T]) -> dict[str, T]:
    """Do it for every name, then tell all that went wrong at once."""
    results, problems = {}, []
    for name in names:
        try:
            results[name] = do(name)
        except InputError as error:
            problems += str(error).splitlines()
    if problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    return results


def _parse(config: Config) -> dict[str, _Parsed]:
    return _for_each(config.features, lambda name: _parse_feature(name, config.features[name]))


def _parse_feature(name: str, feature: FeatureConfig) -> _Parsed:
    texts = {
        "expression": feature.expression,
        "error": feature.error,
        "measured": feature.measured,
    }
    given = {part: text for part, text in texts.items() if text is not None}
    parsed = _for_each(given, lambda part: _told(f"features.{name}.{part}", parse, given[part]))
    return _Parsed(feature, parsed["expression"], parsed.get("error"), parsed.get("measured"))


def _told(place: str, do: Callable[..., T], *args: object) -> T:
    """Do it; an error says which part of the config it is about."""
    try:
        return do(*args)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _columns(feature: _Parsed) -> frozenset[str]:
    parts = (feature.expression, feature.error, feature.measured)
    return frozenset().union(*(part.columns for part in parts if part is not None))


def _read_columns(table: Table, needed: Mapping[str, tuple[str, ...]]) -> dict[str, Value]:
    return _for_each(
        needed, lambda name: _told(f"features.{needed[name][0]}", read_column, table, name)
    )


def _read_block(table: Table, config: Config) -> Value | None:
    """The column of blocks; a table to be classified need not say where its rows come from."""
    block = config.catalog.block
    return read_column(table, block) if block is not None and block in table.colnames else None


def _unmeasured(
    table: Table, block: Value | None, counts: BlockCounts
) -> dict[str, Bool[np.ndarray, "N"]]:
    """Per column, the rows in which nobody measured it."""
    rows = unmeasured_rows(counts, block, len(table))
    for name in rows:
        column: Any = table[name]
        if (column.info.meta or {}).get("absent"):
            rows[name] = np.ones(len(table), bool)
    return rows


def _build(
    name: str,
    feature: _Parsed,
    values: Mapping[str, Value],
    unmeasured: Mapping[str, Bool[np.ndarray, "N"]],
    n_rows: int,
) -> _Built:
    config, place = feature.config, f"features.{name}"
    raw = _told(f"{place}.expression", feature.expression.evaluate_values, values, n_rows)
    with np.errstate(all="ignore"):
        value = _scaled(raw.value, config.scale)
    missing = ~np.isfinite(value)
    non_positive = raw.nonpositive | ((config.scale == "log10") & (raw.value <= 0))
    available = _surveyed(place, feature, values, n_rows)
    available &= ~feature.expression.unmeasured(unmeasured, n_rows)
    measured = available & ~missing
    low, high = scale_bounds(config)
    counts = FeatureCounts(
        name,
        measured=int(measured.sum()),
        not_detected=int((available & missing).sum()),
        not_available=int((~available).sum()),
        non_positive=int((available & missing & non_positive).sum()),
        outside_bounds=int((measured & ((value < low) | (value > high))).sum()),
    )
    weight = _weight(place, feature.error, values, n_rows)
    error = _scaled_error(weight, raw.value, config.scale, measured, feature.error is None)
    return _Built(np.where(measured, value, 0.0), measured, available, weight, error, counts)


def _scaled(value: Float[np.ndarray, "N"], scale: str) -> Float[np.ndarray, "N"]:
    if scale == "log10":
        return np.log10(value)
    return value / (1 + np.abs(value)) if scale == "squash" else value


def _surveyed(
    place: str, feature: _Parsed, values: Mapping[str, Value], n_rows: int
) -> Bool[np.ndarray, "N"]:
    """Where `measured` is true; where it is missing, nobody says that anybody looked."""
    if feature.measured is None:
        return np.ones(n_rows, bool)
    place = f"{place}.measured"
    measured = _told(place, feature.measured.evaluate_values, values, n_rows)
    if not measured.is_condition:
        raise InputError(f"{place}: must be a condition, such as dec > -30; found a number")
    return ~measured.missing & (measured.value == 1)


def _weight(
    place: str, error: Expression | None, values: Mapping[str, Value], n_rows: int
) -> Float[np.ndarray, "N"]:
    if error is None:
        return np.ones(n_rows)
    size = _told(f"{place}.error", error.evaluate_values, values, n_rows).value
    with np.errstate(all="ignore"):
        weight = 1 / size
    return np.where(np.isfinite(weight) & (size > 0), weight, 0.0)


def _scaled_error(
    weight: Float[np.ndarray, "N"],
    raw: Float[np.ndarray, "N"],
    scale: str,
    measured: Bool[np.ndarray, "N"],
    exact: bool,
) -> Float[np.ndarray, "N"]:
    """Standard error times the slope of the scale; inf where it is unknown, 0 without a value."""
    if exact:
        return np.zeros(len(weight))
    with np.errstate(all="ignore"):
        slope = {"log10": 1 / (np.log(10) * raw), "squash": 1 / (1 + np.abs(raw)) ** 2}
        error = np.abs(slope.get(scale, np.ones_like(raw))) / weight
    return np.where(measured, error, 0.0)


def _warnings(counts: Iterable[FeatureCounts], config: Config) -> Iterable[str]:
    for count in counts:
        if count.non_positive:
            yield (
                f"feature {count.name!r}: {count.non_positive} values are logs of non-positive "
                "numbers, or ratios or powers without a value, and count as missing"
            )
        if count.not_available and config.features[count.name].measured is None:
            yield (
                f"feature {count.name!r}: not available in {count.not_available} rows, for a column "
                "it needs is absent or empty throughout; there it tells nothing"
            )
        if count.outside_bounds:
            bounds = config.features[count.name].bounds
            yield (
                f"feature {count.name!r}: {count.outside_bounds} values lie outside its bounds "
                f"{list(bounds or ())}; check the expression or the bounds"
            )
