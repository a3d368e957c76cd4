"""The record of a thread: one conversation, its sandbox and its event log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pydantic import Field, JsonValue

from shared.contract.base import Contract
from shared.contract.principal import DEFAULT_TENANT


class ThreadStatus(StrEnum):
    """What may still happen on a thread."""

    ACTIVE = "active"  # takes tasks
    INACTIVE = "inactive"  # kept, takes no tasks for now
    ARCHIVED = "archived"  # read only


class ShareRole(StrEnum):
    """What a user may do with a thread of somebody else of the same tenant."""

    VIEWER = "viewer"  # read it
    EDITOR = "editor"  # read it, execute tasks on it, answer and cancel its runs


@dataclass(frozen=True, slots=True)
class ThreadOwner:
    """Whose a thread is, and with whom it is shared."""

    tenant: str
    user: str
    shares: Mapping[str, ShareRole] = field(default_factory=dict)


# Of a thread that was made where nobody was asked who they are.
NOBODY: Final = ThreadOwner(DEFAULT_TENANT, "")


class ThreadRecord(Contract):
    """What is stored under `thread:{thread_id}:metadata`; times are ISO 8601 UTC."""

    thread_id: str
    status: ThreadStatus = ThreadStatus.ACTIVE
    tenant: str = DEFAULT_TENANT
    owner: str = ""
    shares: dict[str, ShareRole] = Field(default_factory=dict)
    created_at: str
    updated_at: str
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    context: dict[str, JsonValue] = Field(default_factory=dict)
    run_count: int = 0
    last_run_id: str | None = None
    active_run_id: str | None = None
    unreadable: tuple[str, ...] | None = None  # never stored: names of members that cannot be read
