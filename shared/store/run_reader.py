"""Reading runs for display: unreadable members of a run are named, and do not hide other runs."""

from shared.contract.run import RunRecord
from shared.errors import RunNotFoundError
from shared.keys import run_thread
from shared.store.connection import StoreConnection
from shared.store.hash_pages import read_hashes
from shared.store.records import RawFields, salvage_record
from shared.store.redis.errors import redis_errors
from shared.store.run_values import RunPage


class RunReader:
    """Every method raises StoreUnavailableError when Redis does not answer."""

    def __init__(self, connection: StoreConnection, *, ttl_seconds: int) -> None:
        self._connection = connection
        self._ttl = ttl_seconds

    async def get(self, thread_id: str, run_id: str) -> RunRecord:
        """Return the record, or raise RunNotFoundError."""
        with redis_errors():
            raw = await self._connection.redis.hgetall(self._connection.keys(thread_id).run(run_id))
        if not raw:
            raise RunNotFoundError
        return _salvage(thread_id, run_id, raw)

    async def find_thread(self, run_id: str) -> str | None:
        """Return the thread of a run that is known by its id alone, if there is such a run.

        Its index entry expires a TTL after the run was submitted or last found. Of several runs with the same id,
        which only legacy clients can make, it is the one that was submitted last.
        """
        with redis_errors():
            thread_id = await self._connection.redis.getex(run_thread(run_id), ex=self._ttl)
        return None if thread_id is None else thread_id.decode(errors="replace")

    async def find(self, run_id: str) -> RunRecord:
        """Return the record of a run whose thread is not known, or raise RunNotFoundError."""
        thread_id = await self.find_thread(run_id)
        if thread_id is None:
            raise RunNotFoundError
        return await self.get(thread_id, run_id)

    async def newest(self, thread_id: str, *, start: int, limit: int) -> RunPage:
        """Return the thread's runs, newest first, from position `start`; fewer of large ones."""
        keys = self._connection.keys(thread_id)
        if limit < 1:
            return RunPage((), start)
        with redis_errors():
            raw = await self._connection.redis.lrange(keys.runs, start, start + limit - 1)
            run_ids = [run_id.decode(errors="replace") for run_id in raw]
            hashes = await read_hashes(self._connection.redis, [keys.run(run_id) for run_id in run_ids])
        runs = [_salvage(thread_id, run_id, fields) for run_id, fields in zip(run_ids, hashes, strict=False) if fields]
        return RunPage(runs, start + len(hashes))

    async def count(self, thread_id: str) -> int:
        """Return how many runs the thread has had."""
        with redis_errors():
            return int(await self._connection.redis.llen(self._connection.keys(thread_id).runs))


def _salvage(thread_id: str, run_id: str, fields: RawFields) -> RunRecord:
    known = {"thread_id": thread_id, "run_id": run_id, "task": "", "created_at": ""}
    return salvage_record(RunRecord, fields, known)
