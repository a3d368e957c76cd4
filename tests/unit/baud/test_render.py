"""What a person sees of a run, without a terminal."""

from io import StringIO

import pytest
from pydantic import JsonValue
from rich.console import Console

from baud.sdk.event import Event
from baud.terminal.render import RunView, completion_of
from baud.terminal.terminal_text import printable
from shared.contract.run import StopReason


class Screen:
    """A view and what it has written."""

    def __init__(self) -> None:
        self._file = StringIO()
        self._view = RunView(Console(file=self._file, width=40, highlight=False))

    def show(
        self,
        kind: str,
        result: dict[str, JsonValue] | None = None,
        state: str = "complete",
        params: dict[str, JsonValue] | None = None,
    ) -> None:
        data: dict[str, JsonValue] = {"execute_type": kind, "current_state": state, "uuid": "u1", "thread_id": "t1"}
        if result is not None:
            data["execute_result"] = result
        if params is not None:
            data["execute_params"] = params
        self._view.show(Event("1-0", "task_agent_execute", data))

    def delta(self, text: str, kind: str = "content") -> None:
        self.show("assistant_delta", {"assistant_delta": {"text": text, "kind": kind}}, "processing")

    @property
    def text(self) -> str:
        return self._file.getvalue()


def test_streamed_text_is_not_shown_again_with_the_message() -> None:
    screen = Screen()
    for piece in ("Hel", "lo\nwor", "ld"):
        screen.delta(piece)
    screen.show("assistant_response", {"assistant_response_result": "Hello\nworld"})
    assert screen.text == "Hello\nworld\n"


def test_messages_whose_deltas_are_gone_from_the_log_are_shown_once_each() -> None:
    screen = Screen()
    for text in ("Hello", "Hello", "world"):
        screen.show("assistant_response", {"assistant_response_result": text})
    assert screen.text == "Hello\nHello\nworld\n"


def test_text_that_was_not_streamed_to_its_end_is_completed() -> None:
    screen = Screen()
    screen.delta("Hel")
    screen.show("assistant_response", {"assistant_response_result": "Hello"})
    assert screen.text == "Hello\n"


def test_a_message_that_was_not_streamed_is_shown_completely() -> None:
    screen = Screen()
    for text in ("Hello", "Hello"):  # the same words in two steps are two messages
        screen.show("assistant_response", {"assistant_response_result": text})
    assert screen.text == "Hello\nHello\n"


def test_a_message_of_which_only_the_middle_was_seen_is_shown_completely() -> None:
    screen = Screen()
    screen.delta("ell")
    screen.show("assistant_response", {"assistant_response_result": "Hello"})
    assert screen.text == "ell\nHello\n"


def test_text_that_was_restarted_is_shown_completely() -> None:
    screen = Screen()
    screen.delta("Good mor")
    screen.show("status", {"status_result": {"status": "restarted", "reason": "the model broke off"}}, "processing")
    screen.delta("Hello")
    screen.show("assistant_response", {"assistant_response_result": "Hello"})
    assert screen.text == "Good mor\nrestarted: the model broke off\nHello\n"


def test_reasoning_is_on_lines_of_its_own() -> None:
    screen = Screen()
    screen.delta("hm", "reasoning")
    screen.delta("Hello")
    screen.show("assistant_response", {"assistant_response_result": "Hello"})
    assert screen.text == "hm\nHello\n"


def test_output_that_came_live_is_not_repeated() -> None:
    screen = Screen()
    screen.show("tool_bash", state="init", params={"cmd": "ls"})
    screen.show("tool_bash", {"tool_bash_result": {"cmd": "ls", "cwd": "/", "result": "a\n"}}, "processing")
    screen.show("tool_bash", {"tool_bash_result": {"cmd": "ls", "cwd": "/", "result": "b\n"}}, "processing")
    screen.show("tool_bash", {"tool_bash_result": {"cmd": "ls", "cwd": "/", "result": "a\nb\n", "exit_code": 0}})
    assert screen.text == "* bash ls\na\nb\n"


def test_a_failed_command_shows_its_exit_code() -> None:
    screen = Screen()
    screen.show("tool_bash", {"tool_bash_result": {"cmd": "x", "cwd": "/", "result": "no", "exit_code": 2}}, "error")
    assert screen.text == "  no\n  exit code 2\n"


@pytest.mark.parametrize(
    ("kind", "result", "expected"),
    [
        ("tool_job_plan", {"name": "Haiku", "plan": "1. write"}, "Plan: Haiku\n1. write\n"),
        ("tool_file_read", {"file_path": "a", "content": "1\n2\n"}, "  2 lines\n"),
        ("tool_file_edit", {"path": "a", "old_str": "x", "new_str": "y"}, "  - x\n  + y\n"),
        ("tool_files_creation", {"files": [{"file_path": "a.py", "bytes": 1}]}, "  a.py (1 byte)\n"),
        ("tool_ls", {"path": ".", "ignore": [], "result": "a\nb"}, "  a\n  b\n"),
        ("tool_todo_write", {"todos": [{"id": "1", "content": "go", "status": "completed"}]}, "  [x] go\n"),
        ("tool_suggest_next_steps", ["one", "two"], "  - one\n  - two\n"),
        ("tool_of_a_plugin", {"some": "thing"}, '  {"some": "thing"}\n'),
        ("tool_ls", {"unexpected": 1}, '  {"unexpected": 1}\n'),
        ("tool_bash", {"unexpected": 1}, '  {"unexpected": 1}\n'),
    ],
)
def test_each_result_has_a_short_description(kind: str, result: JsonValue, expected: str) -> None:
    screen = Screen()
    screen.show(kind, {f"{kind}_result": result})
    assert screen.text == expected


def test_long_results_are_cut_with_a_note() -> None:
    screen = Screen()
    screen.show("tool_ls", {"tool_ls_result": {"path": ".", "result": "\n".join("x" * 100)}})
    assert screen.text.endswith("... 80 more lines\n")


def test_a_question_shows_its_options() -> None:
    screen = Screen()
    screen.show("ask_user", {"interrupt_result": {"question": "Which?", "options": ["a", "b"]}}, "interrupt")
    assert screen.text == "? Which?\n  - a\n  - b\n"


def test_the_last_line_summarises_the_run_unwrapped() -> None:
    screen = Screen()
    usage: JsonValue = {"steps": 1, "input_tokens": 12000, "output_tokens": 3, "cost_usd": 0.5}
    result: dict[str, JsonValue] = {
        "flow_completion_message": "no steps left",
        "stop_reason": "max_steps",
        "usage": usage,
    }
    screen.show("flow_completion", result, "error")
    assert screen.text == (
        "no steps left\nmax_steps | 1 step | 12,000 tokens in, 3 out | $0.5000 | thread t1 | again: baud tail t1\n"
    )


def test_a_stop_reason_of_a_newer_server_is_a_failure() -> None:
    event = Event("1-0", "task_agent_execute", {"execute_result": {"stop_reason": "brand_new"}})
    assert completion_of(event)[0] is StopReason.INTERNAL_ERROR


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]52;c;aGk=\x1b\\text", "text"),
        ("10%\r20%\r\ndone\n", "10%\n20%\ndone\n"),
        ("a\tb\x00\x08\x9b1mc", "a\tb1mc"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
    ],
)
def test_untrusted_text_cannot_control_the_terminal(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_markup_in_model_text_is_shown_as_it_is() -> None:
    screen = Screen()
    screen.show("assistant_response", {"assistant_response_result": "[bold]x[/bold] [/] \x1b[2J"})
    assert screen.text == "[bold]x[/bold] [/] \n"
