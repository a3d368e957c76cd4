"""Shows the events of runs to a person: text as it comes, tool calls with their output, the end."""

from collections.abc import Mapping

from pydantic import JsonValue, ValidationError
from rich.console import Console
from rich.text import Text

from baud.sdk.event import Event
from baud.terminal.render_tool import describe_call, describe_result, exit_code, tool_name
from baud.terminal.terminal_text import printable
from shared.contract.event import ExecuteState, ExecuteType
from shared.contract.run import StopReason, Usage

_INDENT = "  "
_MAX_OUTPUT_LINES = 200  # of one command, as it comes


class RunView:
    """Writes to a console; give it every event in order. Works the same without a terminal, in plain text.

    `again` are the options with which `baud tail` finds the thread later; None when it cannot.
    """

    def __init__(self, console: Console, *, again: str | None = "") -> None:
        self._console = console
        self._again = again
        self._streamed = ""  # the model's text of this call so far
        self._kind = ""  # what the unfinished line belongs to
        self._at_line_start = True
        self._output_lines: dict[str, int] = {}  # of commands whose output came as it was made

    def show(self, event: Event) -> None:
        """Show one event."""
        if event.event == "gap":
            self._line("some older events are no longer kept", "yellow")
        elif event.event == "error":
            self._line(f"error: {event.data.get('error', '')}", "red")
        elif event.execute_type == ExecuteType.USER_MESSAGE:
            self._show_task(event)
        elif event.execute_type == ExecuteType.ASSISTANT_DELTA:
            self._show_delta(event)
        elif event.execute_type == ExecuteType.ASSISTANT_RESPONSE:
            self._show_response(event)
        elif event.is_completion:
            self._show_completion(event)
        elif event.execute_type:
            self._show_step(event)

    def _show_task(self, event: Event) -> None:
        self._line(f"> {_member(event.result, 'task')}", "bold")

    def _show_delta(self, event: Event) -> None:
        text, kind = _member(event.result, "text"), _member(event.result, "kind")
        if kind == "reasoning":
            self._write(text, kind, "dim italic")
        else:
            self._streamed += text
            self._write(text, "content")

    def _show_response(self, event: Event) -> None:
        text = event.result if isinstance(event.result, str) else ""
        if text != self._streamed:
            rest = text.removeprefix(self._streamed) if self._streamed and text.startswith(self._streamed) else text
            self._write(rest, "content" if rest != text else "response")
        self._streamed = ""
        self._end_line()

    def _show_step(self, event: Event) -> None:
        state = event.data.get("current_state")
        if event.execute_type == ExecuteType.STATUS:
            self._show_status(event)
        elif state == ExecuteState.INIT:
            self._line(f"* {tool_name(event.execute_type)} {describe_call(event)}".rstrip(), "cyan")
        elif state == ExecuteState.PROCESSING:
            self._show_output(event)
        elif state == ExecuteState.INTERRUPT:
            self._show_question(event)
        else:
            self._show_result(event, failed=state == ExecuteState.ERROR)

    def _show_status(self, event: Event) -> None:
        self._streamed = ""
        status, reason = _member(event.result, "status"), _member(event.result, "reason")
        self._line(f"{status}: {reason}".strip(": "), "yellow")

    def _show_output(self, event: Event) -> None:
        step = str(event.data.get("uuid", ""))
        text = _member(event.result, "result")
        shown = self._output_lines.get(step, 0)
        self._output_lines[step] = shown + text.count("\n")
        if shown < _MAX_OUTPUT_LINES:
            self._write(text, step, "dim")
            if self._output_lines[step] >= _MAX_OUTPUT_LINES:
                self._line("... further output is not shown", "dim")

    def _show_question(self, event: Event) -> None:
        self._line(f"? {_member(event.result, 'question')}", "bold magenta")
        options = event.result.get("options") if isinstance(event.result, dict) else None
        for option in options if isinstance(options, list) else []:
            self._line(f"{_INDENT}- {option}", "magenta")

    def _show_result(self, event: Event, *, failed: bool) -> None:
        came_live = self._output_lines.pop(str(event.data.get("uuid", "")), None) is not None
        self._end_line()
        if event.execute_type == "tool_job_plan":
            self._line(f"Plan: {_member(event.result, 'name')}\n{_member(event.result, 'plan')}", "green")
        elif not came_live and (text := describe_result(event)):
            self._line(_indented(text), "red" if failed else "dim")
        code = exit_code(event)
        if failed and code is not None:
            self._line(f"{_INDENT}exit code {code}", "red")

    def _show_completion(self, event: Event) -> None:
        reason, message = completion_of(event)
        is_good = reason is StopReason.COMPLETED
        if message and not is_good:
            self._line(message, "red")
        usage = usage_of(event)
        steps = "1 step" if usage.steps == 1 else f"{usage.steps} steps"
        thread_id = str(event.data.get("thread_id", ""))
        again = "" if self._again is None else f" | again: baud tail {thread_id}{self._again}"
        self._line(
            f"{reason} | {steps} | {usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"
            f" | ${usage.cost_usd:.4f} | thread {thread_id}{again}",
            "bold green" if is_good else "bold red",
        )
        self._streamed = ""

    def _write(self, text: str, kind: str, style: str = "") -> None:
        if kind != self._kind:
            self._end_line()
        self._kind = kind
        text = printable(text)
        if text:
            self._console.print(Text(text, style=style), end="", soft_wrap=True)
            self._at_line_start = text.endswith("\n")

    def _end_line(self) -> None:
        if not self._at_line_start:
            self._console.print()
        self._at_line_start = True
        self._kind = ""

    def _line(self, text: str, style: str = "") -> None:
        self._end_line()
        self._console.print(Text(printable(text), style=style), soft_wrap=True)


def completion_of(event: Event) -> tuple[StopReason, str]:
    """Return why a run ended, and the message with details."""
    members = _members(event)
    try:
        reason = StopReason(str(members.get("stop_reason")))
    except ValueError:  # from a newer server
        reason = StopReason.INTERNAL_ERROR
    return reason, str(members.get("flow_completion_message") or "")


def usage_of(event: Event) -> Usage:
    """Return what a run has used, as its completion says."""
    try:
        return Usage.model_validate(_members(event).get("usage") or {})
    except ValidationError:
        return Usage()


def _members(event: Event) -> Mapping[str, JsonValue]:
    members = event.data.get("execute_result")
    return members if isinstance(members, dict) else {}


def _member(result: JsonValue, name: str) -> str:
    value = result.get(name) if isinstance(result, dict) else None
    return value if isinstance(value, str) else ""


def _indented(text: str) -> str:
    return "\n".join(_INDENT + line for line in text.splitlines())
