import numpy as np
import pytest
from astropy.table import Column, MaskedColumn, Table

from xbayes.catalog.taxonomy import class_indices, group_indices
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
