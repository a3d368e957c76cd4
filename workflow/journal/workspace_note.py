"""Notes to the model about its files and processes when its run continues, perhaps on another machine."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from shared.contract.message import ChatMessage
from shared.contract.state import AgentState
from workflow.service.sandbox.base import WorkspacePlace
from workflow.tool.registry import ToolRegistry

_PROCESSES_GONE: Final = (
    "Note: the worker was replaced while you worked. The files are as they were, but processes that you had started in"
    " the background are gone. Start again what you still need."
)
_FILES_ELSEWHERE: Final = (
    "Note: your work goes on on another machine. The files that you made until now are not here: they are on the"
    " machine that you worked on last. {here} Processes that you had started are gone. Look what is there before you"
    " rely on a file, and make again what you still need."
)
_EMPTY: Final = "The workspace here is empty."
_OLDER: Final = "The workspace here is as you left it when you last worked on this machine, which was before that."
_FILES_GONE: Final = (
    "Note: the files that you made until now are not here: the workspace was removed, or it is on another machine. It"
    " is empty now, and processes that you had started are gone. Make again what you still need."
)


FindPlace = Callable[[], Awaitable[WorkspacePlace | None]]


async def nowhere() -> WorkspacePlace | None:
    """Return None: the place of the files is unknown."""
    return None


def uses_sandbox(state: AgentState, messages: Iterable[ChatMessage], tools: ToolRegistry) -> bool:
    """Whether the thread has worked in a sandbox before."""
    return bool(state.workspace_disk) or any(
        tools.uses_workspace(call.name) for message in messages for call in message.tool_calls
    )


def files_note(state: AgentState, place: WorkspacePlace | None) -> str | None:
    """Return the note about files that changed or are gone; None when they are unchanged or never existed.

    `place` is None for a thread that has not worked in a sandbox.
    """
    if place is None:
        return None
    if state.workspace_disk and state.workspace_disk != place.disk_id:
        return _FILES_ELSEWHERE.format(here=_OLDER if place.has_files else _EMPTY)
    return None if place.has_files else _FILES_GONE


def processes_note(messages: Iterable[ChatMessage], tools: ToolRegistry) -> str | None:
    """Return the note about lost processes for a takeover on the same machine; None when there can be none."""
    may_run = any(tools.keeps_processes(call.name) for message in messages for call in message.tool_calls)
    return _PROCESSES_GONE if may_run else None
