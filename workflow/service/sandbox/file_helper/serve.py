"""The helper's program: reads requests from stdin, answers on stdout, ends with its parent."""

import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from .frames import LENGTHS_BYTES, FrameError, lengths, parse_lengths, read_exactly
from .operations import Operations
from .refusal import RefusedError

MEMORY_BYTES = 256 * 1024 * 1024  # a frame holds 64 MiB, a walk the names of 500,000 entries at worst
_OPEN_FILES = 64
_PARENT_CHECK_SECONDS = 1.0

Answer = tuple[Mapping[str, Any], bytes]


def main() -> None:
    """Serve the workspace that the arguments name: its real folder, and its path as commands see it."""
    _set_limits()
    _end_with_parent()
    root, shown = sys.argv[1:3]
    operations = Operations(root, shown)
    while _serve_one(operations):
        pass


def _serve_one(operations: Operations) -> bool:
    """Answer one request; False at the end of the stream."""
    head = read_exactly(_read, LENGTHS_BYTES)
    if len(head) < LENGTHS_BYTES:
        return False
    header_bytes, body_bytes = parse_lengths(bytes(head))
    header = json.loads(read_exactly(_read, header_bytes))
    body = read_exactly(_read, body_bytes)
    signal.setitimer(signal.ITIMER_REAL, _PARENT_CHECK_SECONDS, _PARENT_CHECK_SECONDS)
    facts, content = _answer(operations, header, memoryview(body))
    signal.setitimer(signal.ITIMER_REAL, 0)
    _send({"id": header["id"], **facts}, content)
    return True


def _answer(operations: Operations, header: Mapping[str, Any], body: memoryview) -> Answer:
    try:
        return operations.answer(header, body)
    except RefusedError as error:
        return {"error": error.kind, "message": error.message, "number": error.number}, b""
    except OSError as error:
        # What was opened is one name of the path; who asked wants to read the path as it was given.
        name = header.get("path") or (error.filename if isinstance(error.filename, str) else None)
        return {"error": "os", "errno": error.errno, "message": error.strerror, "path": name}, b""
    except (MemoryError, RecursionError):
        message = f"The files are too large for this: it would take more than {MEMORY_BYTES} bytes of memory."
        return {"error": "refused", "message": message, "number": 0}, b""


def _send(facts: Mapping[str, Any], content: bytes) -> None:
    header = json.dumps(facts).encode()
    try:
        head = lengths(len(header), len(content))
    except FrameError:
        message = "The answer is too large to be sent. Ask for less."
        header = json.dumps({"id": facts["id"], "error": "refused", "message": message, "number": 0}).encode()
        head, content = lengths(len(header), 0), b""
    for piece in (head + header, content):
        left = memoryview(piece)
        while left:
            left = left[os.write(1, left) :]


def _read(size: int) -> bytes:
    return os.read(0, size)


def _set_limits() -> None:
    """Lower what can be lowered: this process reads what a model asks for, and starts nothing."""
    for kind, wanted in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (limit, limit))


def _end_with_parent() -> None:
    """End at SIGTERM, cleaning up, and within a second of the parent's death also in the middle of an operation."""
    parent = os.getppid()

    def check(*_: object) -> None:
        if os.getppid() != parent:
            os._exit(1)

    def end(*_: object) -> NoReturn:
        raise SystemExit(0)

    signal.signal(signal.SIGALRM, check)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the worker, which ends us
