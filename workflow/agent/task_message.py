"""Turns a posted task with its context into the user message that the model reads."""

from typing import Final

from pydantic import JsonValue
from pydantic_core import to_json

from shared.contract.message import ChatMessage, ContentPart, Role
from shared.contract.run import ContextItem
from workflow.runner.work import Work

_IMAGE: Final = "image_url"


def task_message(work: Work) -> ChatMessage:
    """Return the user message of a run; the thread's own context goes with its first task."""
    texts: list[str] = []
    images: list[ContentPart] = []
    if work.thread.context and not work.messages:
        texts.append(_tagged("context", to_json(work.thread.context).decode()))
    for item in work.run.context_data:
        if item.type == _IMAGE:
            images.append(_image(item))
        else:
            texts.append(_tagged(item.type, _readable(item)))
    text = "\n\n".join([*texts, work.run.task])
    if not images:
        return ChatMessage(role=Role.USER, content=text)
    return ChatMessage(role=Role.USER, content=(ContentPart(type="text", text=text), *images))


def _image(item: ContextItem) -> ContentPart:
    source = item.content if item.content is not None else (item.model_extra or {}).get(_IMAGE)
    address: dict[str, JsonValue] = source if isinstance(source, dict) else {"url": source}
    return ContentPart(type=_IMAGE, image_url=address)


def _readable(item: ContextItem) -> str:
    if isinstance(item.content, str) and not item.model_extra:
        return item.content
    return item.model_dump_json(exclude={"type"}, exclude_none=True)


def _tagged(name: str, text: str) -> str:
    return f"<{name}>\n{text}\n</{name}>"
