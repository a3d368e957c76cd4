"""LiteLLMModel against a real HTTP server with OpenAI's protocol, correct and broken."""

import asyncio
import json
from contextlib import aclosing

import pytest
from litellm.litellm_core_utils.prompt_templates.factory import anthropic_messages_pt
from pydantic import SecretStr

from shared.config import LLMConfig
from shared.contract.message import ChatMessage, ContentPart, Role, ToolCall
from tests.fakes.openai_script import Answer, Call
from tests.fakes.openai_server import OpenAIServer
from tests.litellm_warnings import LITELLM_WARNINGS
from workflow.errors import ContextOverflowError, ModelError, PermanentModelError, TransientModelError
from workflow.llm.factory import build_model
from workflow.llm.litellm.model import LiteLLMModel
from workflow.llm.model import (
    DROPPED_ARGUMENTS,
    MAX_ANSWER_CHARS,
    MAX_ARGUMENT_CHARS,
    DeltaKind,
    FinishReason,
    Model,
    ModelAnswer,
    ModelRequest,
    StreamItem,
    StreamRestarted,
    TextDelta,
    ToolSpec,
)
from workflow.llm.openai_format import to_openai_messages

pytestmark = LITELLM_WARNINGS

LS = ToolSpec("ls", "List a folder.", {"type": "object", "properties": {"path": {"type": "string"}}})
REQUEST = ModelRequest("Be brief.", (ChatMessage(role=Role.USER, content="Hi"),), (LS,))


def config_for(server: OpenAIServer, **changes: object) -> LLMConfig:
    values = {"model": "some-model", "base_url": server.base_url, "retry_min_wait": 0.01, **changes}
    return LLMConfig.model_validate(values)


def bare_model(server: OpenAIServer, **changes: object) -> LiteLLMModel:
    config = config_for(server, api_key=SecretStr("sk-secret"), **changes)
    return LiteLLMModel(config, config.model)


async def ask(model: Model, request: ModelRequest = REQUEST) -> tuple[list[StreamItem], ModelAnswer]:
    *items, answer = [item async for item in model.stream(request)]
    assert isinstance(answer, ModelAnswer)
    return items, answer


def shown(items: list[StreamItem], kind: DeltaKind = DeltaKind.CONTENT) -> str:
    return "".join(item.text for item in items if isinstance(item, TextDelta) and item.kind is kind)


async def test_text_and_reasoning_are_streamed_separately_with_usage() -> None:
    script = [Answer(text="Hello there, friend", reasoning="greet back", cached_tokens=4)]
    with OpenAIServer(script) as server:
        items, answer = await ask(bare_model(server))
    assert shown(items) == answer.text == "Hello there, friend"
    assert shown(items, DeltaKind.REASONING) == "greet back"
    assert len(items) > 3
    assert answer.finish_reason is FinishReason.STOP
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.cached_tokens) == (10, 5, 4)
    assert answer.usage.cost_usd == 0.0


async def test_a_model_with_a_price_is_charged_for() -> None:
    with OpenAIServer([Answer(text="x", input_tokens=1_000_000, output_tokens=0)]) as server:
        _, answer = await ask(bare_model(server, model="openai/gpt-4o"))
    assert answer.usage.cost_usd == pytest.approx(2.5)


async def test_the_request_carries_prompt_tools_and_key() -> None:
    image = ContentPart(type="image_url", image_url={"url": "data:image/png;base64,AAAA"})
    parts = (ContentPart(type="text", text="What is this?"), image)
    request = ModelRequest("Be brief.", (ChatMessage(role=Role.USER, content=parts),), (LS,))
    with OpenAIServer([Answer(text="x")]) as server:
        await ask(bare_model(server, temperature=0.5, max_output_tokens=77), request)
    (body,) = server.requests
    assert set(body) == {"model", "messages", "tools", "stream", "stream_options", "max_tokens", "temperature"}
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ],
        },
    ]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("some-model", 77, 0.5)
    assert server.headers[0]["authorization"] == "Bearer sk-secret"


async def test_a_server_of_ones_own_needs_no_key() -> None:
    with OpenAIServer([Answer(text="x")]) as server:
        await ask(build_model(config_for(server), {}))
    assert server.headers[0]["authorization"] == "Bearer none"


@pytest.mark.parametrize("piece", [0, 1, 3], ids=["complete", "by character", "by three"])
@pytest.mark.parametrize("call_id", [None, "auto", "same"], ids=["no id", "own ids", "one id for all"])
@pytest.mark.parametrize("repeat_ids", [False, True], ids=["id once", "id in every delta"])
async def test_parallel_calls_are_put_together(piece: int, call_id: str | None, repeat_ids: bool) -> None:
    calls = (
        Call(name="ls", arguments={"path": "a b"}, id=call_id),
        Call(name="bash", arguments={"cmd": 'echo "ü"'}, id=call_id),
    )
    with OpenAIServer([Answer(text="Look:", calls=calls, piece=piece, repeat_ids=repeat_ids)]) as server:
        _, answer = await ask(bare_model(server))
    assert [call.name for call in answer.tool_calls] == ["ls", "bash"]
    assert [json.loads(call.arguments) for call in answer.tool_calls] == [{"path": "a b"}, {"cmd": 'echo "ü"'}]
    assert len({call.call_id for call in answer.tool_calls}) == 2
    assert answer.finish_reason is FinishReason.TOOL_CALLS
    assert answer.text == "Look:"


