"""Takes secrets out of text: API keys, bearer tokens, passwords in URLs, and values known to be secret.

Texts come from outside, so every expression that is applied to them is one of re2, which takes linear time.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

import re2  # type: ignore[import-untyped] # it has no types

from shared.secret_matcher import SecretMatcher

MASK: Final = "***"

_SECRET_NAME: Final = re.compile(
    r"(API_?KEY|ACCESS_KEY|SECRET(_KEY)?(_BASE)?|(PRIVATE|SIGNING|ENCRYPTION)_KEY|PASSWORD|PASSWD|PASSPHRASE|TOKEN)"
    r"(_?\d+)?$",
    re.IGNORECASE,
)
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
        (r"\b(baud_[0-9a-f]{8}_)[\w-]{20,}", rf"\1{MASK}"),
        (rf"(?i){_NAMED}\\?\")[^\"\\]+", rf"\1{MASK}"),
        (rf"(?i){_NAMED}')[^']+", rf"\1{MASK}"),
    )
)
_NAMED_BARE: Final = re2.compile(rf"(?i){_NAMED})([^\s\"',;&}})\\]+)")
_NO_SECRET: Final = re2.compile(r"(?i)(?:none|null|bearer)\b")  # may stand where a secret would
# What every pattern needs: hardly any text holds any of it, and one search is cheaper than seven.
_HINTS: Final = re2.compile(
    r"(?i)://|bearer|api[_-]?key|passw|secret|_token|authorization|sk[-_]|xox|gh[pousr]_|e2b_|dtn_|tvly-|aiza|akia|eyj|baud_"
)


def is_secret_name(name: str) -> bool:
    """Whether the name of a variable or key is that of a secret, such as OPENAI_API_KEY or api_key."""
    return _SECRET_NAME.search(name) is not None


def redact_url(url: str) -> str:
    """Return the URL with its passwords masked, those among its options too."""
    return Redactor().redact(url)


class Redactor:
    """Masks what looks like a secret, and the given values, plain or as JSON writes them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if secret for form in (secret, json.dumps(secret)[1:-1])}
        self._known = SecretMatcher(forms, MASK)

    def redact(self, text: str) -> str:
        """Return the text with each secret replaced by ***."""
        text = self._known.mask(text)
        if not _HINTS.search(text):
            return text
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return str(_NAMED_BARE.sub(_mask_bare, text))


def _mask_bare(match: Any) -> str:  # of re2, which has no types
    return str(match[0] if _NO_SECRET.match(match[2]) else match[1] + MASK)
