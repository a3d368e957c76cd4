"""Renders the system prompt of a phase from its Jinja2 template."""

import functools
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from shared.contract.state import AgentState, Phase
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
