"""Every Redis key, channel, queue and task name of Baud."""

from dataclasses import dataclass
from typing import Final

EXECUTE_RUN_TASK: Final = "modem.execute_run"
LEGACY_TASK: Final = "main.process_flow_data"

THREAD_INDEX: Final = "threads:index"
MODEM_INDEX: Final = "modems:alive"
# Every run that has not ended, by the time at which a reaper should look at it.
OPEN_RUNS_INDEX: Final = "runs:open"
# List: messages of the task queue that could not be read, newest first.
DEAD_LETTERS: Final = "baud:dead-letters"
# With a worker's id: rung when one of its runs has to be looked at.
WORKER_CHANNEL_PREFIX: Final = "modem:bell:"
# A subscription connection always listens to this one, so that it is one before the first bell is watched.
IDLE_CHANNEL: Final = "bell:idle"


def run_thread(run_id: str) -> str:
    """String: the thread of a run. Only who has nothing but the run's id reads it, so it has a slot of its own."""
    return f"run:{run_id}:thread"


@dataclass(frozen=True, slots=True)
class ThreadKeys:
    """The keys of one thread; with `cluster` its id is a hash tag, so that all share a slot."""

    thread_id: str
    cluster: bool = False

    @property
    def _prefix(self) -> str:
        return f"thread:{self._tag(self.thread_id)}"

    def _tag(self, bare_id: str) -> str:
        return f"{{{bare_id}}}" if self.cluster else bare_id

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
        """String: the thread was deleted; it outlives the thread, so that what else was the thread's is removed too."""
        return f"deleted:{self._tag(self.thread_id)}"

    @property
    def idempotency(self) -> str:
        """Hash: Idempotency-Key to run id."""
        return f"{self._prefix}:idempotency"

    @property
    def channel(self) -> str:
        """Channel: rung after each append."""
        return f"{self._prefix}:bell"

    @property
    def run_prefix(self) -> str:
        """What a run id is appended to."""
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
