"""Queries to begin with, as TAP clients show them (DALI examples)."""

from xbayes.app.vo_xml import document, node
from xbayes.catalog.adql_names import adql_name
from xbayes.catalog.adql_tables import AdqlTable


def examples_page(table: AdqlTable) -> bytes:
    """A page of queries on one catalogue."""
    root = node(
        "html",
        node(
            "head",
            node("title", text="Example queries"),
        ),
        node(
            "body",
            node("h1", text="Example queries"),
            *(
                node(
                    "div",
                    node("h2", text=title, property="name"),
                    node("pre", text=query, property="query"),
                    id=id,
                    resource=f"#{id}",
                    typeof="example",
                )
                for id, title, query in _examples(table)
            ),
            vocab="http://www.ivoa.net/rdf/examples#",
        ),
        xmlns="http://www.w3.org/1999/xhtml",
    )
    return document(root)


def _examples(table: AdqlTable) -> list[tuple[str, str, str]]:
    name = table.full_name
    by_ucd = {column.ucd: adql_name(column.name) for column in table.columns}
    found = [
        ("columns", "The columns of the catalogue",
         "SELECT column_name, unit, description FROM TAP_SCHEMA.columns\n"
         f"WHERE table_name = '{name}'"),
        ("classes", "The number of sources of each class",
         f"SELECT prediction, COUNT(*) AS n FROM {name} GROUP BY prediction ORDER BY n DESC"),
        ("certain", "The sources whose class is most certain",
         f"SELECT TOP 100 * FROM {name} ORDER BY margin DESC"),
    ]  # fmt: skip
    ra, dec = by_ucd.get("pos.eq.ra;meta.main"), by_ucd.get("pos.eq.dec;meta.main")
    if ra and dec:
        found.append(
            ("cone", "The sources within half a degree of a position",
             f"SELECT * FROM {name}\n"
             f"WHERE 1 = CONTAINS(POINT('ICRS', {ra}, {dec}), CIRCLE('ICRS', 83.63, 22.01, 0.5))")
        )  # fmt: skip
    return found
