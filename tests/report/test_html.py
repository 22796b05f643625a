import base64
import re
from html.parser import HTMLParser

import pytest
from plotly.offline import get_plotlyjs

from xbayes.figures.labels import FeatureLabel
from xbayes.report.context import KNOWN_SECTIONS, FeatureRow
from xbayes.report.html import flattened, render_report, write_report
from xbayes.report.summary import listed, number, score_tables, sentences

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """The anchors, links, image sources, tags and visible text of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.sources, self.tags, self.text = [], [], [], [], []
        self._open = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.sources += [given["src"]] if "src" in given else []
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("style", "script"):
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def context(invented):
    return invented.context()


@pytest.fixture(scope="module")
def page(context):
    return Page(render_report(context))


def test_the_sections_come_in_order_and_every_link_leads_to_one(page):
    sections = [anchor for anchor in page.ids if not anchor.startswith(("live-", "scatter-"))]
    sections.remove("points")
    first, last = ["warnings", "summary", "results"], ["penalty", "features", "provenance"]
    assert sections == [*first, *KNOWN_SECTIONS, *last]
    within = [link for link in page.links if link.startswith("#")]
    assert within == [f"#{anchor}" for anchor in sections]


def test_the_report_needs_nothing_but_itself(context, tmp_path):
    write_report(tmp_path / "report.html", context)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    without_library = text.replace(get_plotlyjs(), "")
    assert len(without_library) < len(text)
    # A link to a page on a source is followed only if somebody clicks on it.
    without_library = re.sub(r'<a href="https://[^"]*" rel="noopener">', "", without_library)
    assert not re.search(r"(src|href)\s*=\s*[\"'](https?:|//)", without_library)
    assert not re.search(r"@import|url\(|https?:", without_library)
    page = Page(text)
    assert {"link", "iframe"}.isdisjoint(page.tags)
    assert all(source.startswith("data:") for source in page.sources)


def test_nothing_is_sent_away(context):
    text = render_report(context)
    assert "showSendToCloud: false" in text and 'plotlyServerURL: ""' in text


def test_without_interactive_sections_no_script(context):
    still = [section._replace(live="") for section in context.sections]
    assert "script" not in Page(render_report(context._replace(sections=still))).tags


def test_interactive_sections_also_contain_the_printed_figures(page, context):
    assert page.ids.count("live-sky") == page.ids.count("live-scatter") == 1
    assert page.tags.count("option") == 2 * len(context.features)
    assert page.tags.count("script") == 3
    assert "random subsample" not in page.words
    points = context.points._replace(n_sources=10_000_000)
    few = Page(render_report(context._replace(points=points)))
    assert "A random subsample of 2,300 of the 10,000,000 sources is shown." in few.words


def test_brief_tracks_are_folded_below_their_titles(page, context):
    tracks = [track for section in context.sections for track in section.tracks]
    assert len(tracks) == 2
    assert page.tags.count("details") == page.tags.count("summary") == len(tracks) + 2
    assert page.words.count(tracks[0].title) == 2
    assert f"evidence for {tracks[0].predicted} against {tracks[0].runner_up}" in page.words


@pytest.mark.slow
def test_a_report_of_sixty_features_and_ten_classes_stays_small(invented):
    text = render_report(invented.context(60, 10))
    assert len(text.encode()) < 15e6
    assert Page(text).ids


def test_every_figure_is_a_png_inside_the_page(page, context):
    assert len(page.sources) == sum(len(section.figures) for section in context.sections)
    for source in page.sources:
        kind, _, content = source.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(content, validate=True).startswith(b"\x89PNG")


def test_every_block_of_scores_has_its_label(page):
    for label in (
        "in sample (optimistic)",
        "held out (out of fold)",
        "held out, re-weighted to the expected proportions",
    ):
        assert page.words.count(label) == 2  # in the overall table and in that by class


def test_re_weighted_scores_are_shown_only_if_proportions_are_given(context):
    words = Page(render_report(context._replace(reweighted=False))).words
    assert "re-weighted" not in words and "expected on the sky" not in words
    assert "Two estimates" in words and "held out (out of fold)" in words


def test_candidates_are_listed_with_links(page, context):
    assert "Most certain XRB" in page.words and "1 of 7" in page.words
    assert "<b>SRC</b> & 1" in page.words  # as text
    assert '<a href="https://example.org/?a=1&amp;b"' in render_report(context)


def test_each_score_is_shown_with_its_interval(page, context):
    for block in ("in_sample", "cross_validated", "prior_weighted"):
        scores = context.metrics[block]
        for score in (scores["log_loss"], scores["brier"], *scores["f1"].values()):
            assert number(score["value"]) in page.words
            assert f"{number(score['lo'])} – {number(score['hi'])}" in page.words


def test_the_summary_states_the_main_results(context):
    summary = " ".join(sentences(context))
    f1 = context.metrics["cross_validated"]["f1"]["XRB"]
    assert "trained on 2,300 labelled sources of 4 classes" in summary
    assert "applied to the 2,345 sources of the catalogue" in summary
    assert f"XRB: held-out F1 {f1['value']:.3f} (90 % interval {f1['lo']:.3f} to" in summary
    assert "not calibrated" in summary  # the invented model is overconfident


def test_a_calibrated_model_is_reported_as_calibrated(context):
    ece = {"value": 0.01, "lo": None, "hi": None, "calibrated_q95": 0.02}
    held_out = {**context.metrics["cross_validated"], "ece": ece}
    calibrated = context._replace(metrics={**context.metrics, "cross_validated": held_out})
    assert "consistent with perfect calibration" in sentences(calibrated)[-1]


LOO = {"elpd": -123.4, "se": 5.6, "troubled": 2}
ROW = {"name": "offset", "numbers": 4, "rhat": 1.234, "ess_bulk": 77.0, "ess_tail": 88.0}


@pytest.mark.parametrize("method", ["nuts", "laplace"])
def test_the_report_contains_the_diagnostics_of_the_chains(context, method):
    sampled = {"method": method, "power": 0.5, "draws": 2000, "loo": LOO}
    if method == "nuts":
        sampled |= {"sites": [ROW], "diverging": 3}
    page = Page(render_report(context._replace(metrics={**context.metrics, "posterior": sampled})))
    assert page.ids.index("chains") == page.ids.index("penalty") - 1
    assert "#chains" in page.links
    assert "is multiplied by 0.50." in page.words
    assert "-123.4 ± 5.6 nats; it is unreliable for 2 sources" in page.words
    divergent = "2,000 samples, 3 of them after a divergent transition" in page.words
    assert divergent == ("offset 4 1.2340 77 88" in page.words) == (method == "nuts")
    assert ("no chains to compare" in page.words) == (method == "laplace")


def test_the_rhat_of_a_single_chain_is_not_available_in_the_report(context):
    sites = [{**ROW, "rhat": None}]
    sampled = {"method": "nuts", "power": 1.0, "draws": 500, "loo": LOO, "chains": 1}
    sampled |= {"sites": sites, "diverging": 0}
    page = Page(render_report(context._replace(metrics={**context.metrics, "posterior": sampled})))
    assert "offset 4 not available 77 88" in page.words
    assert "There is one chain, so R-hat, which compares chains, is not available" in page.words
    assert "nan" not in page.words.lower().split()


def test_the_sets_are_described_with_what_their_promise_needs(context):
    entry = {"value": 0.912, "lo": 0.9, "hi": 0.92}
    by_class = {"XRB": {"coverage": entry, "size": {"value": 1.5, "lo": 1.4, "hi": 1.6}}}
    sets = {"coverage": entry, "size": entry, "single": entry, "by_class": by_class}
    sets["flagged"] = {"value": 0.021, "lo": 0.0, "hi": 0.1}
    block = {**context.metrics["cross_validated"], "prediction_set": sets}
    described = context._replace(metrics={**context.metrics, "cross_validated": block})
    summary = " ".join(sentences(described))
    assert "XRB 0.912 (1.500 classes)" in summary and "For 2.1 % of the sources" in summary
    assert "exchangeable with the training sources" in summary
    assert "the class proportions may differ" in summary and "another release" in summary


def test_a_run_without_a_posterior_has_no_section_on_chains(page):
    assert "chains" not in page.ids and "#chains" not in page.links


def test_the_width_of_the_intervals_is_one_sentence(context):
    assert not [text for text in sentences(context) if "median width" in text]
    widths = {"median": 0.0312, "by_prediction": {"AGN": 0.01, "Star": None, "XRB": 0.21}}
    block = {**context.metrics["cross_validated"], "interval_width": widths}
    bayesian = context._replace(metrics={**context.metrics, "cross_validated": block})
    (sentence,) = [text for text in sentences(bayesian) if "median width" in text]
    assert "of the probability of the predicted class is 0.031:" in sentence
    assert (
        "0.010 for sources classified as AGN and 0.210 for sources classified as XRB." in sentence
    )
    assert "Star" not in sentence and "None" not in sentence


def test_scores_without_a_value_are_dashes(context):
    nothing = {"value": None, "lo": None, "hi": None}
    held_out = context.metrics["cross_validated"]
    held_out = {**held_out, "f1": {**held_out["f1"], "CV": nothing}}
    context = context._replace(
        metrics={**context.metrics, "cross_validated": held_out}, sections=[]
    )
    row = score_tables(context).classes[-1]
    assert row.held_out.value == "–" and row.strip is None
    assert "CV: the held-out F1 is undefined" in " ".join(sentences(context))
    assert "None" not in Page(render_report(context)).words


def test_no_warnings_no_section(context):
    page = Page(render_report(context._replace(warnings=[], sections=[])))
    assert "warnings" not in page.ids
    assert page.ids[0] == "summary"


def test_everything_is_escaped(context):
    evil = "<script>alert(1)</script>\"'&"
    label = FeatureLabel(evil, evil, evil, evil)
    text = render_report(
        context._replace(
            name=evil,
            warnings=[evil],
            command=evil,
            provenance={evil: evil},
            features=[FeatureRow(label, 1, 2, 3, 4)],
            sections=[section._replace(title=evil, text=evil) for section in context.sections[:1]],
            penalties=[context.penalties[0]._replace(fit=evil)],
        )
    )
    assert "<script" not in text
    assert Page(text).words.count(evil) >= 9


def test_one_fixed_penalty_shows_no_losses(context):
    fixed = [penalty._replace(tried=(1.0,), loss=(float("nan"),)) for penalty in context.penalties]
    page = Page(render_report(context._replace(penalties=fixed, sections=[])))
    assert "nan" not in page.words.split()
    assert "penalties compared" not in page.words


def test_provenance_is_flat():
    record = {"a": 1, "b": {"c": None, "d": {"e": "x"}}}
    assert flattened(record) == [("a", "1"), ("b.c", "–"), ("b.d.e", "x")]


def test_the_command_and_the_counts_are_there(page, context):
    assert context.command in page.words
    for row in context.features:
        assert row.label.name in page.words
        assert f"{row.measured:,}" in page.words


@pytest.mark.parametrize(
    ("items", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists_in_words(items, text):
    assert listed(items) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "–"), (0.0, "0.000"), (0.0042, "0.0042"), (0.71, "0.710")],
)
def test_numbers(value, text):
    assert number(value) == text
