"""Files and processes of tools: reported truthfully to the model, ended with the worker, removed with the thread."""

import signal
from pathlib import Path

import pytest

from shared.contract.run import StopReason
from tests.e2e.conftest import FreshStack
from tests.e2e.service_process import wait_until
from tests.e2e.test_takeover import END, PLAN, SETTINGS, is_begun, processes_of, shell, watched
from tests.fakes.openai_script import Answer, Call
from tests.fakes.openai_server import OpenAIServer
from tests.integration.sandbox.processes import unique_sleep

PROCESS = {"BAUD_SANDBOX__ISOLATION": "process"}


def is_running(number: str) -> bool:
    return bool(processes_of(number))


def test_no_process_of_a_killed_worker_is_left_after_the_takeover(
    fresh_stack: FreshStack, openai_server: OpenAIServer
) -> None:
    _, child = unique_sleep()
    _, session = unique_sleep()
    openai_server.play([PLAN, shell(f"setsid sleep {session} & sleep {child} & wait"), shell("echo go on"), END])
    stack = fresh_stack(modems=2, **SETTINGS, **PROCESS)
    with watched(stack) as run:
        run.until(is_begun)
        wait_until(lambda: is_running(child) and is_running(session), "the command runs")
        run.owner().send(signal.SIGKILL)
        ended = run.end()
    assert ended.stop_reason == StopReason.COMPLETED
    assert not is_running(child)
    assert not is_running(session)


@pytest.mark.parametrize("isolation", ["auto", "process"])
def test_a_deleted_threads_processes_end_and_its_workspace_is_removed(
    fresh_stack: FreshStack, openai_server: OpenAIServer, isolation: str
) -> None:
    _, number = unique_sleep()
    arguments = {"cmd": f"sleep {number}", "is_long_running": True}
    background = Answer(calls=(Call(name="bash", arguments=arguments),))
    openai_server.play([PLAN, background, END])
    stack = fresh_stack(BAUD_SANDBOX__ISOLATION=isolation)
    ended = stack.run("Serve")
    assert ended.stop_reason == StopReason.COMPLETED
    workspace = stack.workspace(ended.thread_id)
    assert workspace.is_dir()
    assert is_running(number)
    assert stack.http.delete(f"/api/agent/{ended.thread_id}").status_code == 204
    wait_until(lambda: not is_running(number), "the process is stopped")
    wait_until(lambda: not workspace.parent.exists(), "the workspace is removed")


def test_a_run_resumed_on_another_disk_learns_that_its_files_are_missing(
    fresh_stack: FreshStack, openai_server: OpenAIServer, tmp_path: Path
) -> None:
    openai_server.play([PLAN, shell("echo tea > made; sleep 30"), shell("cat made || echo not here"), END])
    stack = fresh_stack(**SETTINGS)
    with watched(stack) as run:
        run.until(is_begun)
        made = stack.workspace(run.thread_id) / "made"
        wait_until(made.exists, "the file is made")
        stack.start_modem("elsewhere", {"BAUD_DATA_DIR": str(tmp_path / "elsewhere")})
        run.owner().send(signal.SIGKILL)
        ended = run.end()
    assert ended.stop_reason == StopReason.COMPLETED
    asked = str(openai_server.requests[-1]["messages"])
    assert "The files that you made until now are not here" in asked
    assert "The files are as they were" not in asked
    assert "not here\\n" in asked


def test_a_network_that_cannot_be_closed_ends_the_run_with_the_way_out(
    fresh_stack: FreshStack, openai_server: OpenAIServer
) -> None:
    openai_server.play([PLAN, shell("echo never"), END])
    stack = fresh_stack(BAUD_SANDBOX__NETWORK="none", **PROCESS)
    ended = stack.run("Work")
    assert ended.stop_reason == StopReason.SANDBOX_ERROR
    assert "sandbox.network is none" in str(ended.record.message)
