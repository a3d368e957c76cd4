"""Values that are secret leave the worker in no event, message, state or end; everything else stays as it is."""

from collections.abc import Sequence

import orjson
import pytest

from modem.service.run_log.masking import PieceMask, SecretMask
from modem.service.run_log.run_log import StoreRunLog
from shared.config import StreamConfig
from shared.contract.event import AgentExecuteData, AssistantDelta, ExecuteState, RunEvent
from shared.contract.message import ChatMessage, ContentPart, Role, ToolCall
from shared.contract.run import RunRecord, RunStatus, StopReason, Usage
from shared.contract.secret import MASKED as MASK
from shared.contract.state import AgentState, Plan, Todo
from shared.secret_values import secret_values
from shared.store.run_values import RunEnd
from tests.fakes.fake_clock import FakeClock
from tests.fakes.fake_worker_run_store import FakeWorkerRunStore
from workflow.journal.events import EventFactory, EventSpan
from workflow.journal.outcome import Outcome
from workflow.llm.model import DeltaKind, TextDelta
from workflow.tool.base import ToolResult

RUN = RunRecord(run_id="r", thread_id="t", task="x", created_at="2026-01-02T03:04:05+00:00", token=1)
EVENTS = EventFactory("t", "r", FakeClock())
PLAIN, QUOTED = "correct horse battery", 'a"b\\c é 123'
MASKED = SecretMask((PLAIN, QUOTED))
ANSWER, COMMAND = EventSpan("s", EVENTS.now(), "assistant_response"), EventSpan("b", EVENTS.now(), "tool_bash")


def log_with(store: FakeWorkerRunStore, mask: SecretMask) -> StoreRunLog:
    return StoreRunLog(store, RUN, StreamConfig(flush_interval=1000.0), mask=mask)


@pytest.mark.parametrize("secret", [PLAIN, QUOTED], ids=["plain", "with quotes"])
async def test_nothing_that_a_run_writes_holds_a_secret(secret: str) -> None:
    store = FakeWorkerRunStore()
    log = log_with(store, MASKED)
    arguments = orjson.dumps({"cmd": f"echo {secret}"}).decode()
    call = ToolCall(call_id="c", name="bash", arguments=arguments)
    step = EventSpan("s", EVENTS.now(), "tool_bash")
    content = (ContentPart(type="text", text=f"it is {secret}"),)
    await log.emit(EVENTS.tool_progress(step, {"result": f"{secret}\n"}))
    await log.commit(
        [EVENTS.response(step, f"I say {secret}."), EVENTS.tool_init(step, call)],
        [
            ChatMessage(role=Role.ASSISTANT, content=f"I say {secret}.", tool_calls=(call,)),
            ChatMessage(role=Role.USER, content=content),
        ],
        AgentState(plan=Plan(name=secret, plan=f"use {secret}"), todos=(Todo(id="1", content=secret),)),
    )
    outcome = Outcome(StopReason.LLM_ERROR, f"refused {secret}", Usage())
    event = EVENTS.completion(outcome).to_json()
    await log.finish(RunEnd(RunStatus.FAILED, StopReason.LLM_ERROR, outcome.message, Usage(), event))
    (write,), (end,) = store.writes, store.ends
    written = [*store.data, end.event]
    results = [orjson.loads(data).get("execute_result") for data in written]
    assert results[:2] == [{"result": f"{MASK}\n"}, {"assistant_response_result": f"I say {MASK}."}]
    assert orjson.loads(written[2])["execute_params"] == {"cmd": f"echo {MASK}"}
    assert (results[3]["flow_completion_message"], end.message) == (f"refused {MASK}", f"refused {MASK}")
    answer, shown = write.messages
    assert (answer.content, orjson.loads(answer.tool_calls[0].arguments)) == (
        f"I say {MASK}.", {"cmd": f"echo {MASK}"},
    )  # fmt: skip
    assert shown.text() == f"it is {MASK}"
    assert write.state is not None
    assert (write.state.plan, write.state.todos[0].content) == (Plan(name=MASK, plan=f"use {MASK}"), MASK)


async def test_a_secret_that_equals_a_field_name_breaks_nothing() -> None:
    store = FakeWorkerRunStore()
    log = log_with(store, SecretMask(("assistant", "thread_id", "assistant_response")))
    step = EventSpan("s", EVENTS.now(), "assistant_response")
    event = EVENTS.response(step, "my thread_id")
    await log.commit([event], [ChatMessage(role=Role.ASSISTANT, content="my assistant")])
    (data,) = store.data
    assert orjson.loads(data) == {
        **orjson.loads(event.to_json()), "execute_result": {"assistant_response_result": f"my {MASK}"},
    }  # fmt: skip
    assert store.writes[0].messages == [ChatMessage(role=Role.ASSISTANT, content=f"my {MASK}")]


