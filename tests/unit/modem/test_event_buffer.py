"""Events that wait: joined where that changes nothing, and never out of order."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modem.service.run_log.event_buffer import EventBuffer, Taken
from shared.contract.event import AgentExecuteData, RunEvent
from tests.fakes.fake_clock import FakeClock
from workflow.journal.events import EventFactory, EventSpan
from workflow.llm.model import DeltaKind, TextDelta

EVENTS = EventFactory("t", "r", FakeClock())
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
# (step, kind, text) for a delta, (step, None, text) for output of a tool
ITEMS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([*DeltaKind, None]), TEXTS), max_size=30)
Item = tuple[str, DeltaKind | None, str]


def event_of(item: Item) -> RunEvent:
    name, kind, text = item
    step = EventSpan(name, EVENTS.now(), "tool_x")
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
    """Join neighbouring deltas of the same step and kind: the reference implementation."""
    result: list[Item] = []
    for name, kind, text in items:
        if kind is not None and result and result[-1][:2] == (name, kind):
            result[-1] = (name, kind, result[-1][2] + text)
        else:
            result.append((name, kind, text))
    return result


@given(ITEMS, st.booleans(), st.booleans())
def test_text_and_order_are_kept_whatever_is_joined(items: list[Item], coalesce: bool, drop: bool) -> None:
    buffer = EventBuffer(coalesce=coalesce, drop=drop)
    for item in items:
        buffer.add(event_of(item))
    assert bool(buffer) is bool(items)
    taken = buffer.take()
    assert [read(data) for data in taken.events] == (joined(items) if coalesce else items)
    assert not taken.supersedes_text
    assert not buffer
    assert buffer.size_bytes == 0
    assert buffer.take() == Taken([], set(), False)


def test_a_joined_delta_keeps_the_envelope_of_its_first_piece() -> None:
    buffer = EventBuffer(coalesce=True, drop=True)
    first = event_of(("a", DeltaKind.CONTENT, "one "))
    buffer.add(first)
    buffer.add(event_of(("a", DeltaKind.CONTENT, "two")))
    (data,) = buffer.take().events
    assert orjson.loads(data) == {
        "uuid": "a",
        "run_id": "r",
        "execute_type": "assistant_delta",
        "execute_result": {"assistant_delta": {"text": "one two", "kind": "content"}},
    }


def test_on_a_legacy_stream_a_joined_delta_has_all_members_of_its_first_piece() -> None:
    events = EventFactory("t", "r", FakeClock(), full_deltas=True)
    step = events.begin("assistant_response")
    buffer = EventBuffer(coalesce=True, drop=True)
    first = events.delta(step, TextDelta("one "))
    buffer.add(first)
    buffer.add(events.delta(step, TextDelta("two")))
    (data,) = buffer.take().events
    assert first.full is not None
    result = {"assistant_delta": {"text": "one two", "kind": "content"}}
    assert AgentExecuteData.model_validate_json(data) == first.full.model_copy(update={"execute_result": result})


@pytest.mark.parametrize("kind", [DeltaKind.CONTENT, None], ids=["delta", "tool output"])
def test_the_size_is_about_what_goes_on_the_wire(kind: DeltaKind | None) -> None:
    buffer = EventBuffer(coalesce=True, drop=True)
    for _ in range(5):
        buffer.add(event_of(("a", kind, "x" * 20_000)))
    estimate = buffer.size_bytes
    assert estimate == pytest.approx(sum(len(data) for data in buffer.take().events), rel=0.05)


STEP = EventSpan("a", EVENTS.now(), "assistant_response")
SUPERSEDING = {
    "a complete message": EVENTS.response(STEP, "one two"),
    "a try that failed": EVENTS.restarted(STEP, "the model broke off", 2),
    "another attempt": EVENTS.resumed(2),
}


@pytest.mark.parametrize("event", SUPERSEDING.values(), ids=SUPERSEDING)
def test_superseded_deltas_are_dropped_from_the_buffer(event: AgentExecuteData) -> None:
    buffer = EventBuffer(coalesce=True, drop=True)
    buffer.add(event_of(("a", DeltaKind.CONTENT, "one ")))
    buffer.add(event_of(("b", None, "output")))
    buffer.add(event)
    buffer.add(event_of(("a", DeltaKind.CONTENT, "new")))
    taken = buffer.take()
    assert taken.supersedes_text
    assert [taken.events[0], taken.events[2]] == [
        event_of(("b", None, "output")).to_json(),
        event_of(("a", DeltaKind.CONTENT, "new")).to_json(),
    ]
    assert taken.events[1] == event.to_json()
    assert not buffer.take().supersedes_text


@pytest.mark.parametrize("event", SUPERSEDING.values(), ids=SUPERSEDING)
def test_deltas_that_are_kept_for_audit_stay(event: AgentExecuteData) -> None:
    buffer = EventBuffer(coalesce=True, drop=False)
    delta = event_of(("a", DeltaKind.CONTENT, "one "))
    buffer.add(delta)
    buffer.add(event)
    assert buffer.take() == Taken([delta.to_json(), event.to_json()], {0}, False)
