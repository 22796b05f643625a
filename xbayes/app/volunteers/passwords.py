"""Passwords: the rules, and argon2 hashes."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from xbayes.errors import InputError

SHORTEST, LONGEST = 12, 128  # characters; a limit keeps the time of hashing small
# Parts that common passwords are made of, after LOOKALIKES.
WORDS = """
password passwort motdepasse passw0rd pass word secret geheim letmein welcome bienvenue hello
bonjour iloveyou jetaime love monkey dragon master sunshine princess football baseball soccer
superman batman starwars pokemon michael jennifer jordan shadow trustno freedom whatever
computer internet google facebook samsung apple login admin administrator root user guest test
testing demo default changeme change qwerty qwertyuiop qwertz azerty azertyuiop asdf asdfgh
asdfghjkl zxcv zxcvbn zxcvbnm yxcvbnm qazwsx wsxedc qaz wsx edc rfv abc abcd abcdef abcdefgh
alphabet xbayes claxson volunteer volunteers astronomy astronomer galaxy chandra newton xmm star
stars space correct horse battery staple the is my and i a
"""
COMMON = tuple(WORDS.split())
LOOKALIKES = str.maketrans("013457@$!", "oieastasi")


def check_password(password: str, name: str = "") -> str:
    """The password as it is hashed: normalised, so that keyboards give the same.

    Raises
    ------
    InputError
        If it is too short or long, common, or made of the name of the account.
    """
    password = unicodedata.normalize("NFKC", password)
    if len(password) < SHORTEST:
        raise InputError(f"a password has at least {SHORTEST} characters; this has {len(password)}")
    if len(password) > LONGEST:
        raise InputError(f"a password has at most {LONGEST} characters; this has {len(password)}")
    plain = password.casefold()
    if name and _is_made_of(plain, (name.casefold(),)):
        raise InputError("the password is the name of the account; choose another")
    if _is_monotonous(plain) or _is_made_of(plain, COMMON):
        raise InputError("the password is easily guessed; choose another, such as four rare words")
    return password


def _is_monotonous(password: str) -> bool:
    """Whether it repeats a short part, or counts up or down."""
    repeated = re.fullmatch(r"(.{1,4}?)\1+.{0,3}", password, re.DOTALL)
    steps = [ord(b) - ord(a) for a, b in pairwise(password)]
    regular = sum(step in (-1, 0, 1) for step in steps)
    return repeated is not None or regular >= 0.75 * len(steps)


def _is_made_of(password: str, parts: Sequence[str]) -> bool:
    """Whether nothing is left but the parts, digits and marks."""
    written = (password, password.translate(LOOKALIKES))
    reached = [True] + [False] * len(password)  # whether the password up to here is made of parts
    for at, character in enumerate(password):
        if reached[at]:
            reached[at + 1] |= not character.isalpha()
            for part in parts:
                if any(each.startswith(part, at) for each in written):
                    reached[at + len(part)] = True
    return reached[-1]


@cache
def _hasher() -> PasswordHasher:
    # The settings that OWASP recommends for argon2id: a log-in takes 19 MiB and some 30 ms.
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


@cache
def _nobody() -> str:
    return _hasher().hash("the password of nobody")


def hash_password(password: str) -> str:
    """The hash that is stored."""
    return _hasher().hash(password)


def is_password(stored: str | None, password: str) -> bool:
    """Whether the password is right. It takes as long for an account that does not exist."""
    password = unicodedata.normalize("NFKC", password[: LONGEST * 4])
    try:
        right = _hasher().verify(stored or _nobody(), password)
    except (VerificationError, InvalidHashError):
        right = False
    return right and stored is not None


def needs_new_hash(stored: str) -> bool:
    """Whether the hash was made with earlier settings."""
    return _hasher().check_needs_rehash(stored)
