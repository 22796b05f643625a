"""Documents of the Virtual Observatory other than tables: capabilities, tables, jobs."""

from collections.abc import Sequence
from datetime import datetime
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from xbayes.app.vo_formats import FORMATS
from xbayes.app.vo_jobs import LIFETIME, MOST_SECONDS, SECONDS, Job
from xbayes.catalog.adql_names import adql_name
from xbayes.catalog.adql_tables import KEYS, AdqlColumn, AdqlTable, from_column
from xbayes.catalog.votable_stream import plain

XSI = {"xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance"}
_RESOURCES = {
    "xmlns:vr": "http://www.ivoa.net/xml/VOResource/v1.0",
    "xmlns:vs": "http://www.ivoa.net/xml/VODataService/v1.1",
    "xmlns:tr": "http://www.ivoa.net/xml/TAPRegExt/v1.0",
}
_UWS = {
    "xmlns:uws": "http://www.ivoa.net/xml/UWS/v1.0",
    "xmlns:xlink": "http://www.w3.org/1999/xlink",
    **XSI,
    "version": "1.1",
}
_FEATURES = "ivo://ivoa.net/std/TAPRegExt#features-"
_ADQL_FEATURES = {
    f"{_FEATURES}adqlgeo": (
        "POINT", "CIRCLE", "BOX", "POLYGON", "CONTAINS", "INTERSECTS", "DISTANCE", "COORD1",
        "COORD2",
    ),
    f"{_FEATURES}adql-string": ("LOWER", "UPPER", "ILIKE"),
    f"{_FEATURES}adql-sets": ("UNION", "EXCEPT", "INTERSECT"),
    f"{_FEATURES}adql-common-table": ("WITH",),
    f"{_FEATURES}adql-type": ("CAST",),
    f"{_FEATURES}adql-offset": ("OFFSET",),
}  # fmt: skip


def node(tag: str, *children: Element | None, text: str = "", **attributes: str) -> Element:
    """An element; an underscore in the name of an attribute stands for a colon."""
    made = Element(tag, {key.replace("_", ":"): plain(v) for key, v in attributes.items()})
    made.text = plain(text) or None
    made.extend(child for child in children if child is not None)
    return made


def document(root: Element) -> bytes:
    """The document with this root."""
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _with(root: Element, names: dict[str, str]) -> Element:
    for key, value in names.items():
        root.set(key, value)
    return root


def _interface(url: str, kind: str = "ParamHTTP", use: str = "full", version: str = "") -> Element:
    made = node("interface", node("accessURL", text=url, use=use), xsi_type=f"vs:{kind}")
    made.set("role", "std")
    if version:
        made.set("version", version)
    return made


def capabilities(base: str, most_rows: int, default_rows: int) -> bytes:
    """What the TAP service at `base` can do."""
    tap = node(
        "capability",
        _interface(base, use="base", version="1.1"),
        node(
            "language",
            node("name", text="ADQL"),
            node("version", text="2.0", **{"ivo-id": "ivo://ivoa.net/std/ADQL#v2.0"}),
            node("version", text="2.1", **{"ivo-id": "ivo://ivoa.net/std/ADQL#v2.1"}),
            node("description", text="ADQL; positions are ICRS, POLYGONs convex"),
            *(
                node(
                    "languageFeatures",
                    *(node("feature", node("form", text=form)) for form in forms),
                    type=kind,
                )
                for kind, forms in _ADQL_FEATURES.items()
            ),
        ),
        *(
            node(
                "outputFormat",
                node("mime", text=one.mime),
                *(node("alias", text=n) for n in one.names),
            )
            for one in FORMATS
        ),
        node(
            "retentionPeriod",
            *(node(kind, text=f"{LIFETIME.total_seconds():.0f}") for kind in ("default", "hard")),
        ),
        node(
            "executionDuration",
            node("default", text=str(SECONDS)),
            node("hard", text=str(MOST_SECONDS)),
        ),
        node(
            "outputLimit",
            node("default", text=str(default_rows), unit="row"),
            node("hard", text=str(most_rows), unit="row"),
        ),
        standardID="ivo://ivoa.net/std/TAP",
        xsi_type="tr:TableAccess",
    )
    root = node(
        "vosi:capabilities",
        tap,
        *(
            node(
                "capability",
                _interface(f"{base}/{name}"),
                standardID=f"ivo://ivoa.net/std/VOSI#{name}{version}",
            )
            for name, version in (("capabilities", ""), ("availability", ""), ("tables", "-1.1"))
        ),
        node(
            "capability",
            _interface(f"{base}/examples", kind="ParamHTTP"),
            standardID="ivo://ivoa.net/std/DALI#examples",
        ),
    )
    names = {"xmlns:vosi": "http://www.ivoa.net/xml/VOSICapabilities/v1.0", **_RESOURCES, **XSI}
    return document(_with(root, names))


