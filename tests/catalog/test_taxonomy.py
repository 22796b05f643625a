import numpy as np
import pytest
from astropy.table import Column, MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from xbayes.catalog.taxonomy import (
    Condition,
    class_indices,
    condition_warnings,
    group_indices,
    label_warnings,
    subclass_indices,
    subclasses_of,
    with_subclasses,
    without_label,
)
from xbayes.config.schema import CatalogConfig
from xbayes.config.taxonomy import SubclassConfig, TaxonomyConfig
from xbayes.errors import InputError
from xbayes.types import UNLABELLED

TAXONOMY = TaxonomyConfig(
    classes={"AGN": ("AGN", "QSO"), "XRB": ("LMXB", "HMXB")}, left_out=("NS",), unlabelled=("X",)
)


def test_raw_labels_become_classes():
    labels = MaskedColumn(
        ["QSO", "HMXB", "NS", "X", "", " LMXB ", "AGN"], mask=[0, 0, 0, 0, 0, 0, 1], name="Class"
    )
    index, in_sample = class_indices(labels, TAXONOMY)
    assert index.tolist() == [0, 1, UNLABELLED, UNLABELLED, UNLABELLED, 1, UNLABELLED]
    assert in_sample.tolist() == [True, True, False, True, True, True, True]


def test_every_unknown_label_is_listed():
    labels = Column(["AGN", "LMXBB", "LMXBB", "pulsar"], name="Class")
    message = r"'LMXBB' \(2 rows, nearest 'LMXB'\), 'pulsar' \(1 rows\); add each"
    with pytest.raises(InputError, match=message):
        class_indices(labels, TAXONOMY)


@pytest.mark.parametrize("labels", [["", "NS", "X"], ["NS", "NS", "NS"]])
def test_no_labelled_row(labels):
    with pytest.raises(InputError, match="'Class' has no labelled row: of 3 rows none"):
        class_indices(Column(labels, name="Class"), TAXONOMY)


def test_a_label_column_that_is_all_missing():
    labels = MaskedColumn([np.nan, np.nan], mask=True, name="Class")
    with pytest.raises(InputError, match="no labelled row"):
        class_indices(labels, TAXONOMY)


@pytest.mark.parametrize("values", [[0, 1, 1], [0.0, 1.0, 1.0], ["0", "1", "1"]])
def test_numbers_as_labels(values):
    taxonomy = TaxonomyConfig(classes={"star": ("0",), "galaxy": ("1",)})
    assert class_indices(Column(values, name="c"), taxonomy)[0].tolist() == [0, 1, 1]


def test_groups():
    groups = MaskedColumn([7, 7, 3, 3, 7], mask=[0, 0, 0, 1, 1])
    table = Table({"group": groups}, masked=True)
    found = group_indices(table, CatalogConfig(id="name", group="group"))
    assert found[0] == found[1]
    assert len(set(found.tolist())) == 4
    assert group_indices(table, CatalogConfig(id="name")).tolist() == [0, 1, 2, 3, 4]


def test_groups_by_name():
    table = Table({"group": ["b", "a", "b"]})
    found = group_indices(table, CatalogConfig(id="name", group="group"))
    assert found.tolist() == [1, 0, 1]


def test_a_source_is_a_group_and_no_group_splits_it():
    table = Table({"name": ["b", "a", "b", "c"], "group": [1, 2, 1, 2]})
    found = group_indices(table, CatalogConfig(id="id", source="name"))
    assert found.tolist() == [1, 0, 1, 2]
    both = CatalogConfig(id="id", source="name", group="group")
    assert group_indices(table, both).tolist() == [0, 1, 0, 1]
    table["group"][2] = 2
    with pytest.raises(InputError, match=r"source .*b.* is in more than one group"):
        group_indices(table, both)


MANY = ["QSO", "LMXB", "NS", "X", "", "*", "WolfRayet*", "AGN"]
BESIDE = {"classes": {"AGN": ("AGN", "QSO"), "XRB": ("LMXB", "HMXB")}}


@pytest.mark.parametrize(
    ("lists", "index", "n_in_sample"),
    [
        ({"unlabelled": "*", "left_out": ("NS",)}, [0, 1, -1, -1, -1, -1, -1, 0], 7),
        ({"unlabelled": "*"}, [0, 1, -1, -1, -1, -1, -1, 0], 8),
        ({"unlabelled": ("X",), "left_out": "*"}, [0, 1, -1, -1, -1, -1, -1, 0], 5),
    ],
)
def test_a_star_takes_every_label_not_named_elsewhere(lists, index, n_in_sample):
    taxonomy = TaxonomyConfig(**BESIDE, **lists)
    labels = Column(MANY, name="otype")
    found, in_sample = class_indices(labels, taxonomy)
    assert found.tolist() == index and in_sample.sum() == n_in_sample
    unknown = without_label(labels, taxonomy)
    assert np.array_equal(unknown, (found < 0) & in_sample)


