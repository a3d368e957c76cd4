"""Everything that an agent works with, put together once by who embeds it."""

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
    """What the system prompt says about the surroundings."""

    today: str
    network: str


@dataclass(frozen=True, slots=True)
class Engine:
    """Models and what measures their context by phase, tools, a sandbox on demand, limits."""

    models: Mapping[Phase, Model]
    counters: Mapping[Phase, TokenCounter]
    registry: ToolRegistry
    sandbox: Callable[[], Awaitable[Sandbox]]
    config: AgentConfig
    prompt_facts: PromptFacts
