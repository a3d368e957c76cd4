"""FakeSearch: the Search port over a fixed list of hits."""

from shared.contract.result import SearchHit


class FakeSearch:
    """Gives its hits to every question and keeps the questions."""

    def __init__(self, *hits: SearchHit) -> None:
        self.questions: list[tuple[str, int]] = []
        self._hits = hits

    async def search(self, query: str, max_results: int) -> tuple[SearchHit, ...]:
        self.questions.append((query, max_results))
        return self._hits[:max_results]
