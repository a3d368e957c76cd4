"""A gateway in memory that also acts as modem and agent: for tests of the client.

Run it as the real one: `python -m tests.fakes.fake_gateway --host HOST --port PORT`. The task decides what happens:
`fail` ends with llm_error, `ask` asks a question, `wait` works until it is cancelled, anything else completes. Each
connection of a stream breaks off after its third event, in the middle of the fourth.
"""

import argparse
import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

NOW = "2025-01-01T00:00:00+00:00"
EVENTS_PER_CONNECTION = 3
REASONS = {"fail": "llm_error"}
QUESTION: dict[str, object] = {"interrupt_result": {"question": "Which?", "call_id": "c"}}


@dataclass
class FakeRun:
    """One run and its events."""

    run_id: str
    task: str
    events: list[dict[str, object]] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class FakeGateway:
    """The routes that the client's commands use."""

    threads: dict[str, list[FakeRun]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    modems: int = 0  # degraded until so many fake modems have written their file
    modem_files: Path = Path()

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/health", self.health),
                Route("/log", self.show_log),
                Route("/api/agent/initiate", self.initiate, methods=["POST"]),
                Route("/api/agent/threads", self.list_threads),
                Route("/api/agent/{thread_id}", self.thread),
                Route("/api/agent/{thread_id}/execute", self.execute, methods=["POST"]),
                Route("/api/agent/{thread_id}/stream", self.stream),
                Route("/api/agent/{thread_id}/runs/{run_id}/stream", self.stream),
                Route("/api/agent/{thread_id}/runs/{run_id}/cancel", self.cancel, methods=["POST"]),
                Route("/api/agent/{thread_id}/runs", self.list_runs),
                Route("/api/agent/{thread_id}/runs/{run_id}/why", self.why),
                Route("/api/agent/runs/{run_id}", self.find_run),
            ]
        )

    async def health(self, request: Request) -> Response:
        status = {"overall_status": "healthy", "redis": "healthy", "celery": "healthy"}
        overall = "healthy" if len(list(self.modem_files.glob("modem-alive-*"))) >= self.modems else "degraded"
        return JSONResponse({"status": overall, "timestamp": NOW, "version": "0", "config_status": status})

    async def show_log(self, request: Request) -> Response:
        return JSONResponse(self.log)

    async def initiate(self, request: Request) -> Response:
        thread_id = f"thread-{len(self.threads) + 1}"
        self.threads[thread_id] = []
        return JSONResponse({"thread_id": thread_id, "created_at": NOW, "status": "active"})

    def _record(self, thread_id: str) -> dict[str, object]:
        return {"thread_id": thread_id, "created_at": NOW, "updated_at": NOW, "run_count": len(self.threads[thread_id])}

    async def list_threads(self, request: Request) -> Response:
        return JSONResponse({"items": [self._record(thread_id) for thread_id in self.threads]})

    async def thread(self, request: Request) -> Response:
        thread_id = request.path_params["thread_id"]
        if thread_id not in self.threads:
            detail = {"detail": "No such thread.", "code": "thread_not_found", "request_id": "q1"}
            return JSONResponse(detail, status_code=404)
        return JSONResponse(self._record(thread_id))

    async def execute(self, request: Request) -> Response:
        runs = self.threads[request.path_params["thread_id"]]
        task = (await request.json())["task"]
        run = FakeRun(f"run-{len(runs) + 1}", task)
        run.events += [
            _event("user_message", {"user_message_result": {"task": task}}),
            _event("assistant_delta", {"assistant_delta": {"text": "Hel", "kind": "content"}}),
            _event("assistant_delta", {"assistant_delta": {"text": "lo", "kind": "content"}}),
            _event("assistant_response", {"assistant_response_result": "Hello"}),
        ]
        if task == "ask":
            run.events.append({**_event("ask_user", QUESTION), "current_state": "interrupt"})
        elif task != "wait":
            run.events.append(_completion(REASONS.get(task, "completed")))
        runs.append(run)
        body = {"thread_id": request.path_params["thread_id"], "run_id": run.run_id}
        return JSONResponse({**body, "status": "processing", "created_at": NOW})

    async def cancel(self, request: Request) -> Response:
        self.log.append(f"cancel {request.path_params['run_id']}")
        for run in self.threads[request.path_params["thread_id"]]:
            run.cancelled.set()
        return JSONResponse({**request.path_params, "status": "processing"}, status_code=202)

    async def list_runs(self, request: Request) -> Response:
        thread_id = request.path_params["thread_id"]
        runs = [
            {"thread_id": thread_id, "run_id": run.run_id, "task": run.task, "created_at": NOW}
            for run in reversed(self.threads[thread_id])
        ]
        return JSONResponse({"items": runs})

    async def find_run(self, request: Request) -> Response:
        run_id = request.path_params["run_id"]
        for thread_id, runs in self.threads.items():
            for run in (run for run in runs if run.run_id == run_id):
                return JSONResponse({"thread_id": thread_id, "run_id": run_id, "task": run.task, "created_at": NOW})
        detail = {"detail": "No such run.", "code": "run_not_found", "request_id": "q3"}
        return JSONResponse(detail, status_code=404)

    async def why(self, request: Request) -> Response:
        runs = self.threads[request.path_params["thread_id"]]
        if request.path_params["run_id"] not in [run.run_id for run in runs]:
            detail = {"detail": "No such run.", "code": "run_not_found", "request_id": "q2"}
            return JSONResponse(detail, status_code=404)
        found = {
            "status": "processing",
            "doing": "It carries out 1 tool call(s).",
            "owner": "worker:1",
            "attempts": 2,
            "crashes": 1,
            "usage": {"steps": 3, "input_tokens": 1234, "output_tokens": 5, "cost_usd": 0.5},
            "next": {"what": "If its worker stops renewing its lease, another one takes it over.", "at": NOW},
        }
        return JSONResponse({**request.path_params, **found})

    async def stream(self, request: Request) -> Response:
        last_id = request.headers.get("last-event-id", "0-0")
        query = f"?{request.query_params}" if request.query_params else ""
        self.log.append(f"stream {last_id}{query}")
        thread_id, run_id = request.path_params["thread_id"], request.path_params.get("run_id")
        runs = [run for run in self.threads[thread_id] if run_id in (None, run.run_id)]
        body = _frames(thread_id, runs, int(last_id.partition("-")[0]))
        return StreamingResponse(body, media_type="text/event-stream")


