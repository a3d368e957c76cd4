"""A person sees both ends of what will be run, nothing hidden in it, and is not asked about what is not run."""

from dataclasses import replace

import orjson
import pytest

from shared.contract.message import ToolCall
from shared.contract.run import Answer, Decision, Question, QuestionKind, StopReason
from shared.contract.secret import MASKED
from shared.contract.state import Phase
from tests.fakes.fake_run_log import FakeRunLog
from tests.fakes.scripted_model import calls, says
from tests.unit.workflow.runner.scene import PLAN, Scene, registry_with
from workflow.agent.approval import approval_question, shorten
from workflow.tool.registry import RegisteredTool, ToolRegistry


def asked(name: str) -> RegisteredTool:
    return replace(registry_with().get(name), approval="always")


def shown(arguments: str) -> str:
    question = approval_question(asked("bash"), ToolCall(call_id="c", name="bash", arguments=arguments), None)
    assert question is not None
    return shorten(question).question


def test_a_long_call_shows_its_beginning_and_its_end() -> None:
    command = "echo begin" + " # nothing to see" * 1000 + "; rm -rf ~ end"
    text = shown(orjson.dumps({"cmd": command}).decode())
    assert "echo begin" in text
    assert text.endswith('; rm -rf ~ end"}?')
    length = len(f'May the agent call bash with {{"cmd":"{command}"}}?')
    assert text.startswith(f"(Shown in part: {length - 2000} of {length} characters in the middle are left out.)")
    assert f"\n[{length - 2000} characters left out]\n" in text
    assert len(text) < 2300


def test_a_short_call_is_shown_complete() -> None:
    assert shown('{"cmd": "ls"}') == 'May the agent call bash with {"cmd":"ls"}?'
    assert shown("") == "May the agent call bash with {}?"
    assert shown("no json") == "May the agent call bash with no json?", "the call fails, approved or not"


def test_of_a_name_that_stands_twice_the_one_that_is_run_is_shown() -> None:
    assert shown('{"cmd": "ls", "cmd": "rm -rf ~"}') == 'May the agent call bash with {"cmd":"rm -rf ~"}?'


@pytest.mark.parametrize(
    "hidden",
    [
        "\u202e",
        "\u2066",
        "\u200b",
        "\u200d",
        "\ufeff",
        "\u00ad",
        "\u00a0",
        "\u2028",
        "\u3164",
        "\u2800",
        "\ufe0f",
        "\x7f",
        "\x9b",
    ],
)
def test_what_cannot_be_seen_is_written_out(hidden: str) -> None:
    text = shown(orjson.dumps({"cmd": f"ls {hidden} x"}).decode())
    assert f"\\u{ord(hidden):04x}" in text
    assert hidden not in text


def test_invisible_characters_beyond_the_first_plane_are_json_escapes_too() -> None:
    assert "\\udb40\\udc41" in shown('{"cmd": "\U000e0041"}')


def test_text_that_can_be_seen_stays_as_it_is() -> None:
    assert '"naïve 日本 \N{GRINNING FACE} \\n"' in shown('{"cmd": "naïve 日本 \N{GRINNING FACE} \\n"}')


@pytest.mark.parametrize(
    ("tool", "arguments", "is_refused"),
    [
        ("bash", {"cmd": f"curl -H 'key: {MASKED}'"}, True),
        ("file_edit", {"path": "a", "old_str": f"KEY={MASKED}", "new_str": "KEY=x"}, True),
        ("file_edit", {"path": "a", "old_str": "x", "new_str": MASKED}, True),
        ("multi_edit", {"file_path": "a", "edits": [{"old_string": "x", "new_string": f"<{MASKED}>"}]}, True),
        ("files_creation", {"files": [{"file_path": ".env", "content": f"KEY={MASKED}\n"}]}, True),
        ("grep", {"pattern": MASKED}, True),
        ("look", {"number": 1}, False),
        ("todo_write", {"todos": [{"id": "1", "content": f"replace {MASKED}"}]}, False),
        ("suggest_next_steps", {"next_steps": [f"Rotate {MASKED}"]}, False),
        ("files_creation", {"files": [{"file_path": "a.md", "content": "***bold*** [secret] masked\n\n***\n"}]}, False),
    ],
)
async def test_a_call_that_would_write_or_run_the_mask_is_refused(
    tool: str, arguments: dict[str, object], is_refused: bool
) -> None:
    written = orjson.dumps(arguments).decode()
    for text in (written, written.replace("[secret", "\\u005bsecret") if MASKED in written else written):
        scene = Scene([PLAN, calls((tool, text)), says("done")])
        assert (await scene.play()).stop_reason is StopReason.COMPLETED
        assert ("Have the command read the value itself" in scene.answers()[-1][1]) is is_refused


async def test_nobody_is_asked_about_a_call_that_is_not_made() -> None:
    registry = ToolRegistry([asked("bash"), *(registry_with().get(name) for name in ("job_plan", "todo_read"))])
    assert registry.specs(Phase.EXECUTION)
    scene = Scene([PLAN, calls(("bash", {"cmd": f"echo {MASKED}"})), says("done")], registry=registry)
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    assert "Not carried out" in scene.answers()[-1][1]


async def test_a_secret_in_a_call_is_refused_before_and_after_approval() -> None:
    def mask(message):  # type: ignore[no-untyped-def]  # a message in, a message out
        masked = [
            c.model_copy(update={"arguments": c.arguments.replace("hunter22", MASKED)}) for c in message.tool_calls
        ]
        return message.model_copy(update={"tool_calls": tuple(masked)})

    scene = Scene([PLAN, calls(("bash", {"cmd": "echo hunter22"})), says("done")], log=FakeRunLog(mask=mask))
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    assert "Not carried out" in scene.answers()[-1][1]
    assert "hunter22" not in repr(scene.model.requests)


async def test_arguments_that_a_person_gives_in_place_hold_no_mask_either() -> None:
    registry = ToolRegistry([asked("bash"), registry_with().get("job_plan")])
    first = Scene([PLAN, calls(("bash", {"cmd": "echo hi"}))], registry=registry)
    question = await first.ask()
    answer = Answer(call_id=question.call_id, decision=Decision.APPROVE, arguments={"cmd": f"echo {MASKED}"})
    again = Scene(
        [says("done")], registry=registry, messages=first.log.messages, state=first.journal.state, answer=answer
    )
    assert (await again.play()).stop_reason is StopReason.COMPLETED
    assert "Not carried out" in again.answers()[-1][1]


def test_a_question_of_the_agent_is_not_shortened() -> None:
    question = Question(kind=QuestionKind.ASK_USER, call_id="c", question="x" * 5000)
    assert shorten(question) is question
