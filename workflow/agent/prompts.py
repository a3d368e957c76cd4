"""What a model reads first: the system prompt of a phase, from its Jinja2 template, and the task of the run."""

import functools
from collections.abc import Sequence
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from shared.contract.message import ChatMessage
from shared.contract.run import RunRecord
from shared.contract.state import AgentState, Phase
from shared.contract.thread import ThreadRecord
from shared.user_message import user_message
from workflow.agent.engine import PromptFacts

_TEMPLATES: Final = {Phase.PLANNING: "planning.md.j2", Phase.EXECUTION: "execution.md.j2"}


class SystemPrompts:
    """The system prompts of one run; stable while plan and phase are, so that providers can cache them."""

    def __init__(self, facts: PromptFacts) -> None:
        self._facts = facts

    def render(self, phase: Phase, state: AgentState) -> str:
        """Return the prompt of a phase."""
        template = _environment().get_template(_TEMPLATES[phase])
        return template.render(facts=self._facts, plan=state.plan)


@functools.cache
def _environment() -> Environment:
    """Return the one environment of the process: compiling the templates takes longer than a step."""
    return Environment(
        loader=PackageLoader("workflow.agent", "prompt"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - the prompt is plain text for a model, not HTML
    )


def task_message(run: RunRecord, thread: ThreadRecord, messages: Sequence[ChatMessage]) -> ChatMessage:
    """Return the user message of a run; without earlier `messages` it includes the thread's context."""
    return user_message(run.task, run.context_data, None if messages else thread.context)
