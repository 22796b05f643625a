"""ADQL: the answers against numpy, and that nothing but SELECT on known tables gets through."""

import re
import time

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.app.vo_site import ODD, small_catalogue, small_table
from xbayes.catalog.adql import translate
from xbayes.catalog.adql_database import AdqlDatabase, QueryLimits, Stop, Stopped
from xbayes.catalog.adql_expressions import FUNCTIONS
from xbayes.catalog.adql_names import adql_name, schema_names
from xbayes.errors import InputError

LIMITS = QueryLimits(rows=1000, seconds=20.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("adql")


@pytest.fixture(scope="module")
def database(folder):
    catalogue = small_catalogue(folder)
    return AdqlDatabase({"demo": catalogue, "other-run": catalogue})


@pytest.fixture(scope="module")
def table():
    return small_table()


def ask(database, query, limits=LIMITS):
    return [list(row.values()) for row in database.query(query, limits).table.to_pylist()]


def names_where(database, condition):
    return {row[0] for row in ask(database, f"SELECT name FROM demo.catalogue WHERE {condition}")}


def test_cone_box_and_polygon_agree_with_astropy(database, table):
    places = SkyCoord(table["ra"], table["dec"], unit="deg")
    centre = SkyCoord(100, 60, unit="deg")
    inside = set(table["name"][places.separation(centre) < 40 * u.deg])
    shape = "POINT('ICRS', ra, dec), CIRCLE('ICRS GEOCENTER', 100, 60, 40)"
    assert inside
    assert names_where(database, f"1 = CONTAINS({shape})") == inside
    assert names_where(database, f"INTERSECTS({shape}) = 1") == inside
    assert names_where(database, "DISTANCE(POINT(ra, dec), POINT(100, 60)) < 40") == inside
    assert names_where(database, "DISTANCE(ra, dec, 100, 60) < 40") == inside
    assert names_where(database, f"0 = CONTAINS({shape})") == set(table["name"]) - inside
    assert names_where(database, f"CONTAINS({shape}) + 1 > 1") == inside

    seen = places.transform_to(centre.skyoffset_frame())
    east = np.degrees(
        np.arctan2(seen.cartesian.y.value, seen.cartesian.x.value)
    )  # the meridian of the frame
    north = np.degrees(np.arctan2(seen.cartesian.z.value, seen.cartesian.x.value))
    boxed = set(table["name"][(abs(east) < 30) & (abs(north) < 20)])
    assert boxed
    assert names_where(database, "1 = CONTAINS(POINT(ra, dec), BOX(100, 60, 60, 40))") == boxed

    corners = "0, 0, 90, 0, 0, 90"  # an eighth of the sky, either way round
    eighth = set(table["name"][(table["ra"] < 90) & (table["dec"] > 0)])
    for listed in (corners, "0, 90, 90, 0, 0, 0", "POINT(0, 0), POINT(90, 0), POINT(0, 90)"):
        assert names_where(database, f"1=CONTAINS(POINT(ra, dec), POLYGON({listed}))") == eighth


def test_a_circle_may_depend_on_the_row(database, table):
    wide = names_where(database, "1 = CONTAINS(POINT(10, 10), CIRCLE(ra, dec, 10 * size))")
    away = SkyCoord(table["ra"], table["dec"], unit="deg").separation(SkyCoord(10, 10, unit="deg"))
    assert wide == set(table["name"][away.deg <= 10 * table["size"]])


def test_groups_joins_sets_and_subqueries(database, table):
    counted = ask(
        database,
        "SELECT prediction, COUNT(*) AS n, SUM(n_missing), MAX(p_AGN) FROM demo.catalogue "
        "GROUP BY prediction HAVING COUNT(*) > 1 ORDER BY n",
    )
    for name, n, missing, most in counted:
        members = table[table["prediction"] == name]
        assert (n, missing, most) == (
            len(members),
            members["n_missing"].sum(),
            max(members["p_AGN"]),
        )
    pairs = ask(
        database,
        "SELECT a.name, b.name FROM demo.catalogue AS a JOIN other_run.catalogue AS b "
        "ON a.name = b.name AND b.margin > 0.9",
    )
    assert len(pairs) == (table["margin"] > 0.9).sum()
    for join in ("NATURAL JOIN other_run.catalogue", "JOIN other_run.catalogue USING (name)"):
        assert len(ask(database, f"SELECT name, name FROM demo.catalogue {join}")) > 100
    assert ask(database, "SELECT COUNT(*) FROM (SELECT TOP 7 * FROM demo.catalogue) AS few") == [
        [7]
    ]
    assert names_where(
        database, "name IN (SELECT name FROM demo.catalogue WHERE ra < 20) AND ra > 10"
    ) == set(table["name"][(table["ra"] < 20) & (table["ra"] > 10)])
    both = (
        "SELECT prediction FROM demo.catalogue UNION SELECT 'Star' FROM demo.catalogue ORDER BY 1"
    )
    assert ask(database, both) == [["AGN"], ["Star"], ["XRB"]]
    with_query = (
        "WITH few AS (SELECT TOP 3 name FROM demo.catalogue) SELECT a.name FROM few a, few b"
    )
    assert len(ask(database, with_query)) == 9
    outer = "SELECT c.name FROM demo.catalogue c WHERE EXISTS (SELECT 1 FROM demo.catalogue d "
    assert len(ask(database, f"{outer} WHERE d.ra > c.ra)")) == len(table) - 1


def test_conditions_and_functions(database, table):
    assert names_where(database, "name LIKE 'S 00_' AND NOT name LIKE '%5'") == {
        f"S 00{i}" for i in range(1, 10) if i != 5
    }
    assert names_where(database, "flux IS NULL") == set(table["name"][::3])
    assert names_where(database, "flux > 0 OR flux <= 0") == set(table["name"]) - set(
        table["name"][::3]
    )
    assert names_where(database, "n_missing NOT BETWEEN 1 AND 9") == set(
        table["name"][table["n_missing"] == 0]
    )
    row = ask(
        database,
        "SELECT LOG(EXP(1)), LOG10(100), LOG(-1), SQRT(-1), TRUNCATE(-2.57, 1), ROUND(2.57, 1), "
        "CASE WHEN 1 = 2 THEN 'a' ELSE 'b' END, CAST('12' AS INTEGER), 'it''s' || '!', MOD(7, 4), "
        "ASIN(2), POWER(2, 0.5), COALESCE(NULL, 3), -ABS(-2), PI()",
    )[0]
    assert row[:4] == [pytest.approx(1), pytest.approx(2), None, None]
    assert row[4:11] == [-2.5, 2.6, "b", 12, "it's!", 3, None]
    assert row[11:] == [pytest.approx(2**0.5), 3, -2, pytest.approx(np.pi)]


def test_names_are_matched_as_adql_has_them(database):
    odd = ODD.replace('"', '""')
    columns = database.query(
        f'SELECT TOP 1 NAME, "size", "{odd}" AS "a ""b", cat.p_agn FROM Demo.Catalogue AS cat',
        LIMITS,
    ).columns
    assert [column.name for column in columns] == ["name", "size", 'a "b', "p_AGN"]
    assert adql_name("size") == '"size"'
    assert schema_names(("a", "A", "tap_schema", "order", "9")) == {
        "a": "a", "A": "A_2", "tap_schema": "tap_schema_2", "order": "run_order", "9": "run_9",
    }  # fmt: skip


def test_the_columns_of_an_answer_are_described(database):
    answer = database.query(
        'SELECT name, ra, flux, n_missing, set_flag, "size", COUNT(*) FROM demo.catalogue '
        'GROUP BY name, ra, flux, n_missing, set_flag, "size"', LIMITS,
    )  # fmt: skip
    types = [column.datatype for column in answer.columns]
    assert types == ["unicodeChar", "double", "double", "long", "boolean", "short", "long"]
    assert [column.unit for column in answer.columns[:3]] == ["", "deg", "erg.s-1.cm-2"]
    assert answer.columns[1].ucd == "pos.eq.ra;meta.main"


def test_limits_of_rows(database):
    few = QueryLimits(rows=5, seconds=20.0)
    answer = database.query("SELECT name FROM demo.catalogue", few)
    assert answer.overflow and answer.table.num_rows == 5
    answer = database.query("SELECT TOP 5 name FROM demo.catalogue", few)
    assert not answer.overflow and answer.table.num_rows == 5


SLOW = (
    "SELECT COUNT(*) FROM demo.catalogue a, demo.catalogue b, demo.catalogue c, demo.catalogue d "
    "WHERE SIN(a.ra * b.ra) + COS(c.ra * d.ra) > 1.9999999"
)


def test_a_slow_query_is_stopped(database):
    began = time.monotonic()
    with pytest.raises(InputError, match=r"took over 0\.3 s"):
        database.query(SLOW, QueryLimits(rows=5, seconds=0.3))
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        database.query(SLOW, LIMITS, stop)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "one query is wanted"),
        ("SELECT name FROM demo.catalogue; SELECT 1", "one query is wanted"),
        ("DROP TABLE demo.catalogue", "not understood|SELECT"),
        ("PRAGMA database_list", "not understood|SELECT"),
        ("COPY run_0 TO 'x.csv'", "not understood|SELECT"),
        ("ATTACH 'x.db'", "not understood|SELECT"),
        ("SELECT name INTO x FROM demo.catalogue", "not understood"),
        ("SELECT * FROM read_text('{secret}')", "tables or hold subqueries"),
        ("SELECT * FROM '{secret}'", "no table"),
        ('SELECT * FROM "{secret}"', "no table"),
        ('SELECT * FROM demo."{secret}"', "no table"),
        ("SELECT * FROM run_0", "no table"),
        ("SELECT * FROM duckdb_settings()", "tables or hold subqueries"),
        ("SELECT read_text('{secret}') FROM demo.catalogue", "no function READ_TEXT"),
        ("SELECT getenv('HOME')", "no function GETENV"),
        ("SELECT current_setting('temp_directory')", "no function"),
        ("SELECT t1 FROM demo.catalogue", "no column"),
        ("SELECT file_row_number FROM demo.catalogue", "no column"),
        ("SELECT name FROM demo.catalogue WHERE ra > 'abc'", "the query fails"),
        ("SELECT name FROM demo.catalogue WHERE", "not understood"),
        ("SELECT name FROM demo.catalogue WHERE name = 'x", "not understood"),
        ("SELECT SUM(p_AGN) OVER (ORDER BY ra) FROM demo.catalogue", "not understood|WINDOW"),
        ("SELECT name[1] FROM demo.catalogue", "BRACKET|not understood"),
        ("SELECT CAST(name AS TIMESTAMP) FROM demo.catalogue", "CAST|not understood"),
        ("SELECT a.name FROM demo.catalogue a, demo.catalogue a", "alias"),
        ("SELECT name FROM demo.catalogue a, demo.catalogue b", "more than one table"),
        ("SELECT POINT(ra, dec) FROM demo.catalogue", "must stand inside"),
        ("SELECT 1 FROM demo.catalogue WHERE 1=CONTAINS(POINT('GALACTIC', ra, dec), "
         "CIRCLE(1, 2, 3))", "GALACTIC is not converted"),
        ("SELECT 1 FROM demo.catalogue WHERE 1=CONTAINS(POINT(ra, dec), "
         "POLYGON(0,0, 10,0, 2,2, 0,10))", "not convex"),
        ("SELECT TOP 'a' name FROM demo.catalogue", "whole number|not understood"),
        ("SELECT 1" + " + 1" * 3000, "nested too deeply"),
        ("SELECT " + "(" * 2000 + "1" + ")" * 2000, "nested too deeply"),
        ("SELECT " + "LOG(" * 40 + "ra" + ")" * 40 + " FROM demo.catalogue", "nested too deeply"),
        ("SELECT '" + "x" * 60_000 + "'", "characters"),
        ("SELECT name FROM demo.catalogue UNION SELECT 1, 2", "as many columns"),
        ("WITH RECURSIVE a AS (SELECT 1 AS x) SELECT x FROM a", "not understood|RECURSIVE"),
        ("SELECT name FROM demo.catalogue ORDER BY 2", "the answer has 1 columns"),
        ("SELECT * FROM " + ", ".join(f"demo.catalogue a{i}" for i in range(30)), "may read 20"),
    ],
)  # fmt: skip
def test_what_is_refused(database, folder, query, says):
    secret = folder / "secret.txt"
    secret.write_text("never shown")
    with pytest.raises(InputError, match=says) as told:
        ask(database, query.replace("{secret}", str(secret)))
    assert "never shown" not in str(told.value)


