"""Turns a task with its context into the user message that a model reads, whether it begins a run or steers one."""

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import JsonValue
from pydantic_core import to_json

from shared.contract.message import ChatMessage, ContentPart, Role
from shared.contract.run import ContextItem

_IMAGE: Final = "image_url"


def user_message(
    task: str, context: Sequence[ContextItem], thread_context: Mapping[str, JsonValue] | None = None
) -> ChatMessage:
    """Return the message: the context under tags, then the task, then the images as separate parts."""
    texts: list[str] = []
    images: list[ContentPart] = []
    if thread_context:
        texts.append(_tagged("context", to_json(thread_context).decode()))
    for item in context:
        image = _image(item) if item.type == _IMAGE else None
        if image:
            images.append(image)
        else:
            texts.append(_tagged(item.type, _readable(item)))
    text = "\n\n".join([*texts, task])
    if not images:
        return ChatMessage(role=Role.USER, content=text)
    return ChatMessage(role=Role.USER, content=(ContentPart(type="text", text=text), *images))


def _image(item: ContextItem) -> ContentPart | None:
    """Return the image, or None if the item has none: a provider would refuse the conversation for ever."""
    source = item.content if item.content is not None else (item.model_extra or {}).get(_IMAGE)
    address: dict[str, JsonValue] = source if isinstance(source, dict) else {"url": source}
    url = address.get("url")
    return ContentPart(type=_IMAGE, image_url=address) if isinstance(url, str) and url else None


def _readable(item: ContextItem) -> str:
    if isinstance(item.content, str) and not item.model_extra:
        return item.content
    return item.model_dump_json(exclude={"type"}, exclude_none=True)


def _tagged(name: str, text: str) -> str:
    return f"<{name}>\n{text}\n</{name}>"
