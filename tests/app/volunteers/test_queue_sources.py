"""What makes a source informative: entropy, outliers, runs that disagree, suggestions (fast)."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from xbayes.app.served_run import ServedRun
from xbayes.app.volunteers.queue_sources import DISAGREEMENT, SUGGESTED, sources_of
from xbayes.errors import InputError


@pytest.fixture(scope="module")
def run(demo):
    return ServedRun(demo.folder)


def test_sources_on_which_another_run_disagrees_come_earlier(run, demo, tmp_path):
    table = pq.read_table(demo.folder / "catalog.parquet")
    place = table.column_names.index("prediction")
    other = ["CV" if row < 5 else name for row, name in enumerate(table["prediction"].to_pylist())]
    changed = [a != b for a, b in zip(other, table["prediction"].to_pylist(), strict=True)]
    path = tmp_path / "other.parquet"
    field = table.schema.field("prediction")
    pq.write_table(table.set_column(place, field, [other]), path)
    plain = sources_of(run)
    against = sources_of(run, others=[ServedRun(demo.folder, path)])
    assert any(changed) and plain.ids == against.ids
    np.testing.assert_allclose(against.score - plain.score, DISAGREEMENT * np.array(changed))


def test_suggested_sources_come_first_in_their_order(run, tmp_path):
    wanted = ["SIM 000300", "SIM 000007", "SIM 000042"]
    path = tmp_path / "suggested.csv"
    path.write_text("name,information\n" + "".join(f"{name},1\n" for name in wanted))
    found = sources_of(run, suggested=path)
    first = np.argsort(-found.score)[:3]
    assert [found.ids[i] for i in first] == wanted
    others = np.delete(found.score, first)
    assert others.max() < SUGGESTED
    path.write_text("name\nELSEWHERE 1\n")
    with pytest.raises(InputError, match="xbayes suggest RUN"):
        sources_of(run, suggested=path)
