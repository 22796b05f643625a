"""What the fuzz of the readers found (`fuzz_readers.py`), kept."""

import pyarrow as pa
import pytest
from pyarrow import parquet

from xbayes.catalog.read import open_chunks, read_catalog


@pytest.mark.parametrize("cells", [[0.5, 2.5, 0.0], ["x", "", "y"], [0, 1, 2]])
def test_a_column_that_only_is_named_like_a_mask_is_a_column(tmp_path, cells):
    table = pa.table({"a": [1, 2, 3], "a.mask": cells})
    table = table.replace_schema_metadata({"table_meta_yaml": "- {name: a}"})
    parquet.write_table(table, tmp_path / "a.parquet")
    whole = read_catalog(tmp_path / "a.parquet")
    assert whole.colnames == ["a", "a.mask"] and whole["a"].tolist() == [1, 2, 3]
    assert list(open_chunks(tmp_path / "a.parquet", 2).colnames) == whole.colnames


@pytest.mark.parametrize("store_schema", [True, False])
def test_parquet_has_the_same_columns_whole_and_in_chunks(tmp_path, store_schema):
    """The masks that astropy stores are known from metadata, which may be damaged or lost.

    Once the whole file was read by the metadata of the table, and chunks by that of the schema.
    """
    table = pa.table({"a": [1, 2, 3], "a.mask": [True, False, False]})
    table = table.replace_schema_metadata({"table_meta_yaml": "- {name: a}"})
    parquet.write_table(table, tmp_path / "a.parquet", store_schema=store_schema)
    whole = read_catalog(tmp_path / "a.parquet")
    chunks = open_chunks(tmp_path / "a.parquet", 2)
    assert list(chunks.colnames) == whole.colnames == (["a"] if store_schema else ["a", "a.mask"])
    cells = [cell for chunk in chunks.read(None) for cell in chunk["a"].tolist()]
    assert cells == whole["a"].tolist() == ([None, 2, 3] if store_schema else [1, 2, 3])
