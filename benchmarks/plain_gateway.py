"""The baseline of every stream figure: FastAPI and sse-starlette as their manuals show it, one XREAD BLOCK per client.

It reads the same streams that Baud writes, so only the gateway differs.
"""

import os
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

import uvicorn
from fastapi import FastAPI, Header
from redis.asyncio import Redis
from sse_starlette import EventSourceResponse

from shared.keys import ThreadKeys

_BLOCK_MILLISECONDS: Final = 15_000
_PING_SECONDS: Final = 15
_CONNECTIONS: Final = 20_000
_BACKLOG: Final = 2048  # as the gateway


def make_app(redis: Redis) -> FastAPI:
    """Return an app with the one route."""
    app = FastAPI()

    @app.get("/api/agent/{thread_id}/stream")
    async def stream(thread_id: str, last_event_id: str = Header("0-0")) -> EventSourceResponse:
        events = _events(redis, ThreadKeys(thread_id).stream, last_event_id)
        return EventSourceResponse(events, ping=_PING_SECONDS, sep="\n")

    return app


async def _events(redis: Redis, stream: str, cursor: str) -> AsyncIterator[dict[str, str]]:
    while True:
        found: Any = await redis.xread({stream: cursor}, block=_BLOCK_MILLISECONDS)  # typed for every protocol at once
        for _, entries in found:
            for entry_id, fields in entries:
                cursor = entry_id
                yield {"id": entry_id, "event": fields["event"], "data": fields["data"]}


def main() -> None:
    """Serve on a free port, printed on standard output, until stopped."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
    redis = Redis.from_url(
        os.environ["PLAIN_REDIS"], decode_responses=True, max_connections=_CONNECTIONS, socket_timeout=None, protocol=2
    )
    config = uvicorn.Config(
        make_app(redis), loop="uvloop", http="httptools", ws="none", access_log=False, log_level="warning",
        server_header=False,
    )  # fmt: skip
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
