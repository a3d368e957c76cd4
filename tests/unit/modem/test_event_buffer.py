"""Events that wait: joined where that changes nothing, and never out of order."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modem.service.event_buffer import EventBuffer
from shared.contract.event import AgentExecuteData
from tests.fakes.fake_clock import FakeClock
from workflow.llm.model import DeltaKind, TextDelta
from workflow.runner.events import EventFactory, Step

EVENTS = EventFactory("t", "r", FakeClock())
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
# (step, kind, text) for a delta, (step, None, text) for output of a tool
ITEMS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([*DeltaKind, None]), TEXTS), max_size=30)
Item = tuple[str, DeltaKind | None, str]


def event_of(item: Item) -> AgentExecuteData:
    name, kind, text = item
    step = Step(name, EVENTS.now(), "tool_x")
    if kind is None:
        return EVENTS.tool_progress(step, {"x": text})
    return EVENTS.delta(step, TextDelta(text, kind))


def read(data: bytes) -> Item:
    event = orjson.loads(data)
    result = event["execute_result"]
    if "x" in result:
        return event["uuid"], None, result["x"]
    return event["uuid"], DeltaKind(result["assistant_delta"]["kind"]), result["assistant_delta"]["text"]


def joined(items: list[Item]) -> list[Item]:
    """Join neighbouring deltas of the same step and kind: the plainest way to say what is right."""
    result: list[Item] = []
    for name, kind, text in items:
        if kind is not None and result and result[-1][:2] == (name, kind):
            result[-1] = (name, kind, result[-1][2] + text)
        else:
            result.append((name, kind, text))
    return result


@given(ITEMS, st.booleans())
def test_text_and_order_are_kept_whatever_is_joined(items: list[Item], coalesce: bool) -> None:
    buffer = EventBuffer(coalesce=coalesce)
    for item in items:
        buffer.add(event_of(item))
    assert bool(buffer) is bool(items)
    assert [read(data) for data in buffer.take()] == (joined(items) if coalesce else items)
    assert not buffer
    assert buffer.size_bytes == 0
    assert buffer.take() == []


def test_a_joined_delta_keeps_the_envelope_of_its_first_piece() -> None:
    buffer = EventBuffer(coalesce=True)
    first = event_of(("a", DeltaKind.CONTENT, "one "))
    buffer.add(first)
    buffer.add(event_of(("a", DeltaKind.CONTENT, "two")))
    (data,) = buffer.take()
    expected = first.model_copy(update={"execute_result": {"assistant_delta": {"text": "one two", "kind": "content"}}})
    assert AgentExecuteData.model_validate_json(data) == expected


@pytest.mark.parametrize("kind", [DeltaKind.CONTENT, None], ids=["delta", "tool output"])
def test_the_size_is_about_what_goes_on_the_wire(kind: DeltaKind | None) -> None:
    buffer = EventBuffer(coalesce=True)
    for _ in range(5):
        buffer.add(event_of(("a", kind, "x" * 20_000)))
    estimate = buffer.size_bytes
    assert estimate == pytest.approx(sum(len(data) for data in buffer.take()), rel=0.05)
