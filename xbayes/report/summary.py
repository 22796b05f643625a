"""The scores of a run as sentences and as cells of tables."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from xbayes.figures.style import class_colours
from xbayes.report.context import ReportContext

BLOCKS = ("in_sample", "cross_validated", "prior_weighted")
CLASS_SCORES = ("precision", "recall", "f1")


class Cell(NamedTuple):
    """A score and its 90 % interval as text."""

    value: str
    interval: str
    note: str = ""


class ScoreRow(NamedTuple):
    """A score over all classes, in each of the three blocks."""

    name: str
    meaning: str
    cells: list[Cell]


class ClassRow(NamedTuple):
    """The scores of one class."""

    name: str
    colour: str
    labelled: str
    cells: list[Cell]  # precision, recall and F1 of each block
    held_out: Cell  # F1
    strip: dict[str, str] | None  # positions of the held-out F1 and its interval, in percent


class WellRow(NamedTuple):
    """Held-out scores of one class among the well-characterised sources, and its F1 among all."""

    name: str
    colour: str
    members: str
    cells: list[Cell]  # precision, recall, F1
    of_all: Cell


class ScoreTables(NamedTuple):
    """The scores of all classes together and of each class."""

    titles: list[str]  # of the blocks
    notes: list[str]
    overall: list[ScoreRow]
    classes: list[ClassRow]


OVERALL = {
    "macro_f1": ("macro F1", "mean F1 of the classes; 1 is best"),
    "accuracy": ("accuracy", "share of correct classifications; 1 is best"),
    "log_loss": ("log loss", "nats per source; 0 is best"),
    "brier": ("Brier score", "mean squared error of the probabilities; 0 is best"),
    "ece": ("calibration error", "ECE of the most probable class; 0 is best"),
}


def sentences(context: ReportContext) -> list[str]:
    """The main results of the run, one statement each."""
    metrics = context.metrics
    held_out, in_sample = metrics["cross_validated"], metrics["in_sample"]
    total = sum(context.labelled.values())
    each = listed([f"{context.labelled[c]:,} {c}" for c in context.classes])
    return [
        f"The classifier was trained on {total:,} labelled sources of {len(context.classes)} "
        f"classes ({each}) and applied to the {context.n_sources:,} sources of the catalogue.",
        *_of_subclasses(context.subclasses),
        *(_of_class(name, held_out) for name in context.classes),
        f"The held-out log loss is {in_words(held_out['log_loss'])} nats per source. On the "
        f"training sources it is {number(in_sample['log_loss']['value'])}, which is optimistic "
        f"and does not hold for new sources.",
        *_of_well_characterised(metrics),
        *_of_crowd(metrics.get("crowd")),
        *_of_probabilities(held_out),
        *_of_calibrator(metrics.get("calibration", [])),
        *_of_sets(held_out.get("prediction_set")),
        *_of_intervals(held_out.get("interval_width")),
        _of_calibration(held_out["ece"]),
        *_of_outliers(metrics.get("outlier", {})),
    ]


def _of_subclasses(sizes: Mapping[str, Mapping[str, int]]) -> list[str]:
    each = [
        f"{name} consists of {listed([f'{subclass} ({n:,})' for subclass, n in own.items()])}"
        for name, own in sizes.items()
    ]
    added = "each subclass has its own model, and their probabilities are added"
    return [f"{'; '.join(each)}: {added}."] if each else []


def _of_class(name: str, block: Mapping) -> str:
    f1, recall, precision = (block[score][name] for score in ("f1", "recall", "precision"))
    if f1["value"] is None:
        return (
            f"{name}: the held-out F1 is undefined, because no held-out source belongs to this "
            f"class or was predicted to."
        )
    text = f"{name}: held-out F1 {in_words(f1)}"
    if recall["value"] is not None:
        text += f"; {100 * recall['value']:.0f} % of the true {name} are recovered"
    if precision["value"] is not None:
        text += f"; {100 * precision['value']:.0f} % of the sources classified as {name} are {name}"
    return text + "."


def _of_calibration(ece: Mapping) -> str:
    value, limit = number(ece["value"]), number(ece["calibrated_q95"])
    if ece["value"] is None or ece["calibrated_q95"] is None:
        return "The calibration error could not be computed."
    if ece["value"] <= ece["calibrated_q95"]:
        return (
            f"The probabilities are consistent with perfect calibration: the expected calibration "
            f"error (ECE) is {value}, and that of a perfectly calibrated model exceeds {limit} "
            f"in 5 % of samples of this size."
        )
    return (
        f"The probabilities are not calibrated: the expected calibration error (ECE) is {value}, "
        f"and that of a perfectly calibrated model exceeds {limit} in only 5 % of samples of this "
        f"size."
    )


def _of_probabilities(block: Mapping) -> list[str]:
    """The decomposition of the Brier score, and the sharpness of the probabilities."""
    if "brier_parts" not in block:
        return []
    parts = {name: number(part["value"]) for name, part in block["brier_parts"].items()}
    sharp = block["sharpness"]
    return [
        f"Decomposition of the held-out Brier score {number(block['brier']['value'])}: reliability "
        f"{parts['reliability']} (miscalibration; 0 is best), minus resolution "
        f"{parts['resolution']} (gain over predicting the class proportions), plus uncertainty "
        f"{parts['uncertainty']} (score of the class proportions), plus {parts['within_bins']} for "
        f"differences within the ten bins.",
        f"Sharpness: the largest probability of a source is {in_words(sharp['confidence'])} on "
        f"average, and the entropy is {in_words(sharp['entropy'])} nats.",
    ]


def _of_calibrator(folds: Sequence[Mapping]) -> list[str]:
    """The calibrators that the outer folds chose, and their mean gain."""
    if not folds or all(len(fold["held_out_log_loss"]) < 2 for fold in folds):
        return []
    names = [fold["chosen"] for fold in folds]
    times = [f"{name} ({names.count(name)} of {len(names)})" for name in dict.fromkeys(names)]
    losses = [fold["held_out_log_loss"] for fold in folds]
    gain = [loss["none"] - loss[name] for loss, name in zip(losses, names, strict=True)]
    return [
        f"Calibration that each outer fold chose by cross-validation on its inner folds: "
        f"{listed(times)}. It lowers their log loss by {number(sum(gain) / len(gain))} nats per "
        f"source on average."
    ]


def _of_sets(sets: Mapping | None) -> list[str]:
    """Coverage and size of the prediction sets."""
    if sets is None:
        return []
    each = [
        f"{name} {number(own['coverage']['value'])} ({number(own['size']['value'])} classes)"
        for name, own in sets["by_class"].items()
    ]
    flagged = ""
    if "flagged" in sets:  # runs of earlier versions lack it
        share = 100 * (sets["flagged"]["value"] or 0)
        flagged = (
            f" For {share:.1f} % of the sources every class was excluded, so that the set is the "
            "prediction alone, with set_flag."
        )
    return [
        f"A prediction set holds the prediction and every class that is not excluded at 10 %, so "
        f"that it contains the true class of at least 90 % of the sources of every class. The "
        f"held-out coverage is {in_words(sets['coverage'])}; by class, with the mean size: "
        f"{listed(each)}. The mean size is {number(sets['size']['value'])} classes.{flagged}",
        "This coverage needs sources that are exchangeable with the training sources of their "
        "class, and measured in the same way; the class proportions may differ. It does not hold "
        "at other fluxes, on another part of the sky or in another release. On half of another "
        "release of the Chandra catalogue, the sets of configs/chandra_sources.yaml held the class "
        "of 91 % of the AGN, but for 16 % of them every class was excluded (set_flag).",
    ]


def _of_intervals(widths: Mapping | None) -> list[str]:
    """The width of the credible intervals of the probabilities, of Bayesian runs."""
    if widths is None:
        return []
    given = {name: w for name, w in widths["by_prediction"].items() if w is not None}
    each = [f"{number(width)} for sources classified as {name}" for name, width in given.items()]
    return [
        f"The median width of the 90 % interval of the probability of the predicted class is "
        f"{number(widths['median'])}: {listed(each)}. The interval is the uncertainty of the "
        f"probability due to the finite training sample; the probability itself is the chance "
        f"that the classification is correct."
    ]


def _of_outliers(levels: Mapping) -> list[str]:
    """The share of held-out sources below each level of the outlier p-value."""
    texts = []
    for level, share in levels.items():
        inside = share["lo"] <= share["value"] <= share["hi"]
        verdict = "consistent with" if inside else "not consistent with"
        texts.append(
            f"{100 * share['value']:.1f} % of the {share['n']:,} held-out sources have an "
            f"outlier p-value at or below {level}, {verdict} the nominal level (90 % range "
            f"{100 * share['lo']:.1f} to {100 * share['hi']:.1f} %)."
        )
    return texts


def _of_well_characterised(metrics: Mapping) -> list[str]:
    block = metrics.get("well_characterised")
    if block is None:
        return []
    if not block["n_sources"]:
        return ["No labelled source is well characterised by the conditions of the config."]
    return [
        f"On the {block['n_sources']:,} well-characterised sources the held-out macro F1 is "
        f"{in_words(block['macro_f1'])} and the log loss {in_words(block['log_loss'])}."
    ]


def _of_crowd(block: Mapping | None) -> list[str]:
    """How often votes and classifier name the same class."""
    if block is None or not block["compared"]:
        return []
    by_class = [
        f"{100 * own['agree']:.0f} % of the {own['n']:,} voted {name}"
        for name, own in block["by_class"].items()
    ]
    return [
        f"Votes gave labels to {block['sources']:,} sources, of which {block['trained_on']:,} have "
        "no reference label and trained the classifier. Out of fold it agrees with the votes on "
        f"{100 * block['agree']:.0f} % of {block['compared']:,} sources: {listed(by_class)}."
    ]


def well_characterised(context: ReportContext) -> list[WellRow]:
    """Scores by class on the well-characterised sources; empty if there are none."""
    block = context.metrics.get("well_characterised")
    if block is None or not block["n_sources"]:
        return []
    colours, everywhere = class_colours(context.classes), context.metrics["cross_validated"]["f1"]
    return [
        WellRow(
            name=name,
            colour=colours[name],
            members=f"{block['members'][name]:,}",
            cells=[cell(block[score][name]) for score in CLASS_SCORES],
            of_all=cell(everywhere[name]),
        )
        for name in context.classes
    ]


def score_tables(context: ReportContext) -> ScoreTables:
    """The three blocks of `metrics.json` side by side."""
    metrics = context.metrics
    blocks = [metrics[name] for name in (BLOCKS if context.reweighted else BLOCKS[:2])]
    proportions = ", ".join(
        f"{name}\N{NO-BREAK SPACE}{100 * share:.3g}\N{NO-BREAK SPACE}%"
        for name, share in metrics.get("proportions", {}).items()
    )
    colours, held_out = class_colours(context.classes), metrics["cross_validated"]["f1"]
    return ScoreTables(
        titles=[
            "in sample (optimistic)",
            "held out (out of fold)",
            "held out, re-weighted to the expected proportions",
        ][: len(blocks)],
        notes=[
            "sources of the training sample",
            "sources outside the training sample of each fold, in the labelled proportions",
            f"the same sources, weighted to {proportions or 'the proportions on the sky'}",
        ][: len(blocks)],
        overall=[
            ScoreRow(title, meaning, [cell(block[name]) for block in blocks])
            for name, (title, meaning) in OVERALL.items()
        ],
        classes=[
            ClassRow(
                name=name,
                colour=colours[name],
                labelled=f"{context.labelled[name]:,}",
                cells=[cell(block[score][name]) for block in blocks for score in CLASS_SCORES],
                held_out=cell(held_out[name]),
                strip=_strip(held_out[name]),
            )
            for name in context.classes
        ],
    )


def cell(score: Mapping) -> Cell:
    """A score and its interval, with the limit of a calibrated model if there is one."""
    interval = ""
    if score.get("lo") is not None and score.get("hi") is not None:
        interval = f"{number(score['lo'])} – {number(score['hi'])}"
    limit = score.get("calibrated_q95")
    note = "" if limit is None else f"95 % limit if calibrated: {number(limit)}"
    return Cell(number(score["value"]), interval, note)


def _strip(score: Mapping) -> dict[str, str] | None:
    if score["value"] is None:
        return None
    low = score["value"] if score["lo"] is None else score["lo"]
    high = score["value"] if score["hi"] is None else score["hi"]
    places = {"at": score["value"], "left": low, "width": high - low}
    return {name: f"{100 * place:.2f}%" for name, place in places.items()}


def in_words(score: Mapping) -> str:
    """Value and interval, such as '0.71 (90 % interval 0.64 to 0.77)'."""
    text = number(score["value"])
    if score["lo"] is None or score["hi"] is None:
        return text
    return f"{text} (90 % interval {number(score['lo'])} to {number(score['hi'])})"


def number(value: float | None) -> str:
    """Three decimals, or two digits of a small number; a dash for a missing number."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if abs(value) >= 0.01 or value == 0 else f"{value:.2g}"


def listed(items: Sequence[str]) -> str:
    """The items as 'a, b and c'."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
