"""The words and numbers of a comparison, for the screen and for the report alike."""

import math
from collections.abc import Mapping

from xbayes.compare.scores import SCORES
from xbayes.evaluate.paired import LOWER_IS_BETTER

ALIKE_SIGN = "≈"


def headings(focus: str) -> dict[str, str]:
    """What the scores are called, by their keys."""
    names = (
        *(f"{focus} F1\n(rule)", f"{focus} F1\n(argmax)", "precision\n(rule)", "recall\n(rule)"),
        *("macro F1\n(rule)", "log loss\n[nats]", "Brier\nscore", "ECE of top\n(calibrated)"),
    )
    return dict(zip(SCORES, names, strict=True))


def title(numbers: Mapping) -> str:
    """What was compared on what."""
    folds = numbers["folds"]
    times = f", {folds['repeats']} times" if folds["repeats"] > 1 else ""
    partial = numbers["partial"]
    text = (
        f"{len(numbers['variants'])} variants held out on the same {folds['outer']} folds{times}: "
        f"{numbers['n_sources']:,} sources"
    )
    if numbers["n_groups"] < numbers["n_sources"]:
        text += f" in {numbers['n_groups']:,} groups"
    return text + (f" - PARTIAL, {len(partial)} not done: {', '.join(partial)}" if partial else "")


def caption(numbers: Mapping) -> str:
    """How to read the table."""
    drawn = "groups" if numbers["n_groups"] < numbers["n_sources"] else "sources"
    focus, n = numbers["focus"], numbers["comparisons"]["all"]
    by_chance = f"{0.1 * n:.0f}" if n >= 10 else "a few"
    return (
        f"Below each value its 90 % interval, from {numbers['bootstrap']:,} bootstrap draws of "
        f"{drawn}. Rule: one factor on p({focus}), tuned on inner folds for its F1; argmax: the "
        f"most probable class. Bold: better than every other variant, the 90 % interval of each "
        f"paired difference excluding 0. {ALIKE_SIGN}: the best value, and those not "
        f"distinguishable from it. In brackets the ECE of the top label that a perfectly "
        f"calibrated model exceeds one time in twenty. {n} paired comparisons were made, so up to "
        f"{by_chance} may look real by chance."
    )


def number(value: float | None, score: str) -> str:
    """Three decimals, four of what is small; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{_places(score)}f}"


def short_interval(entry: Mapping, score: str) -> str:
    """'.67-.81'; empty without one."""
    if entry.get("lo") is None or entry.get("hi") is None:
        return ""
    ends = (f"{entry[end]:.{_places(score) - 1}f}".removeprefix("0") for end in ("lo", "hi"))
    return "-".join(ends)


def limit(entry: Mapping) -> str:
    """' (.035)', the ECE that a calibrated model exceeds one time in twenty; empty elsewhere."""
    value = entry.get("calibrated_q95")
    return "" if value is None else f" ({value:.3f})".replace("(0", "(")


def _places(score: str) -> int:
    return 4 if score in LOWER_IS_BETTER else 3


def seconds_of(value: float | None) -> str:
    """Seconds with a sensible number of digits; a dash where they are not known."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 0.1 else f"{value:.2f}"


def signed(change: Mapping) -> str:
    """'-0.0051 (-0.0102 to -0.0004)'."""
    if change["value"] is None:
        return "–"
    return f"{change['value']:+.4f} ({change['lo']:+.4f} to {change['hi']:+.4f})"
