"""The conversation as the model gets it: short enough, and every call together with its answer."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.message import ChatMessage, Role, ToolCall
from workflow.agent.context import fit_request, pair_calls_with_answers, readable_conversation
from workflow.errors import ContextOverflowError
from workflow.llm.model import ModelRequest


class FakeCounter:
    """Counts a token for every four characters, and how often it was asked."""

    def __init__(self, context_window: int) -> None:
        self.context_window = context_window
        self.asked = 0

    async def count_tokens(self, request: ModelRequest) -> int:
        self.asked += 1
        return sum(len(message.text()) for message in request.messages) // 4


def call(call_id: str) -> ChatMessage:
    return ChatMessage(role=Role.ASSISTANT, tool_calls=(ToolCall(call_id=call_id, name="bash", arguments="{}"),))


def answer(call_id: str, text: str) -> ChatMessage:
    return ChatMessage(role=Role.TOOL, content=text, tool_call_id=call_id)


def conversation(turns: int, characters: int) -> ModelRequest:
    messages = [ChatMessage(role=Role.USER, content="go")]
    for number in range(turns):
        text = f"<{number}>" + "x" * characters + f"</{number}>"
        messages += [call(f"c{number}"), answer(f"c{number}", text)]
    return ModelRequest(system="", messages=tuple(messages))


async def test_a_short_conversation_is_neither_counted_nor_changed() -> None:
    counter = FakeCounter(10_000)
    request = conversation(2, 100)
    assert await fit_request(request, counter) is request
    assert counter.asked == 0


async def test_the_oldest_results_are_cut_first_and_the_newest_never() -> None:
    counter = FakeCounter(10_000)
    request = conversation(10, 4000)
    fitted = await fit_request(request, counter)
    results = [m.text() for m in fitted.messages if m.role is Role.TOOL]
    lengths = [len(text) for text in results]
    assert lengths[0] < 800
    assert results[0].startswith("<0>")
    assert results[0].endswith("</0>")
    assert "characters left out" in results[0]
    assert lengths == sorted(lengths), "no result is shorter than an older one"
    assert fitted.messages[-4:] == request.messages[-4:]
    assert await counter.count_tokens(fitted) <= 8000
    assert [(m.role, m.tool_calls, m.tool_call_id) for m in fitted.messages] == [
        (m.role, m.tool_calls, m.tool_call_id) for m in request.messages
    ]


async def test_a_refused_conversation_is_cut_harder_though_the_count_says_it_fits() -> None:
    request = conversation(10, 4000)
    fitted = await fit_request(request, FakeCounter(1_000_000), shrink=True)
    before, after = (sum(len(m.text()) for m in r.messages) for r in (request, fitted))
    assert after < before * 0.6
    assert fitted.messages[-4:] == request.messages[-4:]


async def test_the_newest_messages_are_never_cut() -> None:
    request = conversation(4, 4000)
    fitted = await fit_request(request, FakeCounter(1000))
    assert fitted.messages[-4:] == request.messages[-4:]
    assert len(fitted.messages[2].text()) < 800


async def test_what_cannot_be_cut_is_sent_as_it_is() -> None:
    request = replace(conversation(0, 0), messages=(ChatMessage(role=Role.USER, content="x" * 50_000),))
    assert (await fit_request(request, FakeCounter(1000))).messages == request.messages


async def test_a_text_far_beyond_the_model_is_refused_before_anything_is_counted() -> None:
    counter = FakeCounter(128_000)
    request = replace(conversation(0, 0), messages=(ChatMessage(role=Role.USER, content="x" * 50_000_000),))
    with pytest.raises(ContextOverflowError, match="far longer than the model can read"):
        await fit_request(request, counter)
    assert counter.asked == 0


async def test_what_cannot_be_cut_is_counted_once() -> None:
    counter = FakeCounter(100_000)
    tiny = tuple(ChatMessage(role=Role.USER, content="tiny " * 10) for _ in range(10_000))
    assert (await fit_request(replace(conversation(0, 0), messages=tiny), counter)).messages == tiny
    assert counter.asked == 1


async def test_of_very_many_messages_the_newest_and_the_task_are_sent() -> None:
    old = [ChatMessage(role=Role.USER, content="old", run_id="r1")] * 50_000
    task = ChatMessage(role=Role.USER, content="the task", run_id="r2")
    turns = [
        message.model_copy(update={"run_id": "r2"})
        for number in range(30_000)
        for message in (call(f"c{number}"), answer(f"c{number}", f"<{number}>"))
    ]
    sent = await readable_conversation([*old, task, *turns])
    assert len(sent) <= 2002
    note, began, first, *rest = sent
    assert note.text() == f"[{110_001 - len(sent) + 1} earlier messages of this conversation are left out.]"
    assert (began, first.role, rest[-1].text()) == (task, Role.ASSISTANT, "<29999>")
    assert sent[2:] == pair_calls_with_answers(sent[2:]), "no call stands without its answer"


async def test_a_long_conversation_within_the_limit_is_not_cut() -> None:
    messages = conversation(900, 10).messages
    assert await readable_conversation(messages) == messages


IDS = st.sampled_from(["a", "b", "c", "d", "e", "f"])


@st.composite
def interrupted_conversations(draw: st.DrawFn) -> list[ChatMessage]:
    """Calls with unique ids over some turns, answers to some of them, in any order."""
    ids = draw(st.lists(IDS, unique=True))
    messages: list[ChatMessage] = [ChatMessage(role=Role.USER, content="go")]
    while ids:
        count = draw(st.integers(1, len(ids)))
        turn, ids = ids[:count], ids[count:]
        calls = tuple(ToolCall(call_id=each, name="bash", arguments="{}") for each in turn)
        messages.append(ChatMessage(role=Role.ASSISTANT, tool_calls=calls))
        messages += [answer(each, f"answer {each}") for each in turn if draw(st.booleans())]
    return draw(st.permutations(messages))


@given(interrupted_conversations())
def test_each_call_is_followed_by_its_answers_in_call_order_exactly_once(messages: list[ChatMessage]) -> None:
    paired = list(pair_calls_with_answers(messages))
    known = {m.tool_call_id: m for m in messages if m.role is Role.TOOL}
    assert [m for m in paired if m.role is not Role.TOOL] == [m for m in messages if m.role is not Role.TOOL]
    position = 0
    while position < len(paired):
        wanted = [each.call_id for each in paired[position].tool_calls]
        answers = paired[position + 1 : position + 1 + len(wanted)]
        assert [m.tool_call_id for m in answers] == wanted
        for given_answer in answers:
            expected = known.get(given_answer.tool_call_id)
            assert given_answer == expected or (expected is None and "outcome is unknown" in given_answer.text())
        position += 1 + len(wanted)
    assert max(Counter(m.tool_call_id for m in paired if m.role is Role.TOOL).values(), default=0) <= 1


@given(st.lists(st.tuples(IDS, st.booleans()), max_size=8))
def test_an_id_that_comes_again_keeps_the_answers_of_its_own_turn(turns: list[tuple[str, bool]]) -> None:
    messages: list[ChatMessage] = []
    for number, (call_id, is_answered) in enumerate(turns):
        messages.append(call(call_id))
        if is_answered:
            messages.append(answer(call_id, f"answer {number}"))
    texts = [m.text() for m in pair_calls_with_answers(messages) if m.role is Role.TOOL]
    assert len(texts) == len(turns)
    for number, (text, (_, is_answered)) in enumerate(zip(texts, turns, strict=True)):
        assert (text == f"answer {number}") if is_answered else ("outcome is unknown" in text)