def test_an_event_without_a_secret_is_passed_on_byte_by_byte() -> None:
    data = b'{"execute_result" : {"a":1}}'
    assert MASKED.event(data) is data
    assert SecretMask().event(data) is data


def test_the_secrets_are_the_long_values_of_secret_variables() -> None:
    environment = {"A_API_KEY": "long-enough", "B_TOKEN": "short", "HOME": "/home/somebody"}
    mask = SecretMask(secret_values(environment))
    assert mask.text("long-enough short /home/somebody") == f"{MASK} short /home/somebody"


def test_text_without_a_secret_is_passed_on_at_once_and_unchanged() -> None:
    pieces = PieceMask(SecretMask(["long-enough"]), lambda: {"tool_bash": "result"})
    for text in ("a word ", "and another"):
        event = EVENTS.delta(ANSWER, TextDelta(text))
        (passed,) = pieces.pass_on(event)
        assert passed is event
    assert pieces.finish() == []


def texts(events: Sequence[RunEvent]) -> list[object]:
    return [text for event in events for text in texts_of(event)]


def texts_of(event: RunEvent) -> list[object]:
    if isinstance(event, AssistantDelta):
        return [event.text]
    return [piece.get("result") for piece in (event.execute_result or {}).values() if isinstance(piece, dict)]


def output(text: str) -> AgentExecuteData:
    return EVENTS.tool_progress(COMMAND, {"tool_bash_result": {"cmd": "x", "cwd": "/", "result": text}})


def test_output_held_back_is_passed_on_before_the_end_of_its_command() -> None:
    pieces = PieceMask(SecretMask(["long-enough"]), lambda: {"tool_bash": "result"})
    end = EVENTS.tool_end(COMMAND, ToolResult("", {"tool_bash_result": {"cmd": "x", "cwd": "/", "result": "complete"}}))
    passed = [each for text in ("a long-", "enough. ", " long-") for each in pieces.pass_on(output(text))]
    assert texts(passed) == ["a ", f"{MASK}. ", " "]
    rest, last = pieces.pass_on(end)
    assert texts([rest]) == ["long-"]
    assert isinstance(rest, AgentExecuteData)
    assert (rest.current_state, last) == (ExecuteState.PROCESSING, end)
    assert pieces.finish() == []


def test_texts_that_are_streamed_side_by_side_are_kept_apart() -> None:
    pieces = PieceMask(SecretMask(["long-enough"]), lambda: {"tool_bash": "result"})
    thought = DeltaKind.REASONING
    events: list[RunEvent] = [
        EVENTS.delta(ANSWER, TextDelta("long-")),
        EVENTS.delta(ANSWER, TextDelta("long-", thought)),
        output("long-"),
    ]
    assert [each for event in events for each in pieces.pass_on(event)] == []
    assert texts(pieces.pass_on(EVENTS.delta(ANSWER, TextDelta("enough")))) == [MASK]
    assert texts(pieces.pass_on(output("ago"))) == ["long-ago"]
    assert texts(pieces.finish()) == ["long-"]


@pytest.mark.parametrize(
    "result", [{"x": "long-"}, {"tool_bash_result": "long-"}, {"tool_bash_result": {"cmd": "long-"}}]
)
def test_output_of_another_shape_is_passed_on(result: dict[str, object]) -> None:
    event = EVENTS.tool_progress(COMMAND, {}).model_copy(update={"execute_result": result})
    assert [*PieceMask(SecretMask(["long-enough"]), lambda: {"tool_bash": "result"}).pass_on(event)] == [event]


def test_what_a_plug_in_streams_is_masked_across_its_pieces_too() -> None:
    pieces = PieceMask(SecretMask(["long-enough"]), lambda: {"tool_deploy": "log"})
    step = EVENTS.begin("tool_deploy")
    events = [EVENTS.tool_progress(step, {"tool_deploy_result": {"log": text}}) for text in ("a long-", "enough. ")]
    passed = [each for event in events for each in pieces.pass_on(event)]
    results = [event.execute_result for event in passed if isinstance(event, AgentExecuteData)]
    assert results == [{"tool_deploy_result": {"log": "a "}}, {"tool_deploy_result": {"log": f"{MASK}. "}}]