async def test_an_endless_call_is_cut_off_and_the_answer_kept() -> None:
    calls = (Call(name="ls", arguments={"path": "."}), Call(name="bash", arguments="x" * 6_000_000))
    with OpenAIServer([Answer(text="Look:", calls=calls, piece=100_000)]) as server:
        _, answer = await ask(bare_model(server))
    assert [call.name for call in answer.tool_calls] == ["ls", "bash"]
    assert answer.tool_calls[1].arguments == DROPPED_ARGUMENTS
    assert answer.finish_reason is FinishReason.TOOL_CALLS
    assert MAX_ARGUMENT_CHARS // 4 <= answer.usage.output_tokens < 1_000_000


async def test_endless_text_is_cut_off_as_at_the_length_limit() -> None:
    with OpenAIServer([Answer(text="x" * 8_000_000, piece=100_000)]) as server:
        _, answer = await ask(bare_model(server))
    assert answer.finish_reason is FinishReason.LENGTH
    assert MAX_ANSWER_CHARS < len(answer.text) < MAX_ANSWER_CHARS + 200_000


# LiteLLM itself ends a text that repeats one piece.
LONG = "".join(map(str, range(450_000)))
ENDLESS = {
    "text": Answer(text=LONG, piece=10_000), "reasoning": Answer(reasoning=LONG, piece=10_000),
}  # fmt: skip


@pytest.mark.parametrize("script", ENDLESS.values(), ids=ENDLESS)
async def test_an_oversized_answer_is_cut_off_and_its_request_aborted(script: Answer) -> None:
    with OpenAIServer([script]) as server:
        items, answer = await ask(bare_model(server))
    assert (answer.finish_reason, answer.tool_calls) == (FinishReason.LENGTH, ())
    texts = [item.text for item in items if isinstance(item, TextDelta)]
    assert MAX_ANSWER_CHARS - 10_000 <= len("".join(texts)) <= MAX_ANSWER_CHARS + 10_000 or not texts
    assert len(answer.text) <= MAX_ANSWER_CHARS + 10_000


@pytest.mark.parametrize("piece", [1, 0], ids=["character by character", "at once"])
async def test_a_long_answer_does_not_block_other_tasks(piece: int) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count())
    with OpenAIServer([Answer(text="ab" * 1500, piece=piece)]) as server:
        _, answer = await ask(bare_model(server))
    counter.cancel()
    assert answer.text == "ab" * 1500
    assert turns > (3000 if piece else 1)


BROKEN = ["{", '{"a": tru', "[1]", '"x"', "[" * 100_000, '{"a":' * 300 + "1" + "}" * 300, "NaN", "\ud800", ""]


@pytest.mark.parametrize("arguments", BROKEN, ids=lambda text: ascii(text)[:12])
async def test_arguments_that_were_broken_do_not_break_the_conversation(arguments: str) -> None:
    call = ToolCall(call_id="c", name="ls", arguments=arguments)
    messages = (
        *REQUEST.messages,
        ChatMessage(role=Role.ASSISTANT, tool_calls=(call,)),
        ChatMessage(role=Role.TOOL, content="That is no JSON.", tool_call_id="c"),
    )
    request = ModelRequest("Be brief.", messages, (LS,))
    with OpenAIServer([Answer(text="again")]) as server:
        await ask(bare_model(server), request)
        (body,) = server.requests
    assert isinstance(json.loads(body["messages"][2]["tool_calls"][0]["function"]["arguments"]), dict)  # type: ignore[index, call-overload, arg-type]  # JSON
    # What LiteLLM makes of it for Anthropic, before anything is sent.
    assert anthropic_messages_pt(to_openai_messages(request)[1:], "claude-sonnet-4-5", "anthropic")  # type: ignore[arg-type]  # dicts


@pytest.mark.parametrize(
    ("finish_reason", "expected"),
    [("length", FinishReason.LENGTH), ("content_filter", FinishReason.REFUSED), ("stop", FinishReason.STOP)],
)
async def test_finish_reasons_are_distinguished(finish_reason: str, expected: FinishReason) -> None:
    with OpenAIServer([Answer(text="x", finish_reason=finish_reason)]) as server:
        _, answer = await ask(bare_model(server))
    assert answer.finish_reason is expected


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer(status=401), PermanentModelError, "OPENAI_API_KEY"),
        (Answer(status=400, error="bad sk-secret here"), PermanentModelError, r"bad \*\*\* here"),
        (Answer(status=404), PermanentModelError, "llm.model"),
        (Answer(status=400, error="maximum context length is 9 tokens"), ContextOverflowError, "longer"),
        (Answer(status=429), TransientModelError, "rate limit"),
        (Answer(status=500), TransientModelError, "may pass"),
        (Answer(status=529), TransientModelError, "may pass"),
        (Answer(text="long text", cut_after=2), TransientModelError, "broke"),
        (Answer(text="long text", end_after=2), TransientModelError, "broke off"),
        (Answer(raw=()), TransientModelError, "broke off"),
        (Answer(raw=("data: {nonsense\n\n",)), TransientModelError, "broke"),
    ],
    ids=["401", "400", "404", "context", "429", "500", "529", "cut", "ended early", "empty", "bad JSON"],
)
async def test_failures_become_the_engines_errors(answer: Answer, error: type[ModelError], words: str) -> None:
    with OpenAIServer([answer]) as server:
        with pytest.raises(error, match=words) as raised:
            await ask(bare_model(server))
        assert type(raised.value) is error
        assert "some-model" in raised.value.message
        assert "sk-secret" not in raised.value.message
        assert len(server.requests) == 1


