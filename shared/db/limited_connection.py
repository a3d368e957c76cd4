"""A psycopg connection that waits for its server for a limited time only."""

import asyncio
from contextlib import suppress
from typing import Any, Final, Self

from psycopg import AsyncConnection, Error, waiting
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus

# How often psycopg looks for a lost wake-up; its own default.
_INTERVAL_SECONDS: Final = 0.1
# For a statement to end that nobody waits for any more; psycopg's own limit is ten seconds.
_CANCEL_SECONDS: Final = 1.0


class LimitedConnection(AsyncConnection[tuple[Any, ...]]):
    """Gives up a server that does not answer, and a statement whose caller is cancelled.

    `statement_timeout` ends what a server works on; psycopg by itself waits without end for one that hangs.
    """

    limit_seconds: float = 0.0

    @classmethod
    async def connect_limited(cls, conninfo: str, *, limit_seconds: float, **options: Any) -> Self:
        """Connect as `connect` does."""
        connection = await cls.connect(conninfo, **options)
        connection.limit_seconds = limit_seconds
        return connection

    async def wait(self, gen: PQGen[RV], interval: float = _INTERVAL_SECONDS, timeout: float | None = None) -> RV:
        """Wait for the server; every statement, commit and rollback comes through here."""
        try:
            return await self._wait(gen, interval, self.limit_seconds if timeout is None else timeout)
        except BaseException as error:
            await self._give_up(gen, is_cancelled=isinstance(error, asyncio.CancelledError))
            raise

    async def _give_up(self, gen: PQGen[RV], *, is_cancelled: bool) -> None:
        try:
            if is_cancelled:
                # Left alone, the statement would go on, and its transaction keep its locks.
                with suppress(Error):
                    await self.cancel_safe(timeout=_CANCEL_SECONDS)
                    await self._wait(gen, _INTERVAL_SECONDS, _CANCEL_SECONDS)
        finally:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                # An answer may still come, and would be taken for that of the next statement.
                self.pgconn.finish()

    async def _wait(self, gen: PQGen[RV], interval: float, timeout: float) -> RV:
        return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout or None)
