"""A message of the queue is validated completely, and rebuilt before Celery gets it."""

import json
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from shared.broker.message import read_envelope
from shared.errors import UnreadableMessageError
from shared.json_shape import shape_fault
from tests.e2e.ugly_messages import FLOW, LEGACY, UGLY, envelope, packed

LIMIT = 8_388_608
# What only the task itself can judge.
BY_THE_TASK = {name for name in UGLY if name.startswith(("legacy", "an id", "context"))}


@pytest.mark.parametrize("name", [name for name in UGLY if name not in BY_THE_TASK])
def test_a_message_that_cannot_be_read_is_refused_with_its_reason(name: str) -> None:
    text, word = UGLY[name]
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    with pytest.raises(UnreadableMessageError) as refused:
        read_envelope(raw, max_bytes=LIMIT)
    assert word in refused.value.message
    assert len(refused.value.message) < 700
    assert refused.value.message.isprintable()


@pytest.mark.parametrize("name", sorted(BY_THE_TASK))
def test_what_only_the_task_can_judge_is_read(name: str) -> None:
    text, _ = UGLY[name]
    assert isinstance(text, str)
    assert read_envelope(text.encode(), max_bytes=LIMIT).task == LEGACY


@pytest.mark.parametrize(
    "text",
    [
        envelope(),
        envelope([[], {"json_text": FLOW}, {}]),
        envelope([[FLOW], {}, None]),
        envelope(content_encoding="UTF-8"),
        envelope(content_encoding="binary"),
        envelope(json.dumps([[FLOW], {}, {}]), properties={"body_encoding": "utf-8"}),
        envelope(headers={"x": [1], "shadow": 5, "timelimit": "x", "stamped_headers": 7, "argsrepr": [], "meth": {}}),
        envelope(headers={"expires": "2999-01-01T00:00:00Z", "eta": datetime.now(UTC).isoformat()}),
        envelope({"task": LEGACY, "id": "one", "args": [FLOW]}, headers={"task": "null", "id": "null"}),
        envelope({"task": LEGACY, "id": "one", "args": [FLOW], "kwargs": {}}, headers={"task": "null"}),
        packed(json.dumps([[FLOW], {}, {}]).encode()),
        envelope([[FLOW], {}, {"__type__": "uuid", "__value__": "no uuid"}]),
    ],
)
def test_what_any_producer_may_write_is_read_and_rebuilt(text: str) -> None:
    read = read_envelope(text.encode(), max_bytes=LIMIT)
    assert (read.task, read.arguments) == (LEGACY, (FLOW,))
    rebuilt = orjson.loads(read.envelope("jobs"))
    assert rebuilt["headers"]["timelimit"] == [None, None]
    assert rebuilt["properties"]["delivery_info"] == {"exchange": "", "routing_key": "jobs"}
    assert read_envelope(read.envelope("jobs"), max_bytes=LIMIT) == read


def test_a_message_beyond_the_limit_is_refused_unread() -> None:
    with pytest.raises(UnreadableMessageError, match=r"more than modem\.max_message_bytes"):
        read_envelope(envelope([["x" * 2000], {}, {}]).encode(), max_bytes=1000)


def test_an_eta_within_half_a_day_is_kept() -> None:
    eta = datetime.now(UTC) + timedelta(hours=11)
    assert read_envelope(envelope(headers={"eta": eta.isoformat()}).encode(), max_bytes=LIMIT).eta == eta.isoformat()


@pytest.mark.parametrize(("depth", "is_deeper"), [(0, False), (3, False), (4, True), (900, True)])
def test_depth_is_found_without_recursion(depth: int, is_deeper: bool) -> None:
    fault = "is nested deeper than 3 levels" if is_deeper else None
    assert shape_fault(json.loads("[" * depth + "1" + "]" * depth), max_depth=3, max_values=1000) == fault
    inner = json.loads('{"b":' * depth + "1" + "}" * depth)
    assert bool(shape_fault({"a": [inner]}, max_depth=5, max_values=1000)) is is_deeper


@pytest.mark.parametrize("value", [[1] * 10, {str(n): n for n in range(10)}, [[1] * 4, [1, 2, 3, 4]]])
def test_a_value_that_holds_too_much_is_found(value: object) -> None:
    assert shape_fault(value, max_depth=9, max_values=11) is None
    assert shape_fault(value, max_depth=9, max_values=10) == "holds more than 10 values"
