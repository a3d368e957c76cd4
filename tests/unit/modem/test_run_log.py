"""The log of a run over the store: in order, at once where possible; failures are raised."""

import asyncio

import orjson
import pytest

from modem.service.run_log.masking import SecretMask
from modem.service.run_log.run_log import StoreRunLog
from modem.service.run_log.write_timing import pause_seconds
from shared.config import StreamConfig
from shared.contract.event import AssistantDelta
from shared.contract.message import ChatMessage, Role
from shared.contract.run import Question, QuestionKind, RunRecord, RunStatus, StopReason, Usage
from shared.contract.secret import MASKED
from shared.errors import LeaseLostError, StoreUnavailableError
from shared.store.run_values import RunEnd
from tests.fakes.fake_clock import FakeClock
from tests.fakes.fake_worker_run_store import FakeWorkerRunStore
from workflow.journal.events import EventFactory, EventSpan
from workflow.llm.model import TextDelta

RUN = RunRecord(run_id="r", thread_id="t", task="x", created_at="2026-01-02T03:04:05+00:00", token=1)
EVENTS = EventFactory("t", "r", FakeClock())
STEP = EventSpan("s", EVENTS.now(), "assistant_response")
END = RunEnd(RunStatus.COMPLETED, StopReason.COMPLETED, "", Usage(), b"end")
NEVER = StreamConfig(flush_interval=1000.0)  # only what must not wait is written
AUDIT = NEVER.model_copy(update={"drop_deltas": False})


def delta(text: str) -> AssistantDelta:
    return EVENTS.delta(STEP, TextDelta(text))


def texts(store: FakeWorkerRunStore) -> list[str]:
    results = [orjson.loads(data)["execute_result"] for data in store.data]
    return [result["assistant_delta"]["text"] if "assistant_delta" in result else "complete" for result in results]


async def until_written(store: FakeWorkerRunStore, count: int) -> None:
    await asyncio.wait_for(store.wrote(count), 5)


async def test_the_first_piece_is_written_at_once() -> None:
    store = FakeWorkerRunStore()
    log = StoreRunLog(store, RUN, NEVER)
    await log.emit(delta("a"))
    await until_written(store, 1)
    assert texts(store) == ["a"]
    await log.close()


async def test_pieces_that_come_meanwhile_are_joined_and_stand_before_a_commit() -> None:
    store = FakeWorkerRunStore()
    log = StoreRunLog(store, RUN, AUDIT)
    await log.emit(delta("a"))
    await until_written(store, 1)
    for piece in "bcd":
        await log.emit(delta(piece))
    await log.commit([EVENTS.response(STEP, "abcd")], [ChatMessage(role=Role.ASSISTANT, content="abcd")])
    assert texts(store) == ["a", "bcd", "complete"]
    assert [(len(write.messages), write.supersedes_text) for write in store.writes] == [(0, False), (1, False)]
    await log.close()


async def test_a_complete_message_supersedes_written_and_buffered_text() -> None:
    store = FakeWorkerRunStore()
    log = StoreRunLog(store, RUN, NEVER)
    await log.emit(delta("a"))
    await until_written(store, 1)
    await log.emit(delta("b"))
    await log.commit([EVENTS.response(STEP, "ab")], [ChatMessage(role=Role.ASSISTANT, content="ab")])
    await log.emit(delta("next"))
    await log.commit([])
    assert texts(store) == ["a", "complete", "next"]
    assert [write.supersedes_text for write in store.writes] == [False, True, False]
    await log.close()


async def test_an_answer_without_text_supersedes_reasoning_deltas() -> None:
    store = FakeWorkerRunStore()
    log = StoreRunLog(store, RUN, NEVER)
    await log.emit(delta("hm"))
    await until_written(store, 1)
    await log.emit(delta(" hm"))
    await log.commit([], [ChatMessage(role=Role.ASSISTANT, content="")])
    assert texts(store) == ["hm"]
    assert [write.supersedes_text for write in store.writes] == [False, True]
    await log.close()


