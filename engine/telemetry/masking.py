"""Secrets never reach a log: masked by the name they go by, by their value, and by the words around them."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final, NoReturn
from urllib.parse import quote, quote_plus

from engine.core.errors import BadInput

#: What is shown instead.
MASK: Final = "***"
#: A shorter value would blank out half of every line, and hides nothing from a guesser.
SECRET_CHARACTERS_MIN: Final = 4

# Long words mark a key wherever they stand in it; short ones only as a whole word of it (`pin`, never `spinning`).
_TELLING_PARTS: Final = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "authorization",
    "credential",
    "cookie",
    "privatekey",
    "signature",
)
_TELLING_WORDS: Final = frozenset({"auth", "bearer", "mfa", "otp", "totp", "pin", "pwd", "refresh", "seed_phrase"})
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# `password=…`, `"refresh_token": "…"`, `Authorization: Bearer …` inside a sentence.
_IN_TEXT: Final = re.compile(
    r"""(?ix)
    ( (?: password|passwd|passphrase|secret|token|api[_-]?key|authorization|credential|cookie|private[_-]?key
              | (?<![a-z]) (?: mfa|otp|totp|pwd ) ) [\w-]* ["']? \s* [=:] \s* ["']? (?: (?:bearer|basic|token) \s+ )? )
    [^\s"',;&)}\]]+
    """
)
# One look that clears nearly every text.
_TELLING: Final = re.compile(r"(?i)pass|secret|token|key|auth|credential|cookie|mfa|otp|pwd|bearer|basic")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic) +(?=[\w.~+/=-]*\d)[\w.~+/=-]{8,}")

# Every spelling in which a registered value may turn up, longest first, so that no spelling hides part of another.
_values: tuple[str, ...] = ()


class Secret:
    """Carry a secret so that printing, formatting and logging show a mask; `reveal()` is the one way out.

    Its value is also masked wherever it turns up in a log, if it has at least four characters.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        if len(value) >= SECRET_CHARACTERS_MIN:
            mask_value(value)

    def reveal(self) -> str:
        """Return the secret itself, to hand it to what needs it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, specification: str) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Secret is not pickled: hand over what made it instead.")


def mask_value(value: str) -> None:
    """Mask a value, and its encoded spellings, wherever it turns up in a log from now on.

    Raises BadInput for a value of fewer than four characters.
    """
    global _values  # noqa: PLW0603 - one process has one set of secrets; a tuple is swapped in whole, so threads are safe
    if len(value) < SECRET_CHARACTERS_MIN:
        raise BadInput(
            f"A secret of {len(value)} characters cannot be masked in logs: use one of {SECRET_CHARACTERS_MIN} or more."
        )
    spellings = {
        value,
        quote(value, safe=""),
        quote_plus(value),
        base64.b64encode(value.encode()).decode(),
        repr(value)[1:-1],
    }
    _values = tuple(sorted({*_values, *spellings}, key=lambda text: (-len(text), text)))


def forget_masked_values() -> None:
    """Forget every value that was registered, for tests and for a process that has dropped its logins."""
    global _values  # noqa: PLW0603 - as above
    _values = ()


def masked_text(text: str) -> str:
    """Return a text without the secrets in it."""
    for value in _values:
        if value in text:
            text = text.replace(value, MASK)
    if not _TELLING.search(text):
        return text
    text = _IN_TEXT.sub(rf"\1{MASK}", text)
    return _BEARER.sub(rf"\1 {MASK}", text)


@lru_cache(maxsize=4_096)
def is_secret_name(name: str) -> bool:
    """Return whether what goes by this name is a secret."""
    words = [word.lower() for word in _WORD.findall(name)]
    joined = "".join(words)
    return any(part in joined for part in _TELLING_PARTS) or not _TELLING_WORDS.isdisjoint(words)


def masked(value: object) -> object:
    """Return a value as plain JSON types, without the secrets in it; unknown objects become their masked text."""
    match value:
        case None | bool():
            return value
        case int() | float() | Decimal():
            # A number can be a secret too (a code of six digits), so it is looked up by its text.
            return MASK if _values and str(value) in _values else value
        case str():
            return masked_text(str(value))
        case Mapping():
            return masked_fields(value)
        case list() | tuple() | set() | frozenset():
            return [masked(item) for item in value]
        case bytes() | bytearray():
            return masked_text(bytes(value).decode("utf-8", errors="backslashreplace"))
        case _:
            return masked_text(str(value))


def masked_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """Return named values without the secrets among them and in them."""
    return {
        masked_text(str(name)): MASK if value is not None and is_secret_name(str(name)) else masked(value)
        for name, value in fields.items()
    }
