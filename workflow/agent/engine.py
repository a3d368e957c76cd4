"""Everything that an agent works with, built by the process that embeds it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from shared.config import AgentConfig
from shared.contract.state import Phase
from workflow.llm.model import Model
from workflow.llm.token_counter import TokenCounter
from workflow.service.sandbox.base import Sandbox
from workflow.tool.registry import ToolRegistry


@dataclass(frozen=True, slots=True)
class PromptFacts:
    """Facts about the environment for the system prompt."""

    today: str
    network: str


@dataclass(frozen=True, slots=True)
class Engine:
    """Models and token counters by phase, tools, a sandbox on demand, limits."""

    models: Mapping[Phase, Model]
    counters: Mapping[Phase, TokenCounter]
    registry: ToolRegistry
    sandbox: Callable[[], Awaitable[Sandbox]]
    config: AgentConfig
    prompt_facts: PromptFacts
