"""A Zooniverse classification export as a table of votes.

Each row of the export is one classification: who (user_name, user_ip), when (created_at), what
(annotations, JSON) and of which subject (subject_data, JSON, with the metadata of the manifest).
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from xbayes.catalog.columns import masked_column
from xbayes.catalog.inputs import as_table
from xbayes.catalog.taxonomy import label_texts
from xbayes.config.checks import did_you_mean, quoted
from xbayes.errors import InputError

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike

NEEDED = ("user_name", "annotations", "subject_data")
OPTIONAL = ("user_ip", "created_at")
HIDDEN = "#!/"  # a manifest marks hidden columns with one of these


def votes_of_export(
    export: "CatalogLike", task: str, subject_key: str = "source"
) -> tuple[Table, tuple[str, ...]]:
    """The columns source, user, answer and time of an export, and messages on rows left out.

    A volunteer without a name is known by the hash of the address (`user_ip`). Classifications of
    retired subjects are votes like any others. Rows without an answer to the task are left out.

    Raises
    ------
    InputError
        For a file that is no export, JSON that cannot be read, an unknown task, and subjects
        without the key.
    """
    table = as_table(export, text=[*NEEDED, *OPTIONAL])
    lacking = [name for name in NEEDED if name not in table.colnames]
    if lacking:
        raise InputError(
            f"the export has no column {quoted(lacking)}; have {quoted(table.colnames[:12])}; a "
            "classification export of Zooniverse has user_name, annotations, subject_data: leave "
            "--zooniverse out for a table of votes"
        )
    columns = {
        name: label_texts(masked_column(table, name)).tolist()
        for name in (*NEEDED, *OPTIONAL)
        if name in table.colnames
    }
    n_rows = len(table)
    addresses = columns.get("user_ip", [""] * n_rows)
    times = columns.get("created_at", [""] * n_rows)
    rows, tasks, nameless = [], set(), 0
    for number in range(n_rows):
        given = _parsed(columns["annotations"][number], "annotations", number)
        answer = _answer(given, task, tasks)
        if not answer:
            continue
        user = columns["user_name"][number] or f"guest {addresses[number]}".strip()
        if user == "guest":
            nameless += 1
            user = f"guest of row {number + 1}"
        subject = _parsed(columns["subject_data"][number], "subject_data", number)
        rows.append((_source(subject, subject_key, number), user, answer, times[number]))
    if not rows:
        near = did_you_mean(task, sorted(tasks), "tasks are")
        raise InputError(
            f"none of the {n_rows} classifications answers task {task!r}{near}; give --task"
        )
    messages = []
    if len(rows) < n_rows:
        messages.append(f"{n_rows - len(rows)} classifications have no answer to task {task}")
    if nameless:
        messages.append(
            f"{nameless} classifications have neither user_name nor user_ip; each counts as one by "
            "another volunteer"
        )
    source, user, answer, time = map(np.array, zip(*rows, strict=True))
    made = {"source": source, "user": user, "answer": answer}
    made |= {"time": time} if "created_at" in table.colnames else {}
    return Table(made), tuple(messages)


def _parsed(text: str, name: str, row: int) -> object:
    try:
        return json.loads(text)
    except ValueError:
        raise InputError(
            f"column {name!r} of the export is no JSON in row {row + 1}: {text[:40]!r}; export the "
            "classifications again, and do not edit the file in a spreadsheet"
        ) from None


def _answer(annotations: object, task: str, tasks: set[str]) -> str:
    """The answer to the task, "" if there is none; the names of tasks are added to `tasks`."""
    for each in annotations if isinstance(annotations, list) else []:
        if not isinstance(each, Mapping):
            continue
        tasks.add(str(each.get("task")))
        value = each.get("value")
        if each.get("task") == task:
            return _text(value)
        # A combination of tasks holds the answers of its parts.
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            found = _answer(value, task, tasks)
            if found:
                return found
    return ""


def _text(value: object) -> str:
    """The text of an answer; of a list with one answer the answer, of several none."""
    if isinstance(value, list):
        return _text(value[0]) if len(value) == 1 else ""
    if isinstance(value, Mapping):
        return _text(value.get("label") or value.get("value"))
    return "" if value is None else str(value).strip()


def _source(subject: object, key: str, row: int) -> str:
    """The id of the source in the metadata of the subject."""
    names: list[str] = []
    for metadata in subject.values() if isinstance(subject, Mapping) else ():
        for name, value in metadata.items() if isinstance(metadata, Mapping) else ():
            names.append(str(name))
            if str(name).lstrip(HIDDEN) == key and value not in (None, ""):
                return str(value).strip()
    near = did_you_mean(key, names, "keys are")
    raise InputError(
        f"the subject of row {row + 1} of the export has no {key!r} in its metadata{near}; give "
        "the key that holds the id of the source: --subject-key KEY"
    )
