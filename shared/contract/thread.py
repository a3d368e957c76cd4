"""The record of a thread: one conversation, its sandbox and its event log."""

from enum import StrEnum

from pydantic import Field, JsonValue

from shared.contract.base import Contract


class ThreadStatus(StrEnum):
    """What may still happen on a thread."""

    ACTIVE = "active"  # takes tasks
    INACTIVE = "inactive"  # kept, takes no tasks for now
    ARCHIVED = "archived"  # read only


class ThreadRecord(Contract):
    """What is stored under `thread:{thread_id}:metadata`; times are ISO 8601 UTC."""

    thread_id: str
    status: ThreadStatus = ThreadStatus.ACTIVE
    owner: str = ""
    created_at: str
    updated_at: str
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    context: dict[str, JsonValue] = Field(default_factory=dict)
    run_count: int = 0
    last_run_id: str | None = None
    active_run_id: str | None = None
    unreadable: tuple[str, ...] | None = None  # never stored: names of members that cannot be read
