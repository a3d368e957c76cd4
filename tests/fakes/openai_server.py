"""A real HTTP server that speaks OpenAI's streaming chat completions from a script.

In a test: `with OpenAIServer([Answer(text="hi")]) as server`. As a process of its own:
`python -m tests.fakes.openai_server --port 9000 --script answers.json`; GET /requests then lists what was asked.
"""

import argparse
import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import TracebackType

import uvicorn
from pydantic import JsonValue
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.fakes.openai_script import Answer, chunks, load_script

START_SECONDS = 10.0


class ScriptedConnectionLossError(Exception):
    """Raised inside a response to make the HTTP server drop the connection."""


class FakeOpenAI:
    """The ASGI application: picks the answer, streams it, writes down what was asked and who left early."""

    def __init__(self, script: Sequence[Answer]) -> None:
        self.script = tuple(script)
        self.requests: list[dict[str, JsonValue]] = []
        self.headers: list[dict[str, str]] = []
        self.disconnects = 0
        self._used = [0] * len(self.script)
        self._changed = threading.Condition()
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self.complete, methods=["POST"]),
                Route("/v1/messages", self.complete, methods=["POST"]),
                Route("/requests", self.list_requests),
                Route("/health", lambda _request: Response("ok")),
            ]
        )

    def play(self, script: Sequence[Answer]) -> None:
        """Go on with another script, and forget what was asked and who left."""
        with self._changed:
            self.script = tuple(script)
            self._used = [0] * len(self.script)
            self.requests, self.headers, self.disconnects = [], [], 0

    async def complete(self, request: Request) -> Response:
        body = await request.json()
        with self._changed:
            self.requests.append(body)
            self.headers.append(dict(request.headers))
            answer = self._pick(json.dumps(body))
            self._changed.notify_all()
        if answer.status != 200:
            error = {"error": {"message": answer.error, "type": "scripted", "code": None}}
            return JSONResponse(error, status_code=answer.status, headers=answer.headers)
        return StreamingResponse(self._body(answer, str(body.get("model"))), media_type="text/event-stream")

    async def list_requests(self, _request: Request) -> Response:
        return JSONResponse(self.requests)

    def wait_until(self, condition: Callable[[], bool], seconds: float = 5.0) -> bool:
        """Block until the condition holds; it is asked again after each request and disconnect."""
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    def _pick(self, body: str) -> Answer:
        for index, answer in enumerate(self.script):
            if answer.when in body and (answer.times == 0 or self._used[index] < answer.times):
                self._used[index] += 1
                return answer
        return Answer(status=400, error=f"the script has no answer for request {len(self.requests)}")

    async def _body(self, answer: Answer, model: str) -> AsyncIterator[str]:
        try:
            for index, chunk in enumerate(chunks(answer, model)):
                if index == answer.cut_after:
                    raise ScriptedConnectionLossError
                if index == answer.end_after:
                    return
                if index == answer.hang_after:
                    await asyncio.Event().wait()
                await asyncio.sleep(answer.delay)
                yield chunk
        except asyncio.CancelledError:
            with self._changed:
                self.disconnects += 1
                self._changed.notify_all()
            raise


class _ThreadServer(uvicorn.Server):
    """uvicorn that says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        # What a client did not take keeps its connection open, and the loop must not end before it is closed.
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


class OpenAIServer(FakeOpenAI):
    """The application on a free port of 127.0.0.1, in a thread, for the length of a `with` block."""

    def __init__(self, script: Sequence[Answer]) -> None:
        super().__init__(script)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        # uvloop cannot be closed as long as a client that went away has not been noticed.
        config = uvicorn.Config(
            self.app, loop="asyncio", log_level="critical", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = _ThreadServer(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    @property
    def base_url(self) -> str:
        """The address for `LLMConfig.base_url`."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def __enter__(self) -> "OpenAIServer":
        self._thread.start()
        if not self._server.ready.wait(START_SECONDS):
            raise TimeoutError("the fake OpenAI server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(START_SECONDS)
        self._socket.close()


def main() -> None:
    """Serve a script file until stopped."""
    parser = argparse.ArgumentParser(description="Fake OpenAI server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--script", type=Path, required=True, help="JSON list of answers")
    options = parser.parse_args()
    fake = FakeOpenAI(load_script(options.script))
    uvicorn.run(fake.app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
