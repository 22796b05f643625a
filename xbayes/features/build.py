"""From a table and a config to the arrays that the models read.

Each row is built from that row alone. In training there is one exception: the blocks of rows that
lack a column entirely are learned from all rows, and stored with the run (`availability.py`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float

from xbayes.catalog.taxonomy import subclasses_of
from xbayes.config.schema import Config, FeatureConfig
from xbayes.errors import InputError
from xbayes.features.availability import LackedBy, unavailable_columns, unavailable_rows
from xbayes.features.blocks import lacking_blocks, read_block
from xbayes.features.expression import Evaluated, Expression, errors_name, parse
from xbayes.features.expression_units import to_declared_unit
from xbayes.features.prior import expressions_of_prior
from xbayes.features.values import Value, read_column
from xbayes.types import Features, Names

T = TypeVar("T")


class FeatureCounts(NamedTuple):
    """Number of rows in each state of one feature; the three states add up to all rows."""

    name: str
    measured: int
    not_detected: int
    not_available: int
    undefined: int  # of those not measured: a log, root or division of numbers has no result
    outside_bounds: int  # of those measured


class FeatureReport(NamedTuple):
    """The counts of every feature, and warnings for the user."""

    counts: tuple[FeatureCounts, ...]
    warnings: tuple[str, ...]


class _Parsed(NamedTuple):
    """The expressions of one feature."""

    config: FeatureConfig
    expression: Expression
    error: Expression | None
    measured: Expression | None


def build_features(
    table: Table, config: Config, lacked_by: LackedBy | None = None
) -> tuple[Features, FeatureReport]:
    """The features of every row, in the order of the config, and the counts of their states.

    A feature is not available where its `measured` condition is not true, and where a column that
    it needs is not available (`availability.py`). A coalesce is not available only if none of its
    arguments is; a `where` is not available if its condition is unknown, or the chosen argument is
    not available. Elsewhere a feature without a finite value is not detected if the config says
    `missing: evidence`, and not available if it does not.

    The weight of a training value is 1 without `error`. With it, the weight is 1 / error in the
    unit of the expression, normalised later on the training part, and 0 where the error is missing
    or not positive. The error itself is propagated through the scale to first order.

    Parameters
    ----------
    lacked_by
        The blocks that lack a column, as the run learned them; None learns them from this table.

    Raises
    ------
    InputError
        One line for each problem found.
    """
    parsed = _parse(config)
    values, block = _read_columns(table, needed_columns(config)), read_block(table, config)
    if lacked_by is None:
        lacked_by = lacking_blocks(table, config, values)
    optional = config.catalog.optional
    unavailable = unavailable_columns(values, block, lacked_by, optional, len(table))
    built = _for_each(
        parsed, lambda name: _build(name, parsed[name], values, unavailable, len(table))
    )
    features, counts = zip(*built.values(), strict=True)
    stacked = Features._make(np.stack(field, axis=1) for field in zip(*features, strict=True))
    return stacked, FeatureReport(counts=counts, warnings=tuple(_warnings(counts, config)))


def columns_lacking(table: Table, config: Config) -> LackedBy:
    """Of each needed column, the blocks of a training catalogue that lack it entirely."""
    return lacking_blocks(table, config, _read_columns(table, needed_columns(config)))


def merged_report(reports: Sequence[FeatureReport], config: Config) -> FeatureReport:
    """One report for all chunks of a catalogue."""
    counts = tuple(map(_added, zip(*(report.counts for report in reports), strict=True)))
    return FeatureReport(counts=counts, warnings=tuple(_warnings(counts, config)))


def needed_columns(config: Config) -> dict[str, tuple[str, ...]]:
    """The columns that features and prior read, and for each the features that read it.

    Raises InputError for an expression that cannot be read.
    """
    users: dict[str, tuple[str, ...]] = {}
    for name, feature in _parse(config).items():
        columns = {column for part in _parts(feature) for column in part.columns}
        for column in sorted(columns):
            users[column] = (*users.get(column, ()), name)
    for expression in expressions_of_prior(config).values():
        for column in sorted(expression.columns):
            users.setdefault(column, ())
    return users


def expressions_of(config: Config) -> list[Expression]:
    """Every expression of features and prior. Raises InputError for one that cannot be read."""
    parts = [part for feature in _parse(config).values() for part in _parts(feature)]
    return [*parts, *expressions_of_prior(config).values()]


def columns_of(config: Config, feature: str) -> frozenset[str]:
    """The columns that the expression of a feature reads."""
    return _parse_feature(feature, config.features[feature]).expression.columns


def sky_columns(config: Config) -> tuple[frozenset[str], frozenset[str]]:
    """The columns used as right ascensions and as declinations: by features, and as roles."""
    pairs = [part.sky_columns() for part in expressions_of(config)]
    roles = config.catalog
    ra = {name for names, _ in pairs for name in names} | ({roles.ra} if roles.ra else set())
    dec = {name for _, names in pairs for name in names} | ({roles.dec} if roles.dec else set())
    return frozenset(ra), frozenset(dec)


def lacking_names(config: Config) -> list[tuple[str, ...]]:
    """Per feature, names of the reasons for which it may not be available.

    They are its survey, the columns it needs that a catalogue may lack, and its `measured`
    condition. Features with one reason become unavailable together.
    """
    names = []
    for feature in _parse(config).values():
        columns = feature.expression.columns & set(config.catalog.optional)
        condition = [] if feature.measured is None else [f"measured: {feature.config.measured}"]
        survey = feature.config.survey
        names.append((*sorted(columns), *condition) if survey is None else (f"survey: {survey}",))
    return names


def error_columns(config: Config) -> frozenset[str]:
    """The columns that only `error:` expressions read."""
    features = _parse(config).values()
    errors = {name for f in features if f.error is not None for name in f.error.columns}
    others = {
        name
        for f in features
        for part in (f.expression, f.measured)
        if part is not None
        for name in part.columns
    }
    return frozenset(errors - others)


def scale_bounds(feature: FeatureConfig) -> tuple[float, float]:
    """The natural limits on the scale of the feature; -inf and inf where there is no limit.

    The squash scale itself adds no limit, although its values always lie between -1 and 1.
    """
    low, high = feature.bounds or (None, None)
    lowest = -np.inf if low is None or (feature.scale == "log10" and low <= 0) else low
    limits = np.array([lowest, np.inf if high is None else high], dtype=np.float64)
    finite = np.isfinite(limits)
    limits[finite] = _scaled(limits[finite], feature.scale)
    return float(limits[0]), float(limits[1])


def names_of(config: Config) -> Names:
    """The names on the axes F, G, C and T; categories in the order in which they first appear."""
    category_of = [feature.category for feature in config.features.values()]
    categories = tuple(dict.fromkeys(category_of))
    subclasses, classes = subclasses_of(config.taxonomy), tuple(config.taxonomy.classes)
    return Names(
        features=tuple(config.features),
        categories=categories,
        category=tuple(categories.index(category) for category in category_of),
        classes=classes,
        subclasses=tuple(subclass.name for subclass in subclasses),
        subclass_of=tuple(subclass.class_index for subclass in subclasses),
        groups=tuple(
            (group, tuple(classes.index(name) for name in members))
            for group, members in config.taxonomy.groups.items()
        ),
    )


def useful_features(
    features: Features,
    rows: Bool[np.ndarray, "N"],
    names: Sequence[str],
    evidence: Bool[np.ndarray, "F"] | None = None,
) -> tuple[Bool[np.ndarray, "F"], list[str]]:
    """Which features vary among these rows, and a warning for each that does not.

    A feature is useless if it is measured in none of the rows or always has the same value. With
    `missing: evidence` (true in `evidence`), a feature with one value is still useful if it is
    measured in some rows and not detected in others.
    """
    useful = np.ones(len(names), bool)
    warnings = []
    for f, name in enumerate(names):
        measured = np.asarray(features.measured)[rows, f]
        values = np.asarray(features.value)[rows, f][measured]
        not_detected = np.asarray(features.available)[rows, f] & ~measured
        state_varies = evidence is not None and evidence[f] and not_detected.any()
        if not values.size:
            problem = "is not measured in any labelled row"
        elif values.min() < values.max() or state_varies:
            continue
        else:
            problem = f"is {values[0]:.6g} in every labelled row in which it is measured"
        useful[f] = False
        warnings.append(f"feature {name!r} {problem}; it is left out")
    return useful, warnings


def _for_each(names: Iterable[str], make: Callable[[str], T]) -> dict[str, T]:
    """The result for every name; all errors are collected into one InputError."""
    results, problems = {}, []
    for name in names:
        try:
            results[name] = make(name)
        except InputError as error:
            problems += str(error).splitlines()
    if problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    return results


def _added(chunks: Sequence[FeatureCounts]) -> FeatureCounts:
    """The counts of one feature, summed over chunks."""
    numbers = [field for field in FeatureCounts._fields if field != "name"]
    totals = {field: sum(getattr(chunk, field) for chunk in chunks) for field in numbers}
    return FeatureCounts(name=chunks[0].name, **totals)


def _parts(feature: _Parsed) -> list[Expression]:
    parts = (feature.expression, feature.error, feature.measured)
    return [part for part in parts if part is not None]


def _parse(config: Config) -> dict[str, _Parsed]:
    return _for_each(config.features, lambda name: _parse_feature(name, config.features[name]))


def _parse_feature(name: str, feature: FeatureConfig) -> _Parsed:
    texts = {
        "expression": feature.expression,
        "error": feature.error,
        "measured": feature.measured,
    }

    given = {part: text for part, text in texts.items() if text is not None}

    def parse_part(part: str) -> Expression:
        with errors_name(f"features.{name}.{part}"):
            return parse(given[part])

    parsed = _for_each(given, parse_part)
    return _Parsed(
        config=feature,
        expression=parsed["expression"],
        error=parsed.get("error"),
        measured=parsed.get("measured"),
    )


def _read_columns(table: Table, needed: Mapping[str, tuple[str, ...]]) -> dict[str, Value]:
    def read(column: str) -> Value:
        users = [f"features.{name}" for name in needed[column]]
        with errors_name(users[0] if users else "model.prior"):
            return read_column(table, column)

    return _for_each(needed, read)


def _build(
    name: str,
    feature: _Parsed,
    values: Mapping[str, Value],
    unavailable: Mapping[str, Bool[np.ndarray, "N"]],
    n_rows: int,
) -> tuple[Features, FeatureCounts]:
    """One feature, as Features without the axis F, and its counts."""
    config = feature.config

    def evaluate(part: str, expression: Expression) -> Evaluated:
        with errors_name(f"features.{name}.{part}"):
            return expression.evaluate_values(values, n_rows)

    raw = evaluate("expression", feature.expression)
    with errors_name(f"features.{name}.unit"):
        conversion = to_declared_unit(raw.unit, config.unit)
    raw = raw._replace(value=conversion.of(raw.value))
    with np.errstate(all="ignore"):
        value = _scaled(raw.value, config.scale)
    finite = np.isfinite(value)
    available = ~unavailable_rows(feature.expression, values, unavailable, n_rows)
    if feature.measured is not None:
        covered = evaluate("measured", feature.measured)
        if not covered.is_condition:
            raise InputError(
                f"features.{name}.measured: must be a condition, such as dec > -30; found a number"
            )
        available &= ~covered.missing & (covered.value == 1)
    undefined = raw.undefined | ((config.scale == "log10") & (raw.value <= 0))
    undefined &= available & ~finite
    if config.missing == "ignore":
        available &= finite
    measured, not_detected = available & finite, available & ~finite
    weight, error = np.ones(n_rows), np.zeros(n_rows)
    if feature.error is not None:
        found = evaluate("error", feature.error)
        with errors_name(f"features.{name}.error"):
            weight = _inverse(conversion.of_error(found.value, found.unit))
        error = np.where(measured, _scaled_error(weight, raw.value, config.scale), 0.0)
    low, high = scale_bounds(config)
    counts = FeatureCounts(
        name=name,
        measured=int(measured.sum()),
        not_detected=int(not_detected.sum()),
        not_available=int((~available).sum()),
        undefined=int(undefined.sum()),
        outside_bounds=int((measured & ((value < low) | (value > high))).sum()),
    )
    value = np.where(measured, value, 0.0)
    features = Features(
        value=value, measured=measured, available=available, weight=weight, error=error
    )
    return features, counts


def _scaled(value: Float[np.ndarray, "N"], scale: str) -> Float[np.ndarray, "N"]:
    if scale == "log10":
        return np.log10(value)
    return value / (1 + np.abs(value)) if scale == "squash" else value


def _inverse(error: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """1 / error, or 0 where the error is missing or not positive."""
    with np.errstate(all="ignore"):
        weight = 1 / error
    return np.where(np.isfinite(weight) & (error > 0), weight, 0.0)


def _scaled_error(
    weight: Float[np.ndarray, "N"], raw: Float[np.ndarray, "N"], scale: str
) -> Float[np.ndarray, "N"]:
    """The standard error times the slope of the scale; inf where the error is unknown."""
    with np.errstate(all="ignore"):
        slope = {"log10": 1 / (np.log(10) * raw), "squash": 1 / (1 + np.abs(raw)) ** 2}
        return np.abs(slope.get(scale, np.ones_like(raw))) / weight


def _warnings(counts: Iterable[FeatureCounts], config: Config) -> Iterable[str]:
    for count in counts:
        feature = config.features[count.name]
        if count.undefined:
            state = "not detected" if feature.missing == "evidence" else "not available"
            yield (
                f"feature {count.name!r}: {count.undefined} values are logs of non-positive "
                f"numbers, or undefined ratios or powers, and count as {state}"
            )
        absent = count.not_available - (count.undefined if feature.missing == "ignore" else 0)
        if absent and not count.measured and feature.measured is None:
            yield (
                f"feature {count.name!r}: measured in no row and not available in {absent} rows, "
                "because a column that it needs is absent or empty; it adds nothing there"
            )
        if count.outside_bounds:
            yield (
                f"feature {count.name!r}: {count.outside_bounds} values lie outside its bounds "
                f"{list(feature.bounds or ())}; check the expression or the bounds"
            )
