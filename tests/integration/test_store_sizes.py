"""Large inputs on a real Redis: no script holds it for long, no page is larger than it may be."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic_core import from_json, to_json

from gateway.service.run.run_values import steer_text
from gateway.service.stream.page_reader import SharedPages
from gateway.service.stream.topic import StreamTopic
from shared.contract.api import OnBusy
from shared.contract.json_text import JsonTextError, read_json
from shared.contract.message import ChatMessage, Role
from shared.contract.run import (
    Answer,
    ContextItem,
    Decision,
    Question,
    QuestionKind,
    RunJob,
    RunRecord,
    RunStatus,
    Usage,
)
from shared.errors import SteeringFullError
from shared.ids import StreamId
from shared.keys import OPEN_RUNS_INDEX, run_thread
from shared.store.hash_pages import PAGE_BYTES
from shared.store.records import PART_BYTES, read_message
from shared.store.run_values import RunWrite, SteerText, SubmitOutcome, WaitOutcome
from tests.fakes.contract_strategies import TEXT
from tests.integration.store_scene import TTL, StoreScene, end_of, event_of, open_store

_BIG = "x" * 500_000
_JSON: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**65) | st.floats() | TEXT | st.just([]) | st.just({}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[StoreScene]:
    async with open_store(redis_url) as opened:
        yield opened


async def at_work(store: StoreScene, run_id: str = "a") -> RunRecord:
    await store.runs.submit(store.run(run_id), on_busy=OnBusy.QUEUE)
    return (await store.claim(run_id)).run


async def calls(store: StoreScene, command: str) -> int:
    """Return how often Redis ran this command, in scripts too, since the last call."""
    found: int = (await store.redis.info("commandstats")).get(f"cmdstat_{command}", {}).get("calls", 0)
    await store.redis.config_resetstat()
    return found


async def steer_until_refused(store: StoreScene, text: SteerText, name: str = "s") -> int:
    """Return how many texts were taken."""
    for number in range(1000):
        try:
            await steer(store, f"{name}{number}", text)
        except SteeringFullError:
            return number
    return 1000


def texts(count: int) -> list[SteerText]:
    message = ChatMessage(role=Role.USER, content=_BIG, run_id="r")
    return [SteerText(message, b'{"run_id":"r","text":"' + _BIG.encode() + b'"}')] * count


async def steer(store: StoreScene, run_id: str, text: SteerText) -> SubmitOutcome:
    return (await store.runs.submit(store.run(run_id), on_busy=OnBusy.STEER, steer=text)).outcome


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=25
)
@given(_JSON, st.integers(0, 98))
async def test_accepted_values_are_read_back_unchanged(store: StoreScene, value: object, depth: int) -> None:
    await store.redis.flushall()
    try:
        taken = read_json("[" * depth + to_json(value).decode() + "]" * depth)
    except JsonTextError:
        return
    item = ContextItem.model_validate({"type": "t", "content": taken, "more": taken})
    thread = await store.threads.create("t", metadata={"a": taken}, context={"b": taken})
    assert await store.threads.get("t") == thread
    run = store.run("a", context_data=(item,), parameters={"c": taken})
    await store.runs.submit(run, on_busy=OnBusy.QUEUE)
    claim = await store.claim("a")
    assert (claim.run.context_data, claim.run.parameters) == ((item,), {"c": taken})
    assert claim.thread.context == {"b": taken}
    steering = steer_text(store.run("s", context_data=(item,)), store.clock)
    await store.runs.submit(store.run("s"), on_busy=OnBusy.STEER, steer=steering)
    (received,) = await store.runs.take_steering(claim.run, nonce="n")
    assert received.text() == steering.message.text()
    question = Question(kind=QuestionKind.APPROVAL, call_id="c", question="May I?")
    assert await store.runs.wait(claim.run, question, b"{}") is WaitOutcome.WAITING
    answer = Answer(call_id="c", decision=Decision.APPROVE, arguments={"d": taken})
    await store.runs.answer("t", "a", answer)
    assert (await store.claim("a", "again")).run.answer == answer


async def test_too_much_steering_text_is_refused(store: StoreScene) -> None:
    run = await at_work(store)
    accepted = await steer_until_refused(store, texts(1)[0])
    assert accepted == 4
    assert len(await store.runs.take_steering(run, nonce="n")) == accepted
    assert await steer(store, "later", texts(1)[0]) is SubmitOutcome.STEERED, "there is room again"


async def test_many_small_texts_are_refused_by_their_number(store: StoreScene) -> None:
    run = await at_work(store)
    text = SteerText(ChatMessage(role=Role.USER, content="x"), b"{}")
    assert await steer_until_refused(store, text) == 100
    assert len(await store.runs.take_steering(run, nonce="n")) == 100


async def test_one_text_is_taken_whatever_its_size(store: StoreScene) -> None:
    await at_work(store)
    huge = SteerText(ChatMessage(role=Role.USER, content=_BIG * 10), b"{}")
    assert await steer(store, "s", huge) is SubmitOutcome.STEERED
    with pytest.raises(SteeringFullError):
        await steer(store, "s2", texts(1)[0])


async def test_steering_text_of_an_earlier_version_is_taken(store: StoreScene) -> None:
    run = await at_work(store)
    earlier = to_json([["r1", '{"role":"user","content":"first"}', '{"run_id":"a"}'], "garbage"])
    await store.redis.hset(store.keys.run("a"), "steer", earlier)
    await steer(store, "s", SteerText(ChatMessage(role=Role.USER, content="second"), b"{}"))
    assert await store.runs.finish(run, end_of("a")) is None
    assert [message.text() for message in await store.runs.take_steering(run, nonce="n")] == ["first", "second"]
    assert await store.runs.finish(run, end_of("a")) is not None


async def test_a_later_owner_of_an_earlier_version_can_read_steering_text(store: StoreScene) -> None:
    await at_work(store)
    for content in ("x", 'y "quoted" \\'):
        await steer(store, content[0], SteerText(ChatMessage(role=Role.USER, content=content), b"{}"))
    found = from_json(await store.redis.hget(store.keys.run("a"), "steer"))
    assert [(request, read_message(message.encode()).text(), event) for request, message, event in found] == [
        ("x", "x", "{}"),
        ("y", 'y "quoted" \\', "{}"),
    ]
    assert await store.redis.keys("*steer*") == [], "it reads the record alone"


async def test_texts_that_an_earlier_version_took_no_longer_count(store: StoreScene) -> None:
    await at_work(store)
    text = SteerText(ChatMessage(role=Role.USER, content="x"), b"{}")
    await steer_until_refused(store, text)
    await store.redis.hdel(store.keys.run("a"), "steer")
    assert await steer_until_refused(store, text, "later") == 100


async def test_steering_text_that_was_broken_by_hand_is_replaced(store: StoreScene) -> None:
    run = await at_work(store)
    await store.redis.hset(store.keys.run("a"), "steer", "[[garbage")
    await steer(store, "s", SteerText(ChatMessage(role=Role.USER, content="x"), b"{}"))
    assert [message.text() for message in await store.runs.take_steering(run, nonce="n")] == ["x"]


async def test_a_claim_reads_a_long_conversation_in_parts(store: StoreScene) -> None:
    message = to_json({"role": "user", "content": _BIG})
    for _ in range(100):
        await store.redis.rpush(store.keys.messages, message)
    await store.runs.submit(store.run("a"), on_busy=OnBusy.QUEUE)
    await calls(store, "evalsha")
    assert len((await store.claim("a")).messages) == 100
    assert await calls(store, "evalsha") > 33, "3 of half a megabyte in each step"
    page = await store.threads.messages("t", start=97, limit=50)
    assert (len(page.messages), page.following) == (3, None)
    page = await store.threads.messages("t", start=0, limit=50)
    assert (len(page.messages), page.following) == (-(-PART_BYTES // len(message)), 3)


async def test_pages_of_runs_and_threads_are_bounded_in_bytes(store: StoreScene) -> None:
    for number in range(20):
        await store.threads.create(f"u{number}", metadata={"a": _BIG})
        await store.runs.submit(store.run(f"r{number}", parameters={"a": _BIG}), on_busy=OnBusy.QUEUE)
    page = await store.runs.newest("t", start=0, limit=20)
    assert len(page.runs) == page.following <= 8
    page = await store.runs.newest("t", start=page.following, limit=20)
    assert page.runs[0].run_id == f"r{19 - 8}"
    seen: list[str] = []
    cursor = None
    while True:
        threads = await store.threads.newest(cursor=cursor, limit=20)
        assert sum(len(str(thread.metadata)) for thread in threads.items) < 8 * PAGE_BYTES
        seen += [thread.thread_id for thread in threads.items]
        if (cursor := threads.next_cursor) is None:
            break
    assert sorted(seen) == sorted([*(f"u{number}" for number in range(20)), "t"])


async def test_a_page_of_events_is_bounded_in_bytes_after_a_large_one(store: StoreScene) -> None:
    run = await at_work(store)
    small, large = event_of("tool_bash"), event_of("tool_bash", f'"{_BIG}"')
    await store.runs.append(run, RunWrite(1, events=[*[small] * 40, *[large] * 40, *[small] * 40]))
    topic = StreamTopic(store.keys.stream, store.keys.channel, page_bytes=1_000_000, request_read=lambda _: None)
    pages, cursor, found = SharedPages(store.events), StreamId(0, 0), 0
    while True:
        frames = await pages.read(topic, cursor).page()
        assert sum(frame.size for frame in frames.frames) < 1_600_000
        found += len(frames.frames)
        if frames.is_short:
            break
        cursor = frames.frames[-1].id
    assert found == 120
    cut = await store.events.page_with_first(topic.stream, after="0-0", limit=100, most_bytes=600_000)
    assert (len(cut.entries), cut.is_cut) == (42, True)
    await pages.close()


async def test_a_thread_of_many_runs_is_renewed_and_deleted_in_steps(store: StoreScene) -> None:
    count = 30_000
    run = await at_work(store)
    pipe = store.redis.pipeline(transaction=False)
    for number in range(count):
        pipe.hset(store.keys.run(f"r{number}"), mapping={"status": "completed", "run_id": f"r{number}"})
        pipe.expire(store.keys.run(f"r{number}"), TTL // 2)
        pipe.rpush(store.keys.runs, f"r{number}")
        pipe.set(run_thread(f"r{number}"), "t")
    await pipe.execute()
    await store.redis.hset(store.keys.metadata, "runs_renewed_ms", 0)
    await calls(store, "expire")
    for sequence in range(1, 18):
        await store.runs.append(run, RunWrite(sequence, events=[event_of("tool_bash")], usage=Usage()))
        assert await calls(store, "expire") < 2 * 2_000 + 20
    assert min([await store.redis.ttl(store.keys.run(f"r{number}")) for number in range(0, count, 97)]) >= TTL
    await calls(store, "evalsha")
    await store.threads.delete("t")
    assert await calls(store, "evalsha") > count / 1000, "a thousand runs in each step"
    assert await store.redis.keys() == [store.keys.tombstone.encode()]


async def test_trimming_reads_no_more_than_a_step_of_large_entries(redis_url: str) -> None:
    async with open_store(redis_url, max_length=10) as store:
        run = await at_work(store)
        large = event_of("tool_bash", f'"{"x" * 100_000}"')
        for sequence in range(1, 25):
            before = await store.redis.xlen(store.keys.stream)
            await store.runs.append(run, RunWrite(sequence, events=[large] * 10))
            assert before + 10 - await store.redis.xlen(store.keys.stream) <= 10 * 16, "16 are a megabyte and a half"
        assert await store.redis.xlen(store.keys.stream) < 10 + 100 + 10


async def test_an_answer_before_the_question_check_was_scheduled_is_checked_soon(store: StoreScene) -> None:
    run = await at_work(store)
    question = Question(kind=QuestionKind.ASK_USER, call_id="c", question="Which?")
    assert await store.runs.wait(run, question, b"{}") is WaitOutcome.WAITING
    await store.runs.answer("t", "a", Answer(call_id="c", text="this one"))
    await store.leases.schedule_question_check(RunJob(thread_id="t", run_id="a"), due_in_seconds=86_400)
    seconds, _ = await store.redis.time()
    assert await store.redis.zscore(OPEN_RUNS_INDEX, "t a") < (seconds + 10) * 1000


async def test_a_question_without_an_answer_is_checked_when_it_expires(store: StoreScene) -> None:
    run = await at_work(store)
    question = Question(kind=QuestionKind.ASK_USER, call_id="c", question="Which?")
    await store.runs.wait(run, question, b"{}")
    await store.leases.schedule_question_check(RunJob(thread_id="t", run_id="a"), due_in_seconds=86_400)
    seconds, _ = await store.redis.time()
    assert await store.redis.zscore(OPEN_RUNS_INDEX, "t a") > (seconds + 80_000) * 1000
    assert (await store.runs.get("t", "a")).status is RunStatus.WAITING


async def test_of_many_small_writes_few_renew_the_time_to_live_and_it_stays_full(store: StoreScene) -> None:
    run = await at_work(store)
    await store.runs.append(run, RunWrite(1, events=[event_of("assistant_delta")], usage=Usage()))
    await calls(store, "expire")
    for sequence in range(2, 22):
        await store.runs.append(run, RunWrite(sequence, events=[event_of("assistant_delta")]))
    assert await calls(store, "expire") < 20 * 8 / 2
    assert min((await store.lifetimes()).values()) >= TTL - 1
    await store.redis.expire(store.keys.stream, TTL // 2)
    await store.redis.persist(store.keys.state)
    await store.runs.append(run, RunWrite(22, events=[event_of("assistant_delta")]))
    assert min((await store.lifetimes()).values()) >= TTL - 1