async def test_an_unreachable_server_is_retryable() -> None:
    with OpenAIServer([]) as server:
        model = bare_model(server)
    with pytest.raises(TransientModelError, match="Connection error"):
        await ask(model)


async def test_silence_before_or_between_chunks_times_out() -> None:
    with OpenAIServer([Answer(text="x"), Answer(hang_after=0), Answer(text="x", hang_after=1)]) as server:
        # LiteLLM's first call of a process imports for a second, which must not count as silence here.
        await ask(bare_model(server))
        for _ in range(2):
            with pytest.raises(TransientModelError, match=r"no answer for 0\.3 s"):
                await ask(bare_model(server, timeout=0.3))


async def test_closing_the_stream_aborts_the_request() -> None:
    with OpenAIServer([Answer(text="long text", hang_after=3)]) as server:
        async with aclosing(bare_model(server).stream(REQUEST)) as stream:
            assert isinstance(await anext(stream), TextDelta)
        assert await asyncio.to_thread(server.wait_until, lambda: server.disconnects == 1)


async def test_cancelling_the_task_aborts_the_request() -> None:
    with OpenAIServer([Answer(text="long text", hang_after=0)]) as server:
        task = asyncio.create_task(ask(bare_model(server)))
        assert await asyncio.to_thread(server.wait_until, lambda: len(server.requests) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.wait_until, lambda: server.disconnects == 1)


async def test_the_built_model_retries_a_rate_limit_and_a_cut() -> None:
    script = [
        Answer(status=429, headers={"Retry-After": "0.02"}),
        Answer(text="half an answer", cut_after=2),
        Answer(text="complete"),
    ]
    with OpenAIServer(script) as server:
        items, answer = await ask(build_model(config_for(server), {}))
    assert answer.text == "complete"
    assert len(server.requests) == 3
    void = next(index for index, item in enumerate(items) if isinstance(item, StreamRestarted))
    assert shown(items[:void]) == "half an"
    assert shown(items[void:]) == "complete"


async def test_the_built_model_does_not_retry_a_bad_key() -> None:
    with OpenAIServer([Answer(status=401), Answer(text="x")]) as server:
        with pytest.raises(PermanentModelError):
            await ask(build_model(config_for(server), {}))
        assert len(server.requests) == 1


async def test_a_retry_after_beyond_the_limit_gives_up_at_once() -> None:
    with OpenAIServer([Answer(status=429, headers={"Retry-After": "3600"})]) as server:
        with pytest.raises(TransientModelError, match=r"wait 3600 s, longer than llm\.retry_max_wait"):
            await ask(build_model(config_for(server), {}))
        assert len(server.requests) == 1


async def test_tools_work_as_text_where_native_calling_is_off() -> None:
    text = 'I look.\n<tool_call>{"name": "ls", "arguments": {"path": "."}}</tool_call>'
    with OpenAIServer([Answer(text=text)]) as server:
        items, answer = await ask(build_model(config_for(server, native_tool_calling=False), {}))
    assert "tools" not in server.requests[0]
    assert "List a folder." in json.dumps(server.requests[0]["messages"])
    assert shown(items).strip() == answer.text == "I look."
    assert [(call.name, json.loads(call.arguments)) for call in answer.tool_calls] == [("ls", {"path": "."})]


async def test_anthropic_gets_cache_marks_on_tools_prompt_and_last_message() -> None:
    messages = (
        ChatMessage(role=Role.USER, content="one"),
        ChatMessage(role=Role.ASSISTANT, content="two"),
        ChatMessage(role=Role.USER, content="three"),
    )
    with OpenAIServer([Answer(status=400)]) as server:
        address = server.base_url.removesuffix("/v1")
        config = LLMConfig(model="anthropic/claude-sonnet-4-5", base_url=address, api_key=SecretStr("k"))
        with pytest.raises(PermanentModelError):
            await ask(LiteLLMModel(config, config.model), ModelRequest("Be brief.", messages, (LS,)))
    (body,) = server.requests
    mark = '"cache_control": {"type": "ephemeral"}'
    assert json.dumps(body["tools"]).count(mark) == 1
    assert json.dumps(body["system"]).count(mark) == 1
    assert json.dumps(body["messages"]).count(mark) == 2
