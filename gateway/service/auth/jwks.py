"""The keys that an issuer publishes (JWKS) in memory: fetched ahead, one fetch at a time, used while it is away."""

import asyncio
import logging
import math
from collections.abc import Sequence
from typing import Any, Final

from gateway.service.auth.ports import KeyPublisher, VerificationKey
from gateway.service.auth.verification_keys import MAX_KEYS, KeySet
from shared.auth_config import AuthConfig
from shared.clock import SystemClock
from shared.errors import IssuerUnavailableError

# As long as clients are told to wait before they try again.
_RETRY_SECONDS: Final = 2.0

logger = logging.getLogger(__name__)


class IssuerKeys:
    """A KeySource over what an issuer publishes.

    Up to auth.jwks_refresh the keys are used as they are; then they are fetched in the background; from
    auth.jwks_lifetime on requests wait for that. While the issuer cannot be reached they are used up to
    auth.jwks_max_stale.
    """

    def __init__(self, publisher: KeyPublisher, config: AuthConfig, clock: SystemClock) -> None:
        self._publisher = publisher
        self._config = config
        self._clock = clock
        self._accepted = frozenset(map(str, config.jwt_algorithms))
        self._set: KeySet | None = None
        self._fetched_at = -math.inf
        self._tried_at = -math.inf
        self._asked_again_at = -math.inf
        self._is_away = False  # the last fetch failed
        self._fetching: asyncio.Task[None] | None = None
        self.version = 0

    async def find(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """Return the keys for such a token. Raises IssuerUnavailableError where none are known, or all are too old."""
        if self._age() >= self._config.jwks_refresh:
            await self._refresh()
        if self._set is None or self._age() >= self._config.jwks_max_stale:
            raise IssuerUnavailableError
        return self._set.find(key_id, algorithm)

    async def refetch(self) -> bool:
        """Fetch for a token that no key verifies, at most once in auth.jwks_cooldown, so that forged ones cost nothing.

        Raises IssuerUnavailableError while the issuer is away: its keys may have changed.
        """
        if self._fetching is None:
            pause = _RETRY_SECONDS if self._is_away else self._config.jwks_cooldown
            if self._clock.monotonic() < self._asked_again_at + pause:
                if self._is_away:
                    raise IssuerUnavailableError
                return False
            self._asked_again_at = self._clock.monotonic()
        await asyncio.wait([self._begin_fetch()])
        if self._is_away:
            raise IssuerUnavailableError
        return True

    async def aclose(self) -> None:
        """Cancel the fetch under way, and close the connections."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])
        await self._publisher.aclose()

    def _age(self) -> float:
        return self._clock.monotonic() - self._fetched_at

    async def _refresh(self) -> None:
        """Begin a fetch, unless one failed just before; wait for it where the keys are too old to be used meanwhile."""
        if self._fetching is None and self._is_away and self._clock.monotonic() < self._tried_at + _RETRY_SECONDS:
            return
        fetching = self._begin_fetch()
        limit = self._config.jwks_max_stale if self._is_away else self._config.jwks_lifetime
        if self._age() >= limit:
            await asyncio.wait([fetching])

    def _begin_fetch(self) -> asyncio.Task[None]:
        """Return the fetch under way, or a new one; it never raises."""
        if self._fetching is None:
            self._tried_at = self._clock.monotonic()
            self._fetching = asyncio.create_task(self._fetch_keys(), name="fetch keys of the issuer")
        return self._fetching

    async def _fetch_keys(self) -> None:
        try:
            async with asyncio.timeout(self._config.jwks_timeout):
                published = await self._publisher.fetch()
        except (IssuerUnavailableError, TimeoutError) as error:
            self._is_away = True
            reason = str(error) or f"no answer within {self._config.jwks_timeout:g} s"
            logger.warning("the keys of the issuer cannot be fetched: %s", reason)
        else:
            self._is_away = False
            self._fetched_at = self._clock.monotonic()
            self._use(published)
        finally:
            self._fetching = None

    def _use(self, published: Sequence[Any]) -> None:
        if self._set is not None and published == self._set.published:
            return
        self._set = KeySet(published, self._accepted)
        self.version += 1
        usable = len(self._set.keys)
        counts = {"usable": usable, "not_used": len(published) - usable}
        logger.info("the issuer published new keys", extra=counts)
        if len(published) > MAX_KEYS:
            logger.warning("the issuer publishes %d keys; only the first %d are used", len(published), MAX_KEYS)
