"""Takes secrets out of text: API keys, bearer tokens, passwords in URLs, and values known to be secret."""

import json
import re
from collections.abc import Iterable
from typing import Final

from shared.secret_matcher import SecretMatcher

MASK: Final = "***"

_SECRET_NAME: Final = re.compile(
    r"(API_?KEY|ACCESS_KEY|SECRET(_KEY)?(_BASE)?|(PRIVATE|SIGNING|ENCRYPTION)_KEY|PASSWORD|PASSWD|PASSPHRASE|TOKEN)"
    r"(_?\d+)?$",
    re.IGNORECASE,
)
_NAMED: Final = (
    r"\b((?:[\w-]+[_-])?(?:api[_-]?key|password|passwd|client_secret|(?:access|refresh|auth)_token|authorization)"
    r"\\?[\"']?\s*[:=]\s*(?:basic\s+)?"
)
_PATTERNS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE if ignore_case else 0), replacement)
    for pattern, replacement, ignore_case in (
        (r"(://[^\s:/@\"'\\]*:)[^\s/\"'\\]+(?=@)", rf"\1{MASK}", False),
        (r"\b(bearer\s+)[\w.~+/=-]{8,}", rf"\1{MASK}", True),
        (r"\b(?:sk[-_]|xox[abp]-|gh[pousr]_|e2b_|dtn_|tvly-|AIza|AKIA)[\w-]{8,}", MASK, False),
        (r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*", MASK, False),
        (_NAMED + r"\\?\")[^\"\\]+", rf"\1{MASK}", True),
        (_NAMED + r"')[^']+", rf"\1{MASK}", True),
        (_NAMED + r")(?!(?:None|null|bearer)\b)[^\s\"',;&})\\]+", rf"\1{MASK}", True),
    )
)


def is_secret_name(name: str) -> bool:
    """Tell by its name whether a variable or key holds a secret, such as OPENAI_API_KEY or api_key."""
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
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text
