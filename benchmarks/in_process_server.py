"""The baseline without durability: the agent runs inside the web process and is lost with it."""

import asyncio
import json
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from sse_starlette import EventSourceResponse

from benchmarks.scripted_talker import pieces
from shared.contract.event import AgentExecuteData, ExecuteState


def make_app() -> FastAPI:
    """Return an app with the routes that the benchmarks use, one queue per thread, nothing stored."""
    app = FastAPI()
    queues: dict[str, asyncio.Queue[bytes]] = {}
    runs: set[asyncio.Task[None]] = set()

    @app.post("/api/agent/initiate")
    async def initiate() -> dict[str, str]:
        thread_id = str(uuid.uuid4())
        queues[thread_id] = asyncio.Queue()
        return {"thread_id": thread_id}

    @app.post("/api/agent/{thread_id}/execute")
    async def execute(thread_id: str, body: dict[str, Any]) -> dict[str, str]:
        task = asyncio.create_task(_talk(thread_id, json.loads(body["task"]), queues[thread_id]))
        runs.add(task)
        task.add_done_callback(runs.discard)
        return {"thread_id": thread_id}

    @app.get("/api/agent/{thread_id}/stream")
    async def stream(thread_id: str) -> EventSourceResponse:
        async def frames() -> AsyncIterator[bytes]:
            while True:
                yield await queues[thread_id].get()

        return EventSourceResponse(frames(), sep="\n")

    return app


async def _talk(thread_id: str, script: dict[str, Any], queue: asyncio.Queue[bytes]) -> None:
    position = 0
    async for text in pieces(script, script.get("deltas", 1)):
        queue.put_nowait(_frame(thread_id, position, "assistant_delta", {"assistant_delta": {"text": text}}))
        position += 1
    queue.put_nowait(_frame(thread_id, position, "flow_completion", {"stop_reason": "completed"}))


def _frame(thread_id: str, position: int, kind: str, result: dict[str, Any]) -> bytes:
    event = AgentExecuteData(
        uuid=thread_id, thread_id=thread_id, run_id=thread_id, create_at="", modify_at="",
        current_state=ExecuteState.PROCESSING, execute_type=kind, execute_result=result,
    )  # fmt: skip
    return b"id: %d-0\nevent: task_agent_execute\ndata: %b\n\n" % (position, event.to_json())


@asynccontextmanager
async def in_process_server() -> AsyncIterator[str]:
    """Keep the server running in a process of its own inside the block; yields its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.in_process_server", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


def _serve() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(make_app(), log_level="error", loop="uvloop", http="httptools")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    _serve()
