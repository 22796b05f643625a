"""The reason for which a source is strange, wherever its track is shown."""

import io

from rich.console import Console

from xbayes.figures.track import draw_track
from xbayes.report.brief_track import brief_track
from xbayes.report.track_table import print_track, track_table

WHY = "g_j = 7.9 mag, where 1.2 mag is expected given j_k (13 sigma)"


def printed(track):
    console = Console(file=io.StringIO(), width=200)
    print_track(track, console)
    return console.file.getvalue()


def drawn(track):
    """The texts of the figure, and its height."""
    figure = draw_track(track)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    return " ".join(texts), figure.get_figheight()


def test_the_reason_is_in_table_text_figure_and_report(invented):
    usual = invented.track(14, 4)
    odd = usual._replace(novelty_why=WHY)
    says = f"unlike known {odd.classes[odd.prediction]}: {WHY}"
    assert track_table(odd).meta["UNLIKE"] == WHY and "UNLIKE" not in track_table(usual).meta
    assert says in printed(odd) and "unlike" not in printed(usual)
    assert says == brief_track(odd, 1).unlike and not brief_track(usual, 1).unlike
    (text, height), (plain, lower) = drawn(odd), drawn(usual)
    assert says in text and "unlike" not in plain and height > lower


def test_a_long_reason_is_on_several_lines(invented):
    odd = invented.track(14, 4)._replace(novelty_why="; ".join([WHY] * 4))
    lines = drawn(odd)[0]
    assert lines.count("where 1.2 mag") == 4
    longest = max(len(text.get_text()) for axes in draw_track(odd).axes for text in axes.texts)
    assert longest <= 200
