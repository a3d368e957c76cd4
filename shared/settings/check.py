"""Checks that concern more than one key."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from shared.config import IsolationKind, LLMConfig, Network
from shared.providers import MODELS, SANDBOXES
from shared.settings.check_auth import auth_conflicts
from shared.settings.check_urls import (
    broker_fault,
    cluster_fault,
    database_fault,
    is_same_server,
    owner_fault,
    redis_fault,
)
from shared.settings.model import Settings
from shared.settings.problem import Problem

_HOST: Final = re.compile(r"(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?|[0-9A-Fa-f:.]{2,45}")
_NO_BROKER_IN_A_CLUSTER: Final = (
    "must name another server when redis.cluster is true, since Celery's queue cannot live in a Redis Cluster: "
    "name a Redis of its own, as in redis://host:6379/0, or a RabbitMQ, as in amqp://host:5672//"
)


def find_conflicts(settings: Settings) -> Iterator[Problem]:
    """Yield each conflict, under the key that most likely has to change."""
    yield from _redis(settings)
    yield from _database(settings)
    yield from _hosts(settings)
    yield from _proxies(settings)
    yield from _times(settings)
    yield from _models(settings)
    yield from _model_providers(settings)
    yield from _sandbox(settings)
    yield from auth_conflicts(settings.auth)
    if settings.cors.allow_credentials and "*" in settings.cors.allow_origins:
        yield Problem(("cors", "allow_origins"), '"*" does not go with cors.allow_credentials: list the origins')


def _redis(settings: Settings) -> Iterator[Problem]:
    if fault := redis_fault(settings.redis.url.get_secret_value()):
        yield Problem(("redis", "url"), fault)
    broker = settings.modem.broker_url.get_secret_value()
    if settings.redis.cluster:
        if fault := cluster_fault(settings.redis.url.get_secret_value()):
            yield Problem(("redis", "cluster"), fault)
        if not broker or is_same_server(broker, settings.redis.url.get_secret_value()):
            yield Problem(("modem", "broker_url"), _NO_BROKER_IN_A_CLUSTER)
    if broker and (fault := broker_fault(broker)):
        yield Problem(("modem", "broker_url"), fault)


def _database(settings: Settings) -> Iterator[Problem]:
    url, owner_url = settings.db.url.get_secret_value(), settings.db.owner_url.get_secret_value()
    if url and (fault := database_fault(url)):
        yield Problem(("db", "url"), fault)
    elif owner_url and (fault := owner_fault(owner_url, url)):
        yield Problem(("db", "owner_url"), fault)


def _proxies(settings: Settings) -> Iterator[Problem]:
    proxies = settings.gateway.trusted_proxies
    if "*" in proxies and len(proxies) > 1:
        sentence = '"*" stands alone: it trusts everybody, and beside addresses it would count for nothing'
        yield Problem(("gateway", "trusted_proxies"), sentence)
    for proxy in proxies:
        if proxy != "*" and not _is_network(proxy):
            yield Problem(
                ("gateway", "trusted_proxies"), f"{proxy!r} is no address, no network such as 10.0.0.0/8, nor *"
            )


def _hosts(settings: Settings) -> Iterator[Problem]:
    for host in settings.gateway.allowed_hosts:
        if host != "*" and _HOST.fullmatch(host) is None:
            sentence = f"{host!r} is no host name: leave out scheme and port, as in baud.example, *.baud.example or ::1"
            yield Problem(("gateway", "allowed_hosts"), sentence)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _times(settings: Settings) -> Iterator[Problem]:
    modem, stream = settings.modem, settings.stream
    if modem.renew_seconds >= modem.lease_seconds / 2:
        limit = f"modem.lease_seconds / 2 = {modem.lease_seconds / 2:g}"
        yield Problem(("modem", "renew_seconds"), f"must be below {limit}, so that one lost renewal loses no lease")
    for name in ("idle_timeout", "max_duration"):
        if stream.keep_alive_interval >= getattr(stream, name):
            yield Problem(("stream", "keep_alive_interval"), f"must be below stream.{name} = {getattr(stream, name):g}")


def _models(settings: Settings) -> Iterator[Problem]:
    for name in ("planning_llm", "execution_llm"):
        wanted = getattr(settings.agent, name)
        if wanted and wanted not in settings.named_llm:
            known = ", ".join(sorted(settings.named_llm)) or "none"
            yield Problem(("agent", name), f"there is no [llm.{wanted}]; named models: {known}")
    for table, model in settings.tables():
        if isinstance(model, LLMConfig) and model.retry_min_wait > model.retry_max_wait:
            yield Problem((*table, "retry_min_wait"), f"must not exceed retry_max_wait = {model.retry_max_wait:g}")


def _model_providers(settings: Settings) -> Iterator[Problem]:
    inherited = settings.llm.provider
    chosen = {("llm",): inherited} | {("llm", name): model.provider for name, model in settings.named_llm.items()}
    for table, provider in chosen.items():
        is_own = len(table) == 1 or provider != inherited
        if is_own and provider != "auto" and not MODELS.has(provider):
            yield Problem((*table, "provider"), f"unknown provider (allowed: {', '.join(('auto', *MODELS.names()))})")


def _sandbox(settings: Settings) -> Iterator[Problem]:
    sandbox = settings.sandbox
    if not SANDBOXES.has(sandbox.provider):
        yield Problem(("sandbox", "provider"), f"unknown provider (allowed: {', '.join(SANDBOXES.names())})")
    if sandbox.provider == "local" and sandbox.network is Network.ALLOW_LIST:
        yield Problem(("sandbox", "network"), "the local provider has no allow-list: use none or open")
    if settings.env == "prod" and sandbox.isolation is IsolationKind.PROCESS:
        yield Problem(("sandbox", "isolation"), "process is refused when ENV is prod: use bubblewrap or auto")
