"""The names of accounts and guests: pseudonyms that everyone sees."""

import re
import secrets
import unicodedata

from xbayes.errors import InputError

SHORTEST, LONGEST = 3, 30  # characters
RESERVED = ("guest", "former", "admin", "administrator", "moderator", "xbayes", "root", "system")


def clean_name(name: str) -> str:
    """The name of a new account, normalised.

    Raises
    ------
    InputError
        If it has other characters than letters, digits and - _ . or single spaces, is too short
        or long, or is reserved.
    """
    name = unicodedata.normalize("NFKC", name).strip()
    if not SHORTEST <= len(name) <= LONGEST:
        raise InputError(f"a name has {SHORTEST} to {LONGEST} characters; found {len(name)}")
    if not re.fullmatch(r"\w(?:[\w.-]| (?! ))*[\w.-]", name):
        raise InputError(
            "a name has letters, digits, '-', '_', '.' and single spaces, and starts with a letter "
            f"or digit; found {name!r}"
        )
    if re.split(r"[\W_]", name_key(name))[0] in RESERVED:
        raise InputError(f"the name {name!r} is reserved; choose another")
    return name


def name_key(name: str) -> str:
    """What two names may not share: the name without case and marks of composition."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def guest_name() -> str:
    """A new pseudonym of a guest."""
    return f"guest-{secrets.token_hex(4)}"


def former_name(user_id: int) -> str:
    """The pseudonym that replaces the name of a deleted account."""
    return f"former-{user_id}"
