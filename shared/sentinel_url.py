"""The address of a Redis that Sentinels watch, out of redis+sentinel://user:password@host:26379,host:26379/master/0."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

SENTINEL_FORM: Final = "redis+sentinel://user:password@host:26379,host:26379/master_name/0"

_SCHEMES: Final = ("redis+sentinel", "rediss+sentinel")
_DEFAULT_PORT: Final = 26379
_CREDENTIALS: Final = ("sentinel_username", "sentinel_password")
_TLS_OPTIONS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """Where the Sentinels are, which master they are asked for, and who asks; `tls` is None without TLS."""

    sentinels: tuple[tuple[str, int], ...]
    master_name: str
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    tls: Mapping[str, str] | None = None


def is_sentinel_url(url: str) -> bool:
    """Whether a URL has a scheme of Sentinels."""
    return url.partition("://")[0] in _SCHEMES


def parse_sentinel_url(url: str) -> SentinelAddress:
    """Return what the URL names. Raises ValueError, whose text quotes nothing of the URL, which may be secret."""
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    if "?" in authority or "#" in authority:
        raise ValueError(f"names no master: the form is {SENTINEL_FORM}")
    # Without the hosts: Python's parser refuses an address in brackets that is not the only one.
    parts = urlsplit(f"{scheme}://hosts/{path}")
    user_info, _, hosts = authority.rpartition("@")
    username, _, password = user_info.partition(":")
    master_name, _, db = parts.path.strip("/").partition("/")
    if not master_name:
        raise ValueError(f"names no master: the form is {SENTINEL_FORM}")
    if db and not db.isdecimal():
        raise ValueError("the part after the master's name must be the number of the database")
    options = _options(parts.query, has_tls=parts.scheme == _SCHEMES[1])
    return SentinelAddress(
        sentinels=tuple(_host_and_port(place, text) for place, text in enumerate(hosts.split(","), 1)),
        master_name=unquote(master_name),
        db=int(db or 0),
        username=unquote(username) or None,
        password=unquote(password) or None,
        sentinel_username=options.pop("sentinel_username", None),
        sentinel_password=options.pop("sentinel_password", None),
        tls=options if parts.scheme == _SCHEMES[1] else None,
    )


def _options(query: str, *, has_tls: bool) -> dict[str, str]:
    options = {name: values[-1] for name, values in parse_qs(query).items()}
    allowed = (*_CREDENTIALS, *_TLS_OPTIONS) if has_tls else _CREDENTIALS
    if not options.keys() <= set(allowed):
        raise ValueError(f"has an option that is not known (allowed: {', '.join(allowed)})")
    return options


def _host_and_port(place: int, text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port
    except ValueError:
        raise ValueError(f"Sentinel {place} must be host:port") from None
    if not parts.hostname:
        raise ValueError(f"Sentinel {place} must be host:port")
    return parts.hostname, port or _DEFAULT_PORT
