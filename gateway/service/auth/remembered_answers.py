"""What the database said of credentials, remembered for a few seconds, and longer while it is away."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from shared.clock import SystemClock
from shared.errors import DatabaseUnavailableError, InvalidCredentialError

# A revoked credential is refused by every gateway after this time and a look-up, five seconds in all.
_FRESH_SECONDS: Final = 4.0
# For how long a credential that was valid is accepted while the database cannot be asked.
_STALE_SECONDS: Final = 60.0
MAX_ANSWERS: Final = 10_000

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Remembered(Generic[Answer]):
    answer: Answer
    at: float


class RememberedAnswers(Generic[Answer]):
    """Asks the database once for all requests with one credential; the least recently used answers go first."""

    def __init__(self, clock: SystemClock, *, max_answers: int = MAX_ANSWERS) -> None:
        self._clock = clock
        self._max_answers = max_answers
        self._known: OrderedDict[Hashable, _Remembered[Answer]] = OrderedDict()
        self._lookups: dict[Hashable, asyncio.Task[Answer]] = {}
        self._is_away = False

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return what `ask` returns for a credential, which `key` stands for.

        Raises the InvalidCredentialError of `ask`, and its DatabaseUnavailableError for a credential that was not seen
        valid within a minute.
        """
        known = self._known.get(key)
        if known is not None and self._clock.monotonic() - known.at < _FRESH_SECONDS:
            self._known.move_to_end(key)
            return known.answer
        try:
            return await self._look_up(key, ask)
        except DatabaseUnavailableError:
            if known is None or self._clock.monotonic() - known.at >= _STALE_SECONDS:
                raise
            self._note_away()
            return known.answer

    async def _look_up(self, key: Hashable, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._lookups[key] = asyncio.create_task(self._ask(key, ask), name="credential")
            lookup.add_done_callback(lambda done: self._forget_lookup(key, done))
        return await asyncio.shield(lookup)  # a request that is cancelled does not cancel the others

    async def _ask(self, key: Hashable, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            answer = await ask()
        except InvalidCredentialError:
            self._known.pop(key, None)
            raise
        self._is_away = False
        self._known[key] = _Remembered(answer, self._clock.monotonic())
        self._known.move_to_end(key)
        if len(self._known) > self._max_answers:
            self._known.popitem(last=False)
        return answer

    def _forget_lookup(self, key: Hashable, done: asyncio.Task[Answer]) -> None:
        del self._lookups[key]
        if not done.cancelled():
            done.exception()  # mark it as retrieved; callers get it from the task

    def _note_away(self) -> None:
        if not self._is_away:
            self._is_away = True
            _log.warning("database away; credentials that were valid are accepted for %g s more", _STALE_SECONDS)