def test_a_star_in_a_list_is_the_label_star():
    """SIMBAD calls a star * and a double star **."""
    taxonomy = TaxonomyConfig(**BESIDE, unlabelled=("*", "NS", "WolfRayet*"))
    with pytest.raises(InputError, match=r"'X' \(1 rows\); add each .* not in a list"):
        class_indices(Column(MANY, name="otype"), taxonomy)
    both = TaxonomyConfig(
        classes={"Star": ("*", "WolfRayet*"), "AGN": ("AGN", "QSO")}, unlabelled="*"
    )
    index, _ = class_indices(Column(MANY, name="otype"), both)
    assert index.tolist() == [1, -1, -1, -1, -1, 0, 0, 1]


def test_a_star_with_subclasses():
    taxonomy = TaxonomyConfig(**BESIDE, subclasses={"far": ("QSO",)}, unlabelled="*")
    labels = Column(["QSO", "AGN", "LMXB", "other"] * 10, name="otype")
    assert subclass_indices(labels, taxonomy).tolist() == [1, 0, 2, -1] * 10


def test_with_a_star_a_label_that_no_row_has_is_told():
    labels = Column(MANY, name="otype")
    taxonomy = TaxonomyConfig(**BESIDE, left_out=("Ns",), unlabelled="*")
    warnings = label_warnings(labels, taxonomy)
    assert [("HMXB" in text, "'Ns'" in text) for text in warnings] == [(True, False), (False, True)]
    assert "did you mean 'LMXB'?" in warnings[0] and "did you mean 'NS'?" in warnings[1]
    assert label_warnings(labels, TaxonomyConfig(**BESIDE)) == []


def test_subclasses_are_found_in_classes_of_several_labels():
    labels = ["LMXB"] * 48 + ["HMXB"] * 26 + ["XB"] * 3 + ["TTauri*"] * 30 + ["YSO"] * 40
    labels += ["QSO"] * 90 + ["AGN"] * 8 + ["Star"] * 500 + ["ULX"] * 25
    classes = {
        "XRB": ("LMXB", "HMXB", "XB"),
        "YSO": ("YSO", "TTauri*", "OrionV*"),
        "AGN": ("QSO", "AGN"),
        "Star": ("Star",),
    }
    taxonomy = TaxonomyConfig(classes=classes, subclasses="auto", left_out=("ULX",))
    found = with_subclasses(taxonomy, Column(labels))
    assert found.subclasses == {
        "LMXB": ("LMXB", "XB"),
        "HMXB": ("HMXB",),
        "YSO_only": ("YSO", "OrionV*"),
        "TTauri_": ("TTauri*",),
    }
    # As if the user had written them.
    assert TaxonomyConfig(**found.model_dump()) == found
    assert [s.name for s in subclasses_of(found)][:2] == ["LMXB", "HMXB"]
    assert with_subclasses(found, Column(labels)) is found


BY_HOST = {
    "AGN": ("AGN",),
    "gal_XRB": {"labels": ("LMXB", "HMXB"), "where": "not detected(host)"},
    "ex_XRB": {"labels": ("LMXB", "HMXB"), "where": "detected(host)"},
}
ROWS = ["LMXB", "HMXB", "LMXB", "AGN", "AGN", "X", "NS", ""]


def conditions(in_host: str) -> dict[str, Condition]:
    """Of each row whether it has a host: y, n or ?."""
    states = np.array(list(in_host))
    known = states != "?"
    return {
        "gal_XRB": Condition(holds=states == "n", known=known),
        "ex_XRB": Condition(holds=states == "y", known=known),
    }


def test_a_class_takes_a_row_if_label_and_condition_hold():
    taxonomy = TaxonomyConfig(classes=BY_HOST, unlabelled=("X",), left_out=("NS",))
    index, in_sample = class_indices(Column(ROWS, name="c"), taxonomy, conditions("ny?y?yyy"))
    assert index.tolist() == [1, 2, UNLABELLED, 0, 0, UNLABELLED, UNLABELLED, UNLABELLED]
    assert in_sample.tolist() == [True] * 6 + [False, True]
    without = without_label(Column(ROWS, name="c"), taxonomy, conditions("ny?y?yyy"))
    assert np.array_equal(without, (index < 0) & in_sample)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(ROWS), st.sampled_from("yn?")), min_size=1))
