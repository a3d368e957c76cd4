"""The Search port: a question to the web in, hits out."""

from typing import Protocol

from shared.contract.result import SearchHit


class Search(Protocol):
    """A web search."""

    async def search(self, query: str, max_results: int) -> tuple[SearchHit, ...]:
        """Return at most `max_results` hits, best first. Raises ToolError where the provider fails."""
