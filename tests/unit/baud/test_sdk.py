"""Both clients behave the same: requests by the contract, streams that survive lost connections."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol

import httpx
import pytest

from baud import (
    ApiError,
    AsyncBaud,
    Baud,
    BaudClientError,
    Event,
    ShareRole,
    StreamLostError,
    StreamPolicy,
    UnreachableError,
)

POLICY = StreamPolicy(first_pause_seconds=0.001, longest_pause_seconds=0.002, longest_outage_seconds=0.5)
URL = "http://gateway.test"


class ScriptedBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in given chunks; an exception among them breaks the connection. Notes that it was closed."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self._chunks = chunks
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk

    def close(self) -> None:
        self.is_closed = True

    async def aclose(self) -> None:
        self.is_closed = True


Reply = httpx.Response | Exception


class ScriptedGateway:
    """Answers requests with what it was given, in order; complains when asked for more."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if not self._replies:
            raise AssertionError(f"unexpected request {request.method} {request.url}")
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


def stream(*chunks: bytes | Exception) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=ScriptedBody(*chunks))


def frame(event_id: str, kind: str = "assistant_delta") -> bytes:
    data = json.dumps({"execute_type": kind, "run_id": "r1"})
    return f"id: {event_id}\nevent: task_agent_execute\ndata: {data}\n\n".encode()


class Collect(Protocol):
    """Reads a run's stream with one of the clients."""

    def __call__(
        self,
        gateway: ScriptedGateway,
        limit: int = 100,
        *,
        url: str | list[str] = URL,
        policy: StreamPolicy = POLICY,
    ) -> list[Event]: ...


def collect_sync(
    gateway: ScriptedGateway, limit: int = 100, *, url: str | list[str] = URL, policy: StreamPolicy = POLICY
) -> list[Event]:
    found: list[Event] = []
    with Baud(url, stream_policy=policy, transport=httpx.MockTransport(gateway)) as baud:
        events = baud.run_stream("t1", "r1")
        for event in events:
            found.append(event)
            if len(found) == limit:
                break
        events.close()
    return found


def collect_async(
    gateway: ScriptedGateway, limit: int = 100, *, url: str | list[str] = URL, policy: StreamPolicy = POLICY
) -> list[Event]:
    async def collect() -> list[Event]:
        found: list[Event] = []
        async with AsyncBaud(url, stream_policy=policy, transport=httpx.MockTransport(gateway)) as baud:
            events = baud.run_stream("t1", "r1")
            async for event in events:
                found.append(event)
                if len(found) == limit:
                    break
            await events.aclose()
        return found

    return asyncio.run(collect())


both = pytest.mark.parametrize("collect", [collect_sync, collect_async], ids=["sync", "async"])


@both
def test_a_broken_stream_resumes_after_the_last_complete_event(collect: Collect) -> None:
    gateway = ScriptedGateway(
        stream(frame("1-0") + frame("2-0")[:-1], httpx.ReadError("cut")),
        httpx.ConnectError("refused"),
        httpx.Response(503, headers={"retry-after": "0"}),
        stream(frame("1-0"), frame("2-0"), frame("3-0", "flow_completion")),
    )
    assert [event.id for event in collect(gateway)] == ["1-0", "2-0", "3-0"]
    asked = [request.headers.get("last-event-id") for request in gateway.requests]
    assert asked == [None, "1-0", "1-0", "1-0"]


@both
def test_a_silent_connection_is_opened_again(collect: Collect) -> None:
    gateway = ScriptedGateway(stream(httpx.ReadTimeout("silence")), stream(frame("1-0", "flow_completion")))
    assert [event.id for event in collect(gateway)] == ["1-0"]


@both
def test_leaving_a_stream_closes_its_connection(collect: Collect) -> None:
    reply = stream(frame("1-0"), frame("2-0"))
    assert len(collect(ScriptedGateway(reply), limit=1)) == 1
    assert reply.is_closed


