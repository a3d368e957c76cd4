"""FakeKeyPublisher: the KeyPublisher port; publishes what the test sets, fails or hangs at will, and counts."""

import asyncio
from collections.abc import Sequence
from typing import Any

from shared.errors import IssuerUnavailableError


class FakeKeyPublisher:
    """`keys` are published next; while `is_away` each fetch fails; while `gate` is not set fetches wait for it."""

    def __init__(self, *keys: Any) -> None:
        self.keys: list[Any] = list(keys)
        self.is_away = False
        self.is_closed = False
        self.fetches = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self) -> Sequence[Any]:
        self.fetches += 1
        await self.gate.wait()
        if self.is_away:
            raise IssuerUnavailableError("the fake issuer is away")
        return list(self.keys)

    async def aclose(self) -> None:
        self.is_closed = True
