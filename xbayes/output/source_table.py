"""The source table: the votes of the detections of each source, as columns."""

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import Column, Table

from xbayes.errors import InputError
from xbayes.evaluate.votes import GroupVotes, Votes
from xbayes.output.table import UCD_CLASS, UCD_PROBABILITY, class_names

UCD_SD = "stat.stdev;stat.probability"
UNIQUE, AMBIGUOUS = "uniquely classified", "ambiguous"


def source_table(
    name: Column,
    votes: Votes,
    classes: Sequence[str],
    groups: Mapping[str, GroupVotes] | None = None,
) -> Table:
    """A table with one row per source, its name first; `groups` are groups of classes by name.

    Raises
    ------
    InputError
        Two columns would have the same name.
    """
    columns: dict = {str(name.name): name}

    def add(title: str, values: np.ndarray, description: str, ucd: str) -> None:
        if title.lower() in {known.lower() for known in columns}:
            raise InputError(
                f"the table of sources would have two columns {title!r}; rename the column that "
                f"names the source, {name.name!r}, or the class"
            )
        columns[title] = Column(values, description=description, meta={"ucd": ucd})

    add("n_detections", votes.number, "number of detections", "meta.number;obs")
    for c, label in enumerate(classes):
        text = f"mean probability of {label} over the detections"
        add(f"p_{label}", votes.mean[:, c], text, UCD_PROBABILITY)
    for group, of_group in (groups or {}).items():
        text = f"mean probability of the group {group} over the detections"
        add(f"p_{group}", of_group.mean, text, UCD_PROBABILITY)
    for c, label in enumerate(classes):
        text = f"standard deviation of p_{label} over the detections"
        add(f"sd_{label}", votes.sd[:, c], text, UCD_SD)
    for group, of_group in (groups or {}).items():
        text = f"standard deviation of p_{group} over the detections"
        add(f"sd_{group}", of_group.sd, text, UCD_SD)
    add("soft_class", class_names(votes.soft, classes), "class of the largest mean", UCD_CLASS)
    text = "most frequent class of the detections"
    add("hard_class", class_names(votes.hard, classes), text, UCD_CLASS)
    add("hard_share", votes.hard_share, "share of the detections in hard_class", "stat.value")
    verdict = np.where(votes.unique, UNIQUE, AMBIGUOUS)
    add("vote", verdict, f"{UNIQUE} if soft_class is hard_class", "meta.code.qual")
    for c, label in enumerate(classes):
        text = f"posterior probability of {label} from all detections, as correlated as they are"
        add(f"combined_{label}", votes.combined[:, c], text, UCD_PROBABILITY)
    for group, of_group in (groups or {}).items():
        text = f"posterior probability of the group {group}: the sum of combined over its classes"
        add(f"combined_{group}", of_group.combined, text, UCD_PROBABILITY)
    best = class_names(votes.combined.argmax(-1), classes)
    add("combined_class", best, "class of the largest combined posterior", UCD_CLASS)
    return Table(list(columns.values()), names=list(columns))
