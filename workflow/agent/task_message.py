"""The user message that a run begins with."""

from shared.contract.message import ChatMessage
from shared.user_message import user_message
from workflow.runner.work import Work


def task_message(work: Work) -> ChatMessage:
    """Return the user message of a run; the thread's own context goes with its first task."""
    return user_message(work.run.task, work.run.context_data, None if work.messages else work.thread.context)
