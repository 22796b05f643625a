"""The table of the report that shows the harder folds beside the usual ones."""

from xbayes.cli import show
from xbayes.report.harder import harder_columns, harder_table
from xbayes.report.html import render_report

EXPECT = "For a catalogue of another release or survey, expect the scores of <this> table."


def with_harder(metrics, **more):
    """Metrics with a block of harder folds: the in-sample scores stand for any other scores."""
    scores = metrics["in_sample"]
    usual = scores | {"n_sources": scores["n_sources"] - 5}
    block = {"split": "release", "scores": usual, "same_sources": usual, "expect": EXPECT}
    return metrics | {"harder": block | {"releases": {"2022": usual}, "not_held_out": []} | more}


def test_the_columns_are_of_the_same_sources(invented):
    metrics = invented.context().metrics
    assert harder_table(metrics) is None
    few = with_harder(metrics)
    assert [*harder_columns(few)] == [
        *("random folds", "random folds, the same sources", "whole releases held out"),
    ]
    all_tested = with_harder(metrics, same_sources=metrics["cross_validated"])
    assert [*harder_columns(all_tested)] == ["random folds", "whole releases held out"]
    two = with_harder(metrics, releases={n: metrics["in_sample"] for n in ("2022", "2023")})
    assert [*harder_columns(two, "blocks")] == [
        *("whole blocks held out", "whole blocks held out, the same sources"),
        *("whole releases held out", "2022 held out", "2023 held out"),
    ]
    table = harder_table(few)
    assert table is not None and all(len(cells) == 3 for _, cells in table.rows)
    assert [name for name, _ in table.rows][-4:] == [f"F1 of {c}" for c in metrics["classes"]]


def test_the_report_shows_the_table_and_the_sentence(invented):
    context = invented.context()
    assert "For another catalogue" not in render_report(context)
    metrics = with_harder(context.metrics, not_held_out=["release <2023> is not held out"])
    page = render_report(context._replace(metrics=metrics))
    assert "For another catalogue" in page and "scores of &lt;this&gt; table" in page
    assert "Release &lt;2023&gt; is not held out." in page and "whole releases held out" in page


def test_without_harder_folds_only_the_sentence_is_shown(invented, capsys):
    context = invented.context()
    block = {"split": None, "skipped": "no releases", "expect": EXPECT}
    metrics = context.metrics | {"harder": block}
    page = render_report(context._replace(metrics=metrics))
    part = page[page.index("For another catalogue") :][:400]
    assert "scores of &lt;this&gt;" in part and "<table" not in part
    show.print_metrics(metrics, "invented", False)
    shown = " ".join(capsys.readouterr().out.split())
    assert EXPECT in shown and "for another catalogue" not in shown
    show.print_metrics(with_harder(context.metrics), "invented", False)
    shown = " ".join(capsys.readouterr().out.split())
    assert EXPECT in shown and "for another catalogue" in shown
