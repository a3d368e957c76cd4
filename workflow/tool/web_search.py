"""web_search: asks the configured search provider."""

from pydantic import Field

from shared.contract.result import SearchHit, WebSearchResult
from workflow.errors import ToolError
from workflow.service.search import Search
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult

_NOT_CONFIGURED = (
    'Web search is not configured, so do without it. To switch it on, set provider = "tavily" (or perplexity, exa_ai,'
    " searxng with base_url, ...) in [tools.web_search.options] of config.toml and the provider's API key in the"
    " worker's environment."
)


class WebSearchParameters(Parameters):
    """What to search for."""

    query: str = Field(min_length=1, max_length=1000, description="What to search for")
    max_results: int = Field(5, ge=1, le=20, description="Number of results at most")


class WebSearchTool(Tool[WebSearchParameters]):
    """Searches through the port it is given; without one it says how to configure it."""

    name = "web_search"
    description = "Search the web. Returns the title, address and an excerpt of each result; check what matters."
    parameters = WebSearchParameters
    effect = Effect(read_only=True, idempotent=True, destructive=False, open_world=True)

    def __init__(self, search: Search | None = None) -> None:
        self._search = search

    async def run(self, params: WebSearchParameters, context: ToolContext) -> ToolResult:
        """Return the hits."""
        if self._search is None:
            raise ToolError(_NOT_CONFIGURED)
        hits = await self._search.search(params.query, params.max_results)
        result = WebSearchResult(query=params.query, results=hits)
        return ToolResult(text=_text(hits), result={"tool_web_search_result": result.model_dump(mode="json")})


def _text(hits: tuple[SearchHit, ...]) -> str:
    if not hits:
        return "Nothing was found."
    return "\n\n".join(f"{number}. {hit.title}\n{hit.url}\n{hit.content}" for number, hit in enumerate(hits, 1))
