"""The state of a run and its surroundings, read in one round trip to explain what it is doing."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from shared.contract.run import RunJob, RunRecord
from shared.contract.state import AgentState
from shared.errors import RunNotFoundError
from shared.keys import MODEM_INDEX, OPEN_RUNS_INDEX
from shared.store.connection import StoreConnection
from shared.store.leases import open_run_member, to_number
from shared.store.records import salvage_record
from shared.store.redis.errors import redis_errors

# TIME has no key, and each server has its own clock: this asks the one that judges the run's lease.
_CLOCK: Final = "return redis.call('TIME')"


@dataclass(frozen=True, slots=True)
class RunDiagnosis:
    """A run and its surroundings; times are aware, in UTC, by the clock of Redis."""

    run: RunRecord
    state: AgentState
    now: datetime
    is_active: bool
    runs_ahead: int
    last_event_at: datetime | None
    lease_until: datetime | None
    is_owner_alive: bool
    next_check_at: datetime | None


class RunDiagnosisStore:
    """Raises StoreUnavailableError when Redis does not answer."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection
        self._redis = connection.redis

    async def read(self, thread_id: str, run_id: str) -> RunDiagnosis:
        """Return the state of a run. Raises RunNotFoundError."""
        keys = self._connection.keys(thread_id)
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.eval(_CLOCK, 1, keys.metadata)
            pipe.hgetall(keys.run(run_id))
            pipe.hgetall(keys.state)
            pipe.hget(keys.metadata, "active_run_id")
            pipe.lpos(keys.inbox, run_id)
            pipe.xrevrange(keys.stream, count=1)
            pipe.zscore(OPEN_RUNS_INDEX, open_run_member(RunJob(thread_id=thread_id, run_id=run_id)))
            (seconds, microseconds), run, state, active, position, newest, next_check = await pipe.execute()
            if not run:
                raise RunNotFoundError
            owner = run.get(b"owner", b"").decode(errors="replace")
            alive_until = await self._redis.zscore(MODEM_INDEX, owner) if owner else None
        now = datetime.fromtimestamp(int(seconds) + int(microseconds) / 1e6, UTC)
        is_active = active == run_id.encode()
        return RunDiagnosis(
            run=salvage_record(
                RunRecord, run, {"thread_id": thread_id, "run_id": run_id, "task": "", "created_at": ""}
            ),
            state=salvage_record(AgentState, state, {}),
            now=now,
            is_active=is_active,
            runs_ahead=0 if is_active or position is None else int(position) + 1,
            last_event_at=_entry_time(newest[0][0]) if newest else None,
            lease_until=_time(run.get(b"lease_until")),
            is_owner_alive=alive_until is not None and alive_until > now.timestamp(),
            next_check_at=_time(next_check),
        )


def _entry_time(entry_id: bytes) -> datetime:
    return datetime.fromtimestamp(int(entry_id.split(b"-")[0]) / 1000, UTC)


def _time(milliseconds: bytes | float | None) -> datetime | None:
    value = to_number(milliseconds)
    return datetime.fromtimestamp(value / 1000, UTC) if value else None