async def test_text_without_a_complete_message_is_written_to_its_end() -> None:
    store = FakeWorkerRunStore()
    log = StoreRunLog(store, RUN, NEVER, mask=SecretMask(["bcdefghi"]))
    for piece in ("a", "bc"):
        await log.emit(delta(piece))
    await log.finish(END)
    assert "".join(texts(store)) == "abc"
    assert not any(write.supersedes_text for write in store.writes)


async def test_a_secret_in_two_pieces_is_written_in_none() -> None:
    store = FakeWorkerRunStore()
    log = StoreRunLog(store, RUN, AUDIT, mask=SecretMask(["secret-value"]))
    for piece in ("it is sec", "ret-", "value, ", "sec"):
        await log.emit(delta(piece))
        await log.commit([])
    await log.commit([EVENTS.response(STEP, "it is secret-value, sec")])
    assert texts(store) == ["it is ", f"{MASKED}, ", "sec", "complete"]
    await log.close()


async def test_pieces_stay_apart_when_joining_is_off() -> None:
    store = FakeWorkerRunStore()
    log = StoreRunLog(store, RUN, StreamConfig(flush_interval=1000.0, coalesce_deltas=False))
    for piece in "abc":
        await log.emit(delta(piece))
    await log.commit([])
    assert texts(store) == ["a", "b", "c"]
    await log.close()


async def test_much_waiting_text_is_written_without_a_pause() -> None:
    store = FakeWorkerRunStore()
    log = StoreRunLog(store, RUN, NEVER)
    await log.emit(delta("a"))
    await until_written(store, 1)
    await log.emit(delta("b" * NEVER.flush_bytes))
    await until_written(store, 2)
    await log.close()


async def test_waiting_text_is_written_after_the_pause() -> None:
    store = FakeWorkerRunStore()
    log = StoreRunLog(store, RUN, StreamConfig(flush_interval=0.001))
    await log.emit(delta("a"))
    await until_written(store, 1)
    await log.emit(delta("b"))
    await until_written(store, 2)
    assert texts(store) == ["a", "b"]
    await log.close()


async def test_each_piece_is_written_at_once_while_the_process_is_not_busy() -> None:
    store = FakeWorkerRunStore()
    log = StoreRunLog(
        store, RUN, StreamConfig(), pace=lambda interval, write, turn: pause_seconds(interval, write, 0.0)
    )
    for number, piece in enumerate("abc", 1):
        await log.emit(delta(piece))
        await until_written(store, number)
    assert texts(store) == ["a", "b", "c"]
    await log.close()


async def test_text_that_comes_while_a_write_is_slow_is_one_piece() -> None:
    store = FakeWorkerRunStore()
    store.gate = asyncio.Event()
    log = StoreRunLog(
        store, RUN, StreamConfig(), pace=lambda interval, write, turn: pause_seconds(interval, write, 0.0)
    )
    await log.emit(delta("a"))
    await asyncio.wait_for(store.asked.wait(), 5)
    for piece in "bcdefg":
        await log.emit(delta(piece))
        await asyncio.sleep(0)
    store.gate.set()
    await until_written(store, 2)
    assert texts(store) == ["a", "bcdefg"]
    await log.close()


async def test_text_waits_for_as_long_as_the_time_of_the_last_write_asks_for() -> None:
    asked: list[tuple[float, float, float]] = []

    def pace(interval_seconds: float, write_seconds: float, turn_seconds: float) -> float:
        asked.append((interval_seconds, write_seconds, turn_seconds))
        return 1000.0

    store = FakeWorkerRunStore()
    store.gate = asyncio.Event()
    began_at = asyncio.get_running_loop().time()
    log = StoreRunLog(store, RUN, StreamConfig(flush_interval=0.0), pace=pace)
    await log.emit(delta("a"))
    await asyncio.wait_for(store.asked.wait(), 5)
    store.gate.set()
    await until_written(store, 1)
    for piece in "bcd":
        await log.emit(delta(piece))
        await asyncio.sleep(0)
    await log.commit([])
    assert texts(store) == ["a", "bcd"]
    ((interval, write, turn),) = asked
    assert interval == 0.0
    assert 0 < turn + write <= asyncio.get_running_loop().time() - began_at
    await log.close()


