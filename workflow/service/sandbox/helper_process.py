"""One helper process: how it is started, asked and ended."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from workflow.service.sandbox.file_helper.frames import LENGTHS_BYTES, FrameError, lengths, parse_lengths

# The package is put on the path by its own folder: nothing else of Baud is imported, and no site packages.
_PROGRAM: Final = "import sys; sys.path.append(sys.argv.pop(1)); from file_helper.serve import main; main()"
_PACKAGES: Final = str(Path(__file__).parent)
_GRACE_SECONDS: Final = 0.5  # to remove a temporary file
_KILL_WAIT_SECONDS: Final = 5.0

Answer = tuple[dict[str, Any], bytes]


class HelperEndedError(Exception):
    """The helper ended, or sent an invalid answer."""


class HelperProcess:
    """A running helper; one request at a time."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._requests = 0

    @classmethod
    async def start(cls, root: Path, shown: str) -> "HelperProcess":
        """Start one with an empty environment and one socket as its only descriptor beside stderr."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-S", "-X", "utf8", "-c", _PROGRAM, _PACKAGES, str(root), shown),
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    cwd="/",
                    env={},
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        try:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
        except BaseException:
            ours.close()
            process.kill()
            raise
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is gone, for whatever reason."""
        return self._process.returncode is not None

    async def ask(self, header: Mapping[str, Any], contents: Sequence[bytes]) -> Answer:
        """Send one request and return its answer. Raises HelperEndedError, and FrameError for too large a request."""
        self._requests += 1
        data = orjson.dumps({"id": self._requests, **header})
        head = lengths(len(data), sum(map(len, contents)))
        try:
            self._writer.writelines((head + data, *contents))
            await self._writer.drain()
            header_bytes, body_bytes = parse_lengths(await self._reader.readexactly(LENGTHS_BYTES))
            facts = _parsed(await self._reader.readexactly(header_bytes))
            body = await self._reader.readexactly(body_bytes)
        except (OSError, EOFError, FrameError, ValueError) as error:
            raise HelperEndedError(f"{type(error).__name__}: {error}") from error
        if facts.pop("id", None) != self._requests:
            raise HelperEndedError("it answered another request")
        return facts, body

    async def end(self) -> None:
        """End it: at once where it waits, after a short grace to clean up where it works."""
        self._writer.close()
        try:
            with suppress(ProcessLookupError):
                self._process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _GRACE_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                self._process.kill()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _KILL_WAIT_SECONDS)


def _parsed(header: bytes) -> dict[str, Any]:
    try:
        facts = orjson.loads(header)
    except orjson.JSONDecodeError:  # names that are not UTF-8 come as half characters, which orjson refuses
        facts = json.loads(header)
    if not isinstance(facts, dict):
        raise HelperEndedError("it answered what is no object")
    return facts


def open_inside(root: Path, parts: Sequence[str], flags: int) -> int:
    """Open resolved names of a workspace one by one, never through a symlink; for what a process must inherit."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for position, name in enumerate(parts, 1):
        wanted = flags if position == len(parts) else os.O_RDONLY | os.O_DIRECTORY
        try:
            inner = os.open(name, wanted | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor
