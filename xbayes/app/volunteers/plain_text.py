"""Text that people type: plain, of limited length, without characters that confuse a reader."""

import unicodedata

from xbayes.errors import InputError


def plain_text(text: str, most: int, what: str = "the text") -> str:
    """The text without control and direction characters, without spaces at its ends.

    Raises InputError if it is longer than `most` characters.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    # Surrogates cannot be stored; format characters (Cf) can turn the direction of a line.
    kept = (c for c in text if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))
    clean = unicodedata.normalize("NFC", "".join(kept)).strip()
    if len(clean) > most:
        raise InputError(f"{what} may have {most} characters; it has {len(clean)}")
    return clean


def needed_text(text: str, most: int, what: str = "the text") -> str:
    """As `plain_text`; InputError if nothing is left."""
    clean = plain_text(text, most, what)
    if not clean:
        raise InputError(f"{what} is empty; write something")
    return clean
