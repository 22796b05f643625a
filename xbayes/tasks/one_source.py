"""Warnings about a single source given by hand: values that change nothing, and why."""

from collections.abc import Iterator, Mapping, Sequence

from xbayes.config.checks import did_you_mean
from xbayes.config.schema import Config
from xbayes.errors import InputError
from xbayes.features.build import FeatureReport, merged_report, needed_columns


def refuse_unknown(given: Sequence[str], known: Sequence[str]) -> None:
    """Raise InputError for a column that the run does not know, with the nearest names."""
    for name in given:
        if name not in known:
            near = did_you_mean(name, list(dict.fromkeys(known)), "the run reads")
            raise InputError(f"no feature needs a column {name!r}{near}")


def row_warnings(config: Config, given: Sequence[str], report: FeatureReport) -> Iterator[str]:
    """The warnings about one source: undefined values, and given columns that are no evidence.

    Columns that are not given are not available, which is meant and no warning.

    Parameters
    ----------
    config
        The config of the run.
    given
        The columns that the user gave a value or an empty value.
    report
        The states of the features of the source.
    """
    meant = [counts._replace(not_available=0) for counts in report.counts]
    yield from merged_report([FeatureReport(counts=tuple(meant), warnings=())], config).warnings
    columns = needed_columns(config)
    states = {counts.name: counts for counts in report.counts}
    for name in given:
        if name in (config.catalog.id, config.catalog.source, config.catalog.block):
            continue
        features = columns.get(name, ())
        if name in columns and not features:
            continue  # only the prior reads it
        if not features:
            yield f"{name!r} changes nothing: no feature of the run reads it"
        elif not any(
            states[feature].measured or states[feature].not_detected for feature in features
        ):
            lacking = {
                feature: [c for c, users in columns.items() if feature in users and c not in given]
                for feature in features
            }
            yield f"{name!r} changes nothing: {_reasons(config, lacking)}"


def _reasons(config: Config, lacking: Mapping[str, Sequence[str]]) -> str:
    """Why each of these features gives no evidence; features with the same reason together."""
    by_reason: dict[str, list[str]] = {}
    for name, columns in lacking.items():
        feature = config.features[name]
        no_value = "without a value, which is no evidence (missing: ignore)"
        no_coverage = "not available, because the condition measured: does not hold"
        if columns:
            reason = f"without {', '.join(columns)}"
        elif feature.missing == "evidence":
            reason = no_coverage
        else:
            reason = no_value if feature.measured is None else f"{no_value}, or {no_coverage}"
        by_reason.setdefault(reason, []).append(name)
    return "; ".join(
        f"{'features' if len(names) > 1 else 'feature'} {', '.join(names)} "
        f"{'are' if len(names) > 1 else 'is'} {reason}"
        for reason, names in by_reason.items()
    )
