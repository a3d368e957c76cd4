"""The legacy message, read as outside producers write it."""

import json

import pytest
from pydantic import JsonValue

from modem.type.flow_type import ProcessFlowDataRequest, read_flow
from shared.contract.run import ContextItem
from shared.errors import UnreadableMessageError

IMAGE: dict[str, JsonValue] = {"type": "image_url", "image_url": {"url": "https://a.example/1.png"}}


def read(**members: JsonValue) -> ProcessFlowDataRequest:
    message = {"flow_uuid": "f", "flow_input_uuid": "i", "user_uuid": "u", "context_data": [], **members}
    return read_flow(json.dumps(message))


@pytest.mark.parametrize(
    ("context_data", "task", "further"),
    [
        ([], "", ()),
        ([{"content": " make tea \n"}], "make tea", ()),
        ([{"type": "text", "content": "a"}, {"type": "file", "content": "b"}], "a", (("file", "b"),)),
        ([{"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}], "a\nb", ()),
        ([{"content": [{"type": "text", "text": "a"}, IMAGE]}], "a", (("image_url", IMAGE["image_url"]),)),
        ([{"content": [IMAGE]}], "", (("image_url", IMAGE["image_url"]),)),
        ([{"content": [{"type": "text"}, {"text": "no type"}]}], "", ()),
        ([{"content": "a"}, {"content": [{"type": "x"}]}], "a", (("text", [{"type": "x"}]),)),
        ([{"content": "a", "unknown": 1}], "a", ()),
        ([{}], "", ()),
    ],
    ids=["none", "text", "more items", "parts", "image", "only image", "odd parts", "list item", "unknown", "empty"],
)
def test_the_first_item_is_the_task_and_the_rest_its_context(
    context_data: list[JsonValue], task: str, further: tuple[tuple[str, JsonValue], ...]
) -> None:
    request = read(context_data=context_data)
    assert request.task == task
    assert request.further_context() == tuple(ContextItem(type=kind, content=content) for kind, content in further)


def test_optional_ids_may_be_absent_null_or_empty() -> None:
    for members in ({}, {"thread_id": None, "run_id": None}, {"thread_id": "", "run_id": ""}):
        request = read(**members)
        assert (request.thread_id, request.run_id) == (None, None)
    assert read(thread_id="t", run_id="r").thread_id == "t"


def test_unknown_members_are_tolerated() -> None:
    assert read(version=3, trace={"id": 1}).flow_uuid == "f"


@pytest.mark.parametrize(
    "members",
    [{"flow_uuid": ""}, {"flow_uuid": "  "}, {"flow_input_uuid": ""}, {"flow_uuid": None}],
    ids=str,
)
def test_a_message_without_its_ids_is_refused(members: dict[str, JsonValue]) -> None:
    with pytest.raises(UnreadableMessageError):
        read(**members)


@pytest.mark.parametrize(
    "context_data",
    ["text", None, {}, ["text"], [{"content": {"a": 1}}], [{"content": None, "type": None}], [{"content": [1]}]],
    ids=str,
)
def test_a_task_that_cannot_be_read_is_no_task(context_data: JsonValue) -> None:
    request = read(context_data=context_data)
    assert request.task == ""
    assert request.further_context() == ()


def test_members_of_further_context_are_kept() -> None:
    request = read(context_data=[{"content": "Read"}, {"type": "report", "content": {"total": 1}, "title": "Q3"}])
    (item,) = request.further_context()
    assert item.model_dump() == {"type": "report", "content": {"total": 1}, "title": "Q3"}
