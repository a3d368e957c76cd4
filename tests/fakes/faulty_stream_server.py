"""FaultyStreamServer: serves one run's log to the SDK and breaks each connection as specified."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import httpx

TEXT = "caf\u00e9 \u2603 \U0001f375"  # characters of two, three and four bytes, to be cut in their middle


class Failure(StrEnum):
    """How one connection fails."""

    RESET = "reset"  # while its body is read
    SILENCE = "silence"  # the read times out
    CLOSED = "closed"  # cleanly, as an HTTP/1.0 proxy ends it
    REFUSED = "refused"  # never opened
    BUSY = "busy"  # 429 with Retry-After
    BAD_GATEWAY = "bad_gateway"  # a proxy's page instead of an answer


_LOST = {Failure.RESET: httpx.ReadError("reset"), Failure.SILENCE: httpx.ReadTimeout("silence")}


@dataclass(frozen=True, slots=True)
class Break:
    """How a connection fails, and after how many bytes; it begins with `repeats` entries that the client has seen."""

    failure: Failure
    after_bytes: int = 0
    chunk_bytes: int = 7
    repeats: int = 0


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, payload: bytes, broken: Break | None) -> None:
        self._payload = payload if broken is None else payload[: broken.after_bytes]
        self._broken = broken
        self._chunk = broken.chunk_bytes if broken else 1000

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._payload), self._chunk):
            yield self._payload[start : start + self._chunk]
        if self._broken is not None and self._broken.failure in _LOST:
            raise _LOST[self._broken.failure]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk


@dataclass
class FaultyStreamServer:
    """Serves `length` events, the last of which ends the run; each break applies to one connection, in order."""

    length: int
    breaks: Sequence[Break]
    asked: list[str | None] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        last_id = request.headers.get("last-event-id")
        self.asked.append(last_id)
        broken = self.breaks[len(self.asked) - 1] if len(self.asked) <= len(self.breaks) else None
        if broken is not None and broken.failure is Failure.REFUSED:
            raise httpx.ConnectError("refused")
        if broken is not None and broken.failure is Failure.BUSY:
            return httpx.Response(429, headers={"retry-after": "0"}, json={"code": "too_many_streams"})
        if broken is not None and broken.failure is Failure.BAD_GATEWAY:
            return httpx.Response(502, headers={"content-type": "text/html"}, text="<html>Bad Gateway</html>")
        seen = int(last_id.partition("-")[0]) if last_id else 0
        payload = self.payload(max(0, seen - (broken.repeats if broken else 0)))
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=_Body(payload, broken))

    @property
    def ids(self) -> list[str]:
        """The ids of the complete log."""
        return [f"{number}-0" for number in range(1, self.length + 1)]

    def payload(self, seen: int) -> bytes:
        """Return the bytes of a connection that resumes after the event with this number."""
        parts = [b"retry: 0\n\n", b'event: keep_alive\ndata: {"time": "now"}\n\n']
        for number in range(seen + 1, self.length + 1):
            kind = "flow_completion" if number == self.length else "assistant_delta"
            data = json.dumps({"execute_type": kind, "run_id": "r1", "text": TEXT}, ensure_ascii=False)
            parts.append(f"id: {number}-0\nevent: task_agent_execute\ndata: {data}\n\n".encode())
        return b"".join(parts)
