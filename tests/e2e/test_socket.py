"""Complete runs over the WebSocket alone, on two gateways in turn, with a connection of its own for every event."""

import json
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from shared.contract.event import ExecuteState, ExecuteType
from shared.contract.run import StopReason
from shared.ids import parse_stream_id
from tests.e2e.event_log import LogEvent
from tests.e2e.service_process import ServiceProcess
from tests.e2e.stack import GATEWAY_URL, Stack
from tests.event_data import read_data
from tests.fakes.openai_script import Answer, Call
from tests.fakes.openai_server import OpenAIServer

_LIMIT_SECONDS = 30.0
_SCRIPT = [
    Answer(calls=(Call(name="ask_user", arguments={"question": "Which colour?"}),)),
    Answer(text="I paint it blue, slowly.", piece=4, delay=0.03),
    Answer(text="This never comes to an end.", piece=4, hang_after=3),
]


@pytest.fixture
def gateways(stack: Stack, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The addresses of two gateways over the same Redis."""
    second = ServiceProcess("gateway-2", ("gateway", "--port", "0"), settings=stack.settings, folder=tmp_path)
    try:
        yield stack.url, second.wait_for(GATEWAY_URL, _LIMIT_SECONDS)
    finally:
        second.stop()


class _Client:
    """Reads the thread one event at a time and sends commands in between; every time over another gateway."""

    def __init__(self, thread_id: str, gateways: tuple[str, str]) -> None:
        self.thread_id = thread_id
        self.seen: list[LogEvent] = []
        self._gateways = cycle(gateways)

    def _open(self, query: str) -> ClientConnection:
        url = next(self._gateways).rstrip("/").replace("http://", "ws://")
        return connect(f"{url}/ws/agent/{self.thread_id}?{query}", proxy=None)

    def next(self) -> LogEvent:
        """Return the event after the last one."""
        with self._open(f"last_id={self.seen[-1].id}" if self.seen else "") as socket:
            while "id" not in (received := json.loads(socket.recv(_LIMIT_SECONDS))):
                pass
        self.seen.append(LogEvent(received["id"], read_data(received["data"])))
        assert len(self.seen) < 200
        return self.seen[-1]

    def until(self, kind: str, state: ExecuteState | None = None) -> LogEvent:
        """Return the next event of a kind."""
        while (event := self.next()).kind != kind or state not in (None, event.data.current_state):
            pass
        return event

    def send(self, **message: object) -> Any:
        """Return the data of the answer to a command."""
        with self._open("last_id=$") as socket:
            socket.send(json.dumps({"request_id": "q", **message}))
            while (received := json.loads(socket.recv(_LIMIT_SECONDS)))["data"].get("request_id") != "q":
                pass
        assert received["event"] == "ack", received
        return received["data"]


def test_runs_are_posted_answered_cancelled_and_followed_over_sockets_that_break_at_every_event(
    stack: Stack, openai_server: OpenAIServer, gateways: tuple[str, str]
) -> None:
    openai_server.play(_SCRIPT)
    client = _Client(stack.initiate(), gateways)
    first = client.send(type="execute", task="Paint it")["run_id"]
    client.until(ExecuteType.ASK_USER, ExecuteState.INTERRUPT)
    assert client.send(type="input", answer="blue")["run_id"] == first
    ended = client.until(ExecuteType.FLOW_COMPLETION)
    assert (ended.data.run_id, ended.result("stop_reason")) == (first, StopReason.COMPLETED)
    second = client.send(type="execute", task="Go on for ever")["run_id"]
    client.until(ExecuteType.ASSISTANT_DELTA)
    assert client.send(type="cancel")["run_id"] == second
    ended = client.until(ExecuteType.FLOW_COMPLETION)
    assert (ended.data.run_id, ended.result("stop_reason")) == (second, StopReason.CANCELLED)
    ids = [parse_stream_id(event.id) for event in client.seen]
    assert ids == sorted(set(ids))
    # Streamed text may leave the log once its message is complete.
    kept = [event for event in stack.log(client.thread_id) if event.kind != ExecuteType.ASSISTANT_DELTA]
    assert [event for event in client.seen if event.kind != ExecuteType.ASSISTANT_DELTA] == kept
    assert len(client.seen) > len(kept)
