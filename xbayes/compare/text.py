"""Texts and formatted numbers of a comparison, for the screen and for the report."""

import math
from collections.abc import Mapping

from xbayes.compare.scores import SCORES
from xbayes.evaluate.paired import LOWER_IS_BETTER

ALIKE_SIGN = "≈"


def headings(focus: str) -> dict[str, str]:
    """Column headings, by the keys of the scores."""
    names = {
        "f1": f"{focus} F1\n(rule)",
        "f1_argmax": f"{focus} F1\n(argmax)",
        "precision": "precision\n(rule)",
        "recall": "recall\n(rule)",
        "macro_f1": "macro F1\n(rule)",
        "log_loss": "log loss\n[nats]",
        "brier": "Brier\nscore",
        "ece": "ECE of top\n(calibrated)",
    }
    return {score: names[score] for score in SCORES}


def title(numbers: Mapping) -> str:
    """The number of variants, folds and sources, in one sentence."""
    folds = numbers["folds"]
    times = f", {folds['repeats']} times" if folds["repeats"] > 1 else ""
    partial = numbers["partial"]
    text = (
        f"{len(numbers['variants'])} variants on the same {folds['outer']} folds{times}: "
        f"{numbers['n_sources']:,} sources"
    )
    if numbers["n_groups"] < numbers["n_sources"]:
        text += f" in {numbers['n_groups']:,} groups"
    return text + (f" - PARTIAL, {len(partial)} not done: {', '.join(partial)}" if partial else "")


def caption(numbers: Mapping) -> str:
    """Explanation of the table."""
    drawn = "groups" if numbers["n_groups"] < numbers["n_sources"] else "sources"
    focus, n = numbers["focus"], numbers["comparisons"]["all"]
    by_chance = f"{0.1 * n:.0f}" if n >= 10 else "a few"
    return (
        f"Below each value is its 90 % interval, from {numbers['bootstrap']:,} bootstrap draws of "
        f"{drawn}. Rule: p({focus}) is multiplied by a class weight that maximises its F1 on the "
        f"inner folds; argmax: the most probable class. Bold: better than every other variant, "
        f"where the 90 % interval of each paired difference excludes 0. {ALIKE_SIGN}: the best "
        f"value, and values that cannot be distinguished from it. In brackets: the ECE of the top "
        f"label that a perfectly calibrated model exceeds one time in twenty. {n} paired "
        f"comparisons were made, so up to {by_chance} may look real by chance."
    )


def number(value: float | None, score: str) -> str:
    """Three decimals, or four for losses; a dash for None."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{_places(score)}f}"


def short_interval(entry: Mapping, score: str) -> str:
    """'.67-.81'; empty without an interval."""
    if entry.get("lo") is None or entry.get("hi") is None:
        return ""
    ends = (f"{entry[end]:.{_places(score) - 1}f}".removeprefix("0") for end in ("lo", "hi"))
    return "-".join(ends)


def limit(entry: Mapping) -> str:
    """' (.035)', the ECE that a calibrated model exceeds one time in twenty; empty for others."""
    value = entry.get("calibrated_q95")
    return "" if value is None else f" ({value:.3f})".replace("(0", "(")


def _places(score: str) -> int:
    return 4 if score in LOWER_IS_BETTER else 3


def seconds_of(value: float | None) -> str:
    """Seconds with two or more digits; a dash if they are not known."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 0.1 else f"{value:.2f}"


def signed(change: Mapping) -> str:
    """'-0.0051 (-0.0102 to -0.0004)'."""
    if change["value"] is None:
        return "–"
    return f"{change['value']:+.4f} ({change['lo']:+.4f} to {change['hi']:+.4f})"
