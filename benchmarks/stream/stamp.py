"""The event that is measured: a real text delta with the time when it was written and its number within its stream."""

import re
from dataclasses import dataclass
from typing import Final

import hiredis

from shared.contract.event import TASK_EVENT, AgentExecuteData, ExecuteState, ExecuteType
from shared.keys import ThreadKeys

STAMP: Final = re.compile(rb"sent:(\d{19}):(\d{8})")
_PLACE: Final = b"sent:0000000000000000000:00000000"
_TIME: Final = "2026-01-01T00:00:00.000000+00:00"
_RUN_ID: Final = "00000000-0000-4000-8000-000000000000"
_MAX_LENGTH: Final = 100_000


def stamp(sent_ns: int, number: int) -> bytes:
    """Return the text of a delta; always of the same length."""
    return b"sent:%019d:%08d" % (sent_ns, number)


@dataclass(frozen=True, slots=True)
class AppendCommand:
    """An append to one stream in Redis protocol, before and after the stamp: XADD, then the notification."""

    head: bytes
    rest: bytes

    def packed(self, sent_ns: int, number: int) -> bytes:
        """Return the complete command."""
        return self.head + stamp(sent_ns, number) + self.rest


def pack(*parts: str | bytes | int) -> bytes:
    """Return a command in Redis protocol."""
    packed: bytes = hiredis.pack_command(parts)  # type: ignore[arg-type]  # the stub knows tuples of one part only
    return packed


def append_command(thread_id: str) -> AppendCommand:
    """Return the append of one delta to a thread's stream; the same for both gateways."""
    keys = ThreadKeys(thread_id)
    event = AgentExecuteData(
        uuid=_RUN_ID, thread_id=thread_id, run_id=_RUN_ID, create_at=_TIME, modify_at=_TIME, execute_start_at=_TIME,
        current_state=ExecuteState.PROCESSING, execute_type=ExecuteType.ASSISTANT_DELTA,
        execute_result={"assistant_delta": {"text": _PLACE.decode()}},
    )  # fmt: skip
    fields = ("event", TASK_EVENT, "data", event.to_json(), "run_id", _RUN_ID)
    add = pack("XADD", keys.stream, "MAXLEN", "~", _MAX_LENGTH, "*", *fields)
    head, _, rest = add.partition(_PLACE)
    return AppendCommand(head, rest + pack("PUBLISH", keys.channel, ""))
