"""Threads in Redis: listed once each, newest first, deleted completely."""

from collections.abc import AsyncIterator, Sequence

import pytest
from pydantic import JsonValue

from shared.contract.api import OnBusy
from shared.contract.run import RunRecord
from shared.contract.thread import NOBODY, ShareRole, ThreadOwner
from shared.errors import InvalidCursorError, LeaseLostError, ThreadNotFoundError, TooManySharesError
from shared.keys import THREAD_INDEX, tenant_index, user_index
from shared.store.run_values import RunWrite
from shared.store.threads import TOMBSTONE_SECONDS, MessagePage
from tests.integration.store_scene import StoreScene, open_store


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[StoreScene]:
    async with open_store(redis_url) as scene:
        yield scene


async def make(store: StoreScene, *thread_ids: str) -> None:
    for thread_id in thread_ids:
        store.clock.advance(1)
        await store.threads.create(thread_id)


async def listed(store: StoreScene, limit: int = 100) -> list[str]:
    return [thread.thread_id for thread in (await store.threads.newest(cursor=None, limit=limit)).items]


async def test_a_thread_is_read_back_as_created(store: StoreScene) -> None:
    metadata: dict[str, JsonValue] = {"n": 2**70, "nothing": None}
    context: dict[str, JsonValue] = {"a": [1, {"b": ""}]}
    made = await store.threads.create("new", metadata=metadata, context=context, owner="me")
    assert await store.threads.get("new") == made
    assert (made.metadata, made.context, made.owner) == (metadata, context, "me")
    assert await store.threads.exists("new")
    assert not await store.threads.exists("other")
    with pytest.raises(ThreadNotFoundError):
        await store.threads.get("other")


async def test_making_a_thread_again_changes_nothing_and_lists_it_once(store: StoreScene) -> None:
    store.clock.advance(5)
    first = await store.threads.create("again", owner="me")
    store.clock.advance(5)
    assert await store.threads.create("again", owner="you") == first
    assert await store.redis.zcard(THREAD_INDEX) == 2
    assert await listed(store) == ["again", "t"]


async def test_an_entry_left_by_a_second_creation_cut_short_is_not_listed(store: StoreScene) -> None:
    left = int(store.clock.now().timestamp() * 1000) + 5000
    await store.redis.zadd(THREAD_INDEX, {f"{left:015d}:t": 0})
    assert await listed(store) == ["t"]
    store.clock.advance(120)
    await listed(store)
    assert await store.redis.zcard(THREAD_INDEX) == 1


