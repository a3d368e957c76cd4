"""The address of the broker for Celery: its URL in kombu's form, and the options of the transport."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.config import ModemConfig, RedisConfig
from shared.sentinel_url import SentinelAddress, is_sentinel_url, parse_sentinel_url

# The lease recovers runs, so redelivery by the broker only has to come later than any run can last.
VISIBILITY_TIMEOUT_SECONDS = 12 * 3600

_AMQP_SCHEMES: Final = ("amqp://", "amqps://", "pyamqp://")
# A Redis whose host is lost is noticed within half a minute, not after the two hours of Linux.
_KEEP_ALIVE: Final = {
    getattr(socket, name): value  # macOS has other names for them
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}
# A consumer acknowledges on the thread that waits for messages, and a Redis that hangs must not block it for ever. Its
# BRPOP is answered every second.
_MIN_CONSUMER_TIMEOUT_SECONDS: Final = 3.0
# How long a BRPOP may be overdue before its connection counts as dead.
_HEALTH_CHECK_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Settings of Celery and kombu that depend on which broker it is."""

    url: str = field(repr=False)
    transport_options: Mapping[str, Any] = field(repr=False)
    use_ssl: Mapping[str, str] | None = None
    consumer_arguments: Mapping[str, object] | None = None
    is_rabbit: bool = False


def broker_address(modem: ModemConfig, redis: RedisConfig, *, socket_timeout: float | None = None) -> BrokerAddress:
    """Return the address of modem.broker_url, or of redis.url when that is empty."""
    url = modem.broker_url.get_secret_value() or redis.url.get_secret_value()
    if url.startswith(_AMQP_SCHEMES):
        return _rabbit(url, socket_timeout)
    options = _redis_options(redis, socket_timeout)
    if is_sentinel_url(url):
        return _sentinels(parse_sentinel_url(url), redis, options)
    return BrokerAddress(_socket_url(url) if url.startswith("unix://") else url, options)


def _rabbit(url: str, socket_timeout: float | None) -> BrokerAddress:
    # A job counts as published once RabbitMQ has confirmed it.
    options: dict[str, Any] = {"max_retries": 1, "confirm_publish": True}
    if socket_timeout is not None:
        options |= {"read_timeout": socket_timeout, "write_timeout": socket_timeout}
    # RabbitMQ before 3.12 does not know it and closes the channel of a run of half an hour: the worker opens another.
    consumer_arguments = {"x-consumer-timeout": VISIBILITY_TIMEOUT_SECONDS * 1000}
    return BrokerAddress(url, options, consumer_arguments=consumer_arguments, is_rabbit=True)


def _redis_options(redis: RedisConfig, socket_timeout: float | None) -> dict[str, Any]:
    return {
        "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
        "socket_connect_timeout": redis.connect_timeout,
        "socket_timeout": socket_timeout or max(redis.command_timeout, _MIN_CONSUMER_TIMEOUT_SECONDS),
        "socket_keepalive": True,
        "socket_keepalive_options": _KEEP_ALIVE,
        "health_check_interval": _HEALTH_CHECK_SECONDS,
        "max_retries": 1,
    }


def _sentinels(address: SentinelAddress, redis: RedisConfig, options: dict[str, Any]) -> BrokerAddress:
    has_user = address.username or address.password
    user_info = f"{_quoted(address.username)}:{_quoted(address.password)}@" if has_user else ""
    urls = (f"sentinel://{user_info}{_authority(host, port)}/{address.db}" for host, port in address.sentinels)
    use_ssl = None if address.tls is None else {"ssl_cert_reqs": "required", **address.tls}
    options |= {
        "master_name": address.master_name,
        "sentinel_kwargs": {
            "username": address.sentinel_username,
            "password": address.sentinel_password,
            "socket_connect_timeout": redis.connect_timeout,
            "socket_timeout": redis.connect_timeout,
            "retry": Retry(NoBackoff(), 0),  # one that does not answer is passed over for the next
            **({"ssl": True, **use_ssl} if use_ssl else {}),
        },
    }
    return BrokerAddress(";".join(urls), options, use_ssl=use_ssl)


def _socket_url(url: str) -> str:
    parts = urlsplit(url)
    user_info, at, _ = parts.netloc.rpartition("@")
    db = parse_qs(parts.query).get("db", ["0"])[-1]
    return f"redis+socket://{user_info}{at}{parts.path}?virtual_host={db}"


def _quoted(text: str | None) -> str:
    return quote(text or "", safe="")


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
