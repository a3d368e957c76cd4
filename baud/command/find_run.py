"""Resolves an id on the command line: a thread, or a run, whose thread is looked up."""

from dataclasses import dataclass

from baud import AsyncBaud
from baud.sdk.errors import ApiError, BaudClientError

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Named:
    """The thread, and the run if one was named."""

    thread_id: str
    run_id: str = ""


async def find_named(baud: AsyncBaud, some_id: str, run_id: str = "") -> Named:
    """Return the thread and run of an id and an optional run id. An id that is both is taken as a thread's."""
    if run_id:
        return Named(some_id, run_id)
    try:
        return Named((await baud.thread(some_id)).thread_id)
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise
    try:
        return Named((await baud.find_run(some_id)).thread_id, some_id)
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise
        raise BaudClientError(
            f"neither a thread nor a run has the id {some_id}; list the threads with: baud threads"
        ) from error
