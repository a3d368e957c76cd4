"""A steering text reaches the model in the form of a first task."""

import orjson

from gateway.service.run.run_values import steer_text
from shared.clock import SystemClock
from shared.contract.message import ContentPart
from shared.contract.run import ContextItem, RunRecord
from shared.contract.thread import ThreadRecord
from workflow.agent.prompts import task_message

NOW = "2026-01-02T03:04:05+00:00"
CONTEXT = (
    ContextItem(type="file", content="line"),
    ContextItem(type="image_url", content={"url": "data:image/png;base64,AA", "detail": "low"}),
    ContextItem.model_validate({"type": "image_url", "image_url": {"url": "https://a.example/3.png"}}),
)
REQUEST = RunRecord(run_id="r", thread_id="t", task="Look at this", context_data=CONTEXT, created_at=NOW)


def test_images_that_steer_a_run_are_parts_of_the_message() -> None:
    steer = steer_text(REQUEST, SystemClock())
    assert steer.message.content == (
        ContentPart(type="text", text="<file>\nline\n</file>\n\nLook at this"),
        ContentPart(type="image_url", image_url={"url": "data:image/png;base64,AA", "detail": "low"}),
        ContentPart(type="image_url", image_url={"url": "https://a.example/3.png"}),
    )
    assert (steer.message.run_id, bool(steer.message.created_at)) == ("r", True)
    shown = orjson.loads(steer.event)["execute_result"]["user_message_result"]
    assert (shown["task"], len(shown["context_data"])) == ("Look at this", 3)


def test_a_task_has_the_same_message_whether_it_begins_or_steers_a_run() -> None:
    thread = ThreadRecord(thread_id="t", created_at=NOW, updated_at=NOW)
    assert task_message(REQUEST, thread, ()).content == steer_text(REQUEST, SystemClock()).message.content
