"""Which values of an environment are secrets, and the forms in which a program may print one."""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from shared.redaction import is_secret_name

MIN_LENGTH: Final = 8  # characters; shorter values would mask ordinary words

# Variables with such names hold a path, a flag or a name as often as a secret.
_WEAK_NAME: Final = re.compile(
    r"(^|_)(CREDENTIALS?|CREDS|AUTH|AUTHORIZATION|PWD|(SSH|DEPLOY|PRIVATE|SIGNING|ENCRYPTION)_?KEY|COOKIE|JWT)(_?\d+)?$",
    re.IGNORECASE,
)
_WHOLE_NAME: Final = re.compile(
    r"(^|_)(PAT|PASS|PASSCODE|PIN|BEARER|DSN|CONN(ECTION)?_?STR(ING)?|WEBHOOK(_UR[LI])?|SAS|AWS_ACCESS_KEY_ID"
    r"|(ACCOUNT|AUTH|MASTER|LICENSE|FERNET|ENCRYPT|HMAC|SHARED|STORAGE|SUBSCRIPTION|APP)_?KEY)(_?\d+)?$",
    re.IGNORECASE,
)
_FOLDER_NAMES: Final = frozenset({"PWD", "OLDPWD"})
_PATH: Final = re.compile(r"(~|\.{1,2})?/[\w.@ -]+(/[\w.@ -]{1,255})*/?|[A-Za-z]:\\.*")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}://[^\s\"'<>]+")
_OPTION: Final = re.compile(r"(?:^|[;\s&?])([A-Za-z_ ]{1,40})=([^;\s&]+)")
_OPTION_NAME: Final = re.compile(r"(pwd|password|pass|secret|token|key|signature|sig|credentials?)$", re.IGNORECASE)
# Values that occur in ordinary text and are not masked.
_TRIVIAL: Final = frozenset({
    "password", "passw0rd", "password1", "changeme", "change-me", "postgres", "postgresql", "rabbitmq", "localhost",
    "disabled", "required", "optional", "undefined", "redacted", "external", "internal", "anonymous", "username",
    "admin123", "12345678", "123456789", "1234567890", "qwertyui", "production", "development", "placeholder",
})  # fmt: skip


def secret_values(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the secrets of an environment: by their variable's name, out of URLs and out of structured values."""
    found = {part for name, value in environ.items() for part in _parts(name, value.strip())}
    return frozenset(value for value in found if _is_worth_masking(value))


def secret_forms(values: Iterable[str]) -> frozenset[str]:
    """Return the values as they are and as JSON, a URL, HTML, base64 or a hex dump holds them."""
    return frozenset(form for value in values for form in _forms(value) if len(form) >= MIN_LENGTH)


def _parts(name: str, value: str) -> Iterator[str]:
    if _is_secret(name, value):
        yield from _value_and_lines(value)
        yield from _last_word(value)
        yield from _members(value)
        yield from _options(value)
    yield from _passwords_in_urls(value)


def _is_secret(name: str, value: str) -> bool:
    if name in _FOLDER_NAMES:
        return False
    if is_secret_name(name) or _WHOLE_NAME.search(name):
        return not (_PATH.fullmatch(value) and "KEY" in name.upper())
    return bool(_WEAK_NAME.search(name)) and not _PATH.fullmatch(value)


def _value_and_lines(value: str) -> Iterator[str]:
    """Return a value, and each line of one with several: output comes in lines."""
    yield value
    text = value.replace("\\n", "\n")  # as keys are often written into one line
    if "\n" not in text:
        return
    yield text
    if not text.startswith("{"):
        yield from (line for each in text.splitlines() if not (line := each.strip()).startswith("-----"))


def _last_word(value: str) -> Iterator[str]:
    """Return the secret part of `Bearer x` and of `user:password`."""
    scheme, _, token = value.partition(" ")
    if scheme.lower() in ("bearer", "basic", "token"):
        yield token.strip()
    user, _, password = value.partition(":")
    if user.isidentifier() and not password.startswith("//"):
        yield password


def _members(value: str) -> Iterator[str]:
    """Return the secret members of a value that is a JSON object, such as the key of a service account."""
    if not value.startswith("{"):
        return
    try:
        waiting = [json.loads(value)]
    except (ValueError, RecursionError):
        return
    while waiting:
        node = waiting.pop()
        children = node.items() if isinstance(node, dict) else ()
        for name, child in children:
            if isinstance(child, str) and (is_secret_name(name) or _WEAK_NAME.search(name)):
                yield from _value_and_lines(child)
        waiting.extend(child for _, child in children)
        waiting.extend(node if isinstance(node, list) else ())


def _options(value: str) -> Iterator[str]:
    """Return the passwords of a connection string: `Server=x;Password=y`, `host=x password=y`."""
    return (found[2] for found in _OPTION.finditer(value) if _OPTION_NAME.search(found[1]))


def _passwords_in_urls(value: str) -> Iterator[str]:
    for found in _URL.finditer(value):
        for address in re.split(r",(?=[A-Za-z][\w+.-]*://)", found[0]):
            yield from _passwords(address)


def _passwords(address: str) -> Iterator[str]:
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    for option, value in parse_qsl(parts.query):
        if is_secret_name(option) or _OPTION_NAME.fullmatch(option):
            yield value
    # Where there is no password, a long user name is a token.
    secret = parts.password or (parts.username if parts.username and len(parts.username) >= 16 else None)
    if secret:
        yield from (secret, unquote(secret))


def _is_worth_masking(value: str) -> bool:
    return len(value) >= MIN_LENGTH and value.lower() not in _TRIVIAL and len(set(value)) > 2


def _forms(value: str) -> Iterator[str]:
    raw = value.encode("utf-8", "surrogateescape")
    yield from _json_forms(value)
    yield from (quote(raw, safe=""), quote(raw), quote_plus(raw), html.escape(value))
    yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quote(raw, safe=""))
    yield raw.hex()
    yield raw.hex().upper()
    for standard in (*_base64_forms(raw), *_base64_lines(raw)):
        yield standard
        yield standard.replace("+", "-").replace("/", "_")


def _json_forms(value: str) -> Iterator[str]:
    """Return a value as it is, as JSON holds it, and as JSON inside of JSON does."""
    forms = {value}
    for _ in range(2):
        forms |= {json.dumps(form, ensure_ascii=ascii_)[1:-1] for form in forms for ascii_ in (True, False)}
    yield from forms


def _base64_forms(raw: bytes) -> Iterator[str]:
    """Return the base64 text of a value at each of its three alignments in an encoded text."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode()
        begin = (0, 2, 3)[before]  # the first characters also encode what comes before
        rest = (before + len(raw)) % 3
        end = len(encoded) - (0, 3, 2)[rest]  # and the last encode what comes after
        yield encoded[begin:end]


def _base64_lines(raw: bytes) -> Iterator[str]:
    """Return the lines of a value that is encoded alone: base64 breaks at 76 characters, OpenSSL at 64."""
    encoded = base64.b64encode(raw).decode()
    for width in (64, 76):
        if len(encoded) > width:
            yield from (encoded[begin : begin + width] for begin in range(0, len(encoded), width))
