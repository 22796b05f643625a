"""Answers on disk: what is kept comes back, and what cannot be used is told."""

import json

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.enhance.server.small_tables import stars
from xbayes.enhance.cache import VERSION, Cache, Request, Unusable, table_hash
from xbayes.errors import InputError, XbayesWarning

ASKED = Request(service="vizier", query="SELECT 1")
DATE = "2026-01-01T00:00:00+00:00"
ADQL = 'SELECT * FROM "I/355/gaiadr3"'


def keep(cache, table, request=ASKED):
    return cache.keep(request, table, address="http://127.0.0.1/tap", date=DATE)


def same(one, other):
    assert one.colnames == other.colnames and len(one) == len(other)
    for name in one.colnames:
        mask = np.ma.getmaskarray(one[name])
        np.testing.assert_array_equal(mask, np.ma.getmaskarray(other[name]))
        np.testing.assert_array_equal(np.asarray(one[name])[~mask], np.asarray(other[name])[~mask])
        assert one[name].unit == other[name].unit and one[name].dtype == other[name].dtype


VALUES = {
    "i8": st.integers(-(2**63) + 1, 2**63 - 1),
    "i2": st.integers(-(2**15) + 1, 2**15 - 1),
    "f8": st.floats(allow_nan=False, allow_infinity=False),
    "f4": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "U": st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1),
    "?": st.booleans(),
}


@st.composite
def tables(draw):
    n_rows = draw(st.integers(0, 4))
    table = Table(masked=True)
    for number, kind in enumerate(
        draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4))
    ):
        cells = draw(st.lists(VALUES[kind], min_size=n_rows, max_size=n_rows))
        mask = draw(st.lists(st.booleans(), min_size=n_rows, max_size=n_rows))
        dtype = np.dtype("U1" if kind == "U" and not cells else kind)
        if kind == "U" and cells:
            dtype = np.array(cells).dtype
        table[f"c{number}"] = MaskedColumn(np.array(cells, dtype), mask=mask)
    return table


@settings(max_examples=15, deadline=None)
@given(tables())
def test_a_table_comes_back_as_it_was_kept(tmp_path_factory, table):
    cache = Cache(tmp_path_factory.mktemp("cache"))
    kept = keep(cache, table)
    again = cache.find(ASKED)
    same(kept, again)
    assert again.meta == kept.meta == {"service": "vizier", "date": DATE}
    for name in table.colnames:
        mask = table[name].mask
        np.testing.assert_array_equal(again[name].mask, mask)
        values = np.asarray(table[name])[~mask]
        np.testing.assert_array_equal(np.asarray(again[name])[~mask], values)


def test_the_key_follows_what_is_asked():
    one, other = stars(5), stars(5)
    uploads = [{}, {"a": one}, {"b": one}]
    requests = [ASKED._replace(uploads=upload) for upload in uploads]
    requests += [ASKED._replace(**change) for change in ({"service": "s"}, {"query": "q"})]
    requests += [ASKED._replace(limit=5)]
    assert len({request.key for request in requests}) == len(requests)
    assert table_hash(one) == table_hash(other)
    for change in (
        lambda t: t["Gmag"].mask.__setitem__(1, True),
        lambda t: t["Gmag"].__setitem__(1, 3.25),
        lambda t: t.rename_column("Gmag", "g"),
        lambda t: t.reverse(),
    ):
        change(other := stars(5))
        assert table_hash(one) != table_hash(other)


def test_nothing_is_found_where_nothing_is(tmp_path):
    cache = Cache(tmp_path / "none")
    assert cache.find(ASKED) is None
    keep(cache, stars(5))
    record = json.loads(cache.paths(ASKED)[1].read_text())
    assert record["query"] == "SELECT 1" and record["rows"] == 5 and record["date"] == DATE
    assert record["cache_version"] == VERSION and len(record["sha256"]) == 64


def damage_data(data, record):
    data.write_bytes(data.read_bytes()[:-50])


def change_byte(data, record):
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)


def no_data(data, record):
    data.unlink()


def no_json(data, record):
    record.write_text('{"cache_version": 1, "sha')


def other_json(data, record):
    record.write_text("[1, 2]")


def no_text(data, record):
    record.write_bytes(b"\xff\xfe\x00")


def other_version(data, record):
    record.write_text(json.dumps({**json.loads(record.read_text()), "cache_version": 99}))


DAMAGES = {
    damage_data: "is damaged: its checksum differs",
    change_byte: "is damaged: its checksum differs",
    no_data: "is damaged",
    no_json: "is damaged",
    other_json: "is damaged",
    no_text: "is damaged",
    other_version: "is of cache version 99; this xbayes uses 1",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_used_is_told_and_fetched_again(archive, services, damage):
    right = services().tap("vizier", ADQL)
    cache = services().cache
    damage(*cache.paths(Request(service="vizier", query=ADQL)))
    found = cache.find(Request(service="vizier", query=ADQL))
    assert isinstance(found, Unusable) and DAMAGES[damage] in found.why
    with pytest.raises(InputError, match="--offline, but the answer of vizier"):
        services(offline=True).tap("vizier", ADQL)
    with pytest.warns(XbayesWarning, match="it is fetched again"):
        again = services().tap("vizier", ADQL)
    same(again, right)
    same(services(offline=True).tap("vizier", ADQL), right)


def test_a_cache_that_cannot_be_written_is_one_message(archive, services, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        services(cache=tmp_path / "file").tap("vizier", ADQL)
