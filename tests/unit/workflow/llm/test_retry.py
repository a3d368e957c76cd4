"""Retries wait as configured or as the provider asks, declare streamed text void, and give up at a limit."""

import pytest

from shared.config import LLMConfig
from shared.contract.message import ChatMessage, Role
from tests.fakes.scripted_model import Reply, ScriptedModel, fails, hangs, says
from workflow.errors import ContextOverflowError, ModelError, PermanentModelError, TransientModelError
from workflow.llm.model import ModelAnswer, ModelRequest, StreamItem, StreamRestarted, TextDelta
from workflow.llm.retry import RetryingModel

REQUEST = ModelRequest("", (ChatMessage(role=Role.USER, content="go"),))
CONFIG = LLMConfig(num_retries=3, retry_min_wait=1, retry_max_wait=5)


class Retried:
    """A scripted model with retries, and a clock that only records the pauses."""

    def __init__(self, *script: Reply, fraction: float = 1.0, config: LLMConfig = CONFIG) -> None:
        self.pauses: list[float] = []
        self.inner = ScriptedModel(script)
        self.model = RetryingModel(self.inner, config, sleep=self._sleep, fraction=lambda: fraction)

    async def ask(self) -> list[StreamItem]:
        return [item async for item in self.model.stream(REQUEST)]

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


def answer_of(items: list[StreamItem]) -> str:
    assert isinstance(items[-1], ModelAnswer)
    return items[-1].text


async def test_a_good_answer_is_passed_on_without_a_pause() -> None:
    retried = Retried(says("fine"))
    assert answer_of(await retried.ask()) == "fine"
    assert retried.pauses == []


async def test_pauses_double_up_to_the_longest() -> None:
    error = TransientModelError("busy")
    config = CONFIG.model_copy(update={"num_retries": 4})
    retried = Retried(*[fails(error)] * 4, says("fine"), config=config)
    assert answer_of(await retried.ask()) == "fine"
    assert retried.pauses == [1, 2, 4, 5]


async def test_jitter_takes_off_up_to_half() -> None:
    retried = Retried(fails(TransientModelError("busy")), says("fine"), fraction=0.0)
    await retried.ask()
    assert retried.pauses == [0.5]


async def test_retry_after_is_waited_for_in_full() -> None:
    retried = Retried(fails(TransientModelError("busy", retry_after_seconds=4)), says("fine"), fraction=0.25)
    assert answer_of(await retried.ask()) == "fine"
    assert retried.pauses == [4.25]


async def test_a_retry_after_beyond_the_limit_gives_up_naming_it() -> None:
    retried = Retried(fails(TransientModelError("busy", retry_after_seconds=60)), says("fine"))
    with pytest.raises(TransientModelError, match=r"60 s, longer than llm\.retry_max_wait \(5 s\)"):
        await retried.ask()
    assert retried.pauses == []


async def test_the_last_failure_is_raised_when_retries_are_used_up() -> None:
    retried = Retried(*[fails(TransientModelError(f"busy {number}")) for number in range(4)])
    with pytest.raises(TransientModelError, match="busy 3"):
        await retried.ask()
    assert len(retried.pauses) == 3
    assert retried.inner.unused == 0


@pytest.mark.parametrize("error", [PermanentModelError("no"), ContextOverflowError("long")], ids=["permanent", "long"])
async def test_a_permanent_failure_is_not_retried(error: ModelError) -> None:
    retried = Retried(fails(error), says("fine"))
    with pytest.raises(type(error)):
        await retried.ask()
    assert retried.inner.unused == 1


async def test_a_failure_half_way_declares_the_text_void() -> None:
    retried = Retried(fails(TransientModelError("cut"), after="half"), says("complete"))
    items = await retried.ask()
    assert items[:3] == [TextDelta("half"), StreamRestarted(attempt=2, reason="cut"), TextDelta("complete")]
    assert answer_of(items) == "complete"


async def test_a_failure_before_any_text_is_not_announced() -> None:
    retried = Retried(fails(TransientModelError("cut")), says("complete"))
    assert not any(isinstance(item, StreamRestarted) for item in await retried.ask())


async def test_closing_closes_the_inner_stream() -> None:
    retried = Retried(hangs(after="so far"))
    stream = retried.model.stream(REQUEST)
    await anext(stream)
    await stream.aclose()
    assert retried.inner.closed == 1
