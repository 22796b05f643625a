"""The scores of a run in plain words and as cells of tables; all numbers are formatted here."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from xbayes.figures.style import class_colours
from xbayes.report.context import ReportContext

BLOCKS = ("in_sample", "cross_validated", "prior_weighted")
CLASS_SCORES = ("precision", "recall", "f1")


class Cell(NamedTuple):
    """A score as text, with its interval."""

    value: str
    interval: str
    note: str = ""


class ScoreRow(NamedTuple):
    """An overall score in the three blocks."""

    name: str
    meaning: str
    cells: list[Cell]


class ClassRow(NamedTuple):
    """The scores of one class: precision, recall, F1 of each block; the held-out F1 as a strip."""

    name: str
    colour: str
    labelled: str
    cells: list[Cell]
    held_out: Cell  # F1
    strip: dict[str, str] | None  # positions in percent, for the drawing beside it


class WellRow(NamedTuple):
    """Held-out scores of one class among the sources known well, and its F1 among all."""

    name: str
    colour: str
    members: str
    cells: list[Cell]  # precision, recall, F1
    of_all: Cell


class ScoreTables(NamedTuple):
    """What the template shows of the metrics."""

    titles: list[str]  # of the blocks
    notes: list[str]
    overall: list[ScoreRow]
    classes: list[ClassRow]


OVERALL = {
    "macro_f1": ("macro F1", "mean of F1 over the classes; 1 is best"),
    "accuracy": ("accuracy", "share of sources given their true class"),
    "log_loss": ("log loss", "nats a source; 0 is best"),
    "brier": ("Brier score", "squared error of the probabilities; 0 is best"),
    "ece": ("calibration error", "ECE of the top class; 0 is best"),
}


def sentences(context: ReportContext) -> list[str]:
    """The result of the run as a reader would tell it."""
    metrics = context.metrics
    held_out, in_sample = metrics["cross_validated"], metrics["in_sample"]
    total = sum(context.labelled.values())
    each = listed([f"{context.labelled[c]:,} {c}" for c in context.classes])
    opening = (
        f"Learned from {total:,} labelled sources of {len(context.classes)} classes ({each}), "
        f"and applied to the {context.n_sources:,} sources of the catalogue."
    )
    loss = in_words(held_out["log_loss"])
    seen = number(in_sample["log_loss"]["value"])
    log_loss = (
        f"The held-out log loss is {loss} nats a source. On the sources it learned from it would "
        f"look like {seen}: that number is optimistic and no measure of new sources."
    )
    return [
        opening,
        *_of_kinds(context.subclasses),
        *(_of_class(name, held_out) for name in context.classes),
        log_loss,
        *_of_well_known(metrics),
        *_of_probabilities(held_out),
        *_of_choice(metrics.get("calibration", [])),
        *_of_sets(held_out.get("prediction_set")),
        *_of_intervals(held_out.get("interval_width")),
        _of_calibration(held_out["ece"]),
        *_of_alarms(metrics.get("outlier", {})),
    ]


def _of_kinds(kinds: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Which classes are sums of subclasses."""
    each = [
        f"{name} is the sum of {listed([f'{kind} ({n:,})' for kind, n in own.items()])}"
        for name, own in kinds.items()
    ]
    return [f"{'; '.join(each)}: learned apart, their probabilities added."] if each else []


def _of_class(name: str, block: Mapping) -> str:
    score = block["f1"][name]
    if score["value"] is None:
        return f"{name}: no held-out source is of this class or was given it, so there is no F1."
    found, right = (block[which][name]["value"] for which in ("recall", "precision"))
    text = f"{name}: held-out F1 {in_words(score)}"
    if found is not None:
        text += f"; {100 * found:.0f} % of the true {name} are found"
    if right is not None:
        text += f"; {100 * right:.0f} % of the sources called {name} are right"
    return text + "."


