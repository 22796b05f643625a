"""The harder folds beside those of `validation.split`: whole releases, or whole cells of the sky.

Random folds leave neighbours of a test source, and sources of its release, in the training part.
The scores are then those of sources like the training sources. Another catalogue is another part of
the sky, or another release.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from xbayes.catalog.splits import joined_groups
from xbayes.config.schema import Config
from xbayes.errors import InputError
from xbayes.evaluate.cross_validate import (
    CrossValidation,
    held_out_releases,
    nested_splits,
    require_members,
    too_few_without,
)
from xbayes.evaluate.metrics import pool_repeats
from xbayes.evaluate.paired import paired_differences
from xbayes.evaluate.scores import Entry, Predictions, score
from xbayes.features.build import names_of
from xbayes.types import Labels


class HarderSplit(NamedTuple):
    """The second cross-validation of a run."""

    split: str | None  # "release" or "blocks"; None: not possible
    skipped: str = ""  # why it is not possible
    held_out: CrossValidation | None = None
    seconds: float = float("nan")


def check_folds(labels: Labels, config: Config, releases: tuple[str, ...]) -> list[str]:
    """Warnings of releases that are not held out. Raises InputError for impossible folds."""
    validation, classes = config.validation, list(config.taxonomy.classes)
    split, n_inner = validation.split, validation.inner_folds
    if split != "release":
        require_members(labels, classes, validation.folds, n_inner)
    for kind, n_folds in ((split, validation.folds), (validation.harder, validation.harder_folds)):
        if kind == "blocks":
            list(nested_splits(labels, n_folds, 1, n_inner, config.seed, kind, classes=classes))
    if "release" not in (split, validation.harder):
        return []
    held_out_releases(labels, n_inner)
    return _not_held_out(labels, config, releases)


def choose_harder(labels: Labels, config: Config) -> HarderSplit | None:
    """The second cross-validation that `validation.harder` asks for; None if it asks for none."""
    validation = config.validation
    wanted, split = validation.harder, validation.split
    if wanted in ("none", split) or split == "release":
        return None
    if wanted != "auto":
        return HarderSplit(split=wanted)
    if config.variant == "bayes":
        reason = "posterior samples would make it slow (variant: bayes); to have it, set "
        return HarderSplit(split=None, skipped=f"{reason}validation.harder: blocks or release")
    reasons = []
    for kind in ("release", "blocks") if split == "random" else ("release",):
        try:
            _require_possible(kind, labels, config)
            return HarderSplit(split=kind)
        except InputError as error:
            reasons.append(str(error).partition(";")[0])
    return HarderSplit(split=None, skipped="; and ".join(reasons))


def _require_possible(kind: str, labels: Labels, config: Config) -> None:
    """Raise InputError unless `validation.harder: auto` can have this kind of folds."""
    validation, classes = config.validation, list(config.taxonomy.classes)
    n_inner = validation.inner_folds
    if kind == "blocks":
        if labels.cell is None:
            raise InputError("it has no coordinates (catalog.ra, catalog.dec); name them")
        n_folds, seed = validation.harder_folds, config.seed
        list(nested_splits(labels, n_folds, 1, n_inner, seed, kind, classes=classes))
    elif labels.release is None:
        raise InputError("the catalogue names no releases (catalog.block, catalog.files); name it")
    elif len(too_few_without(labels, n_inner)) < 2:
        raise InputError("the labelled sources are of one release; use validation.harder: blocks")
    else:
        held_out_releases(labels, n_inner)


def _not_held_out(labels: Labels, config: Config, releases: tuple[str, ...]) -> list[str]:
    """A sentence for each release that cannot be held out."""
    names, n_inner = names_of(config).modelled, config.validation.inner_folds
    return [
        f"release {releases[release]} is not held out: without it there are {reason.members} "
        f"labelled {names[reason.modelled]}, fewer than validation.inner_folds ({n_inner})"
        for release, reason in too_few_without(labels, n_inner).items()
        if reason is not None
    ]


def harder_block(
    harder: HarderSplit,
    held_out: CrossValidation,
    labels: Labels,
    config: Config,
    releases: tuple[str, ...],
) -> dict:
    """The block "harder" of `metrics.json`.

    `split`: "release", "blocks", or None with the reason in `skipped`. `scores`: as
    `cross_validated`, on the harder folds. `same_sources`: the scores of `validation.split` on the
    same sources. `difference`: `scores` minus `same_sources`, from the same bootstrap draws.
    `releases`: the scores of each release held out; `not_held_out`: sentences on the others.
    `expect`: which scores hold for another catalogue. `seconds`: the time it took.

    The bootstrap draws whole cells of the sky, if there are coordinates.
    """
    if harder.held_out is None:
        return {"split": None, "skipped": harder.skipped, "expect": _expect_nothing(harder.skipped)}
    classes, tested = tuple(config.taxonomy.classes), harder.held_out.rows
    options = {"n_bootstrap": config.validation.bootstrap, "seed": config.seed}
    if labels.cell is not None:
        labels = labels._replace(group=joined_groups(labels.group, labels.cell))
    hard = pool_repeats(harder.held_out, labels)
    usual = _of_rows(pool_repeats(held_out, labels), held_out.rows, tested)
    first = Predictions._make(array[: len(tested)] for array in usual)
    first = first._replace(weight=hard.weight)
    block: dict = {
        "split": harder.split,
        "n_folds": len(harder.held_out.fits),
        "scores": score(hard, classes, **options),
        "same_sources": score(usual, classes, **options),
        "difference": paired_differences(first, hard, classes, **options),
        "seconds": round(harder.seconds, 1),
    }
    if harder.split == "release" and labels.release is not None:
        release = labels.release[tested]
        block["releases"] = {
            releases[r]: score(_chosen(hard, release == r), classes, **options)
            for r in np.unique(release).tolist()
        }
        block["not_held_out"] = _not_held_out(labels, config, releases)
    return block | {"expect": _expectation(block, config.validation.split)}


def _of_rows(pooled: Predictions, rows: np.ndarray, chosen: np.ndarray) -> Predictions:
    """The predictions of some rows in all repeats; both lists of rows are sorted."""
    n_repeats = len(pooled.truth) // len(rows)
    return _chosen(pooled, np.tile(np.isin(rows, chosen), n_repeats))


def _chosen(predictions: Predictions, chosen: Bool[np.ndarray, "N"]) -> Predictions:
    return Predictions._make(array[chosen] for array in predictions)


def _expectation(block: dict, split: str) -> str:
    """Which scores a reader should expect for another catalogue, in words."""
    hard, usual = block["scores"]["log_loss"], block["same_sources"]["log_loss"]
    change = block["difference"]["log_loss"]
    if block["split"] == "release":
        where, scores = "a catalogue of another release or survey", "with whole releases held out"
        reason = "where every test source has sources of its own release in the training part"
        names = ", ".join(block["releases"])
        tested = f"{block['scores']['n_sources']:,} sources of {names}"
    else:
        where, scores = "another part of the sky", "with whole cells of the sky held out"
        reason = "where neighbours of a test source are in the training part"
        tested = f"{block['scores']['n_sources']:,} sources"
    named = "random folds" if split == "random" else "blocks"
    text = (
        f"For {where}, expect the scores {scores} (log loss {_in_words(hard)}, {tested}), not "
        f"those of the {named}, {reason} (log loss {_in_words(usual)} for the same sources). "
        f"The difference is {change['value']:+.3f} (90 % interval {change['lo']:+.3f} to "
        f"{change['hi']:+.3f})"
    )
    agree = change["lo"] <= 0 <= change["hi"]
    text += ", so that the two agree within their uncertainty." if agree else "."
    if block["split"] == "blocks":
        text += " Another release or survey may have higher losses than either."
    return text


def _expect_nothing(skipped: str) -> str:
    return (
        "No harder folds than those of validation.split were made, because "
        f"{skipped}. The scores hold for sources like the training sources, of the same surveys "
        "and the same parts of the sky; expect worse for another catalogue."
    )


def _in_words(score: Entry) -> str:
    return f"{score['value']:.3f}, 90 % interval {score['lo']:.3f} to {score['hi']:.3f}"
