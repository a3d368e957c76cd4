"""Secrets of the worker stay in the worker: not in events, not in logs, not in what commands can see."""

import base64
import json
from collections.abc import Callable

import pytest
from pydantic import JsonValue

from shared.contract.event import ExecuteState
from shared.contract.result import BashResult
from shared.contract.secret import MASKED
from tests.e2e.event_log import EndedRun
from tests.e2e.stack import Stack
from tests.fakes.openai_script import Answer, Call
from tests.fakes.openai_server import OpenAIServer

PLAN = Answer(calls=(Call(name="job_plan", arguments={"name": "n", "plan": "p"}),))


def run_command(stack: Stack, server: OpenAIServer, cmd: str) -> tuple[EndedRun, str]:
    server.play([PLAN, Answer(calls=(Call(name="bash", arguments={"cmd": cmd}),)), Answer(text="Seen.")])
    run = stack.run("Look around")
    (end,) = [event for event in run.of_kind("tool_bash") if event.data.current_state is not ExecuteState.INIT][-1:]
    return run, BashResult.model_validate(end.result("tool_bash_result")).result


def stored(stack: Stack, thread_id: str) -> list[object]:
    """Return all that Redis holds of a thread."""
    redis = stack.redis
    readers: dict[str, Callable[[str], object]] = {
        "hash": redis.hgetall,
        "stream": redis.xrange,
        "list": lambda name: redis.lrange(name, 0, -1),
    }
    found = [readers[str(redis.type(name))](name) for name in redis.scan_iter(f"thread:{thread_id}:*")]
    assert len(found) >= 4
    return found


def test_commands_see_nothing_of_the_workers_environment(stack: Stack, openai_server: OpenAIServer) -> None:
    run, output = run_command(stack, openai_server, "env; tr '\\0' '\\n' < /proc/self/environ")
    names = {line.partition("=")[0] for line in output.splitlines()}
    assert {"PATH", "HOME"} <= names
    assert not [name for name in names if name.startswith(("OPENAI", "BAUD", "REDIS", "LITELLM"))]
    assert stack.settings["OPENAI_API_KEY"] not in repr(run)


def test_commands_cannot_read_the_worker_through_proc(stack: Stack, openai_server: OpenAIServer) -> None:
    _, output = run_command(stack, openai_server, "pwd; cat /proc/[0-9]*/environ 2>&1 | tr '\\0' '\\n' | cut -c -200")
    assert output.startswith("/workspace\n"), "the commands ran without bubblewrap, which does not work here"
    assert "OPENAI_API_KEY" not in output
    assert "BAUD_LLM" not in output


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_a_key_that_the_provider_repeats_is_masked(stack: Stack, openai_server: OpenAIServer, status: int) -> None:
    key = stack.settings["OPENAI_API_KEY"]
    openai_server.play([Answer(status=status, error=f"Something is wrong with {key} or Bearer {key}", times=0)])
    run = stack.run("Say something")
    assert run.stop_reason == "llm_error"
    assert key in openai_server.headers[0]["authorization"]
    assert key not in repr(openai_server.requests)
    assert key not in repr(stored(stack, run.thread_id))
    assert key not in stack.http.get(f"/api/agent/{run.thread_id}/runs/{run.run_id}").text
    for process in stack.processes:
        assert key not in process.output()
    written = [path for path in (stack.folder / "data").rglob("*") if path.is_file()]
    assert not [path for path in written if key.encode() in path.read_bytes()]


def halves(key: str) -> str:
    """Return a command that prints the key without holding it."""
    return f"printf %s {key[:6]}; sleep 0.2; echo {key[6:]}"


