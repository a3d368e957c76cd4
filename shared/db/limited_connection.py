"""A psycopg connection that waits for the server for a limited time, and is closed when it is given up."""

from typing import Any, Final, Self

from psycopg import AsyncConnection, waiting
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus

# How often psycopg looks for a lost wake-up; its own default.
_INTERVAL_SECONDS: Final = 0.1


class LimitedConnection(AsyncConnection[tuple[Any, ...]]):
    """Ends a connection whose server does not answer in time, or whose caller is cancelled meanwhile.

    psycopg waits without a limit, and after a cancellation for another ten seconds. `statement_timeout` of the server
    ends what it still works on.
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
        limit = self.limit_seconds if timeout is None else timeout
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=limit or None)
        except BaseException:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()  # an answer may still come, and would be taken for that of the next statement
            raise
