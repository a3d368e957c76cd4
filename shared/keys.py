"""Every Redis key, channel, queue and task name of Baud."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

EXECUTE_RUN_TASK: Final = "modem.execute_run"
LEGACY_TASK: Final = "main.process_flow_data"

THREAD_INDEX: Final = "threads:index"
MODEM_INDEX: Final = "modems:alive"
# Sorted set: every run that has not ended, by the time of a reaper's next check.
OPEN_RUNS_INDEX: Final = "runs:open"
# List: messages of the task queue that could not be read, newest first.
DEAD_LETTERS: Final = "baud:dead-letters"
# With a worker's id: notified when a cancel was requested of one of its runs.
WORKER_CHANNEL_PREFIX: Final = "modem:bell:"
# A connection is subscribed to this channel from the start, so that it is in pub/sub mode before the first thread's.
IDLE_CHANNEL: Final = "bell:idle"


def run_thread(run_id: str) -> str:
    """String: the thread of a run. It is read by the run's id alone, so it is not kept with the thread's keys."""
    return f"run:{run_id}:thread"


def stream_ticket(digest: str) -> str:
    """Hash: what a ticket is for, by the SHA-256 of its text, which is not stored."""
    return f"ticket:{digest}"


def user_tickets(tenant: str, user: str) -> str:
    """Sorted set: the digests of the tickets that were issued to a user."""
    return f"tickets:{quote(tenant, safe='')}:{quote(user, safe='')}"


def tenant_index(tenant: str) -> str:
    """Sorted set: the threads of a tenant, as THREAD_INDEX holds those of all."""
    return f"{THREAD_INDEX}:tenant:{quote(tenant, safe='')}"


def user_index(tenant: str, user: str) -> str:
    """Sorted set: the threads of a user, and those that are shared with it."""
    return f"{THREAD_INDEX}:user:{quote(tenant, safe='')}:{quote(user, safe='')}"


@dataclass(frozen=True, slots=True)
class ThreadKeys:
    """The keys of one thread; with `is_hash_tagged` its id is in braces, so that all are on one of several servers."""

    thread_id: str
    is_hash_tagged: bool = False

    @property
    def _prefix(self) -> str:
        return f"thread:{self._tag(self.thread_id)}"

    def _tag(self, bare_id: str) -> str:
        return f"{{{bare_id}}}" if self.is_hash_tagged else bare_id

    @property
    def metadata(self) -> str:
        """Hash: the thread record."""
        return f"{self._prefix}:metadata"

    @property
    def stream(self) -> str:
        """Stream: the events of all runs."""
        return f"{self._prefix}:stream"

    @property
    def runs(self) -> str:
        """List: run ids, newest first."""
        return f"{self._prefix}:runs"

    @property
    def messages(self) -> str:
        """List: the conversation, oldest first."""
        return f"{self._prefix}:messages"

    @property
    def state(self) -> str:
        """Hash: the agent's state."""
        return f"{self._prefix}:state"

    @property
    def inbox(self) -> str:
        """List: runs that wait, next first."""
        return f"{self._prefix}:inbox"

    @property
    def tombstone(self) -> str:
        """String: the thread was deleted; it outlives the thread, so that its data elsewhere is removed too."""
        return f"deleted:{self._tag(self.thread_id)}"

    @property
    def idempotency(self) -> str:
        """Hash: Idempotency-Key to run id."""
        return f"{self._prefix}:idempotency"

    @property
    def channel(self) -> str:
        """Channel: notified after each append."""
        return f"{self._prefix}:bell"

    @property
    def run_prefix(self) -> str:
        """The prefix of run keys."""
        return f"{self._prefix}:run:"

    def run(self, run_id: str) -> str:
        """Hash: the record of one run."""
        return f"{self.run_prefix}{run_id}"

    def legacy_stream(self, flow_input_uuid: str) -> str:
        """Stream: the events of one legacy run, whose thread id is the flow's uuid."""
        return f"stream:{self._tag(self.thread_id)}:{flow_input_uuid}"

    @property
    def shared(self) -> list[str]:
        """The keys that live as long as the thread, in the order that the scripts expect."""
        return [self.metadata, self.stream, self.runs, self.messages, self.state, self.inbox, self.idempotency]


def metadata_beside(stream: str) -> str | None:
    """Return the key of the metadata that belongs to a thread's stream; None for a legacy stream."""
    prefix, separator, last = stream.rpartition(":")
    is_of_thread = stream.startswith("thread:") and separator and last == "stream"
    return f"{prefix}:metadata" if is_of_thread else None