@both
def test_a_stream_that_cannot_be_reached_is_given_up(collect: Collect) -> None:
    gateway = ScriptedGateway(httpx.ConnectError("refused"))
    with pytest.raises(StreamLostError, match=r"1 try; .*: ConnectError: refused; no event came"):
        collect(gateway, policy=StreamPolicy(longest_outage_seconds=0.0))


@both
def test_another_gateway_of_the_list_takes_the_stream_over(collect: Collect) -> None:
    gateway = ScriptedGateway(
        stream(frame("1-0"), httpx.ReadError("cut")),
        httpx.Response(502, text="<html>"),
        stream(frame("2-0", "flow_completion")),
    )
    assert [event.id for event in collect(gateway, url=["http://a.test", "http://b.test/"])] == ["1-0", "2-0"]
    assert [request.url.host for request in gateway.requests] == ["a.test", "b.test", "a.test"]


@both
def test_an_unknown_run_is_raised_without_another_try(collect: Collect) -> None:
    body = {"detail": "No such run.", "code": "run_not_found", "request_id": "q"}
    with pytest.raises(ApiError, match="404 run_not_found: No such run"):
        collect(ScriptedGateway(httpx.Response(404, json=body)))


def with_sync(gateway: ScriptedGateway, act: Callable[[Baud], object]) -> object:
    with Baud(URL, api_key="secret", stream_policy=POLICY, transport=httpx.MockTransport(gateway)) as baud:
        return act(baud)


THREAD = {"thread_id": "t1", "created_at": "x", "updated_at": "x"}
SUBMITTED = {"thread_id": "t1", "run_id": "r1", "status": "processing", "created_at": "2025-01-01T00:00:00+00:00"}


def test_execute_sends_the_task_with_a_key_and_the_credential() -> None:
    gateway = ScriptedGateway(httpx.Response(200, json=SUBMITTED))
    answer = with_sync(
        gateway, lambda baud: baud.execute("t 1", "do it", context_data=[{"type": "text", "content": "x"}])
    )
    request = gateway.requests[0]
    assert (request.method, request.url.raw_path) == ("POST", b"/api/agent/t%201/execute")
    body = json.loads(request.content)
    assert body["task"] == "do it"
    assert body["context_data"] == [{"type": "text", "content": "x"}]
    assert body["on_busy"] == "queue"
    assert request.headers["idempotency-key"]
    assert request.headers["authorization"] == "Bearer secret"
    assert getattr(answer, "run_id", "") == "r1"


def test_execute_is_sent_again_with_the_same_key() -> None:
    gateway = ScriptedGateway(httpx.ReadError("cut"), httpx.Response(200, json=SUBMITTED))
    with_sync(gateway, lambda baud: baud.execute("t1", "do it"))
    keys = {request.headers["idempotency-key"] for request in gateway.requests}
    assert len(gateway.requests) == 2
    assert len(keys) == 1


def test_initiate_is_not_sent_again_once_it_may_have_arrived() -> None:
    gateway = ScriptedGateway(httpx.ReadError("cut"))
    with pytest.raises(UnreachableError, match="is it running"):
        with_sync(gateway, lambda baud: baud.initiate())


def test_lists_fetch_their_further_pages() -> None:
    times = {"created_at": "x", "updated_at": "x"}
    gateway = ScriptedGateway(
        httpx.Response(200, json={"items": [{"thread_id": "a", **times}], "next_cursor": "c1"}),
        httpx.Response(200, json={"items": [{"thread_id": "b", **times}]}),
    )
    names = with_sync(gateway, lambda baud: [record.thread_id for record in baud.threads()])
    assert names == ["a", "b"]
    assert gateway.requests[1].url.params["cursor"] == "c1"


def test_until_completion_asks_the_thread_and_then_reads_the_rest() -> None:
    gateway = ScriptedGateway(
        stream(frame("1-0")), httpx.Response(200, json=THREAD), stream(frame("2-0", "flow_completion"))
    )
    ids = with_sync(gateway, lambda baud: [event.id for event in baud.stream("t1", until_completion=True)])
    assert ids == ["1-0", "2-0"]