async def test_pages_come_without_repeat_while_new_threads_are_made(store: StoreScene) -> None:
    await make(store, *(f"old{n}" for n in range(7)))
    seen: list[str] = []
    cursor: str | None = None
    for number in range(10):
        page = await store.threads.newest(cursor=cursor, limit=3)
        seen += [thread.thread_id for thread in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        await make(store, f"new{number}")
    assert seen == [*(f"old{n}" for n in reversed(range(7))), "t"]


@pytest.mark.parametrize("cursor", ["!", "abc", "w6n", "bm8gY29sb24", "é"])
async def test_a_cursor_that_was_never_given_out_is_refused(store: StoreScene, cursor: str) -> None:
    with pytest.raises(InvalidCursorError):
        await store.threads.newest(cursor=cursor, limit=3)


async def test_a_thread_that_has_expired_vanishes_from_the_list(store: StoreScene) -> None:
    await make(store, "gone", "stays")
    await store.redis.delete("thread:gone:metadata")
    assert await listed(store) == ["stays", "t"]
    assert await store.redis.zcard(THREAD_INDEX) == 3, "it may be one that is being made"
    store.clock.advance(120)
    await listed(store)
    assert await store.redis.zcard(THREAD_INDEX) == 2


async def test_a_deleted_thread_leaves_only_its_tombstone(store: StoreScene) -> None:
    await make(store, "doomed")
    doomed = store.run("a", legacy_stream="stream:doomed:a").model_copy(update={"thread_id": "doomed"})
    await store.runs.submit(doomed, on_busy=OnBusy.QUEUE, idempotency_key="k")
    claim = await store.runs.claim("doomed", "a", owner="w", claim_id="c", lease_seconds=60)
    assert claim is not None
    await store.runs.append(claim.run, RunWrite(1, events=[b"x"]))
    assert await store.redis.exists("stream:doomed:a")
    await store.threads.delete("doomed")
    assert await listed(store) == ["t"]
    left = {name: seconds for name, seconds in (await store.lifetimes()).items() if "doomed" in name}
    assert left.keys() == {"deleted:doomed"}
    assert 0 < left["deleted:doomed"] <= TOMBSTONE_SECONDS
    with pytest.raises(ThreadNotFoundError):
        await store.threads.delete("doomed")


async def test_a_thread_made_again_while_the_earlier_one_is_removed_stays(
    store: StoreScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def make_again(thread_id: str, _: Sequence[str]) -> None:
        monkeypatch.undo()  # once
        await make(store, thread_id)
        await store.runs.submit(store.run("b"), on_busy=OnBusy.QUEUE)

    await store.runs.submit(store.run("a"), on_busy=OnBusy.QUEUE)
    monkeypatch.setattr(store.threads, "_forget_runs", make_again)
    await store.threads.delete("t")
    assert await listed(store) == ["t"]
    assert await store.threads.active_run("t") == "b"
    assert (await store.claim("b")).run.run_id == "b"


async def test_of_a_thread_with_many_runs_the_active_one_goes_first(
    store: StoreScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write_on(*_: object) -> None:
        with pytest.raises(LeaseLostError):
            await store.runs.append(run, RunWrite(1, events=[b"x"]))

    await store.runs.submit(store.run("a"), on_busy=OnBusy.QUEUE)
    run = (await store.claim("a")).run
    await store.redis.rpush(store.keys.runs, *(f"old{number}" for number in range(1000)))
    monkeypatch.setattr(store.threads, "_forget_runs", write_on)
    await store.threads.delete("t")
    assert await store.redis.keys("thread:t:*") == []


async def test_messages_are_read_in_pages_from_the_oldest(store: StoreScene) -> None:
    assert await store.threads.messages("t", start=0, limit=10) == MessagePage([], None)
    await store.redis.rpush(store.keys.messages, *(f'{{"role":"user","content":"{n}"}}' for n in range(5)))
    page = (await store.threads.messages("t", start=1, limit=2)).messages
    assert [message.text() for message in page] == ["1", "2"]


async def test_threads_are_listed_by_tenant_and_by_user(store: StoreScene) -> None:
    await store.threads.create("a1", tenant="a", owner="ann")
    await store.threads.create("a2", tenant="a", owner="abe")
    await store.threads.create("b1", tenant="b", owner="ann")
    assert await in_index(store, tenant_index("a")) == {"a1", "a2"}
    assert await in_index(store, user_index("a", "ann")) == {"a1"}
    assert await in_index(store, user_index("b", "ann")) == {"b1"}
    await store.threads.delete("a1")
    assert await in_index(store, tenant_index("a")) == {"a2"}
    assert not await store.redis.exists(user_index("a", "ann"))


async def test_a_shared_thread_is_on_the_list_of_who_may_see_it(store: StoreScene) -> None:
    await store.threads.create("shared", tenant="a", owner="ann")
    await store.threads.share("shared", "abe", ShareRole.VIEWER)
    made = await store.threads.share("shared", "eve", ShareRole.EDITOR)
    assert made.shares == {"abe": ShareRole.VIEWER, "eve": ShareRole.EDITOR}
    assert await store.threads.owner_of("shared") == ThreadOwner("a", "ann", made.shares)
    assert await in_index(store, user_index("a", "abe")) == {"shared"}
    assert (await store.threads.share("shared", "abe", None)).shares == {"eve": ShareRole.EDITOR}
    assert await in_index(store, user_index("a", "abe")) == set()
    await store.threads.share("shared", "ann", None)
    assert await in_index(store, user_index("a", "ann")) == {"shared"}, "it stays its owner's"
    assert (await store.threads.share("shared", "eve", None)).shares == {}
    with pytest.raises(ThreadNotFoundError):
        await store.threads.share("other", "abe", ShareRole.VIEWER)


async def test_a_thread_is_shared_with_so_many_and_no_more(store: StoreScene) -> None:
    for number in range(50):
        await store.threads.share("t", f"user {number}", ShareRole.VIEWER)
    with pytest.raises(TooManySharesError):
        await store.threads.share("t", "one more", ShareRole.VIEWER)
    assert len((await store.threads.share("t", "user 0", ShareRole.EDITOR)).shares) == 50
    await store.threads.share("t", "user 1", None)
    await store.threads.share("t", "one more", ShareRole.VIEWER)


async def test_a_run_keeps_its_thread_on_every_list(store: StoreScene) -> None:
    await store.threads.create("kept", tenant="a", owner="ann")
    await store.threads.share("kept", "abe", ShareRole.EDITOR)
    owner = await store.threads.owner_of("kept")
    assert owner is not None
    lists = [tenant_index("a"), user_index("a", "ann"), user_index("a", "abe")]
    for name in lists:
        await store.redis.expire(name, 60)
    await store.runs.submit(
        RunRecord(run_id="r", thread_id="kept", task="x", created_at=""), on_busy=OnBusy.QUEUE, owner=owner
    )
    lifetimes = await store.lifetimes()
    assert all(lifetimes[name] > 60 for name in lists)


async def test_threads_of_an_earlier_version_belong_to_the_default_tenant(store: StoreScene) -> None:
    await store.threads.create("new", tenant="a", owner="ann")
    await make(store, *(f"old {number}" for number in range(1100)))
    await store.redis.delete(tenant_index("default"))
    for number in range(1100):
        await store.redis.hdel(f"thread:old {number}:metadata", "tenant")
    assert await store.threads.owner_of("old 0") == NOBODY
    assert await store.threads.index.adopt() == 1100
    assert await store.threads.index.adopt() == 0
    assert await in_index(store, tenant_index("default")) == {f"old {number}" for number in range(1100)}
    page = await store.threads.newest(cursor=None, limit=100, index=tenant_index("default"))
    assert [thread.thread_id for thread in page.items][:2] == ["old 1099", "old 1098"]


async def test_whose_a_thread_is_that_cannot_be_read(store: StoreScene) -> None:
    await store.redis.hset("thread:t:metadata", mapping={"tenant": b"\xff", "owner": b"\xfe", "shares": b"{"})
    assert await store.threads.owner_of("t") == NOBODY
    await store.redis.delete("thread:t:metadata")
    await store.redis.rpush("thread:t:metadata", "no hash")
    assert await store.threads.owner_of("t") == NOBODY
    assert await store.threads.owner_of("never was") is None


async def in_index(store: StoreScene, name: str) -> set[str]:
    return {member.partition(b":")[2].decode() for member in await store.redis.zrange(name, 0, -1)}