def availability() -> bytes:
    """That the service is there."""
    root = node("vosi:availability", node("vosi:available", text="true"))
    return document(_with(root, {"xmlns:vosi": "http://www.ivoa.net/xml/VOSIAvailability/v1.0"}))


def table_set(tables: Sequence[AdqlTable], schemas: Sequence[tuple[str, str]]) -> bytes:
    """All tables with their columns (VODataService)."""
    root = node(
        "vosi:tableset",
        *(
            node(
                "schema",
                node("name", text=name),
                node("description", text=says),
                *(_table(table) for table in tables if table.schema == name),
            )
            for name, says in schemas
        ),
    )
    names = {"xmlns:vosi": "http://www.ivoa.net/xml/VOSITables/v1.0", **_RESOURCES, **XSI}
    return document(_with(root, names))


def one_table(table: AdqlTable) -> bytes:
    """One table with its columns."""
    root = _table(table)
    root.tag = "vosi:table"
    names = {"xmlns:vosi": "http://www.ivoa.net/xml/VOSITables/v1.0", **_RESOURCES, **XSI}
    return document(_with(root, names))


def _table(table: AdqlTable) -> Element:
    keys = [key for key in KEYS if key.from_table == table.full_name]
    return node(
        "table",
        node("name", text=table.full_name),
        node("description", text=table.description),
        *(_column(column) for column in table.columns),
        *(
            node(
                "foreignKey",
                node("targetTable", text=key.target_table),
                node(
                    "fkColumn",
                    node("fromColumn", text=from_column(key)),
                    node("targetColumn", text=key.column),
                ),
            )
            for key in keys
        ),
        type="table" if table.kind == "table" else "view",
    )


def _column(column: AdqlColumn) -> Element:
    size = {"arraysize": column.arraysize} if column.arraysize else {}
    return node(
        "column",
        node("name", text=adql_name(column.name)),
        node("description", text=column.description) if column.description else None,
        node("unit", text=column.unit) if column.unit else None,
        node("ucd", text=column.ucd) if column.ucd else None,
        node("dataType", text=column.datatype, xsi_type="vs:VOTableType", **size),
    )


def job_list(jobs: Sequence[Job], base: str) -> bytes:
    """The jobs with their phases."""
    root = node(
        "uws:jobs",
        *(
            node(
                "uws:jobref",
                node("uws:phase", text=job.phase),
                node("uws:creationTime", text=instant(job.created)),
                id=job.id,
                xlink_href=f"{base}/{job.id}",
            )
            for job in jobs
        ),
    )
    return document(_with(root, _UWS))


def job_document(job: Job, url: str) -> bytes:
    """One job."""
    root = node(
        "uws:job",
        node("uws:jobId", text=job.id),
        *([node("uws:runId", text=job.parameters["RUNID"])] if "RUNID" in job.parameters else []),
        node("uws:ownerId", xsi_nil="true"),
        node("uws:phase", text=job.phase),
        node("uws:quote", xsi_nil="true"),
        node("uws:creationTime", text=instant(job.created)),
        _time("startTime", job.started),
        _time("endTime", job.ended),
        node("uws:executionDuration", text=str(job.seconds)),
        node("uws:destruction", text=instant(job.destruction)),
        parameter_list(job),
        result_list(job, url),
        node(
            "uws:errorSummary",
            node("uws:message", text=job.error),
            type="fatal",
            hasDetail="true",
        )
        if job.error
        else None,
    )
    return document(_with(root, _UWS))


def parameter_list(job: Job) -> Element:
    """The parameters of a job."""
    return node(
        "uws:parameters",
        *(node("uws:parameter", text=value, id=key) for key, value in job.parameters.items()),
    )


def result_list(job: Job, url: str) -> Element:
    """The results of a job: one, once it is complete."""
    if job.result is None:
        return node("uws:results")
    made = node("uws:result", id="result", xlink_href=f"{url}/results/result")
    made.set("mime-type", job.result.mime)
    return node("uws:results", made)


def fragment(root: Element) -> bytes:
    """A part of a job as a document of its own."""
    return document(_with(root, {k: v for k, v in _UWS.items() if k.startswith("xmlns")}))


def instant(time: datetime) -> str:
    """A time as UWS writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


def _time(name: str, time: datetime | None) -> Element:
    if time is None:
        return node(f"uws:{name}", xsi_nil="true")
    return node(f"uws:{name}", text=instant(time))
