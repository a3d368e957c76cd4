"""The broker that a stack under test runs on: its URL, and what is in its queue."""

import os
from typing import Final, Protocol

import pytest
from redis import Redis

from tests.integration.rabbit_process import RabbitProcess, find_rabbitmq

BROKER_VARIABLE: Final = "BAUD_TEST_BROKER"
_QUEUE: Final = "celery"


class Broker(Protocol):
    """What tests ask about queued jobs."""

    url: str

    def waiting(self) -> int:
        """Return how many messages no worker has been given."""

    def unacknowledged(self) -> int:
        """Return how many messages workers have been given and are not done with."""

    def unsettled(self) -> int:
        """Return how many messages are not done with, given to a worker or not."""


class RedisBroker:
    """The Redis that the stack is on anyway."""

    def __init__(self, url: str, redis: "Redis | None" = None) -> None:
        self.url = url
        self._redis = redis or Redis.from_url(url)

    def waiting(self) -> int:
        return int(str(self._redis.llen(_QUEUE)))

    def unacknowledged(self) -> int:
        return int(str(self._redis.hlen("unacked")))

    def unsettled(self) -> int:
        return self.waiting() + self.unacknowledged()


class RabbitBroker:
    """One virtual host of a RabbitMQ."""

    def __init__(self, rabbit: RabbitProcess, vhost: str, *, queue_type: str = "classic") -> None:
        self.url = rabbit.add_vhost(vhost, queue_type=queue_type)
        self._rabbit = rabbit
        self._vhost = vhost

    def waiting(self) -> int:
        return self._count("messages_ready")

    def unacknowledged(self) -> int:
        return self._count("messages_unacknowledged")

    def unsettled(self) -> int:
        return self._count("messages")  # in one call: rabbitmqctl takes seconds on a busy machine

    def _count(self, column: str) -> int:
        listed = self._rabbit.call("list_queues", "--no-table-headers", "-p", self._vhost, "name", column)
        counts = dict(line.split("\t") for line in listed.splitlines())
        return int(counts[_QUEUE])


def is_on_rabbitmq() -> bool:
    """Whether the suite shall run on RabbitMQ; without one to run on its tests fail."""
    wanted = os.environ.get(BROKER_VARIABLE, "redis")
    assert wanted in ("redis", "rabbitmq"), f"{BROKER_VARIABLE} = {wanted!r}: allowed are redis and rabbitmq"
    if wanted == "rabbitmq" and find_rabbitmq() is None:
        pytest.fail("rabbitmq-server is not installed: apt-get install rabbitmq-server")
    return wanted == "rabbitmq"
