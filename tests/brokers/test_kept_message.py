"""A job that a gateway of 46a4c39 left in RabbitMQ is executed by today's worker."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import amqp
import pytest
from redis import Redis

from shared.contract.run import RunStatus
from shared.keys import OPEN_RUNS_INDEX
from tests.e2e.broker import Broker
from tests.e2e.stack import Stack
from tests.e2e.test_kept_samples_go_on import SETTINGS
from tests.integration.redis_process import RedisProcess
from tests.kept_samples import FOLDER, load_kept

pytestmark = pytest.mark.brokers


def publish(url: str, message: Mapping[str, Any]) -> None:
    """Put a kept message into the queue, as fresh as it was."""
    headers = {**message["headers"], "expires": None}
    address = urlsplit(url)
    connection = amqp.Connection(
        host=f"{address.hostname}:{address.port}",
        userid=address.username or "",
        password=address.password or "",
        virtual_host=address.path[1:],
    )
    with connection:
        kept = amqp.Message(message["body"], application_headers=headers, **message["properties"])
        connection.channel().basic_publish(kept, routing_key="celery")


def test_a_message_of_an_earlier_gateway_is_executed(
    new_broker: Callable[[], Broker | None], own_redis: RedisProcess, tmp_path: Path
) -> None:
    broker, message = new_broker(), json.loads((FOLDER / "rabbitmq.json").read_text())
    assert broker is not None, "make test-brokers runs this"
    with Redis.from_url(own_redis.url) as redis:
        load_kept(redis, "queued.jsonl")
        redis.delete(OPEN_RUNS_INDEX)  # so that no reaper publishes the job once more
    with Stack(own_redis.url, tmp_path, SETTINGS, broker=broker) as stack:
        publish(broker.url, message)
        run = stack.follow(message["thread_id"], message["run_id"])
    assert run.record.status is RunStatus.COMPLETED