def test_a_key_in_the_output_of_a_command_or_the_model_is_masked(stack: Stack, openai_server: OpenAIServer) -> None:
    key = stack.settings["OPENAI_API_KEY"]
    answer = Answer(text=f"The key is {key}.", piece=5, delay=0.05)
    openai_server.play([PLAN, Answer(calls=(Call(name="bash", arguments={"cmd": halves(key)}),)), answer])
    run = stack.run("Look around")
    assert run.of_kind("assistant_response")[-1].result("assistant_response_result") == f"The key is {MASKED}."
    (end,) = run.of_kind("tool_bash", ExecuteState.COMPLETE)
    assert BashResult.model_validate(end.result("tool_bash_result")).result == f"{MASKED}\n"
    assert key not in repr(stored(stack, run.thread_id))
    pieces = [str(event.result("assistant_delta")) for event in run.of_kind("assistant_delta")]
    assert not [piece for piece in pieces if key[:5] in piece], "a secret in several pieces is masked in each"


def test_a_key_that_a_command_prints_is_never_sent_to_the_provider(stack: Stack, openai_server: OpenAIServer) -> None:
    key = stack.settings["OPENAI_API_KEY"]
    print_it = f'k=$({halves(key)}); echo "$k"; echo "{{\\"key\\": \\"$k\\"}}"; echo -n "$k" | base64'
    wrong = f"cat no-such-file-{key[:6]}{key[6:]}"
    openai_server.play([
        PLAN,
        Answer(calls=(Call(name="bash", arguments={"cmd": print_it}), Call(name="bash", arguments={"cmd": wrong}))),
        Answer(text=f"It is {key}.", calls=(Call(name="todo_write", arguments=todo(key)),)),
        Answer(text="Seen."),
    ])  # fmt: skip
    run = stack.run(f"Is {key} the key?")
    assert run.stop_reason == "completed"
    assert key in openai_server.headers[0]["authorization"]
    sent = json.dumps(openai_server.requests)
    assert key not in sent
    assert base64.b64encode(key.encode()).decode().rstrip("=")[:-1] not in sent
    assert sent.count(MASKED) >= 6
    assert key not in repr(run.events)


def todo(key: str) -> dict[str, JsonValue]:
    return {"todos": [{"id": "1", "content": f"keep {key}", "status": "pending", "priority": "low"}]}


def test_the_mask_never_lands_in_a_file(stack: Stack, openai_server: OpenAIServer) -> None:
    key = stack.settings["OPENAI_API_KEY"]
    file = {"file_path": "settings.env", "content": f"KEY={MASKED}\n"}
    openai_server.play([
        PLAN,
        Answer(calls=(Call(name="bash", arguments={"cmd": f"({halves(key)}) > a.env; cat a.env"}),)),
        Answer(calls=(Call(name="files_creation", arguments={"files": [file]}),)),
        Answer(calls=(Call(name="bash", arguments={"cmd": f"echo '{MASKED}' > b.env"}),)),
        Answer(calls=(Call(name="bash", arguments={"cmd": f"echo {key} > c.env"}),)),
        Answer(calls=(Call(name="bash", arguments={"cmd": "cp a.env d.env; echo '*** a note ***' > note.md"}),)),
        Answer(text="Done."),
    ])  # fmt: skip
    run = stack.run("Write it down")
    assert run.stop_reason == "completed"
    refused = [str(request["messages"]) for request in openai_server.requests][-1].count("Have the command read")
    assert refused == 3
    workspace = stack.workspace(run.thread_id)
    written = {path.name: path.read_text() for path in workspace.iterdir() if path.is_file()}
    assert written == {"a.env": f"{key}\n", "d.env": f"{key}\n", "note.md": "*** a note ***\n"}


def test_a_call_that_holds_a_secret_is_refused(stack: Stack, openai_server: OpenAIServer) -> None:
    key = stack.settings["OPENAI_API_KEY"]
    openai_server.play(
        [PLAN, Answer(calls=(Call(name="bash", arguments={"cmd": f"echo {key}"}),)), Answer(text="Seen.")]
    )
    run = stack.run("Look around")
    assert run.stop_reason == "completed"
    (end,) = run.of_kind("tool_bash", ExecuteState.ERROR)
    assert "Have the command read the value itself" in str(end.result("error"))
    assert key not in repr(run.events)
    assert key not in json.dumps(openai_server.requests)
