"""The one Celery configuration: gateway publishes with it, modem consumes with it."""

from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery
from kombu import Queue

from shared.broker.address import BrokerAddress, broker_address
from shared.broker.transport import BrokerProtocol
from shared.config import ModemConfig, RedisConfig
from shared.keys import EXECUTE_RUN_TASK, LEGACY_TASK

# After a day the reaper has long published the run's job again, and the message is useless.
JOB_EXPIRES_SECONDS = 24 * 3600
# A RabbitMQ whose host is lost is noticed after two of these.
_HEARTBEAT_SECONDS = 15


def make_celery(
    modem: ModemConfig,
    redis: RedisConfig,
    *,
    socket_timeout: float | None = None,
    read_message: Callable[[str, bytes], bytes | None] | None = None,
) -> Celery:
    """Return an app of its own (not the current one): JSON only, late acknowledgement, prefetch 1, no results.

    `socket_timeout` (seconds) is for a publisher; a consumer gets more time. `read_message` is for a consumer from
    Redis: see BrokerChannel.
    """
    broker = broker_address(modem, redis, socket_timeout=socket_timeout)
    is_read = read_message is not None and not broker.is_rabbit
    options = {**broker.transport_options, **({"read_message": read_message} if is_read else {})}
    app = Celery("baud", set_as_current=False, amqp=BrokerProtocol)
    app.conf.update(_configuration(modem, redis, broker, options))
    return app


def _configuration(
    modem: ModemConfig, redis: RedisConfig, broker: BrokerAddress, options: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "broker_url": broker.url,
        "broker_use_ssl": broker.use_ssl or False,
        "broker_heartbeat": _HEARTBEAT_SECONDS,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "broker_connection_timeout": redis.connect_timeout,
        "broker_transport_options": options,
        "task_default_queue": modem.queue,
        "task_queues": [Queue(modem.queue, consumer_arguments=broker.consumer_arguments)],
        "task_create_missing_queues": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_backend": None,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_track_started": False,
        "worker_prefetch_multiplier": 1,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_publish_retry": False,
        "enable_utc": True,
        "task_routes": {EXECUTE_RUN_TASK: {"queue": modem.queue}, LEGACY_TASK: {"queue": modem.queue}},
    }