async def test_a_commit_waits_for_the_write_under_way() -> None:
    store = FakeWorkerRunStore()
    store.gate = asyncio.Event()
    log = StoreRunLog(store, RUN, AUDIT)
    await log.emit(delta("a"))
    await asyncio.wait_for(store.asked.wait(), 5)
    commit = asyncio.create_task(log.commit([EVENTS.response(STEP, "a")]))
    await asyncio.sleep(0)
    await log.emit(delta("late"))
    store.gate.set()
    await asyncio.wait_for(commit, 5)
    assert texts(store) == ["a", "late", "complete"]
    assert [write.sequence for write in store.writes] == [1, 2]
    await log.close()


async def test_the_sequence_grows_with_each_write_and_nothing_is_written_for_nothing() -> None:
    store = FakeWorkerRunStore()
    log = StoreRunLog(store, RUN, NEVER)
    await log.commit([])
    for _ in range(3):
        await log.commit([EVENTS.response(STEP, "x")], usage=Usage(steps=1))
    assert [write.sequence for write in store.writes] == [1, 2, 3]
    await log.close()


async def test_a_write_that_failed_is_sent_again_with_the_same_sequence() -> None:
    store = FakeWorkerRunStore()
    store.failures = [StoreUnavailableError(), None]
    log = StoreRunLog(store, RUN, NEVER)
    await log.commit([EVENTS.response(STEP, "x")])
    assert [write.sequence for write in store.writes] == [1]
    await log.close()


@pytest.mark.parametrize("failure", [LeaseLostError(), ValueError("WRONGTYPE")], ids=["lease", "fault"])
async def test_a_failure_in_the_background_is_raised_at_the_next_call(failure: Exception) -> None:
    store = FakeWorkerRunStore()
    store.failures = [failure]
    log = StoreRunLog(store, RUN, NEVER)
    await log.emit(delta("a"))
    await asyncio.wait_for(store.asked.wait(), 5)
    await asyncio.sleep(0)
    for call in (log.emit(delta("b")), log.commit([EVENTS.response(STEP, "x")])):
        with pytest.raises(type(failure)):
            await call
    await log.close()
    assert store.writes == []


async def test_a_commit_that_waited_for_a_failing_write_is_not_written() -> None:
    store = FakeWorkerRunStore()
    store.gate, store.failures = asyncio.Event(), [ValueError("the write under way is lost")]
    log = StoreRunLog(store, RUN, NEVER)
    await log.emit(delta("a"))
    await asyncio.wait_for(store.asked.wait(), 5)
    commit = asyncio.create_task(log.commit([EVENTS.response(STEP, "a")]))
    await asyncio.sleep(0)
    store.gate.set()
    with pytest.raises(ValueError, match="under way"):
        await asyncio.wait_for(commit, 5)
    assert store.writes == []
    await log.close()


async def test_finish_writes_what_waits_and_then_the_end() -> None:
    store = FakeWorkerRunStore(next_run_id="r2")
    log = StoreRunLog(store, RUN, NEVER)
    await log.emit(delta("a"))
    await log.emit(delta("b"))
    ended = await log.finish(END)
    assert "".join(texts(store)) == "ab"
    assert store.ends == [END]
    assert ended is not None
    assert ended.next_run_id == "r2"


async def test_a_run_is_ended_though_an_earlier_write_failed() -> None:
    store = FakeWorkerRunStore()
    store.failures = [ValueError("WRONGTYPE")]
    log = StoreRunLog(store, RUN, NEVER)
    with pytest.raises(ValueError, match="WRONGTYPE"):
        await log.commit([EVENTS.response(STEP, "x")])
    await log.finish(END)
    assert store.ends == [END]


async def test_a_run_whose_lease_is_lost_is_not_ended() -> None:
    store = FakeWorkerRunStore()
    store.failures = [LeaseLostError()]
    log = StoreRunLog(store, RUN, NEVER)
    with pytest.raises(LeaseLostError):
        await log.commit([EVENTS.response(STEP, "x")])
    with pytest.raises(LeaseLostError):
        await log.finish(END)
    assert store.ends == []