def test_until_completion_survives_an_unreachable_gateway_at_the_activity_request() -> None:
    gateway = ScriptedGateway(
        stream(frame("1-0")),
        *[httpx.Response(502, text="<html>")] * 4,
        stream(),
        httpx.Response(200, json=THREAD),
        stream(frame("2-0", "flow_completion")),
    )
    ids = with_sync(gateway, lambda baud: [event.id for event in baud.stream("t1", until_completion=True)])
    assert ids == ["1-0", "2-0"]


def test_the_wanted_types_go_into_the_query() -> None:
    gateway = ScriptedGateway(httpx.Response(204), httpx.Response(204))
    with_sync(gateway, lambda baud: list(baud.stream("t1", types=["tool_bash", "mine"], deltas=False)))
    with_sync(gateway, lambda baud: list(baud.run_stream("t1", "r1", types=["tool_bash"])))
    assert [dict(request.url.params) for request in gateway.requests] == [
        {"types": "tool_bash,mine", "deltas": "false"},
        {"types": "tool_bash"},
    ]


@pytest.mark.parametrize("types", [[], [" "], ["a,b"], "tool_bash"], ids=["none", "blank", "comma", "text"])
def test_unusable_types_are_refused(types: list[str]) -> None:
    with pytest.raises(BaudClientError, match="type"):
        with_sync(ScriptedGateway(), lambda baud: baud.stream("t1", types=types))


def test_a_request_goes_to_the_next_gateway_and_stays_there() -> None:
    thread = httpx.Response(200, json=THREAD)
    gateway = ScriptedGateway(httpx.ConnectError("refused"), httpx.Response(503), thread, thread)
    with Baud(["http://a.test", "http://b.test", "http://c.test"], transport=httpx.MockTransport(gateway)) as baud:
        assert [baud.thread("t1").thread_id for _ in range(2)] == ["t1", "t1"]
    assert [request.url.host for request in gateway.requests] == ["a.test", "b.test", "c.test", "c.test"]


def test_an_answer_that_is_not_baud_is_named_as_such() -> None:
    gateway = ScriptedGateway(httpx.Response(200, text="<html>"))
    with pytest.raises(ApiError, match="not_from_baud"):
        with_sync(gateway, lambda baud: baud.thread("t1"))


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(BaudClientError, match="http://"):
        Baud("localhost:8000")


@pytest.mark.parametrize("role", [ShareRole.EDITOR, "editor"])
def test_share_and_unshare_name_the_user_in_the_path(role: ShareRole | str) -> None:
    thread = httpx.Response(200, json=THREAD)
    gateway = ScriptedGateway(thread, httpx.ReadError("cut"), thread)
    with Baud(URL, transport=httpx.MockTransport(gateway)) as baud:
        baud.share("t1", "auth0|ann/1 x", role)
        baud.unshare("t1", "auth0|ann/1 x")
    path = b"/api/agent/t1/shares/auth0%7Cann%2F1%20x"
    assert [(request.method, request.url.raw_path) for request in gateway.requests] == [
        ("PUT", path),
        ("DELETE", path),
        ("DELETE", path),
    ]
    assert gateway.requests[0].content == b'{"role":"editor"}'


@pytest.mark.parametrize("user", ["..", ".", ""])
def test_a_name_that_would_change_the_route_is_refused(user: str) -> None:
    with (
        Baud(URL, transport=httpx.MockTransport(ScriptedGateway())) as baud,
        pytest.raises(BaudClientError, match="no id or user can be"),
    ):
        baud.unshare("t1", user)  # DELETE …/shares/.. would be DELETE of the thread


def test_both_clients_offer_the_same_methods() -> None:
    def methods(of: type) -> set[str]:
        return {name for name in vars(of) if not name.startswith("_")}

    assert methods(Baud) == methods(AsyncBaud)
