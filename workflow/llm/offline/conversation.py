"""What the offline model reads out of a conversation: the task, what it did for it, an earlier app."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CALL_PREFIX = "offline"  # ids of our calls are offline-STEP-NUMBER, so that each result tells its step
MAX_WORDS_CHARS = 200

_BLOCK_BEGIN = re.compile(r"\s*<([\w-]+)>\n")
_SMALL_WORDS = re.compile(
    r"\b(about|an?|and|are|as|at|be|build|by|can|create|do|for|from|i|in|is|it|make|me|my|new|of|on|our|please|that|the|this|to|us"
    r"|want|we|with|write|you|your|page|site|website|web|app|application|api|service|fastapi|simple|small)\b"
)


@dataclass(frozen=True, slots=True)
class App:
    """An app that was begun on this thread: its folder and the file that carries the words."""

    slug: str
    words_file: str

    @property
    def is_api(self) -> bool:
        """Whether it is a FastAPI service rather than a page."""
        return self.words_file.endswith(".txt")


@dataclass(frozen=True, slots=True)
class Conversation:
    """Everything that the next move depends on."""

    task: str = ""
    earlier_tasks: tuple[str, ...] = ()
    tools: frozenset[str] = frozenset()
    results: Mapping[str, str] = field(default_factory=dict)  # of this task's calls, by step
    app: App | None = None  # begun before this task
    port: int | None = None  # found on this thread, the last one
    length: int = 0  # messages

    @property
    def words(self) -> str:
        """The task on one line, as it goes onto the page."""
        return as_words(self.task)

    @property
    def slug(self) -> str:
        """The app's folder."""
        return self.app.slug if self.app else slug_of(self.task)


def read_conversation(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> Conversation:
    """Read messages and tools in OpenAI's format."""
    tasks = [index for index, message in enumerate(messages) if message["role"] == "user"]
    begin = tasks[-1] if tasks else len(messages)
    texts = [_task_text(messages[index]) for index in tasks]
    return Conversation(
        task=texts[-1] if texts else "",
        earlier_tasks=tuple(texts[:-1]),
        tools=frozenset(tool["function"]["name"] for tool in tools),
        results=_results(messages[begin:]),
        app=_find_app(messages[:begin]),
        port=_find_port(messages),
        length=len(messages),
    )


def as_words(task: str) -> str:
    """Return the task on one line, cut to what fits a headline."""
    return " ".join(task.split())[:MAX_WORDS_CHARS].strip()


def slug_of(task: str) -> str:
    """Return a folder name made from the first significant words."""
    words = re.findall(r"[a-z0-9]+", _SMALL_WORDS.sub(" ", task.lower()))
    slug = "-".join(words[:3])[:30].strip("-")
    return slug if slug[:1].isalpha() else f"site-{slug}".rstrip("-")


def _task_text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if not isinstance(content, str):
        content = "\n".join(part["text"] for part in content if part.get("type") == "text")
    return _without_context(content).strip()


def _without_context(text: str) -> str:
    """Return the text after the blocks of context, each of which ends with its own closing line."""
    place = 0
    while begin := _BLOCK_BEGIN.match(text, place):
        end_line = f"\n</{begin[1]}>"
        end = text.find(end_line, begin.end())
        if end < 0:
            break
        place = end + len(end_line)
    return text[place:]


def _step_of(call_id: str | None) -> str:
    prefix, _, rest = (call_id or "").partition("-")
    return rest.rpartition("-")[0] if prefix == CALL_PREFIX else ""


def _results(messages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    answers = (message for message in messages if message["role"] == "tool")
    return {_step_of(message.get("tool_call_id")): str(message.get("content") or "") for message in answers}


def _find_app(messages: Sequence[Mapping[str, Any]]) -> App | None:
    for message in reversed(messages):
        for call in message.get("tool_calls") or ():
            if _step_of(call["id"]) in ("write", "write_api"):
                path = json.loads(call["function"]["arguments"])["files"][0]["file_path"]
                return App(slug=path.split("/")[0], words_file=path)
    return None


def _find_port(messages: Sequence[Mapping[str, Any]]) -> int | None:
    for message in reversed(messages):
        found = re.search(r"PORT=(\d+)", str(message.get("content") or "")) if message["role"] == "tool" else None
        if found:
            return int(found[1])
    return None
