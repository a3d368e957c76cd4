"""Writes a part of a streaming response straight to uvicorn's transport, without waking the task that answers.

The only place that knows what uvicorn's `send` does with a body; where it does not fit, the task sends it.
"""

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.service.stream.types import Burst


class DirectWriter:
    """Writes to one response that has begun with chunked encoding (RFC 9112, section 7.1)."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def write(self, burst: Burst) -> bool:
        """Write a burst; False when it cannot be taken at once, and then nothing was written."""
        cycle = self._cycle
        if not cycle.chunked_encoding or cycle.flow.write_paused or cycle.disconnected or cycle.response_complete:
            return False
        try:
            cycle.transport.write(burst.chunk)
        except RuntimeError:  # uvloop's, for a connection that has just been closed
            return False
        return True
