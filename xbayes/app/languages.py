"""The languages of the site, in gettext catalogues: a further language is one more file."""

import gettext
from functools import cache
from pathlib import Path

from starlette.requests import Request

LOCALE = Path(__file__).parent / "locale"
DOMAIN, SOURCE = "xbayes", "en"


@cache
def languages() -> tuple[str, ...]:
    """The codes of the languages: English, and those with a catalogue."""
    found = (path.name for path in LOCALE.iterdir() if translations_of(path.name) is not None)
    return (SOURCE, *sorted(found))


def language_of(request: Request) -> str:
    """The language asked for by ?lang=, else the one chosen before, else the browser's."""
    browser = request.headers.get("accept-language", "")
    wanted = [request.query_params.get("lang", ""), request.cookies.get("lang", "")]
    wanted += [part.split(";")[0].strip()[:2].lower() for part in browser.split(",")]
    return next((code for code in wanted if code in languages()), SOURCE)


@cache
def translations_of(code: str) -> gettext.NullTranslations | None:
    """The translations of a language; None if it has no catalogue."""
    if code == SOURCE:
        return gettext.NullTranslations()
    path = LOCALE / code / "LC_MESSAGES" / f"{DOMAIN}.po"
    return _read_po(path) if path.is_file() else None


@cache
def language_name(code: str) -> str:
    """The name of a language in itself: 'Français'."""
    from babel import Locale

    name = Locale.parse(code).get_display_name(code) or code
    return name[:1].upper() + name[1:]


def _read_po(path: Path) -> gettext.NullTranslations:
    """A catalogue as translators write it: no compiled file has to be kept beside it."""
    import io

    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file))
    compiled.seek(0)
    return _Translations(compiled)


class _Translations(gettext.GNUTranslations):
    """A catalogue; its header, which gettext gives for an empty text, is no text of a page."""

    def gettext(self, message: str) -> str:
        """The translation of a text."""
        return super().gettext(message) if message else ""
