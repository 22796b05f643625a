import numpy as np
import pytest
from astropy.table import Column, MaskedColumn, Table

from xbayes.catalog.taxonomy import (
    class_indices,
    group_indices,
    label_warnings,
    subclass_indices,
    subclasses_of,
    with_subclasses,
    without_label,
)
from xbayes.config.schema import CatalogConfig, TaxonomyConfig
from xbayes.types import UNLABELLED, InputError

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