async def test_a_flood_waits_for_redis() -> None:
    store = FakeWorkerRunStore()
    store.gate = asyncio.Event()
    log = StoreRunLog(store, RUN, NEVER)
    await log.emit(delta("a"))
    await asyncio.wait_for(store.asked.wait(), 5)
    flood = asyncio.create_task(log.emit(delta("b" * 2_000_000)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not flood.done()
    store.gate.set()
    await asyncio.wait_for(flood, 5)
    await log.close()


async def test_a_cancelled_writer_loses_no_text() -> None:
    store = FakeWorkerRunStore()
    store.gate = asyncio.Event()
    log = StoreRunLog(store, RUN, NEVER)
    flood = asyncio.create_task(log.emit(delta("b" * 2_000_000)))
    await asyncio.wait_for(store.asked.wait(), 5)
    flood.cancel()
    await asyncio.gather(flood, return_exceptions=True)
    store.gate.set()
    await log.commit([EVENTS.response(STEP, "x")])
    assert [len(text) for text in texts(store)] == [2_000_000, len("complete")]
    await log.close()


async def test_a_flood_goes_on_once_redis_has_taken_it() -> None:
    store = FakeWorkerRunStore()
    log = StoreRunLog(store, RUN, NEVER)
    for letter in "abc":
        await asyncio.wait_for(log.emit(delta(letter * 2_000_000)), 5)
    await asyncio.wait_for(log.commit([EVENTS.response(STEP, "x")]), 5)
    assert [len(text) for text in texts(store)] == [2_000_000] * 3 + [len("complete")]
    await log.close()


async def test_a_failure_is_raised_to_a_run_that_waits_for_room() -> None:
    store = FakeWorkerRunStore()
    store.failures = [LeaseLostError()]
    log = StoreRunLog(store, RUN, NEVER)
    await log.emit(delta("a"))
    await asyncio.wait_for(store.asked.wait(), 5)
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(log.emit(delta("a" * 2_000_000)), 5)
    await log.close()


async def test_closing_leaves_no_task_behind() -> None:
    store = FakeWorkerRunStore()
    store.gate = asyncio.Event()
    log = StoreRunLog(store, RUN, NEVER)
    await log.emit(delta("a"))
    await asyncio.wait_for(store.asked.wait(), 5)
    await log.close()
    await log.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_steering_is_taken_again_with_the_same_nonce_after_a_failure() -> None:
    store = FakeWorkerRunStore()
    store.steering, store.steer_failures = [ChatMessage(role=Role.USER, content="milk")], [StoreUnavailableError()]
    log = StoreRunLog(store, RUN, NEVER)
    assert [message.text() for message in await log.take_steering()] == ["milk"]
    assert len(store.nonces) == 2
    assert len(set(store.nonces)) == 1
    assert await log.take_steering() == []
    assert len(set(store.nonces)) == 2


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (QuestionKind.APPROVAL, 'May the agent call bash with {"cmd": "curl -H \'key: se\\"cret-of-mine\'"}?'),
        (QuestionKind.ASK_USER, 'Is se"cret-of-mine the key?'),
        (QuestionKind.APPROVAL, "x" * 990 + 'se"cret-of-mine' + "y" * 2000),
    ],
    ids=["in arguments", "in a question", "where a long question is cut"],
)
async def test_a_question_goes_out_without_secrets(kind: QuestionKind, text: str) -> None:
    store = FakeWorkerRunStore()
    log = StoreRunLog(store, RUN, NEVER, mask=SecretMask(['se"cret-of-mine']))
    asked = Question(kind=kind, call_id="c", question=text, options=('se"cret-of-mine', "no"), expires_at="e")
    await log.wait(asked, lambda question: EVENTS.interrupt(STEP, question))
    ((question, event),) = store.questions
    shown = orjson.loads(event)["execute_result"]["interrupt_result"]
    for each in (question.question, shown["question"]):
        assert MASKED[:9] in each
        assert "cret-" not in each, "not a piece of it either"
        assert len(each) < 2200
    assert (list(question.options), shown["options"]) == ([MASKED, "no"], [MASKED, "no"])
    assert (question.call_id, question.expires_at) == ("c", "e")
