"""A task on a complete stack: planned, executed with tools, streamed, recorded."""

import pytest

from shared.contract.event import ExecuteState
from shared.contract.result import BashResult
from shared.contract.run import RunStatus
from tests.e2e.asked import read_requests
from tests.e2e.event_log import EndedRun, assert_read_whole
from tests.e2e.stack import Stack
from tests.fakes.openai_script import Answer, Call
from tests.fakes.openai_server import OpenAIServer

pytestmark = pytest.mark.brokers

INIT, COMPLETE, ERROR = ExecuteState.INIT, ExecuteState.COMPLETE, ExecuteState.ERROR

PLAN = Answer(
    text="I plan first.",
    calls=(Call(name="job_plan", arguments={"name": "greeting", "plan": "1. write 2. check"}),),
    input_tokens=100,
    output_tokens=20,
    cached_tokens=30,
)
WORK = Answer(
    calls=(
        Call(name="files_creation", arguments={"files": [{"file_path": "hello.txt", "content": "hello line\n"}]}),
        Call(name="bash", arguments={"cmd": "echo from the shell; wc -c < hello.txt"}),
    ),
    input_tokens=200,
    output_tokens=40,
)
READ = Answer(calls=(Call(name="file_read", arguments={"file_path": "hello.txt"}),), input_tokens=300, output_tokens=8)
END = Answer(text="The file hello.txt is written and checked.", input_tokens=400, output_tokens=12)


@pytest.fixture
def job(stack: Stack, openai_server: OpenAIServer) -> EndedRun:
    openai_server.play([PLAN, WORK, READ, END])
    return stack.run("Write hello.txt and check it", context_data=[{"type": "tone", "content": "friendly"}])


def test_events_are_in_the_order_of_the_contract(job: EndedRun) -> None:
    assert job.steps() == [
        ("user_message", COMPLETE),
        ("assistant_response", COMPLETE),
        ("tool_job_plan", INIT),
        ("tool_job_plan", COMPLETE),
        ("tool_files_creation", INIT),
        ("tool_files_creation", COMPLETE),
        ("tool_bash", INIT),
        ("tool_bash", COMPLETE),
        ("tool_file_read", INIT),
        ("tool_file_read", COMPLETE),
        ("assistant_response", COMPLETE),
        ("flow_completion", COMPLETE),
    ]
    assert job.completion.data.error_flag is False
    assert {event.data.run_id for event in job.events} == {job.run_id}


def test_init_and_complete_of_a_call_share_one_uuid(job: EndedRun) -> None:
    inits = [event for event in job.events if event.data.current_state is INIT]
    ends = [event for event in job.events if event.kind.startswith("tool_") and event.data.current_state is COMPLETE]
    assert [event.data.uuid for event in inits] == [event.data.uuid for event in ends]
    steps = {event.data.uuid for event in job.events if event.data.current_state in (INIT, COMPLETE)}
    assert len(steps) == len(inits) + 4  # the task, two texts and the end beside the calls
    output = job.of_kind("tool_bash", ExecuteState.PROCESSING)
    assert {event.data.uuid for event in output} <= {event.data.uuid for event in inits}


def test_each_event_has_the_members_of_its_kind(job: EndedRun) -> None:
    results = {event.kind: event.data.execute_result for event in job.events if event.data.current_state is COMPLETE}
    assert results["user_message"] == {
        "user_message_result": {
            "task": "Write hello.txt and check it",
            "context_data": [{"type": "tone", "content": "friendly"}],
        }
    }
    assert results["tool_job_plan"] == {"tool_job_plan_result": {"name": "greeting", "plan": "1. write 2. check"}}
    assert results["tool_files_creation"] == {
        "tool_files_creation_result": {"files": [{"file_path": "hello.txt", "bytes": 11}]}
    }
    shell = BashResult.model_validate(job.of_kind("tool_bash", COMPLETE)[0].result("tool_bash_result"))
    assert (shell.cmd, shell.result) == ("echo from the shell; wc -c < hello.txt", "from the shell\n11\n")
    assert (shell.exit_code, shell.truncated) == (0, False)
    assert results["assistant_response"] == {"assistant_response_result": END.text}
    begun = {event.kind: event.data.execute_params for event in job.events if event.data.current_state is INIT}
    assert begun["tool_bash"] == {"cmd": "echo from the shell; wc -c < hello.txt"}
    assert begun["tool_file_read"] == {"file_path": "hello.txt"}


def test_text_arrives_in_deltas_before_its_message(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([Answer(text="This comes slowly, piece by piece.", piece=3, delay=0.1)])
    run = stack.run("Speak")
    assert_read_whole(run.events, stack.log(run.thread_id))
    (response,) = run.of_kind("assistant_response")
    pieces = run.of_kind("assistant_delta")
    assert {piece.data.uuid for piece in pieces} == {response.data.uuid}
    assert len(pieces) > 1
    assert not [event for event in stack.log(run.thread_id) if event.kind == "assistant_delta"]


def test_the_run_is_recorded_as_the_provider_counted(job: EndedRun) -> None:
    assert job.record.status is RunStatus.COMPLETED
    assert job.stop_reason == "completed"
    assert job.record.attempts == 1
    usage = job.record.usage
    assert (usage.steps, usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (4, 1000, 80, 30)
    assert usage.cost_usd > 0
    assert job.completion.result("usage") == usage.model_dump(mode="json")
    assert job.record.created_at <= str(job.record.started_at) <= str(job.record.ended_at)
    assert job.record.completion_id == job.events[-1].id


def test_the_file_is_in_the_workspace(job: EndedRun, stack: Stack) -> None:
    assert (stack.workspace(job.thread_id) / "hello.txt").read_text() == "hello line\n"


def test_the_conversation_can_be_read(job: EndedRun, stack: Stack) -> None:
    messages = stack.http.get(f"/api/agent/{job.thread_id}/messages").json()["items"]
    roles = [message["role"] for message in messages]
    assert roles == ["user", "assistant", "tool", "assistant", "tool", "tool", "assistant", "tool", "assistant"]
    assert messages[-1]["content"] == END.text
    assert {message["run_id"] for message in messages} == {job.run_id}


def test_the_model_has_prompt_and_tools_of_its_phase(job: EndedRun, openai_server: OpenAIServer) -> None:
    planning, *working = read_requests(openai_server.requests)
    assert planning.tool_names == {"job_plan", "ask_user"}
    assert "planner" in planning.system
    for asked in working:
        assert {"bash", "file_read", "files_creation", "todo_write"} <= asked.tool_names
        assert "1. write 2. check" in asked.system
        assert "planner" not in asked.system


def test_the_model_sees_results_in_the_order_of_its_calls(job: EndedRun, openai_server: OpenAIServer) -> None:
    last = read_requests(openai_server.requests)[-1]
    assert last.roles == ["system", "user", "assistant", "tool", "assistant", "tool", "tool", "assistant", "tool"]
    calls = [call["id"] for message in last.messages for call in message.tool_calls]
    assert [result.tool_call_id for result in last.results] == calls
    plan, created, shell, content = [result.text for result in last.results]
    assert '"greeting" is stored' in plan
    assert "created hello.txt" in created
    assert "from the shell" in shell
    assert "hello line" in content


def test_the_threads_stream_holds_the_same_events(job: EndedRun, stack: Stack) -> None:
    assert_read_whole(job.events, stack.log(job.thread_id))
