"""The offline model's jobs as a table of steps; the next move is the first step that is due.

Nothing is taken on trust: whether a step worked is read from the checks that follow it, and a check that
fails brings up the steps that try it another way once.
"""

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from workflow.llm.offline.content import (
    API_CODE,
    NOTES_MARK,
    PAGE_MARK,
    PROBE_FASTAPI,
    fetch,
    find_free_port,
    find_words,
    notes,
    overwrite,
    page,
    section,
)
from workflow.llm.offline.conversation import CALL_PREFIX, Conversation, as_words
from workflow.llm.offline.speech import direct_answer, is_question, plan_steps, summary

_API_WORDS = re.compile(r"\b(fastapi|api|rest|endpoint|service|backend)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Move:
    """The text of an answer, and its tool call, if any."""

    text: str
    tool: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    call_id: str = ""

    def arguments_json(self) -> str:
        """Return the arguments as a model writes them."""
        return json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """One call of a job: due once, when its tool is on offer and its condition holds."""

    name: str
    tool: str
    say: str
    arguments: Callable[[Conversation], dict[str, Any]]
    when: Callable[[Conversation], bool] = lambda _: True


def next_move(talk: Conversation) -> Move:
    """Return what the offline model does now."""
    if not talk.tools or is_question(talk.task):
        return Move(direct_answer(talk))
    for step in STEPS:
        if step.name not in talk.results and step.tool in talk.tools and step.when(talk):
            call_id = f"{CALL_PREFIX}-{step.name}-{talk.length}"
            return Move(step.say.format(slug=talk.slug), step.tool, step.arguments(talk), call_id)
    return Move(summary(talk))


def _is_api(talk: Conversation) -> bool:
    if talk.app:
        return talk.app.is_api
    return bool(_API_WORDS.search(talk.task)) and "FASTAPI_OK" in talk.results.get("probe", "")


def _file(talk: Conversation) -> str:
    if talk.app:
        return talk.app.words_file
    return f"{talk.slug}/notes.txt" if _is_api(talk) else f"{talk.slug}/index.html"


def _content(talk: Conversation) -> str:
    """Return the content of the file that holds the words, those of earlier tasks on the app included."""
    earlier = [as_words(task) for task in talk.earlier_tasks if talk.app and not is_question(task)]
    texts = [*earlier, talk.words]
    return notes(texts) if _is_api(talk) else page(texts[0], texts[1:] or texts)


def _escaped(talk: Conversation) -> str:
    return talk.words if _is_api(talk) else html.escape(talk.words)


def _edit(talk: Conversation) -> dict[str, Any]:
    mark, addition = (NOTES_MARK, f"- {talk.words}") if _is_api(talk) else (PAGE_MARK, section(talk.words).strip())
    new = f"{mark}\n{addition}" if _is_api(talk) else f"{addition}\n    {mark}"
    return {"path": _file(talk), "old_str": mark, "new_str": new}


def _api_files(talk: Conversation) -> dict[str, Any]:
    contents = {_file(talk): _content(talk), f"{talk.slug}/app/main.py": API_CODE, f"{talk.slug}/app/__init__.py": ""}
    return {"files": [{"file_path": path, "content": content} for path, content in contents.items()]}


def _serve(talk: Conversation) -> dict[str, Any]:
    module = "uvicorn app.main:app --host 127.0.0.1 --port {}" if _is_api(talk) else "http.server {} --bind 127.0.0.1"
    return {"cmd": f"exec python3 -m {module.format(talk.port)}", "cwd": talk.slug, "is_long_running": True}


def _fetch(talk: Conversation) -> dict[str, Any]:
    path = "notes" if _is_api(talk) else ""
    return {"cmd": fetch(f"http://127.0.0.1:{talk.port}/{path}", talk.words), "timeout": 30}


def _todos(status: str) -> Callable[[Conversation], dict[str, Any]]:
    def arguments(talk: Conversation) -> dict[str, Any]:
        items = [
            {"id": str(number), "content": text, "status": status, "priority": "medium"}
            for number, text in enumerate(plan_steps(talk), start=1)
        ]
        if status == "pending":
            items[0]["status"] = "in_progress"
        return {"todos": items}

    return arguments


def _failed(check: str, marker: str) -> Callable[[Conversation], bool]:
    """Return whether the check was made and its marker is missing from what it printed."""
    return lambda talk: check in talk.results and marker not in talk.results[check]


def _page_is_there(talk: Conversation) -> bool:
    return any("PAGE_OK" in talk.results.get(step, "") for step in ("fetch", "fetch_again"))


def _bash(command: Callable[[Conversation], str]) -> Callable[[Conversation], dict[str, Any]]:
    return lambda talk: {"cmd": command(talk)}


_count = _bash(lambda talk: find_words(_file(talk), _escaped(talk)))
_words_missing = _failed("check", "WORDS_FOUND")
_page_missing = _failed("fetch", "PAGE_OK")

STEPS: tuple[ScriptedCall, ...] = (
    ScriptedCall(
        "plan",
        "job_plan",
        "I am Baud's offline model: I follow a fixed script, without any language model behind it. Here is my plan.",
        lambda talk: {
            "name": as_words(talk.task)[:60],
            "plan": "\n".join(f"{number}. {text}" for number, text in enumerate(plan_steps(talk), start=1)),
        },
    ),
    ScriptedCall("todos", "todo_write", "I write the steps down.", _todos("pending")),
    ScriptedCall(
        "probe",
        "bash",
        "An API is wanted. Is FastAPI there?",
        _bash(lambda _: PROBE_FASTAPI),
        lambda talk: talk.app is None and bool(_API_WORDS.search(talk.task)),
    ),
    ScriptedCall(
        "template",
        "use_template",
        "I begin {slug} from a template.",
        lambda talk: {"web_framework": "fastapi" if _is_api(talk) else "static-site", "web_app_name": talk.slug},
        lambda talk: talk.app is None,
    ),
    ScriptedCall(
        "write_api",
        "files_creation",
        "Now the service itself.",
        _api_files,
        lambda talk: talk.app is None and _is_api(talk),
    ),
    ScriptedCall(
        "write",
        "files_creation",
        "Now the page, with your words on it.",
        lambda talk: {"files": [{"file_path": _file(talk), "content": _content(talk)}]},
        lambda talk: talk.app is None and not _is_api(talk),
    ),
    ScriptedCall(
        "read",
        "file_read",
        "{slug} is there already, so I go on with it.",
        lambda talk: {"file_path": _file(talk)},
        lambda talk: talk.app is not None,
    ),
    ScriptedCall("edit", "file_edit", "I add the new words.", _edit, lambda talk: talk.app is not None),
    ScriptedCall(
        "compile",
        "bash",
        "Does the code compile?",
        _bash(lambda talk: f"python3 -m py_compile {talk.slug}/app/main.py && echo COMPILES"),
        lambda talk: talk.app is None and _is_api(talk),
    ),
    ScriptedCall("check", "bash", "Are the words in the file?", _count),
    ScriptedCall(
        "rewrite",
        "bash",
        "They are not, so writing the file did not work. I write it with the shell instead.",
        _bash(lambda talk: overwrite(_file(talk), _content(talk))),
        _words_missing,
    ),
    ScriptedCall("check_again", "bash", "And now?", _count, _words_missing),
    ScriptedCall(
        "fetch",
        "bash",
        "Does the server still answer, and with the new words?",
        _fetch,
        lambda talk: talk.app is not None and talk.port is not None,
    ),
    ScriptedCall(
        "port", "bash", "I look for a free port.", _bash(lambda _: find_free_port()), lambda talk: talk.port is None
    ),
    ScriptedCall("serve", "bash", "I start the server.", _serve, lambda talk: "PORT=" in talk.results.get("port", "")),
    ScriptedCall("fetch", "bash", "I open it as a browser would.", _fetch, lambda talk: talk.port is not None),
    ScriptedCall(
        "port_again",
        "bash",
        "That did not work. I try one other port.",
        _bash(lambda _: find_free_port()),
        _page_missing,
    ),
    ScriptedCall("serve_again", "bash", "I start the server there.", _serve, _page_missing),
    ScriptedCall("fetch_again", "bash", "And open it once more.", _fetch, _page_missing),
    ScriptedCall(
        "expose",
        "url_expose",
        "It works. Now its address.",
        lambda talk: {"port": talk.port, "app_folder": talk.slug},
        _page_is_there,
    ),
    ScriptedCall("todos_done", "todo_write", "That is all of it.", _todos("completed"), _page_is_there),
    ScriptedCall(
        "next",
        "suggest_next_steps",
        "",
        lambda talk: {
            "next_steps": [
                f"Add a line to {talk.slug} that says when it was made",
                "Set ANTHROPIC_API_KEY or OPENAI_API_KEY and give a real task",
            ]
        },
    ),
)
