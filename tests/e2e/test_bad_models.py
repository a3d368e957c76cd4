"""Models and providers that misbehave: the run ends within its limits, once, with a reason."""

from typing import Any

import pytest

from baud import Baud
from shared.contract.event import ExecuteState
from shared.contract.run import RunStatus
from tests.e2e.asked import read_requests
from tests.e2e.event_log import EndedRun, LogEvent, assert_read_whole
from tests.e2e.stack import Stack
from tests.event_data import read_data
from tests.fakes.openai_script import Answer, Call, chunks
from tests.fakes.openai_server import OpenAIServer

PLAN = Answer(calls=(Call(name="job_plan", arguments={"name": "n", "plan": "p"}),))
NONSENSE = ("data: {this is no JSON\n\n", "event: surprise\n\n", "data: [1, 2]\n\n", "data: [DONE]\n\n")


def shell(cmd: str, **changes: Any) -> Answer:
    return Answer(calls=(Call(name="bash", arguments={"cmd": cmd}),), **changes)


def assert_every_call_is_closed(run: EndedRun) -> None:
    begun = [event.data.uuid for event in run.events if event.data.current_state is ExecuteState.INIT]
    ended = [
        event.data.uuid
        for event in run.events
        if event.kind.startswith("tool_") and event.data.current_state in (ExecuteState.COMPLETE, ExecuteState.ERROR)
    ]
    assert sorted(begun) == sorted(ended)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param([PLAN, Answer(calls=(Call(name="fly"),), times=0)], "fly", id="unknown tool"),
        pytest.param([PLAN, Answer(calls=(Call(name="bash", arguments='{"cmd": '),), times=0)], "bash", id="bad JSON"),
        pytest.param([PLAN, Answer(calls=(Call(name="bash", arguments="[1]"),), times=0)], "bash", id="no object"),
        pytest.param([Answer(times=0)], "without text", id="nothing"),
        pytest.param([Answer(text=" \n", times=0)], "without text", id="white space"),
        pytest.param([Answer(text="on and on", finish_reason="length", times=0)], "cut off", id="endless answer"),
        pytest.param([shell("ls", times=0)], "bash", id="never plans"),
    ],
)
def test_a_model_that_repeats_itself_ends_as_stuck(
    stack: Stack, openai_server: OpenAIServer, script: list[Answer], words: str
) -> None:
    openai_server.play(script)
    run = stack.run("Do something")
    assert run.stop_reason == "stuck"
    assert run.record.status is RunStatus.FAILED
    assert words in run.message
    assert run.completion.data.current_state is ExecuteState.ERROR
    assert len(openai_server.requests) <= 8
    assert_every_call_is_closed(run)


def test_bad_arguments_are_explained_to_the_model(stack: Stack, openai_server: OpenAIServer) -> None:
    calls = (Call(name="bash", arguments="{}"), Call(name="bash", arguments="{"), Call(name="fly"))
    openai_server.play([PLAN, Answer(calls=calls), Answer(text="I give up.")])
    run = stack.run("Do something")
    assert run.stop_reason == "completed"
    assert_every_call_is_closed(run)
    *_, missing, broken, unknown = read_requests(openai_server.requests)[-1].results
    assert "cmd" in missing.text
    assert "not valid JSON" in broken.text
    assert "There is no tool fly" in unknown.text
    assert [event.data.error_flag for event in run.of_kind("tool_bash", ExecuteState.ERROR)] == [True, True]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(Answer(raw=NONSENSE, times=0), "", id="nonsense stream"),
        pytest.param(Answer(raw=("<html>Welcome to nginx</html>",), times=0), "", id="a web page"),
        pytest.param(Answer(raw=(), times=0), "", id="an empty body"),
        pytest.param(Answer(status=400, error="no such parameter", times=0), "no such parameter", id="400"),
        pytest.param(Answer(status=404, error="no such model", times=0), "llm.model", id="404"),
        pytest.param(Answer(status=503, error="overloaded", times=0), "may pass", id="503 for ever"),
        pytest.param(Answer(text="half an answer", cut_after=2, times=0), "broke", id="always cut off"),
    ],
)
def test_a_provider_that_fails_ends_the_run_as_llm_error(
    stack: Stack, openai_server: OpenAIServer, answer: Answer, words: str
) -> None:
    openai_server.play([answer])
    run = stack.run("Say something")
    assert run.stop_reason == "llm_error"
    assert run.record.status is RunStatus.FAILED
    assert words in run.message
    assert "openai/gpt-4o-mini" in run.message
    assert 1 <= len(openai_server.requests) <= 3


