"""Each text of the site has a French translation, and a further language is one file."""

import re
import shutil

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po

from xbayes.app import languages as module
from xbayes.app.languages import LOCALE, languages, translations_of
from xbayes.app.request import TEMPLATES
from xbayes.app.volunteers.tables import Role
from xbayes.report.summary import CLASS_SCORES, OVERALL

KEYWORDS = {"_": None, "ngettext": (1, 2)}
PO = "LC_MESSAGES/xbayes.po"


def extracted():
    """The texts of the templates and of the code, as a translator extracts them."""
    with (LOCALE / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)
    found = extract_from_dir(TEMPLATES.parent, methods, options, KEYWORDS)
    return {message for _, _, message, _, _ in found}


def french():
    """The messages of the French catalogue."""
    with (LOCALE / "fr" / PO).open("rb") as file:
        return {message.id: message for message in read_po(file) if message.id}


def placeholders(text):
    """What a text is formatted with: names in any order, others in their own."""
    named = sorted(re.findall(r"%\(\w+\)s", text))
    return named, re.findall(r"%s", text), text.count("%%")


def test_every_text_has_a_french_translation():
    assert extracted() == set(french())


def test_french_is_complete_and_formats_as_english_does():
    for words, message in french().items():
        pairs = [words] if isinstance(words, str) else words
        strings = [message.string] if isinstance(words, str) else message.string
        assert not message.fuzzy
        assert len(pairs) == len(strings)
        for one, other in zip(pairs, strings, strict=True):
            assert other.strip(), one
            assert placeholders(one) == placeholders(other), one


def test_words_of_other_rooms_are_translated():
    words = {title for title, _ in OVERALL.values()} | set(CLASS_SCORES) | set(Role)
    assert words <= set(french())


def test_plurals_are_french():
    given = translations_of("fr")
    texts = [given.ngettext("%(n)s day", "%(n)s days", n) for n in (0, 1, 2)]
    assert texts == ["%(n)s jour", "%(n)s jour", "%(n)s jours"]


@pytest.fixture
def another_language(tmp_path, monkeypatch):
    """The locales with one more file: Spanish."""
    folder = tmp_path / "locale"
    shutil.copytree(LOCALE, folder)
    (folder / "es" / PO).parent.mkdir(parents=True)
    (folder / "es" / PO).write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
        'msgid "Sky map"\nmsgstr "Mapa del cielo"\n',
        encoding="utf-8",
    )
    monkeypatch.setattr(module, "LOCALE", folder)
    _forget()
    yield
    _forget()


def _forget():
    languages.cache_clear()
    translations_of.cache_clear()


def test_a_further_language_is_one_file(another_language, ask):
    assert languages() == ("en", "es", "fr")
    page = ask.get("/sky?lang=es", headers={"accept-language": "fr"}).text
    ask.cookies.clear()
    assert '<html lang="es">' in page
    assert "Mapa del cielo" in page
    assert "Catalogue" in page  # a text without a translation stays English


def test_the_browser_chooses_the_language(ask):
    page = ask.get("/sky", headers={"accept-language": "fr-CA,en;q=0.5"}).text
    assert "Carte du ciel" in page
    assert "Classer une source" in page
