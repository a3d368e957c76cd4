"""Which URLs may be asked for keys and sign-in: https, or http of this machine; sentences quote nothing of them."""

import ipaddress
from typing import Final
from urllib.parse import SplitResult, urlsplit

_MAX_CHARS: Final = 2048


def secure_url_fault(url: str) -> str:
    """Return what is wrong with a URL, as the predicate of a sentence; empty when nothing is."""
    parts = _split(url)
    if parts is None or not parts.hostname:
        return "must be a URL, as in https://issuer.example/realm"
    if parts.username is not None or parts.password is not None:
        return "must hold neither a user nor a password"
    if parts.fragment:
        return "must end before the #"
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname)):
        return ""
    return "must begin with https://; http:// only for an address of this machine, such as http://127.0.0.1:8080"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: localhost, 127.0.0.0/8 or ::1."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(url: str) -> SplitResult | None:
    if len(url) > _MAX_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else None
    except ValueError:  # brackets that do not match, a port that is no number
        return None
