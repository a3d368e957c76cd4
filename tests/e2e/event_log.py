"""SSE frames as they are on the wire, and the events in them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from shared.contract.event import TASK_EVENT, AgentExecuteData, ExecuteState, ExecuteType
from shared.contract.run import RunRecord
from shared.ids import StreamId, parse_stream_id
from tests.event_data import read_data
from tests.streamed_text import faults_in_text, is_text, left_behind


@dataclass(frozen=True, slots=True)
class Frame:
    """One SSE frame; `id` is None for the gateway's own frames."""

    id: str | None
    event: str
    data: str


def read_frames(lines: Iterable[str]) -> Iterator[Frame]:
    """Yield the frames of a stream; fails on lines that are not in the contract."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, separator, value = line.partition(": ")
            assert separator, f"no field: {line!r}"
            assert name in ("retry", "id", "event", "data"), f"an unknown field: {line!r}"
            assert name not in fields, f"twice in one frame: {line!r}"
            fields[name] = value
        elif "data" in fields:
            yield Frame(fields.get("id"), fields["event"], fields["data"])
            fields = {}
        else:
            assert fields == {"retry": "3000"}, f"a frame without data: {fields}"
            fields = {}


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event of the log, with its place in it."""

    id: str
    data: AgentExecuteData

    @classmethod
    def of(cls, frame: Frame) -> "LogEvent":
        """Return the event of a frame that has one."""
        assert frame.id is not None
        assert frame.event == TASK_EVENT
        return cls(frame.id, read_data(frame.data))

    @property
    def kind(self) -> str:
        """The execute type."""
        return self.data.execute_type

    @property
    def is_completion(self) -> bool:
        """Whether a run ends here."""
        return self.kind == ExecuteType.FLOW_COMPLETION

    def result(self, member: str) -> object:
        """Return a member of the result."""
        assert self.data.execute_result is not None
        return self.data.execute_result[member]


def position(event: LogEvent) -> StreamId:
    """Return the place of an event as it can be compared."""
    return parse_stream_id(event.id)


def assert_read_whole(seen: Sequence[LogEvent], log: Sequence[LogEvent]) -> None:
    """Check that a client which read from the beginning got each event once and in order, text it may have seen aside.

    Text may have been seen that the log no longer holds, if it is the beginning of its message.
    """
    places = [position(event) for event in seen]
    assert places == sorted(set(places)), "twice, or out of order"
    kept = {event.id for event in log}
    assert [event for event in seen if event.id in kept or not is_text(event)] == list(log)
    assert list(faults_in_text(seen, log)) == []
    assert list(left_behind(log)) == []


@dataclass(frozen=True, slots=True)
class EndedRun:
    """One run from its first event to its last, and what is recorded of it."""

    thread_id: str
    run_id: str
    events: Sequence[LogEvent]
    record: RunRecord

    @property
    def completion(self) -> LogEvent:
        """The one end of the run, which is its last event."""
        ends = [event for event in self.events if event.is_completion]
        assert len(ends) == 1, f"{len(ends)} flow_completion events"
        assert self.events[-1] == ends[0], f"{self.events[-1].kind} comes after flow_completion"
        return ends[0]

    @property
    def stop_reason(self) -> object:
        """Why it ended, which event and record agree about."""
        reason = self.completion.result("stop_reason")
        assert reason == self.record.stop_reason
        return reason

    @property
    def message(self) -> str:
        """The sentence of the last event, which event and record agree about."""
        message = self.completion.result("flow_completion_message")
        assert message == self.record.message
        return str(message)

    def steps(self) -> list[tuple[str, ExecuteState]]:
        """Return kind and state of every event but those of streamed text or output."""
        return [
            (event.kind, event.data.current_state)
            for event in self.events
            if event.data.current_state is not ExecuteState.PROCESSING
        ]

    def of_kind(self, kind: str, state: ExecuteState | None = None) -> list[LogEvent]:
        """Return the events of one kind, in one state if given."""
        return [event for event in self.events if event.kind == kind and state in (None, event.data.current_state)]
