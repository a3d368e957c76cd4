"""The log of a run over the store: in order, at once where possible, without secrets."""

import asyncio

import orjson
import pytest

from modem.service.run_log.masking import SecretMask
from modem.service.run_log.run_log import StoreRunLog
from shared.config import StreamConfig
from shared.contract.message import ChatMessage, Role
from shared.contract.run import Question, QuestionKind, Usage
from shared.contract.secret import MASKED
from tests.fakes.fake_worker_run_store import FakeWorkerRunStore
from tests.unit.modem.log_scene import AUDIT, END, EVENTS, NEVER, RUN, STEP, delta, texts, until_written


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


async def test_each_piece_is_written_at_once_while_few_come_during_a_write() -> None:
    store = FakeWorkerRunStore()
    log = StoreRunLog(store, RUN, StreamConfig())
    for number, piece in enumerate("abc", 1):
        await log.emit(delta(piece))
        await until_written(store, number)
    assert texts(store) == ["a", "b", "c"]
    await log.close()


async def test_text_that_comes_while_a_write_is_slow_is_one_piece() -> None:
    store = FakeWorkerRunStore()
    store.gate = asyncio.Event()
    log = StoreRunLog(store, RUN, StreamConfig())
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
    asked: list[tuple[float, float, int]] = []

    def pace(interval_seconds: float, write_seconds: float, waiting_pieces: int) -> float:
        asked.append((interval_seconds, write_seconds, waiting_pieces))
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
    ((interval, write, waiting),) = asked
    assert (interval, waiting) == (0.0, 0)
    assert 0 < write <= asyncio.get_running_loop().time() - began_at
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