def _event(kind: str, result: dict[str, object]) -> dict[str, object]:
    return {"execute_type": kind, "execute_result": result}


def _completion(reason: str) -> dict[str, object]:
    usage = {"steps": 2, "input_tokens": 1234, "output_tokens": 56, "cached_tokens": 0, "cost_usd": 0.0123}
    return _event("flow_completion", {"stop_reason": reason, "usage": usage})


async def _frames(thread_id: str, runs: list[FakeRun], after: int) -> AsyncIterator[bytes]:
    yield b"retry: 10\n\n"
    number = 0
    for run in runs:
        for event in run.events:
            number += 1
            data = {"thread_id": thread_id, "run_id": run.run_id, "uuid": "u", "current_state": "complete", **event}
            frame = f"id: {number}-0\nevent: task_agent_execute\ndata: {json.dumps(data)}\n\n".encode()
            if number > after + EVENTS_PER_CONNECTION:
                yield frame[:-5]
                return
            if number > after:
                yield frame
        if run.task in ("wait", "ask"):
            await run.cancelled.wait()


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int)
    parser.add_argument("--modems", type=int, default=0)
    options = parser.parse_args()
    gateway = FakeGateway(modems=options.modems, modem_files=Path(os.environ.get("BAUD_DATA_DIR", ".")))
    uvicorn.run(gateway.app(), host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
