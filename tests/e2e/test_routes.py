"""Every route of the wire contract: what it answers when all is well, and how it refuses."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.keys import ThreadKeys
from tests.e2e.event_log import EndedRun
from tests.e2e.stack import Stack
from tests.fakes.openai_script import Answer
from tests.fakes.openai_server import OpenAIServer

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
NOBODY = "00000000-0000-4000-8000-000000000000"

RUN_FIELDS = {"run_id", "thread_id", "status", "task", "created_at", "started_at", "ended_at", "attempts", "usage"} | {
    "stop_reason",
}
THREAD_FIELDS = {"thread_id", "status", "created_at", "updated_at", "metadata", "context", "run_count", "last_run_id"}
MESSAGE_FIELDS = {"role", "content", "run_id", "created_at"}


@dataclass(frozen=True, slots=True)
class Route:
    """A request with `{thread}`, `{run}`, `{last}` to be filled in, and what has to come back."""

    method: str
    path: str
    status: int
    fields: frozenset[str] = frozenset()
    code: str = ""
    body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


def ok(method: str, path: str, *fields: str, status: int = 200, body: Any = None) -> Route:
    return Route(method, path, status, frozenset(fields), body=body)


def refused(method: str, path: str, status: int, code: str, body: Any = None) -> Route:
    return Route(method, path, status, frozenset({"detail", "code", "request_id"}), code, body)


BASE = "/api/agent/{thread}"
LOST = f"/api/agent/{NOBODY}"
LEGACY = "/agent/event-stream"

ANSWERED = (
    ok("GET", "/health", "status", "timestamp", "version", "config_status"),
    ok("GET", "/live", "status", "time"),
    ok("GET", "/ready", "status", "redis", "broker", "modems", "warnings"),
    ok("POST", "/api/agent/initiate", "thread_id", "created_at", "status", body={}),
    ok("POST", "/api/agent/initiate", "thread_id", "created_at", "status"),
    ok("POST", "/api/agent/initiate", "thread_id", body={"metadata": {"a": [1]}, "context": {"b": {"c": None}}}),
    ok("GET", "/api/agent/threads?limit=2", "items", "next_cursor"),
    ok("GET", BASE, *THREAD_FIELDS),
    ok("GET", f"{BASE}/messages", "items"),
    ok("GET", f"{BASE}/runs", "items"),
    ok("GET", f"{BASE}/runs/{{run}}", *RUN_FIELDS, "completion_id"),
    ok("GET", "/api/agent/runs/{run}", *RUN_FIELDS, "completion_id"),
    ok("GET", f"{BASE}/runs/{{run}}/why", "thread_id", "run_id", "status", "doing", "next", "usage", "attempts"),
    ok("POST", f"{BASE}/runs/{{run}}/cancel", "thread_id", "run_id", "status", status=202),
    ok("GET", f"{BASE}/stream?until=completion"),
    ok("GET", f"{BASE}/runs/{{run}}/stream"),
    ok("GET", f"{BASE}/runs/{{run}}/stream?last_id={{last}}", status=204),
    ok("GET", f"{BASE}/runs/{{run}}/stream?last_id=$", status=204),
)

REFUSED = (
    *(refused("GET", path, 404, "thread_not_found") for path in (LOST, f"{LOST}/messages", f"{LOST}/runs")),
    refused("GET", f"{LOST}/stream", 404, "thread_not_found"),
    refused("DELETE", LOST, 404, "thread_not_found"),
    refused("POST", f"{LOST}/execute", 404, "thread_not_found", {"task": "x"}),
    refused("GET", f"{LOST}/runs/{{run}}", 404, "run_not_found"),
    refused("GET", f"{BASE}/runs/{NOBODY}", 404, "run_not_found"),
    refused("GET", f"/api/agent/runs/{NOBODY}", 404, "run_not_found"),
    refused("GET", "/api/agent/runs/messages", 404, "thread_not_found"),
    refused("GET", f"{BASE}/runs/{NOBODY}/stream", 404, "run_not_found"),
    refused("GET", f"{BASE}/runs/{NOBODY}/why", 404, "run_not_found"),
    refused("POST", f"{BASE}/runs/{NOBODY}/cancel", 404, "run_not_found"),
    refused("POST", f"{LOST}/runs/{{run}}/cancel", 404, "run_not_found"),
    *(
        refused("GET", f"{path}last_id={bad}", 400, "bad_last_id")
        for path in (f"{BASE}/stream?", f"{BASE}/runs/{{run}}/stream?", f"{LEGACY}?flowUuid=a&flowInputUuid=b&")
        for bad in ("soon", "1-2-3", "-1", "99999999999999999999999-0", f"{2**64 - 1}-{2**64 - 1}")
    ),
    refused("GET", f"{LEGACY}?flowUuid=a", 400, "bad_request"),
    refused("GET", "/api/agent/threads?cursor=xyz", 400, "bad_cursor"),
    refused("GET", f"{BASE}/messages?cursor=xyz", 400, "bad_cursor"),
    refused("GET", f"{BASE}/runs?cursor=xyz", 400, "bad_cursor"),
    refused("GET", "/api/agent/threads?limit=0", 422, "invalid_request"),
    refused("GET", f"{BASE}/stream?until=never", 422, "invalid_request"),
    refused("POST", f"{BASE}/execute", 422, "invalid_request", {}),
    refused("POST", f"{BASE}/execute", 422, "invalid_request", {"task": " \n "}),
    refused("POST", f"{BASE}/execute", 422, "invalid_request", {"task": "x", "on_busy": "panic"}),
    refused("POST", f"{BASE}/execute", 422, "invalid_request", {"task": "x", "typo": 1}),
    refused("POST", f"{BASE}/execute", 422, "invalid_request", ["task"]),
    refused("POST", f"{BASE}/execute", 413, "body_too_large", {"task": "x" * 1_100_000}),
    refused("POST", "/api/agent/initiate", 422, "invalid_request", {"metadata": "text"}),
    refused("GET", "/no/such/route", 404, "not_found"),
    refused("PUT", BASE, 405, "method_not_allowed"),
)


@pytest.fixture(scope="module")
def ended_run(shared_stack: Stack, provider: OpenAIServer) -> EndedRun:
    provider.play([Answer(text="There.")])
    return shared_stack.run("Be there")


def ask(stack: Stack, route: Route, run: EndedRun) -> Any:
    path = route.path.format(thread=run.thread_id, run=run.run_id, last=run.events[-1].id)
    return stack.http.request(route.method, path, json=route.body)


@pytest.mark.parametrize("route", ANSWERED, ids=str)
def test_a_route_answers_as_in_the_contract(shared_stack: Stack, ended_run: EndedRun, route: Route) -> None:
    answer = ask(shared_stack, route, ended_run)
    assert answer.status_code == route.status, answer.text
    assert answer.headers["x-request-id"]
    if answer.headers.get("content-type") == "application/json":
        assert set(answer.json()) >= route.fields
    elif route.status == 200:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache, no-transform"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.text.startswith("retry: 3000\n\nid: ")


@pytest.mark.parametrize("route", REFUSED, ids=str)
def test_a_route_refuses_with_code_and_sentence(shared_stack: Stack, ended_run: EndedRun, route: Route) -> None:
    answer = ask(shared_stack, route, ended_run)
    assert answer.status_code == route.status, answer.text
    body = answer.json()
    assert set(body) == route.fields
    assert body["code"] == route.code
    assert body["detail"].strip()
    assert body["request_id"] == answer.headers["x-request-id"]


def deep(levels: int) -> bytes:
    return b"[" * levels + b"1" + b"]" * levels


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"task": "\\ud800"}', id="half a character"),
        pytest.param(b'{"task": "x", "user_uuid": "\\udfff"}', id="half a user"),
        pytest.param(b'{"task": "x", "parameters": {"a": ["\\ud800"]}}', id="half a parameter"),
        pytest.param(b'{"task": "x", "context_data": [{"type": "t", "more": "\\ud800"}]}', id="half a context"),
        pytest.param(b'{"task": ', id="half a body"),
        pytest.param(b'{"task": "x", "parameters": {"a": %b}}' % deep(201), id="deep parameters"),
        pytest.param(b'{"task": "x", "context_data": [{"type": "t", "content": %b}]}' % deep(254), id="deep context"),
        pytest.param(b'{"task": "x", "parameters": {"a": %b}}' % deep(100_000), id="abysmal parameters"),
        pytest.param(b'{"task": "x", "parameters": {"a": NaN}}', id="no number"),
        pytest.param(b'{"task": "x", "parameters": {"a": -Infinity}}', id="infinity"),
        pytest.param(b'{"task": "x", "parameters": {"a": 1e999}}', id="infinite number"),
        pytest.param(
            b'{"task": "x", "on_busy": "steer", "context_data": [{"type": "t", "a": 18446744073709551616}]}',
            id="65 bits",
        ),
        pytest.param(b"", id="no body"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(shared_stack: Stack, ended_run: EndedRun, body: bytes) -> None:
    answer = shared_stack.http.post(
        f"/api/agent/{ended_run.thread_id}/execute", content=body, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text
    assert len(list(shared_stack.http.get(f"/api/agent/{ended_run.thread_id}/runs").json()["items"])) == 1


def test_pages_of_a_list_join_without_gap_or_repeat(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([Answer(text="Yes.", times=0)])
    thread_id = stack.initiate()
    runs = [stack.run(f"Task {number}", thread_id=thread_id).run_id for number in range(5)]
    listed = read_pages(stack, f"/api/agent/{thread_id}/runs")
    assert [run["run_id"] for run in listed] == runs[::-1]
    messages = read_pages(stack, f"/api/agent/{thread_id}/messages")
    assert len(messages) == 10
    assert all(set(message) >= MESSAGE_FIELDS for message in messages)
    assert [message["content"] for message in messages[::2]] == [f"Task {number}" for number in range(5)]
    threads = [thread["thread_id"] for thread in read_pages(stack, "/api/agent/threads")]
    assert threads[0] == thread_id
    assert len(threads) == len(set(threads))


def read_pages(stack: Stack, path: str) -> list[Any]:
    items: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = stack.http.get(path, params={"limit": "2", **({"cursor": cursor} if cursor else {})}).json()
        items += page["items"]
        cursor = page.get("next_cursor")
    return items


def test_a_deleted_thread_leaves_nothing_but_the_note_that_it_was_deleted(
    stack: Stack, openai_server: OpenAIServer
) -> None:
    openai_server.play([Answer(text="Yes.")])
    run = stack.run("Say yes")
    answer = stack.http.delete(f"/api/agent/{run.thread_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert stack.http.get(f"/api/agent/{run.thread_id}/runs/{run.run_id}").status_code == 404
    assert list(stack.redis.scan_iter(f"*{run.thread_id}*")) == [ThreadKeys(run.thread_id).tombstone]


def test_a_task_posted_with_its_own_request_id_keeps_it(stack: Stack) -> None:
    answer = stack.http.get(f"/api/agent/{NOBODY}", headers={"X-Request-ID": "mine-1"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "mine-1"


def test_documented_routes_are_the_routes_there_are(shared_stack: Stack) -> None:
    paths = shared_stack.http.get("/openapi.json").json()["paths"]
    served = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith(("|", "#"))]
    found = re.findall(r"\b(GET|POST|PUT|PATCH|DELETE)[ `]+(/[\w/{}.-]*)", "\n".join(lines))
    assert set(found) == served
