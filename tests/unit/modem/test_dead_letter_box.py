"""Putting a message aside never fails: it waits for Redis, and logs what could not be kept."""

from collections.abc import Iterator

import pytest

from modem.service.dead_letter_box import DeadLetterBox
from modem.service.event_loop import LoopThread
from shared.contract.dead_letter import DeadLetter
from shared.errors import StoreUnavailableError
from shared.store.dead_letters import MAX_MESSAGE_BYTES, DeadLetterStore
from tests.e2e.ugly_messages import envelope


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    thread = LoopThread()
    thread.start()
    yield thread
    thread.stop()


class FakeStore(DeadLetterStore):
    """Fails with these errors first."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.kept: list[DeadLetter] = []

    async def put(self, letter: DeadLetter) -> None:
        if self._errors:
            raise self._errors.pop(0)
        self.kept.append(letter)


def box(store: FakeStore, loop: LoopThread) -> DeadLetterBox:
    return DeadLetterBox(store, loop, worker_id="w1", max_message_bytes=10_000_000)


def test_a_readable_message_is_passed_on_and_another_kept(loop: LoopThread) -> None:
    store = FakeStore()
    letters = box(store, loop)
    assert letters.read("celery", envelope().encode()) is not None
    assert letters.read("celery", b"garbage") is None
    (letter,) = store.kept
    assert (letter.message, letter.worker, letter.queue, letter.size_bytes) == ("garbage", "w1", "celery", 7)


def test_a_write_is_retried_while_redis_is_down(loop: LoopThread) -> None:
    store = FakeStore(StoreUnavailableError())
    box(store, loop).put_aside("celery", b"garbage", "no JSON")
    assert len(store.kept) == 1


def test_a_list_that_cannot_be_written_ends_nothing(loop: LoopThread, caplog: pytest.LogCaptureFixture) -> None:
    store = FakeStore(ValueError("WRONGTYPE"))
    box(store, loop).put_aside("celery", b"garbage\n", "no JSON")
    assert store.kept == []
    assert r"could not be kept: 'garbage\n'" in caplog.text


def test_of_a_long_message_the_beginning_is_kept(loop: LoopThread) -> None:
    store = FakeStore()
    box(store, loop).put_aside("celery", "ü".encode() * MAX_MESSAGE_BYTES, "too long")
    (letter,) = store.kept
    assert (len(letter.message), letter.is_cut, letter.size_bytes) == (
        MAX_MESSAGE_BYTES // 2,
        True,
        2 * MAX_MESSAGE_BYTES,
    )
