"""Reconnect delays of a stream: how long each pause is, and when to give up."""

import random
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx

from baud.sdk.errors import StreamLostError

_SHORT_PAUSE_SECONDS = 0.25  # after an orderly close: spreads the reconnects of clients
_LONGEST_DOUBLING = 16


@dataclass(frozen=True, slots=True)
class StreamPolicy:
    """Limits of reconnecting. The first pause is the server's once it has sent `retry:`."""

    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 30.0
    longest_outage_seconds: float | None = 600.0  # then StreamLostError; 0: after the first failure; None: never
    silence_seconds: float = 45.0  # three keep-alives missed: the connection is dead


class Backoff:
    """Counts failures since the last event or keep-alive. Every gateway is tried once before a long pause."""

    def __init__(
        self, policy: StreamPolicy, *, gateway_count: int = 1, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._policy = policy
        self._gateway_count = gateway_count
        self._now = now
        self._first_pause = policy.first_pause_seconds
        self._failures = 0
        self._since = 0.0

    @property
    def is_outage(self) -> bool:
        """Whether every gateway has failed since the last event or keep-alive, and one of them twice."""
        return self._failures > self._gateway_count

    def start_with(self, seconds: float) -> None:
        """Take the server's `retry:` as the first pause, capped at the longest pause."""
        self._first_pause = min(seconds, self._policy.longest_pause_seconds)

    def reset(self) -> None:
        """Forget earlier failures: an event or keep-alive was received."""
        self._failures = 0

    def short_pause(self) -> float:
        """Return the pause after a connection that ended as it should."""
        return _jitter(0, min(_SHORT_PAUSE_SECONDS, self._first_pause))

    def pause_after(self, why: str, *, last_id: str | None, at_least: float = 0.0) -> float:
        """Return the pause after a failure, `at_least` as long as the gateway asks for.

        Raises StreamLostError when failures have gone on for too long.
        """
        now = self._now()
        self._since = self._since if self._failures else now
        self._failures += 1
        elapsed, limit = now - self._since, self._policy.longest_outage_seconds
        if limit is not None and elapsed >= limit:
            raise StreamLostError(elapsed, self._failures, last_id, why)
        pause = self._next_pause(at_least)
        # The last try is made when `longest_outage_seconds` ends, even if the pause would be longer.
        return pause if limit is None else min(pause, limit - elapsed)

    def _next_pause(self, at_least: float) -> float:
        rounds, tried_in_this_round = divmod(self._failures, self._gateway_count)
        if tried_in_this_round:
            return self.short_pause()
        pause = self._first_pause * 2.0 ** min(rounds - 1, _LONGEST_DOUBLING)
        pause = min(pause, max(self._policy.longest_pause_seconds, self._first_pause))
        return max(at_least, _jitter(pause / 2, pause))


def may_pass(error: Exception) -> bool:
    """Whether another try may succeed: it cannot after a refused certificate or an unusable address."""
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return False
    return not any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _jitter(low: float, high: float) -> float:
    return random.uniform(low, high)  # noqa: S311 - spreads load, not security