def test_a_refused_key_is_answered_with_what_to_set(stack: Stack, openai_server: OpenAIServer) -> None:
    key = stack.settings["OPENAI_API_KEY"]
    openai_server.play([Answer(status=401, error=f"Incorrect API key provided: {key}", times=0)])
    run = stack.run("Say something")
    assert run.stop_reason == "llm_error"
    assert "OPENAI_API_KEY" in run.message
    assert key not in run.message
    assert len(openai_server.requests) == 1
    assert openai_server.headers[0]["authorization"] == f"Bearer {key}"


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(Answer(status=429, error="slow down", headers={"retry-after": "0.3"}), id="rate limit"),
        pytest.param(Answer(status=500, error="oops"), id="fault"),
        pytest.param(Answer(status=529, error="overloaded"), id="overload"),
    ],
)
def test_a_transient_failure_is_retried(stack: Stack, openai_server: OpenAIServer, failure: Answer) -> None:
    openai_server.play([failure, Answer(text="Here I am.")])
    run = stack.run("Say something")
    assert run.stop_reason == "completed"
    assert len(openai_server.requests) == 2
    assert openai_server.requests[0] == openai_server.requests[1]
    assert run.of_kind("status") == []
    assert [event.result("assistant_response_result") for event in run.of_kind("assistant_response")] == ["Here I am."]


def test_text_of_a_broken_connection_is_declared_void(stack: Stack, openai_server: OpenAIServer) -> None:
    broken = Answer(text="This will not be the answer", cut_after=4, delay=0.3)
    openai_server.play([broken, Answer(text="This is the answer.", piece=2, delay=0.1)])
    run = stack.run("Say something")
    assert run.stop_reason == "completed"
    (void,) = run.of_kind("status")
    (response,) = run.of_kind("assistant_response")
    assert response.result("assistant_response_result") == "This is the answer."
    assert void.data.uuid == response.data.uuid
    status = void.result("status_result")
    assert isinstance(status, dict)
    assert (status["status"], status["attempt"]) == ("restarted", 2)
    deltas = run.of_kind("assistant_delta")
    before = [event for event in deltas if run.events.index(event) < run.events.index(void)]
    after = [event for event in deltas if run.events.index(event) > run.events.index(void)]
    assert before
    assert after
    assert run.record.usage.steps == 1


def test_a_character_cut_in_two_by_the_provider_arrives_complete(stack: Stack, openai_server: OpenAIServer) -> None:
    halves = (*chunks(Answer(text="Smile \ud83d"), "m"), *chunks(Answer(text="\ude00!"), "m"))
    stream = [line for line in halves if "content" in line] + list(chunks(Answer(), "m"))
    openai_server.play([Answer(raw=tuple(stream))])
    run = stack.run("Smile")
    assert run.stop_reason == "completed"
    (response,) = run.of_kind("assistant_response")
    assert response.result("assistant_response_result") == "Smile \U0001f600!"


def test_text_that_looks_like_line_ends_passes_unchanged(stack: Stack, openai_server: OpenAIServer) -> None:
    text = "a\u2028b\u2029c\x85d\r\ne\rf\x00g\ufeffh"
    openai_server.play([Answer(text=text, piece=1)])
    with Baud(stack.url) as client:
        thread_id = client.initiate().thread_id
        run_id = client.execute(thread_id, f"Say {text}").run_id
        events = list(client.run_stream(thread_id, run_id))
    seen = [LogEvent(str(event.id), read_data(event.data)) for event in events]
    assert_read_whole(seen, stack.log(thread_id))
    assert [event.result for event in events if event.execute_type == "assistant_response"] == [text]
    assert text in read_requests(openai_server.requests)[0].messages[-1].text


def test_a_refusal_ends_the_run_as_refused(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([Answer(text="I will not.", finish_reason="content_filter")])
    run = stack.run("Do something bad")
    assert run.stop_reason == "refused"
    assert run.message == "I will not."


@pytest.mark.parametrize(
    ("parameters", "reason", "requests"),
    [
        ({"max_steps": 3}, "max_steps", 3),
        ({"max_tokens": 1000}, "max_tokens", 3),
        ({"max_cost_usd": 0.00001}, "max_cost", 1),
    ],
)
def test_a_limit_of_the_request_ends_the_run(
    stack: Stack, openai_server: OpenAIServer, parameters: dict[str, float], reason: str, requests: int
) -> None:
    different = [shell(f"echo {number}", input_tokens=400, output_tokens=50) for number in range(9)]
    openai_server.play([PLAN.model_copy(update={"input_tokens": 400, "output_tokens": 50}), *different])
    run = stack.run("Go on for ever", parameters=parameters)
    assert run.stop_reason == reason
    assert run.record.status is RunStatus.FAILED
    assert "limit" in run.message
    assert len(openai_server.requests) == run.record.usage.steps == requests
    assert_every_call_is_closed(run)


def test_a_run_that_takes_too_long_ends_with_its_call(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([PLAN, shell("sleep 60")])
    run = stack.run("Sleep", parameters={"max_duration": 1.5})
    assert run.stop_reason == "max_duration"
    assert_every_call_is_closed(run)
