"""Builds the agent engine of a thread; models are built once per process, when first needed."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import date
from typing import Final

from shared.config import AgentConfig, LLMConfig, Network
from shared.contract.state import Phase
from workflow.agent.engine import Engine, PromptFacts
from workflow.llm.factory import build_counter, build_model, warm_up
from workflow.llm.model import Model
from workflow.llm.token_counter import TokenCounter
from workflow.service.sandbox.base import WorkspacePlace
from workflow.service.sandbox.pool import SandboxPool
from workflow.tool.registry import ToolRegistry

_log = logging.getLogger(__name__)

_PLACE_SECONDS: Final = 2.0  # a run does not wait longer for it

_NETWORK_FACTS = {
    Network.NONE: "none; nothing can be downloaded and no server can be reached from outside",
    Network.ALLOW_LIST: "only some addresses can be reached",
    Network.OPEN: "open; servers that listen on 127.0.0.1 can be exposed to the user",
}


class EngineBuilder:
    """Gives each thread an engine; models and tools are shared by all runs of the process."""

    def __init__(
        self,
        *,
        agent: AgentConfig,
        llm_by_phase: Mapping[Phase, LLMConfig],
        registry: Callable[[], ToolRegistry],
        sandboxes: SandboxPool,
        network: Network,
        environment: Mapping[str, str],
    ) -> None:
        self._agent = agent
        self._llm_by_phase = llm_by_phase
        self._make_registry = registry
        self._sandboxes = sandboxes
        self._network = network
        self._environment = environment
        self._lock = asyncio.Lock()
        self._models: dict[Phase, tuple[Model, TokenCounter]] = {}
        self._registry: ToolRegistry | None = None

    async def prepare(self) -> None:
        """Import and build what every run needs, and warm up the models. Raises ConfigurationError."""
        async with self._lock:
            if self._registry is None:
                self._models = await asyncio.to_thread(self._build_models)
                self._registry = await asyncio.to_thread(self._make_registry)

    @property
    def tools(self) -> ToolRegistry:
        """The tools that `prepare` has loaded; none before it, or after it failed."""
        return self._registry or ToolRegistry(())

    async def build(self, thread_id: str, today: date) -> Engine:
        """Return the engine for a run of this thread. Raises ConfigurationError."""
        await self.prepare()
        assert self._registry is not None
        return Engine(
            models={phase: model for phase, (model, _) in self._models.items()},
            counters={phase: counter for phase, (_, counter) in self._models.items()},
            registry=self._registry,
            sandbox=lambda: self._sandboxes.get(thread_id),
            config=self._agent,
            prompt_facts=PromptFacts(today=today.isoformat(), network=_NETWORK_FACTS[self._network]),
        )

    async def place(self, thread_id: str) -> WorkspacePlace | None:
        """Return where the thread's files are kept on this machine; None when the disk does not answer in time."""
        try:
            async with asyncio.timeout(_PLACE_SECONDS):
                return await self._sandboxes.place(thread_id)
        except OSError as error:  # TimeoutError too
            _log.warning("the folder of the sandboxes cannot be read: %r", error)
            return None

    def _build_models(self) -> dict[Phase, tuple[Model, TokenCounter]]:
        models = {
            phase: (build_model(config, self._environment), build_counter(config, self._environment))
            for phase, config in self._llm_by_phase.items()
        }
        for config in self._llm_by_phase.values():
            warm_up(config, self._environment)
        return models
