"""The answering side of a measuring process that runs on an event loop."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

_LINE_LIMIT: Final = 2**24


async def answer_questions(answers: Mapping[str, Callable[..., Awaitable[dict[str, Any]]]]) -> None:
    """Answer the requests on standard input, one line after the other, until it ends."""
    questions = asyncio.StreamReader(limit=_LINE_LIMIT)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    while line := await questions.readline():
        question = json.loads(line)
        answer = await answers[question.pop("ask")](**question)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
