"""What is shown of a tool call: one line when it begins, a few when it has ended."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from baud.sdk.event import Event
from baud.terminal.terminal_text import first_lines, one_line
from shared.contract.result import (
    BashResult,
    FileEditResult,
    FileReadResult,
    FilesCreationResult,
    MultiEditResult,
    SandboxInfo,
    TextEdit,
    TodosResult,
    UseTemplateResult,
    WebSearchResult,
)
from shared.contract.state import TodoStatus

M = TypeVar("M", bound=BaseModel)

MAX_LINES = 20
_MAX_DIFF_LINES = 12
_MARKS: Final = MappingProxyType(
    {TodoStatus.PENDING: "[ ]", TodoStatus.IN_PROGRESS: "[>]", TodoStatus.COMPLETED: "[x]"}
)
_SHOWN_AS_RESULT: Final = frozenset({"todos", "next_steps"})
# The parameter that best describes a call.
_TELLING: Final = ("cmd", "file_path", "path", "pattern", "query", "name", "web_framework", "question", "port")


def tool_name(execute_type: str) -> str:
    """Return the name as the model knows it."""
    return execute_type.removeprefix("tool_")


def describe_call(event: Event) -> str:
    """Describe a call's arguments on one line."""
    params = event.data.get("execute_params")
    if not isinstance(params, dict) or not params:
        return ""
    files = params.get("files")
    if isinstance(files, list):
        return one_line(", ".join(str(file.get("file_path", "")) for file in files if isinstance(file, dict)))
    telling = [str(params[name]) for name in _TELLING if isinstance(params.get(name), str | int)]
    if telling:
        return one_line(" in ".join(reversed(telling)) if "pattern" in params else telling[0])
    return "" if _SHOWN_AS_RESULT & params.keys() else one_line(json.dumps(params, ensure_ascii=False))


def describe_result(event: Event) -> str:
    """Describe a tool's result in about twenty lines at most; empty when there is nothing to show."""
    result = event.result
    describe = _DESCRIBERS.get(event.execute_type)
    try:
        text = describe(result) if describe else _unknown(result)
    except ValidationError:  # written by another version, or by a plug-in
        text = _unknown(result)
    return first_lines(text, MAX_LINES)


def exit_code(event: Event) -> int | None:
    """Return the exit code that a bash event carries."""
    code = event.result.get("exit_code") if isinstance(event.result, dict) else None
    return code if isinstance(code, int) else None


def _unknown(result: JsonValue) -> str:
    if isinstance(result, str):
        return result
    return "" if result in (None, {}, []) else one_line(json.dumps(result, ensure_ascii=False), limit=400)


def _of(model: type[M], describe: Callable[[M], str]) -> Callable[[JsonValue], str]:
    return lambda result: describe(model.model_validate(result))


def _count(noun: str, number: int) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _listing(result: JsonValue) -> str:
    text = result.get("result") if isinstance(result, Mapping) else None
    return text if isinstance(text, str) else _unknown(result)


def _edits(edits: tuple[TextEdit, ...]) -> str:
    return "\n".join(_diff(edit.old_string, edit.new_string) for edit in edits)


def _diff(old: str, new: str) -> str:
    removed = "".join(f"- {line}\n" for line in old.splitlines())
    added = "".join(f"+ {line}\n" for line in new.splitlines())
    return first_lines(removed + added, _MAX_DIFF_LINES)


def _todos(result: TodosResult) -> str:
    return "\n".join(f"{_MARKS[todo.status]} {one_line(todo.content)}" for todo in result.todos)


def _hits(result: WebSearchResult) -> str:
    return "\n".join(f"{one_line(hit.title)} <{one_line(hit.url)}>" for hit in result.results) or "nothing found"


def _files(result: FilesCreationResult) -> str:
    return "\n".join(f"{file.file_path} ({_count('byte', file.bytes)})" for file in result.files)


def _steps(result: JsonValue) -> str:
    return "\n".join(f"- {step}" for step in result) if isinstance(result, list) else _unknown(result)


_DESCRIBERS: Final[Mapping[str, Callable[[JsonValue], str]]] = MappingProxyType({
    "tool_bash": _of(BashResult, lambda result: result.result),
    "tool_file_read": _of(FileReadResult, lambda result: _count("line", len(result.content.splitlines()))),
    "tool_file_edit": _of(FileEditResult, lambda result: _diff(result.old_str, result.new_str)),
    "tool_multi_edit": _of(MultiEditResult, lambda result: _edits(result.edits)),
    "tool_files_creation": _of(FilesCreationResult, _files),
    "tool_glob": _listing,
    "tool_grep": _listing,
    "tool_ls": _listing,
    "tool_todo_read": _of(TodosResult, _todos),
    "tool_todo_write": _of(TodosResult, _todos),
    "tool_use_template": _of(UseTemplateResult, lambda result: f"{result.web_framework} in {result.web_app_name}"),
    "tool_web_search": _of(WebSearchResult, _hits),
    "tool_suggest_next_steps": _steps,
    "status_sandbox_info": _of(SandboxInfo, lambda result: result.sandbox_url),
})  # fmt: skip
