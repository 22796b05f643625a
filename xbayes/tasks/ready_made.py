"""Ready-made models: fitted classifiers that ship with the package, without their training sources.

xbayes/ready/NAME/model/            as in a run directory, summarised (classifier/summary.py)
xbayes/ready/NAME/model/patterns/   the classifiers of patterns of absent groups, fitted beforehand
xbayes/ready/NAME/metrics.json      the scores of the run
xbayes/ready/NAME/provenance.json   versions, checksum of the catalogue, date
xbayes/ready/NAME/card.md           what it is for, its scores, what it must not be used for
"""

import json
import os
import shutil
from collections.abc import Iterator
from importlib.resources import files
from itertools import combinations
from pathlib import Path

import numpy as np
from astropy.table import Table
from jaxtyping import Bool

from xbayes.classifier.fitted_model import FittedModel, load_fitted_model
from xbayes.classifier.store import save_model
from xbayes.classifier.summary import summarised, without_extremes
from xbayes.config.checks import did_you_mean
from xbayes.errors import InputError
from xbayes.tasks.absent_features import FOLDER as PATTERNS
from xbayes.tasks.absent_features import name_of, patterns_of

MOST_PATTERNS = 64


def ready_made() -> dict[str, Path]:
    """The folders of the models that ship with the package, by name."""
    folder = Path(str(files("xbayes").joinpath("ready")))
    found = sorted(folder.iterdir()) if folder.is_dir() else ()
    return {each.name: each for each in found if (each / "card.md").is_file()}


def models() -> Table:
    """The ready-made models: name, classes, number of features, and what each is for.

    Examples
    --------
    >>> "chandra-sources" in xbayes.models()["name"]
    True
    """
    rows = []
    for name, folder in ready_made().items():
        model = load_fitted_model(folder)
        features = model.config.features
        rows.append((name, " ".join(model.classes), len(features), summary_of(folder)))
    return Table(
        rows=rows, names=["name", "classes", "features", "for"], dtype=[str, str, int, str]
    )


def card_of(name: str) -> str:
    """The model card, in Markdown. Raises InputError if there is no such model."""
    found = ready_made()
    if name not in found:
        raise InputError(f"there is no ready-made model {name!r}{did_you_mean(name, found)}")
    return (found[name] / "card.md").read_text()


def card_text(folder: Path) -> str | None:
    """The model card in this folder; None if it is a run directory."""
    path = folder / "card.md"
    return path.read_text() if path.is_file() else None


def summary_of(folder: Path) -> str:
    """The first paragraph of a model card, below its title."""
    return " ".join((folder / "card.md").read_text().split("\n\n")[1].split())


def folder_of(run: str | os.PathLike[str]) -> Path:
    """The run directory with this path, else the ready-made model with this name.

    Raises
    ------
    InputError
        If there is neither.
    """
    path, name = Path(run).expanduser(), os.fspath(run)
    if path.exists() or os.sep in name:
        return path
    found = ready_made()
    if name not in found:
        near = did_you_mean(name, found, "the ready-made models are")
        raise InputError(
            f"{name} does not exist, and no ready-made model has this name{near}; give a directory "
            "written by 'xbayes run', or the name of a model listed by 'xbayes models'"
        )
    return found[name]


def release(model: FittedModel, out: Path, card: str) -> None:
    """Write a run as a ready-made model into the new directory `out`, with every pattern.

    Raises
    ------
    InputError
        If the run has posterior samples, which are too large to ship.
    """
    if model.classifier.draws is not None:
        raise InputError(
            f"{model.folder} has posterior samples, which are too large to ship; make the run with "
            "variant: point"
        )
    patterns = patterns_of(model)
    save_model(
        out / "model",
        model.config,
        summarised(model.classifier),
        without_extremes(model.trained_on),
        smallest=True,
    )
    for pattern in shipped_patterns(len(patterns.groups)):
        classifier = patterns.adapted(pattern)
        folder = out / "model" / PATTERNS / name_of(np.any(patterns.groups[pattern], axis=0))
        if not folder.exists():  # two patterns may lack the same features
            save_model(folder / "model", model.config, summarised(classifier), smallest=True)
    shutil.copy(model.folder / "metrics.json", out)
    provenance = json.loads((model.folder / "provenance.json").read_text())
    del provenance["warnings"]  # they name single sources
    (out / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")
    (out / "card.md").write_text(card)


def shipped_patterns(n_groups: int) -> Iterator[Bool[np.ndarray, "P"]]:
    """Patterns of absent groups: all of them, or with few groups and with all, if those are many.

    Without all groups is one of them, so that every other pattern is contained in one.
    """
    n_made = 0
    for size in range(1, n_groups + 1):
        for absent in combinations(range(n_groups), size):
            if n_made >= MOST_PATTERNS - 1 and size < n_groups:
                break
            pattern = np.zeros(n_groups, bool)
            pattern[[*absent]] = True
            yield pattern
            n_made += 1
