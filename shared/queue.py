"""The one Celery configuration: gateway publishes with it, modem consumes with it."""

from celery import Celery
from kombu import Queue

from shared.broker_transport import BrokerProtocol
from shared.contract.config import ModemConfig, RedisConfig
from shared.keys import EXECUTE_RUN_TASK, LEGACY_TASK

# The lease recovers runs, so redelivery by the broker only has to come later than any run can last.
VISIBILITY_TIMEOUT_SECONDS = 12 * 3600
# A job nobody took for a day is found by its run record; the message itself is worth nothing any more.
JOB_EXPIRES_SECONDS = 24 * 3600


def make_celery(modem: ModemConfig, redis: RedisConfig, *, socket_timeout: float | None = None) -> Celery:
    """Return an app of its own (not the current one): JSON only, late acknowledgement, prefetch 1, no results.

    `socket_timeout` (seconds) is for who only publishes; a consumer waits on its socket for as long as it takes.
    """
    broker_url = modem.broker_url.get_secret_value() or redis.url.get_secret_value()
    app = Celery("baud", set_as_current=False, amqp=BrokerProtocol)
    app.conf.update(
        broker_url=broker_url,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=redis.connect_timeout,
        broker_transport_options=_transport_options(broker_url, redis, socket_timeout),
        task_default_queue=modem.queue,
        task_queues=[Queue(modem.queue)],
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_track_started=False,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_publish_retry=False,
        enable_utc=True,
        task_routes={EXECUTE_RUN_TASK: {"queue": modem.queue}, LEGACY_TASK: {"queue": modem.queue}},
    )
    return app


def _transport_options(broker_url: str, redis: RedisConfig, socket_timeout: float | None) -> dict[str, object]:
    if broker_url.startswith(("amqp", "pyamqp")) and socket_timeout is not None:
        return {"max_retries": 1, "read_timeout": socket_timeout, "write_timeout": socket_timeout}
    if not broker_url.startswith(("redis", "rediss", "sentinel")):
        return {"max_retries": 1}
    return {
        "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
        "socket_connect_timeout": redis.connect_timeout,
        "socket_timeout": socket_timeout,
        "socket_keepalive": True,
        "max_retries": 1,
    }