def test_classes_by_condition_with_a_star(rows):
    """Against a loop over the rows, with every other label unlabelled, or left out."""
    texts, states = (list(column) for column in zip(*rows, strict=True))
    expected = []
    for text, state in rows:
        if text == "AGN":
            expected.append(0)
        elif text in ("LMXB", "HMXB"):
            expected.append({"n": 1, "y": 2, "?": UNLABELLED}[state])
        else:
            expected.append(UNLABELLED)
    for lists in ({"unlabelled": "*"}, {"left_out": "*"}):
        taxonomy = TaxonomyConfig(classes=BY_HOST, **lists)
        labels, of = Column(texts, name="c"), conditions("".join(states))
        if max(expected) < 0:
            with pytest.raises(InputError, match="and satisfies its condition"):
                class_indices(labels, taxonomy, of)
            continue
        index, in_sample = class_indices(labels, taxonomy, of)
        assert index.tolist() == expected
        others = np.isin(texts, ["X", "NS"])
        assert np.array_equal(in_sample, ~others if "left_out" in lists else np.ones(len(texts)))


def test_a_row_that_satisfies_two_classes_is_an_error_that_names_both():
    both = conditions("nyn")
    both["gal_XRB"] = Condition(holds=np.ones(3, bool), known=np.ones(3, bool))
    labels = Column(["AGN", "HMXB", "LMXB"], name="c")
    says = r"1 rows satisfy two classes, gal_XRB and ex_XRB, the first in row 2 \(label .*HMXB"
    with pytest.raises(InputError, match=says):
        class_indices(labels, TaxonomyConfig(classes=BY_HOST), both)


def test_a_class_without_condition_shares_no_row():
    taxonomy = TaxonomyConfig(
        classes={"any": ("A",), "some": {"labels": ("A",), "where": "x > 1"}, "other": ("B",)}
    )
    labels, known = Column(["A", "A", "B"], name="c"), np.ones(3, bool)
    never = {"some": Condition(holds=~known, known=known)}
    assert class_indices(labels, taxonomy, never)[0].tolist() == [0, 0, 2]
    once = {"some": Condition(holds=np.array([False, True, False]), known=known)}
    with pytest.raises(InputError, match="any and some, the first in row 2"):
        class_indices(labels, taxonomy, once)


def test_rows_that_no_class_takes_are_told_with_their_number():
    labels = Column(["LMXB", "LMXB", "HMXB", "AGN"], name="c")
    states = conditions("???y")
    told = condition_warnings(labels, TaxonomyConfig(classes=BY_HOST), states)
    assert len(told) == 2 and all("is unknown in 3 rows" in text for text in told)
    assert "taxonomy.classes.gal_XRB.where (not detected(host))" in told[0]
    only = {k: v for k, v in BY_HOST.items() if k != "ex_XRB"}
    told = condition_warnings(labels, TaxonomyConfig(classes=only), conditions("yyny"))
    assert len(told) == 1 and "2 rows have a label of a class (LMXB)" in told[0]
    assert condition_warnings(labels, TaxonomyConfig(classes=BY_HOST), conditions("yyny")) == []


def test_subclasses_of_classes_that_share_labels():
    labels = Column(["LMXB", "HMXB"] * 40 + ["AGN"] * 10, name="c")
    hosts = conditions("y" * 50 + "n" * 30 + "y" * 10)
    taxonomy = with_subclasses(TaxonomyConfig(classes=BY_HOST, subclasses="auto"), labels, hosts)
    assert taxonomy.subclasses == {
        "ex_XRB_LMXB": SubclassConfig(labels=("LMXB",), of="ex_XRB"),
        "ex_XRB_HMXB": SubclassConfig(labels=("HMXB",), of="ex_XRB"),
    }
    assert TaxonomyConfig(**taxonomy.model_dump()) == taxonomy
    names = [subclass.name for subclass in subclasses_of(taxonomy)]
    assert names == ["AGN", "gal_XRB", "ex_XRB_LMXB", "ex_XRB_HMXB"]
    index = subclass_indices(labels, taxonomy, hosts)
    assert index is not None
    assert index[:4].tolist() == [2, 3, 2, 3] and (index[50:80] == 1).all() and index[-1] == 0
