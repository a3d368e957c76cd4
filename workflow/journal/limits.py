"""The caps of one run: steps, tokens, cost. The wall clock is the Runner's."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

from pydantic import JsonValue

from shared.config import AgentConfig
from shared.contract.run import StopReason, Usage
from workflow.journal.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use; durations in seconds, cost in US dollars."""

    max_steps: int
    max_duration_seconds: float
    max_tokens: int
    max_cost_usd: float
    elapsed_seconds: float = 0.0

    @property
    def left_seconds(self) -> float:
        """What is left of the duration for this attempt."""
        return max(0.0, self.max_duration_seconds - self.elapsed_seconds)

    @classmethod
    def of(cls, config: AgentConfig, parameters: Mapping[str, JsonValue]) -> "Limits":
        """Return the configured limits, lowered where the run's parameters name a smaller positive number."""
        return cls(
            max_steps=ceil(_lower(config.max_steps, parameters.get("max_steps"))),
            max_duration_seconds=_lower(config.max_duration, parameters.get("max_duration")),
            max_tokens=ceil(_lower(config.max_tokens, parameters.get("max_tokens"))),
            max_cost_usd=_lower(config.max_cost_usd, parameters.get("max_cost_usd")),
        )

    def after(self, elapsed_seconds: float) -> "Limits":
        """Return what is left for an attempt that begins so long after the run did."""
        return replace(self, elapsed_seconds=elapsed_seconds)

    def exceeded(self, usage: Usage) -> Outcome | None:
        """Return how the run ends if another model call would go beyond a limit."""
        if usage.steps >= self.max_steps:
            return Outcome(StopReason.MAX_STEPS, f"The run reached its limit of {self.max_steps} steps.", usage)
        if usage.input_tokens + usage.output_tokens >= self.max_tokens:
            return Outcome(StopReason.MAX_TOKENS, f"The run reached its limit of {self.max_tokens} tokens.", usage)
        if usage.cost_usd >= self.max_cost_usd:
            return Outcome(StopReason.MAX_COST, f"The run reached its limit of ${self.max_cost_usd:g}.", usage)
        return None

    def out_of_time(self, usage: Usage) -> Outcome:
        """Return how a run ends that took too long."""
        return Outcome(
            StopReason.MAX_DURATION, f"The run reached its limit of {self.max_duration_seconds:g} seconds.", usage
        )


def _lower(configured: float, wanted: JsonValue) -> float:
    if isinstance(wanted, bool) or not isinstance(wanted, int | float) or wanted <= 0:
        return configured
    return min(configured, wanted)
