"""The section of a config that says which rows are of which class."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, TypeAdapter, field_validator, model_validator

from xbayes.config.checks import (
    CLASS_NAME,
    Problem,
    Record,
    did_you_mean,
    is_number,
    name_problems,
    quoted,
    refuse,
)

EVERY_OTHER = "*"  # stands for every raw label that is listed nowhere else
Labels = tuple[str, ...]
Listed = Labels | Literal["*"]


class ClassConfig(Record):
    """The raw labels of a class, and the condition that its rows must satisfy."""

    labels: Labels = Field(description="The raw labels of the class.")
    where: str | None = Field(
        default=None,
        description="Condition over columns that a row with such a label must satisfy, such as "
        "not detected(host). Where it is unknown, the row is not used as this class.",
    )


class SubclassConfig(Record):
    """The raw labels of a subclass, and its class."""

    labels: Labels = Field(description="The raw labels of the subclass.")
    of: str = Field(description="The class of the subclass.")


class TaxonomyConfig(Record):
    """Which rows are of which class. The order of the classes is the order of the output."""

    classes: dict[str, Labels | ClassConfig] = Field(
        description="The raw labels of each class: a list, or {labels: [...], where: condition}. "
        "At least two classes are needed. Classes may share a label if their conditions tell its "
        "rows apart; a row that satisfies two classes is an error."
    )
    groups: dict[str, Labels] = Field(
        default={},
        description="Coarser classes, each a list of classes, such as XRB: [gal_XRB, ex_XRB]. The "
        "probability of a group is the sum over its classes. It is a column of the output, "
        "p_GROUP, and the groups and the remaining classes are scored in addition.",
    )
    aggregated: dict[str, Labels] | None = Field(
        default=None,
        description="Coarser classes, each a list of classes, that are only scored in addition. "
        "Every class must be listed.",
    )
    subclasses: dict[str, Labels | SubclassConfig] | Literal["auto"] = Field(
        default={},
        description="The raw labels of each subclass: a list, or {labels: [...], of: CLASS} if "
        "several classes have the label. Each subclass is modelled separately, and the probability "
        "of a class is the sum over its subclasses. Labels of a class that no subclass lists form "
        "one more subclass, named like the class. auto: every label with at least 20 sources, in "
        "classes of several labels.",
    )
    left_out: Listed = Field(
        default=(),
        description='Raw labels whose rows are removed. "*" (not in a list) stands for every label '
        "that is listed nowhere else.",
    )
    unlabelled: Listed = Field(
        default=(),
        description="Raw labels of rows whose class is unknown. An empty label always counts as "
        'unknown. "*" (not in a list) stands for every label that is listed nowhere else.',
    )

    labels: tuple[Literal["reference", "crowd"], ...] = Field(
        default=("reference",),
        description="Where labels come from. reference: the column catalog.label. crowd: the class "
        "probabilities in catalog.crowd too, for sources without a reference label. All scores are "
        "those of sources with a reference label.",
    )

    @property
    def labels_of(self) -> dict[str, Labels]:
        """The raw labels of each class."""
        return {name: _labels(listed) for name, listed in self.classes.items()}

    @property
    def conditions(self) -> dict[str, str]:
        """The conditions of the classes that have one."""
        return {
            name: given.where
            for name, given in self.classes.items()
            if isinstance(given, ClassConfig) and given.where is not None
        }

    @property
    def subclass_labels(self) -> dict[str, tuple[str, Labels]]:
        """The class and the raw labels of each subclass that is listed."""
        if isinstance(self.subclasses, str):
            return {}
        return {
            name: (given.of, given.labels)
            if isinstance(given, SubclassConfig)
            else (next(c for c, labels in self.labels_of.items() if given[0] in labels), given)
            for name, given in self.subclasses.items()
        }

    @property
    def coarse_classes(self) -> dict[str, Labels]:
        """The groups and the classes in no group, in the order of the classes; empty if no group.

        A class in no group is a coarse class by itself.
        """
        if not self.groups:
            return {}
        group_of = {name: group for group, members in self.groups.items() for name in members}
        coarse = dict.fromkeys(group_of.get(name, name) for name in self.classes)
        return {name: self.groups.get(name, (name,)) for name in coarse}

    @field_validator("classes", mode="before")
    @classmethod
    def _classes(cls, value: object) -> object:
        return _lists_or_sections(value, ClassConfig)

    @field_validator("subclasses", mode="before")
    @classmethod
    def _subclasses(cls, value: object) -> object:
        return _lists_or_sections(value, SubclassConfig)

    @field_validator("classes", mode="before")
    @classmethod
    def _no_class_yet(cls, value: object) -> object:
        # A starter config has `classes:` with comments below it.
        return {} if value is None else value

    @field_validator("left_out", "unlabelled", mode="before")
    @classmethod
    def _labels_or_every_other(cls, value: object) -> object:
        if value == EVERY_OTHER:
            return value
        if not isinstance(value, list | tuple):
            text = f'must be a list [a, b]; found {value!r} ("*" stands for every other label)'
            refuse([Problem((), text)])
            return value
        labels = cls._whole_numbers_are_labels(value)
        assert isinstance(labels, list)
        refuse(
            [
                Problem((index,), f"must be text; put it in quotes; found {label!r}")
                for index, label in enumerate(labels)
                if not isinstance(label, str)
            ]
        )
        return labels

    @field_validator("classes", "subclasses", mode="before")
    @classmethod
    def _whole_numbers_are_labels(cls, value: object) -> object:
        if isinstance(value, Mapping):
            return {key: cls._whole_numbers_are_labels(labels) for key, labels in value.items()}
        if isinstance(value, list | tuple):
            return [str(v) if isinstance(v, int) and is_number(v) else v for v in value]
        return value

    @model_validator(mode="after")
    def _check(self) -> "TaxonomyConfig":
        problems = name_problems(self.classes, CLASS_NAME, "a class name", ("classes",))
        if len(self.classes) < 2:
            found = quoted(self.classes) or "none"
            hint = "" if self.classes else "; name each with its labels, as in AGN: [QSO, Seyfert1]"
            text = f"needs at least 2 classes; found {found}{hint}"
            problems.append(Problem(("classes",), text))
        problems += [
            Problem(("classes", name), "a class needs at least one raw label; found none")
            for name, labels in self.labels_of.items()
            if not labels
        ]
        problems += self._aggregation_problems()
        problems += self._group_problems()
        problems += self._subclass_problems()
        problems += self._label_problems()
        refuse(problems)
        return self

    def _label_problems(self) -> list[Problem]:
        """Every raw label must be listed once, and none may be empty.

        Classes may share a label if one of them has a condition.
        """
        lists: dict[tuple[str, ...], Listed] = {
            ("classes", name): labels for name, labels in self.labels_of.items()
        }
        lists |= {("left_out",): self.left_out, ("unlabelled",): self.unlabelled}
        every_other = [path for path, labels in lists.items() if labels == EVERY_OTHER]
        lists = {path: labels for path, labels in lists.items() if path not in every_other}
        problems: list[Problem] = []
        if len(every_other) > 1:
            text = 'unlabelled and left_out are both "*"; every other label can be only one of them'
            problems.append(Problem(every_other[0], text))
        first: dict[str, tuple[str, ...]] = {}
        for path, labels in lists.items():
            for index, label in enumerate(labels):
                if not label:
                    text = "an empty label is always unlabelled; remove it"
                    problems.append(Problem((*self._list_path(path), index), text))
                elif label in first and not self._may_share(first[label], path):
                    listed = ".".join(first[label])
                    text = f"raw label {label!r} is listed twice, first in {listed}; keep one"
                    problems.append(Problem((*self._list_path(path), index), text))
                first.setdefault(label, path)
        return problems

    def _list_path(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """The path of the list of labels at a path."""
        is_section = path[0] == "classes" and isinstance(self.classes[path[1]], ClassConfig)
        return (*path, "labels") if is_section else path

    def _may_share(self, one: tuple[str, ...], other: tuple[str, ...]) -> bool:
        """Whether a label may be in both lists: of two classes, one of them with a condition."""
        both = {one, other}
        of_classes = len(both) == 2 and all(path[0] == "classes" for path in both)
        return of_classes and any(path[1] in self.conditions for path in both)

    def _aggregation_problems(self) -> list[Problem]:
        """Every class must be in exactly one coarser class."""
        if self.aggregated is None:
            return []
        joined = [name for members in self.aggregated.values() for name in members]
        text = {
            name: f"lists {name!r}, which is no class"
            if name not in self.classes
            else f"lists {name!r} twice"
            for name in joined
            if name not in self.classes or joined.count(name) > 1
        }
        text |= {name: f"lacks the class {name!r}" for name in self.classes if name not in joined}
        problems = [
            Problem(("aggregated",), f"{wrong}; list each class once") for wrong in text.values()
        ]
        return problems + name_problems(
            self.aggregated, CLASS_NAME, "a class name", ("aggregated",)
        )

    def _group_problems(self) -> list[Problem]:
        """A group lists classes, each class is in one group, and no group is named like another."""
        problems = name_problems(self.groups, CLASS_NAME, "a group name", ("groups",))
        first: dict[str, str] = {}
        for group, members in self.groups.items():
            if group in self.classes:
                text = f"is also the name of a class, so p_{group} would be both; rename the group"
                problems.append(Problem(("groups", group), text))
            if not members:
                text = "a group needs at least one class; found none"
                problems.append(Problem(("groups", group), text))
            for index, name in enumerate(members):
                if name not in self.classes:
                    near = did_you_mean(name, list(self.classes), "classes are")
                    problems.append(
                        Problem(("groups", group, index), f"no such class: {name!r}{near}")
                    )
                elif name in first:
                    text = f"class {name!r} is listed twice, first in groups.{first[name]}; "
                    text += "a class belongs to one group"
                    problems.append(Problem(("groups", group, index), text))
                first.setdefault(name, group)
        return problems

    def _subclass_problems(self) -> list[Problem]:
        """A raw label of a class is in at most one subclass, whose labels are of one class."""
        if isinstance(self.subclasses, str):  # "auto"
            return []
        problems = name_problems(self.subclasses, CLASS_NAME, "a subclass name", ("subclasses",))
        first: dict[tuple[str, str], str] = {}
        for name, given in self.subclasses.items():
            labels = _labels(given)
            if not labels:
                text = "a subclass needs at least one raw label; found none"
                problems.append(Problem(("subclasses", name), text))
            elif name in self.classes and not set(self.labels_of[name]) <= set(labels):
                text = "is also the name of a class, which has other labels than these; rename it"
                problems.append(Problem(("subclasses", name), text))
            for index, label in enumerate(labels):
                text = self._label_of_subclass_problem(name, label, first)
                if text is not None:
                    path = ("labels",) if isinstance(given, SubclassConfig) else ()
                    problems.append(Problem(("subclasses", name, *path, index), text))
        return problems

    def _label_of_subclass_problem(
        self, name: str, label: str, first: dict[tuple[str, str], str]
    ) -> str | None:
        """What is wrong with a label of a subclass; else it is put into `first`."""
        assert not isinstance(self.subclasses, str)
        given, classes_of = self.subclasses[name], self._classes_of
        if label not in classes_of:
            near = did_you_mean(label, list(classes_of), "labels of classes are")
            return f"raw label {label!r} is in no class{near}"
        if isinstance(given, SubclassConfig):
            wanted = given.of
            if wanted not in self.classes:
                near = did_you_mean(wanted, list(self.classes), "classes are")
                return f"no such class: {wanted!r}{near}"
        elif len(classes_of[label]) > 1:
            return (
                f"raw label {label!r} is of the classes {quoted(classes_of[label])}; say which: "
                f"{name}: {{labels: [...], of: {classes_of[label][0]}}}"
            )
        else:
            wanted = classes_of.get(given[0], [""])[0]
        if wanted not in classes_of[label]:
            return (
                f"raw label {label!r} is of class {classes_of[label][0]}, but "
                f"{_labels(given)[0]!r} of {wanted or None}; a subclass belongs to one class"
                if not isinstance(given, SubclassConfig)
                else f"raw label {label!r} is of class {classes_of[label][0]}, not of {wanted}"
            )
        if (wanted, label) in first:
            listed = first[wanted, label]
            return f"raw label {label!r} is listed twice, first in {listed}; keep one"
        first[wanted, label] = name
        return None

    @property
    def _classes_of(self) -> dict[str, list[str]]:
        """The classes that list each raw label."""
        classes: dict[str, list[str]] = {}
        for name, labels in self.labels_of.items():
            for label in labels:
                classes.setdefault(label, []).append(name)
        return classes


def _labels(given: Labels | ClassConfig | SubclassConfig) -> Labels:
    return given if isinstance(given, tuple) else given.labels


def _lists_or_sections(value: object, record: type[ClassConfig] | type[SubclassConfig]) -> object:
    """The lists and sections of a mapping, checked; else the value, which is refused later.

    A union would report each error once for each of its members.
    """
    if not isinstance(value, Mapping):
        return value
    sections = {k: v for k, v in value.items() if isinstance(v, Mapping | Record)}
    lists = {k: v for k, v in value.items() if k not in sections}
    made = _LISTS.validate_python(lists) | _SECTIONS[record].validate_python(sections)
    return {key: made[key] for key in value}


_LISTS = TypeAdapter(dict[str, Labels])
_SECTIONS = {record: TypeAdapter(dict[str, record]) for record in (ClassConfig, SubclassConfig)}