def test_the_database_itself_reaches_no_other_file(database, folder):
    import duckdb

    (folder / "secret.txt").write_text("never shown")
    cursor = database._connection.cursor()
    for sql in (
        f"SELECT * FROM read_text('{folder / 'secret.txt'}')",
        f"COPY (SELECT 1) TO '{folder / 'new.csv'}'",
        f"ATTACH '{folder / 'new.db'}'",
        "SET enable_external_access = true",
    ):
        with pytest.raises(duckdb.Error):
            cursor.execute(sql)
    assert not (folder / "new.csv").exists()


_TOKENS = r"""
SELECT FROM WHERE TOP 5 * , ( ) = < > + - / || . ; AS AND OR NOT IN LIKE BETWEEN IS NULL JOIN ON
USING NATURAL LEFT UNION WITH GROUP BY ORDER HAVING DISTINCT CASE WHEN THEN ELSE END CAST EXISTS
CONTAINS POINT CIRCLE BOX POLYGON COUNT LOG read_text getenv name ra dec p_AGN demo catalogue
demo.catalogue TAP_SCHEMA.tables a b t1 n1 '/etc/passwd' '' 'x''y' "name" "a""b" "'" ' " -- /* */
$1 ? :a @a {{x}} [ ] :: \ é 1.5 1e400 .5 0x10 COPY ATTACH PRAGMA INSTALL LATERAL UNNEST PIVOT
VALUES LIMIT
"""
TOKENS = (*_TOKENS.split(), "\0")
_OURS = """
SELECT DISTINCT AS FROM WHERE GROUP BY HAVING ORDER ASC DESC NULLS LAST LIMIT OFFSET AND OR NOT IN
IS NULL TRUE FALSE LIKE ILIKE ESCAPE BETWEEN CASE WHEN THEN ELSE END CAST EXISTS JOIN LEFT RIGHT
FULL CROSS ON UNION ALL EXCEPT INTERSECT WITH SMALLINT INTEGER BIGINT FLOAT DOUBLE VARCHAR count
sum avg min max coalesce degrees radians asin least sqrt pow sin cos atan2 abs nullif tan run_0
run_1 tap_schemas tap_tables tap_columns tap_keys tap_key_columns
"""
_SQL_WORDS = set(_OURS.split())
for _function in FUNCTIONS.values():
    _SQL_WORDS.update(re.findall(r"[A-Za-z_]\w*", _function.sql))


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.lists(st.sampled_from(TOKENS), max_size=30).map(" ".join),
        st.lists(st.sampled_from(TOKENS), max_size=12).map(
            lambda words: "SELECT name FROM demo.catalogue WHERE " + " ".join(words)
        ),
        st.lists(st.sampled_from(TOKENS), max_size=8).map(
            lambda words: "SELECT " + " ".join(words) + " FROM demo.catalogue"
        ),
        st.text(max_size=60),
    )
)
def test_no_text_of_a_query_reaches_the_sql(database, query):
    try:
        found = translate(query, database.tables, 10)
    except InputError as error:
        assert len(str(error)) < 2000
        return
    columns = {column.name for table in database.tables for column in table.columns}
    bare = found.sql
    for name in sorted(columns, key=len, reverse=True):
        bare = bare.replace('"' + name.replace('"', '""') + '"', " ")
    assert "'" not in bare and '"' not in bare and ";" not in bare and "--" not in bare
    words = re.findall(r"[A-Za-z_]\w*", re.sub(r"\b\d[\w.]*|\$\d+", " ", bare))
    assert {w for w in words if not re.fullmatch(r"[tn]\d+", w)} <= _SQL_WORDS
    try:
        database.query(query, QueryLimits(rows=3, seconds=5.0))
    except InputError as error:
        assert "catalog.parquet" not in str(error)
