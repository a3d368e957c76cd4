"""What any broker brings is read before Celery sees it; what cannot be processed is put aside and acknowledged."""

from collections.abc import Callable
from typing import Any

import amqp
import orjson
import pytest
from celery.exceptions import InvalidTaskError
from celery.worker.consumer import Consumer

from modem.core.queue_consumer import QueueConsumer
from modem.service.dead_letter_box import DeadLetterBox
from shared.broker.message import QueueMessage, read_message
from shared.broker.transport import RabbitMessage
from tests.e2e.ugly_messages import FLOW, LEGACY

HEADERS = {"task": LEGACY, "id": "one", "lang": "js"}


class FakeLetters(DeadLetterBox):
    """Keeps reasons and texts."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, str, bytes]] = []

    def read_message(self, envelope: Any) -> QueueMessage:
        return read_message(envelope, max_bytes=10_000)

    def put_aside(self, queue: str, raw: bytes, reason: str) -> None:
        self.kept.append((queue, reason, raw))


class FakeChannel:
    """Notes what was acknowledged."""

    no_ack_consumers: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.acknowledged: list[int] = []

    def basic_ack(self, tag: int, multiple: bool = False) -> None:
        self.acknowledged.append(tag)


class FakeConsumer(QueueConsumer):
    """Takes messages without a broker; Celery's own handling is given."""

    connection_errors = (ConnectionResetError,)
    channel_errors = ()

    def __init__(self, letters: FakeLetters) -> None:
        self._letters = letters


def delivered(
    body: Any, *, content_type: str = "application/json", **headers: Any
) -> tuple[RabbitMessage, FakeChannel]:
    """Return a message as RabbitMQ brings it."""
    text = body if isinstance(body, bytes) else orjson.dumps(body)
    raw = amqp.Message(
        text, content_type=content_type, content_encoding="utf-8", application_headers={**HEADERS, **headers}
    )
    raw.delivery_info = {"delivery_tag": 7, "exchange": "", "routing_key": "jobs", "consumer_tag": "c"}
    channel = FakeChannel()
    return RabbitMessage(raw, channel=channel), channel


def take(monkeypatch: pytest.MonkeyPatch, message: RabbitMessage, handle: Callable[[Any], None]) -> FakeLetters:
    letters = FakeLetters()
    monkeypatch.setattr(Consumer, "create_task_handler", lambda self: handle)
    FakeConsumer(letters).create_task_handler()(message)
    return letters


def test_a_readable_message_reaches_celery_rebuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    message, channel = delivered([[FLOW], {}, {}], timelimit="nonsense", expires=None)
    handled: list[Any] = []
    letters = take(monkeypatch, message, handled.append)
    assert (handled, letters.kept, channel.acknowledged) == ([message], [], [])
    headers: Any = message.headers
    assert headers["timelimit"] == [None, None]
    assert message.payload[0] == [FLOW]


@pytest.mark.parametrize(
    ("body", "options", "reason"),
    [
        (b"garbage", {}, "the body is no JSON"),
        ([[FLOW], {}], {}, "[args, kwargs, embed]"),
        ([[FLOW], {}, {}], {"content_type": "application/x-python-serialize"}, "content-type"),
        ([[FLOW], {}, {}], {"task": "os.system"}, "os.system"),
        ([[FLOW], {}, {}], {"compression": "application/x-gzip"}, "decompressed"),
        ([["x" * 20_000], {}, {}], {}, "modem.max_message_bytes"),
    ],
)
def test_an_unreadable_message_is_put_aside_and_acknowledged(
    monkeypatch: pytest.MonkeyPatch, body: Any, options: dict[str, Any], reason: str
) -> None:
    message, channel = delivered(body, **options)
    handled: list[Any] = []
    letters = take(monkeypatch, message, handled.append)
    ((queue, given, raw),) = letters.kept
    assert (handled, channel.acknowledged, queue) == ([], [7], "jobs")
    assert reason in given
    assert orjson.loads(raw)["headers"]["id"] == "one"


@pytest.mark.parametrize("error", [ZeroDivisionError(), InvalidTaskError("odd"), TypeError("unhashable")])
def test_whatever_celery_raises_over_a_message_puts_it_aside(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(message: Any) -> None:
        raise error

    message, channel = delivered([[FLOW], {}, {}])
    letters = take(monkeypatch, message, fail)
    assert [reason for _, reason, _ in letters.kept] == [f"Celery cannot take it: {type(error).__name__}"]
    assert channel.acknowledged == [7]


def test_a_lost_connection_is_no_fault_of_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(message: Any) -> None:
        raise ConnectionResetError

    message, channel = delivered([[FLOW], {}, {}])
    with pytest.raises(ConnectionResetError):
        take(monkeypatch, message, lose)
    assert channel.acknowledged == []


@pytest.mark.parametrize(
    "callback",
    [
        lambda consumer, message: consumer.on_decode_error(message, ValueError("x")),
        lambda consumer, message: consumer.on_unknown_message(None, message),
        lambda consumer, message: consumer.on_unknown_task(None, message, KeyError("x")),
        lambda consumer, message: consumer.on_invalid_task(None, message, InvalidTaskError("x")),
    ],
    ids=["decode error", "unknown message", "unknown task", "invalid task"],
)
def test_what_celery_would_throw_away_is_put_aside(callback: Callable[[FakeConsumer, RabbitMessage], None]) -> None:
    message, channel = delivered([[FLOW], {}, {}])
    letters = FakeLetters()
    callback(FakeConsumer(letters), message)
    assert (len(letters.kept), channel.acknowledged) == (1, [7])
