"""The master of Redis dies under a run: workers, gateway and broker find the next one, and the run ends once."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from shared.contract.run import StopReason
from tests.e2e.conftest import SMALL_MODEL, model_settings
from tests.e2e.event_log import LogEvent, assert_read_whole
from tests.e2e.service_process import wait_until
from tests.e2e.stack import Stack
from tests.e2e.test_takeover import PLAN, assert_every_call_ended_once, is_begun, shell
from tests.fakes.openai_script import Answer
from tests.fakes.openai_server import OpenAIServer
from tests.integration.sentinel_group import SentinelGroup

SETTINGS = {
    "BAUD_REDIS__CONNECT_TIMEOUT": "1",
    "BAUD_REDIS__COMMAND_TIMEOUT": "1",
    # Longer than a fail-over, so that the run stays where it is.
    "BAUD_MODEM__LEASE_SECONDS": "40",
    "BAUD_MODEM__RENEW_SECONDS": "1",
}
AFTER = Answer(text="Still running.")


@pytest.fixture
def group(tmp_path: Path) -> Iterator[SentinelGroup]:
    with SentinelGroup(tmp_path) as started:
        yield started


def read(stack: Stack, thread_id: str, run_id: str) -> Iterator[LogEvent]:
    """Yield a run's events as a client sees them that connects again from its last id whenever it is cut off."""
    last: LogEvent | None = None
    while last is None or not last.is_completion:
        wait_until(lambda: stack.http.get("/health").status_code == 200, "the gateway can be asked", 30)
        with (
            suppress(httpx.HTTPError),
            stack.frames(f"/api/agent/{thread_id}/runs/{run_id}/stream", after=last.id if last else "") as frames,
        ):
            for frame in frames:
                if frame.id is not None:
                    last = LogEvent.of(frame)
                    yield last


@pytest.mark.parametrize("way", ["killed", "hung"])
def test_a_run_goes_on_over_the_loss_of_the_master(
    group: SentinelGroup, openai_server: OpenAIServer, tmp_path: Path, way: str
) -> None:
    openai_server.play(
        [PLAN, shell("touch begun; until [ -e go ]; do sleep 0.05; done; echo done >> effects"), AFTER, AFTER]
    )
    settings = {**model_settings(openai_server, SMALL_MODEL), **SETTINGS}
    with Stack(group.url, tmp_path, settings, redis=group.redis) as stack:
        thread_id = stack.initiate()
        run_id = stack.execute(thread_id, "Keep running")
        reader = read(stack, thread_id, run_id)
        seen: list[LogEvent] = []
        while not seen or not is_begun(seen[-1]):
            seen.append(next(reader))
        workspace = stack.workspace(thread_id)
        wait_until((workspace / "begun").exists, "the command has begun")
        old = group.master()
        group.wait_for_replica()
        old.stop() if way == "killed" else old.pause()
        (workspace / "go").touch()
        seen += reader
        assert group.wait_for_other_master(old) is not old
        ended = stack.follow(thread_id, run_id)
        assert_read_whole(seen, ended.events)
        assert list(ended.events) == list(stack.log(thread_id))
        assert (ended.stop_reason, ended.record.attempts) == (StopReason.COMPLETED, 1)
        assert_every_call_ended_once(ended)
        assert (workspace / "effects").read_text() == "done\n"
        assert stack.run("And now?", thread_id=thread_id).stop_reason == StopReason.COMPLETED
