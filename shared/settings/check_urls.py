"""What is wrong with the URL of Redis, the broker or the database; the sentences quote nothing of it."""

from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from shared.database_url import PostgresAddress, parse_database_url
from shared.sentinel_url import is_sentinel_url, parse_sentinel_url

_REDIS: Final = ("redis", "rediss", "unix")
_PORT: Final = 6379
_AMQP: Final = ("amqp", "amqps", "pyamqp")
_REDIS_FORMS: Final = "redis://, rediss://, redis+sentinel://, rediss+sentinel:// or unix://"


def redis_fault(url: str) -> str:
    """Return what is wrong with redis.url; empty when nothing is."""
    if is_sentinel_url(url):
        return _sentinel_fault(url)
    parts = _split(url)
    if parts is None or parts.scheme not in _REDIS:
        return f"must begin with {_REDIS_FORMS}"
    if parts.scheme == "unix":
        return "" if parts.path.strip("/") else "must name a socket, as in unix:///run/redis.sock?db=0"
    if not _has_good_port(parts) or not parts.hostname:
        return f"must name a host, and a port that is a number: {parts.scheme}://host:6379/0"
    db = dict(parse_qsl(parts.query)).get("db", parts.path.strip("/"))
    return "" if not db or db.isdecimal() else f"must end in the number of a database: {parts.scheme}://host:6379/0"


def cluster_fault(url: str) -> str:
    """Return why redis.url does not go with redis.cluster; empty when it does, or has a fault of its own."""
    parts = _split(url)
    if redis_fault(url) or parts is None:
        return ""
    if is_sentinel_url(url):
        return "does not go with a redis.url of Sentinels: name a node of the cluster, or set cluster = false"
    if parts.scheme == "unix":
        return "needs nodes that are reached over TCP: redis.url must begin with redis:// or rediss://"
    db = dict(parse_qsl(parts.query)).get("db", parts.path.strip("/"))
    return "" if int(db or 0) == 0 else "has database 0 only: redis.url must end in /0"


def broker_fault(url: str) -> str:
    """Return what is wrong with modem.broker_url; empty when nothing is. RabbitMQ may be several, joined by `;`."""
    if url.partition("://")[0] not in _AMQP:
        fault = redis_fault(url)
        return f"{fault}, or amqp://host:5672// or amqps:// for RabbitMQ" if fault.startswith("must begin") else fault
    each = [_split(part) for part in url.split(";")]
    if all(parts and parts.scheme in _AMQP and parts.hostname and _has_good_port(parts) for parts in each):
        return ""
    return "must name a host, and a port that is a number: amqp://user:password@host:5672/vhost"


def is_same_server(one: str, other: str) -> bool:
    """Whether both are URLs of the same host and port."""
    both = [_split(url) for url in (one, other)]
    named = {(parts.hostname, parts.port or _PORT) for parts in both if parts and _has_good_port(parts)}
    return len(named) == 1 and all(parts and parts.scheme in _REDIS for parts in both)


def database_fault(url: str) -> str:
    """Return what is wrong with db.url; empty when nothing is."""
    try:
        parse_database_url(url)
    except ValueError as error:
        return str(error)
    return ""


def owner_fault(owner_url: str, url: str) -> str:
    """Return what is wrong with db.owner_url beside a db.url without a fault; empty when nothing is."""
    if fault := database_fault(owner_url):
        return fault
    owner, service = parse_database_url(owner_url), parse_database_url(url) if url else None
    if not isinstance(owner, PostgresAddress):
        return "is for PostgreSQL only: leave it empty"
    if not isinstance(service, PostgresAddress):
        return "goes with a PostgreSQL in db.url only: set db.url too, or leave it empty"
    if owner.role == service.role:
        return "must connect as another role than db.url: row-level security binds services that own nothing"
    return ""


def _sentinel_fault(url: str) -> str:
    try:
        parse_sentinel_url(url)
    except ValueError as error:
        return str(error)
    return ""


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _has_good_port(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False
