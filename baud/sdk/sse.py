"""Parses a byte stream into server-sent event frames by the HTML standard; an incomplete frame is dropped."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SseFrame:
    """One complete frame. `id` is the frame's own, None when it has none; `data` is None when it carries no data."""

    event: str
    data: str | None
    id: str | None
    retry_milliseconds: int | None


class FrameParser:
    """Takes the chunks of one connection and returns the complete frames."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_first = True
        self._begin_frame()

    def _begin_frame(self) -> None:
        self._event = ""
        self._data: list[str] = []
        self._id: str | None = None
        self._retry: int | None = None

    def feed(self, chunk: bytes) -> list[SseFrame]:
        """Return the frames that this chunk completes."""
        lines = (self._rest + chunk).splitlines(keepends=True)
        # A line may still grow, and a \r at the end may be the first half of \r\n.
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        frames = (self._take(line.rstrip(b"\r\n")) for line in lines)
        return [frame for frame in frames if frame is not None]

    def _take(self, raw: bytes) -> SseFrame | None:
        if self._is_first:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
            self._is_first = False
        if not raw:
            return self._end_frame()
        name, _, value = raw.decode(errors="replace").partition(":")
        self._set(name, value.removeprefix(" "))
        return None

    def _set(self, name: str, value: str) -> None:
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdecimal():
            self._retry = int(value)

    def _end_frame(self) -> SseFrame | None:
        data = "\n".join(self._data) if self._data else None
        frame = SseFrame(self._event or "message", data, self._id or None, self._retry)
        self._begin_frame()
        return None if frame.data is None and frame.retry_milliseconds is None else frame
