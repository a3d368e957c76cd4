"""The output of a command: streamed in pieces to the reader, head and tail kept for the result."""

import asyncio
import codecs
from collections import deque
from typing import Final

from workflow.service.sandbox.base import OutputSink

HEAD_CHARS: Final = 100_000
TAIL_CHARS: Final = 100_000
PIECE_BYTES: Final = 4096
PIECE_SECONDS: Final = 0.05  # often enough to look live, seldom enough for one event each


class OutputWindow:
    """Keeps the first HEAD_CHARS and the last TAIL_CHARS characters of what is added."""

    def __init__(self) -> None:
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._head_chars = 0
        self._tail_chars = 0
        self._dropped_chars = 0

    @property
    def truncated(self) -> bool:
        """Whether something is cut out of the middle."""
        return self._dropped_chars + self._tail_chars > TAIL_CHARS

    def add(self, text: str) -> None:
        """Take more output."""
        room = HEAD_CHARS - self._head_chars
        if room > 0:
            self._head.append(text[:room])
            self._head_chars += len(self._head[-1])
            text = text[room:]
        self._tail.append(text)
        self._tail_chars += len(text)
        while self._tail_chars - len(self._tail[0]) >= TAIL_CHARS:
            dropped = len(self._tail.popleft())
            self._tail_chars -= dropped
            self._dropped_chars += dropped

    def text(self) -> str:
        """Return what is kept, with a line that says how much is not."""
        head, tail = "".join(self._head), "".join(self._tail)
        if not self.truncated:
            return head + tail
        cut = self._dropped_chars + len(tail) - TAIL_CHARS
        return f"{head}\n[... {cut} characters cut here ...]\n{tail[-TAIL_CHARS:]}"


async def pump(reader: asyncio.StreamReader, window: OutputWindow, on_output: OutputSink | None) -> None:
    """Move the output into the window and to `on_output` until the last writer has closed it."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    ended = False
    while not ended:
        data, ended = await _next_piece(reader)
        text = decoder.decode(data, final=ended)
        window.add(text)
        if text and on_output is not None:
            await on_output(text)


async def _next_piece(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    """Return what comes within PIECE_SECONDS of the first byte, and whether it was the last."""
    data = await reader.read(PIECE_BYTES)
    if not data:
        return b"", True
    try:
        async with asyncio.timeout(PIECE_SECONDS):
            while len(data) < PIECE_BYTES:
                more = await reader.read(PIECE_BYTES - len(data))
                if not more:
                    return data, True
                data += more
    except TimeoutError:
        return data, False
    return data, False