def _of_calibration(ece: Mapping) -> str:
    value, limit = number(ece["value"]), number(ece["calibrated_q95"])
    if ece["value"] is None or ece["calibrated_q95"] is None:
        return "The calibration error could not be computed."
    if ece["value"] <= ece["calibrated_q95"]:
        return (
            f"The probabilities are calibrated as far as these sources can tell: the expected "
            f"calibration error is {value}, and a perfectly calibrated model would exceed {limit} "
            f"one time in twenty."
        )
    return (
        f"The probabilities are not calibrated: the expected calibration error is {value}, above "
        f"the {limit} that a perfectly calibrated model exceeds one time in twenty."
    )


def _of_probabilities(block: Mapping) -> list[str]:
    """What the Brier score is made of, and how decided the probabilities are."""
    if "brier_parts" not in block:
        return []
    parts = {name: number(part["value"]) for name, part in block["brier_parts"].items()}
    sharp = block["sharpness"]
    return [
        f"Of the held-out Brier score {number(block['brier']['value'])}, "
        f"{parts['reliability']} is for probabilities that are off (reliability; 0 is best); "
        f"knowing only the class proportions would cost {parts['uncertainty']} (uncertainty), of "
        f"which the probabilities explain {parts['resolution']} (resolution); differences inside "
        f"the ten bins account for {parts['within_bins']}.",
        f"Sharpness: the largest probability of a source is {in_words(sharp['confidence'])} on "
        f"average, the entropy {in_words(sharp['entropy'])} nats.",
    ]


def _of_choice(folds: Sequence[Mapping]) -> list[str]:
    """Which calibration the outer folds chose, and what it gained on rows it had not seen."""
    if not folds or all(len(fold["held_out_log_loss"]) < 2 for fold in folds):
        return []
    names = [fold["chosen"] for fold in folds]
    times = [f"{name} ({names.count(name)} of {len(names)})" for name in dict.fromkeys(names)]
    losses = [fold["held_out_log_loss"] for fold in folds]
    gain = [one["none"] - one[name] for one, name in zip(losses, names, strict=True)]
    return [
        f"Calibration chosen by the outer folds, on their inner folds: {listed(times)}; it lowers "
        f"the log loss there by {number(sum(gain) / len(gain))} nats a source on average."
    ]


def _of_sets(sets: Mapping | None) -> list[str]:
    """Coverage and size of the prediction sets."""
    if sets is None:
        return []
    each = [
        f"{name} {number(own['coverage']['value'])} ({number(own['size']['value'])} classes)"
        for name, own in sets["by_class"].items()
    ]
    return [
        f"Prediction sets promise to hold the true class of 90 % of the sources of every class; "
        f"held out they do so for {in_words(sets['coverage'])} of all, by class and with their "
        f"mean size: {listed(each)}. They name {number(sets['size']['value'])} classes on "
        f"average; {100 * (sets['empty']['value'] or 0):.1f} % are empty: unlike every class."
    ]


def _of_intervals(widths: Mapping | None) -> list[str]:
    """How wide the intervals of the probabilities are, where there are draws."""
    if widths is None:
        return []
    given = {name: w for name, w in widths["by_prediction"].items() if w is not None}
    each = [f"{number(width)} for those called {name}" for name, width in given.items()]
    return [
        f"The 90 % interval of the predicted class's probability is {number(widths['median'])} "
        f"wide in the median held-out source: {listed(each)}. It is what the labels and the "
        f"densities leave open, not the chance of being wrong: that is the probability itself."
    ]


def _of_alarms(alarms: Mapping) -> list[str]:
    """Whether as many ordinary sources look strange as the level promises."""
    texts = []
    for level, share in alarms.items():
        inside = share["lo"] <= share["value"] <= share["hi"]
        verdict = "as many as promised" if inside else "not what was promised"
        texts.append(
            f"{100 * share['value']:.1f} % of the {share['n']:,} held-out sources have outlier_p "
            f"at or below {level}: {verdict} (chance allows {100 * share['lo']:.1f} to "
            f"{100 * share['hi']:.1f} %)."
        )
    return texts


