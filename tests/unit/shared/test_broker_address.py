"""The settings of Celery for each kind of broker."""

import pytest
from pydantic import SecretStr

from shared.broker.address import VISIBILITY_TIMEOUT_SECONDS, BrokerAddress, broker_address
from shared.config import ModemConfig, RedisConfig


def address_of(redis_url: str, broker_url: str = "", *, socket_timeout: float | None = None) -> BrokerAddress:
    redis = RedisConfig(url=SecretStr(redis_url))
    return broker_address(ModemConfig(broker_url=SecretStr(broker_url)), redis, socket_timeout=socket_timeout)


def test_sentinels_are_named_one_by_one_with_the_masters_credentials() -> None:
    found = address_of("redis+sentinel://us:p%2F%3B@one:1,[::1]:2/main/7?sentinel_password=other")
    assert found.url == "sentinel://us:p%2F%3B@one:1/7;sentinel://us:p%2F%3B@[::1]:2/7"
    assert found.use_ssl is None
    assert found.transport_options["master_name"] == "main"
    assert found.transport_options["visibility_timeout"] == VISIBILITY_TIMEOUT_SECONDS
    assert found.transport_options["sentinel_kwargs"]["password"] == "other"


def test_tls_holds_for_the_master_and_for_its_sentinels() -> None:
    found = address_of("rediss+sentinel://one/main?ssl_ca_certs=/ca.pem")
    assert found.use_ssl == {"ssl_cert_reqs": "required", "ssl_ca_certs": "/ca.pem"}
    assert found.transport_options["sentinel_kwargs"].items() >= {"ssl": True, "ssl_ca_certs": "/ca.pem"}.items()


def test_a_socket_is_named_as_kombu_wants_it() -> None:
    assert address_of("unix://:pw@/run/r.sock?db=3").url == "redis+socket://:pw@/run/r.sock?virtual_host=3"


def test_a_broker_url_replaces_the_redis_url() -> None:
    found = address_of("redis+sentinel://one/main", "amqps://u:p@q/v", socket_timeout=2)
    assert found.url == "amqps://u:p@q/v"
    assert "visibility_timeout" not in found.transport_options
    assert found.transport_options["confirm_publish"] is True
    assert found.transport_options["read_timeout"] == 2
    assert found.consumer_arguments == {"x-consumer-timeout": VISIBILITY_TIMEOUT_SECONDS * 1000}


@pytest.mark.parametrize("url", ["redis://h/0", "redis+sentinel://h/main"])
def test_no_command_of_a_consumer_waits_for_ever(url: str) -> None:
    assert address_of(url).transport_options["socket_timeout"] > 1.0  # a BRPOP is answered after one second


def test_an_address_does_not_show_its_passwords() -> None:
    assert "hush" not in repr(address_of("redis+sentinel://:hush@one/main?sentinel_password=hush"))
