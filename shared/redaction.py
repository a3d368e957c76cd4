"""Takes secrets out of text: API keys, bearer tokens, passwords in URLs, and values known to be secret.

Texts come from outside, so every expression that meets them is one of re2, whose time grows with the text and no more.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import re2  # type: ignore[import-untyped] # it has no types

MASK: Final = "***"

_SECRET_NAME: Final = re.compile(r"(API_?KEY|ACCESS_KEY|SECRET|PASSWORD|PASSWD|TOKEN)$", re.IGNORECASE)
_URL_NAME: Final = re.compile(r"UR[LI]$", re.IGNORECASE)
_MIN_LENGTH: Final = 8  # shorter values would mask ordinary words
_NAMED: Final = (
    r"((?:\b|_)(?:api[_-]?key|password|passwd|client_secret|(?:access|refresh|auth)_token|authorization)"
    r"\\?[\"']?\s*[:=]\s*(?:basic\s+)?"
)
_PATTERNS: Final = tuple(
    (re2.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(://[^\s:/@\"'\\]*:)[^\s/\"'\\]+@", rf"\1{MASK}@"),
        (r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}", rf"\1{MASK}"),
        (r"\b(?:sk[-_]|xox[abp]-|gh[pousr]_|e2b_|dtn_|tvly-|AIza|AKIA)[\w-]{8,}", MASK),
        (r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*", MASK),
        (rf"(?i){_NAMED}\\?\")[^\"\\]+", rf"\1{MASK}"),
        (rf"(?i){_NAMED}')[^']+", rf"\1{MASK}"),
    )
)
_NAMED_BARE: Final = re2.compile(rf"(?i){_NAMED})([^\s\"',;&}})\\]+)")
_NO_SECRET: Final = re2.compile(r"(?i)(?:none|null|bearer)\b")  # may stand where a secret would
# What every pattern needs: nearly no text holds any of it, and one look is cheaper than seven.
_HINTS: Final = re2.compile(
    r"(?i)://|bearer|api[_-]?key|passw|secret|_token|authorization|sk[-_]|xox|gh[pousr]_|e2b_|dtn_|tvly-|aiza|akia|eyj"
)


def is_secret_name(name: str) -> bool:
    """Tell by its name whether a variable or key holds a secret, such as OPENAI_API_KEY or api_key."""
    return _SECRET_NAME.search(name) is not None


def secret_values(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the secrets of an environment: values by their variable's name, passwords out of URLs."""
    named = {value for name, value in environ.items() if is_secret_name(name)}
    urls = (value for name, value in environ.items() if _URL_NAME.search(name))
    found = named | {password for url in urls for password in _passwords(url)}
    return frozenset(value for value in found if len(value) >= _MIN_LENGTH)


def _passwords(url: str) -> tuple[str, ...]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ()
    options = [value for name, value in parse_qsl(parts.query) if is_secret_name(name)]
    return (parts.password, unquote(parts.password), *options) if parts.password else tuple(options)


def redact_url(url: str) -> str:
    """Return the URL with its passwords masked, those among its options too."""
    return Redactor().redact(url)


class Redactor:
    """Masks what looks like a secret, and the given values, plain or as JSON writes them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if secret for form in (secret, json.dumps(secret)[1:-1])}
        longest_first = sorted(forms, key=len, reverse=True)
        self._known: Any = re2.compile("|".join(map(re2.escape, longest_first))) if forms else None

    def redact(self, text: str) -> str:
        """Return the text with each secret replaced by ***."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        if not _HINTS.search(text):
            return text
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return str(_NAMED_BARE.sub(_mask_bare, text))


def _mask_bare(match: Any) -> str:  # of re2, which has no types
    return str(match[0] if _NO_SECRET.match(match[2]) else match[1] + MASK)
