"""The user message that a run begins with."""

from collections.abc import Sequence

from shared.contract.message import ChatMessage
from shared.contract.run import RunRecord
from shared.contract.thread import ThreadRecord
from shared.user_message import user_message


def task_message(run: RunRecord, thread: ThreadRecord, messages: Sequence[ChatMessage]) -> ChatMessage:
    """Return the user message of a run; without earlier `messages` it includes the thread's context."""
    return user_message(run.task, run.context_data, None if messages else thread.context)