def well_known(context: ReportContext) -> list[WellRow]:
    """Classes of the sources known well; empty where the config tells none apart or none is."""
    block = context.metrics.get("well_characterised")
    if block is None or not block["n_sources"]:
        return []
    colours, everywhere = class_colours(context.classes), context.metrics["cross_validated"]["f1"]
    return [
        WellRow(
            name,
            colours[name],
            f"{block['members'][name]:,}",
            [_cell(block[score][name]) for score in CLASS_SCORES],
            _cell(everywhere[name]),
        )
        for name in context.classes
    ]


def _of_well_known(metrics: Mapping) -> list[str]:
    """How the sources known well do."""
    block = metrics.get("well_characterised")
    if block is None:
        return []
    if not block["n_sources"]:
        return ["No labelled source is well characterised by the config's conditions."]
    return [
        f"On the {block['n_sources']:,} well-characterised sources alone the held-out macro F1 is "
        f"{in_words(block['macro_f1'])}, the log loss {in_words(block['log_loss'])}."
    ]


def score_tables(context: ReportContext) -> ScoreTables:
    """The three blocks of `metrics.json` side by side."""
    metrics = context.metrics
    blocks = [metrics[name] for name in BLOCKS]
    titles = [
        "in sample (optimistic)",
        "held out (out of fold)",
        "held out, re-weighted to the expected proportions",
    ]
    proportions = metrics.get("proportions", {})
    sky = ", ".join(
        f"{name}\N{NO-BREAK SPACE}{100 * share:.3g}\N{NO-BREAK SPACE}%"
        for name, share in proportions.items()
    )
    notes = [
        "sources the classifier learned from",
        "sources it never saw, in the proportions of the labelled sample",
        f"the same, as if the sky held {sky}" if sky else "the same, in the proportions of the sky",
    ]
    overall = [
        ScoreRow(title, meaning, [_cell(block[name]) for block in blocks])
        for name, (title, meaning) in OVERALL.items()
    ]
    colours = class_colours(context.classes)
    classes = [
        ClassRow(
            name,
            colours[name],
            f"{context.labelled[name]:,}",
            [_cell(block[score][name]) for block in blocks for score in CLASS_SCORES],
            _cell(metrics["cross_validated"]["f1"][name]),
            _strip(metrics["cross_validated"]["f1"][name]),
        )
        for name in context.classes
    ]
    return ScoreTables(titles, notes, overall, classes)


def _cell(score: Mapping) -> Cell:
    interval = ""
    if score.get("lo") is not None and score.get("hi") is not None:
        interval = f"{number(score['lo'])} – {number(score['hi'])}"
    limit = score.get("calibrated_q95")
    note = "" if limit is None else f"if calibrated: up to {number(limit)}"
    return Cell(number(score["value"]), interval, note)


def _strip(score: Mapping) -> dict[str, str] | None:
    if score["value"] is None:
        return None
    low = score["value"] if score["lo"] is None else score["lo"]
    high = score["value"] if score["hi"] is None else score["hi"]
    places = {"at": score["value"], "left": low, "width": high - low}
    return {name: f"{100 * place:.2f}%" for name, place in places.items()}


def in_words(score: Mapping) -> str:
    """'0.71 (90 % interval 0.64 to 0.77)'."""
    text = number(score["value"])
    if score["lo"] is None or score["hi"] is None:
        return text
    return f"{text} (90 % interval {number(score['lo'])} to {number(score['hi'])})"


def number(value: Any) -> str:
    """Three decimals, more for a small number; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if abs(value) >= 0.01 or value == 0 else f"{value:.2g}"


def listed(items: Sequence[str]) -> str:
    """'a, b and c'."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
