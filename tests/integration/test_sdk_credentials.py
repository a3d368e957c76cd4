"""The SDK at a gateway that asks who a client is: refused, shared, revoked in the middle of a stream, never shown."""

import logging
import traceback
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from baud import ApiError, AsyncBaud, AuthenticationError, PermissionDeniedError, ShareRole
from shared.contract.principal import Scope
from tests.fakes.fake_verifier import FakeVerifier
from tests.integration.fake_worker import open_worker
from tests.integration.in_process_gateway import ServedGateway, serve_in_process
from tests.integration.stream_reader import Read, StreamReader, read_async, read_sync, reading

both = pytest.mark.parametrize("read", [read_sync, read_async], ids=["sync", "async"])


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[ServedGateway]:
    async with serve_in_process(redis_url, tmp_path) as served:
        yield served


@pytest.fixture
def verifier(gateway: ServedGateway) -> FakeVerifier:
    return gateway.require_keys()


@pytest.mark.parametrize(("key", "code"), [("", "unauthenticated"), ("baud_guessed", "invalid_credential")])
@pytest.mark.usefixtures("verifier")
async def test_who_has_no_valid_key_is_refused(gateway: ServedGateway, key: str, code: str) -> None:
    async with AsyncBaud(gateway.url, api_key=key) as baud:
        assert (await baud.health()).version
        for request in (baud.initiate(), anext(baud.threads()), anext(baud.stream("t"))):
            with pytest.raises(AuthenticationError) as caught:
                await request
            assert (caught.value.status, caught.value.code) == (401, code)


async def test_a_key_without_the_scope_is_denied(gateway: ServedGateway, verifier: FakeVerifier) -> None:
    key = verifier.give_key("ann", scopes=frozenset({Scope.READ}))
    async with AsyncBaud(gateway.url, api_key=key) as baud:
        with pytest.raises(PermissionDeniedError, match=r"403 missing_scope: .*'run'"):
            await baud.initiate()


async def test_a_shared_thread_is_read_by_a_viewer_and_worked_on_by_an_editor(
    gateway: ServedGateway, verifier: FakeVerifier
) -> None:
    async with (
        AsyncBaud(gateway.url, api_key=verifier.give_key("ann")) as ann,
        AsyncBaud(gateway.url, api_key=verifier.give_key("auth0|bob")) as bob,
    ):
        thread_id = (await ann.initiate()).thread_id
        with pytest.raises(ApiError, match="404 thread_not_found"):
            await bob.thread(thread_id)

        shared = await ann.share(thread_id, "auth0|bob")
        assert shared.shares == {"auth0|bob": ShareRole.VIEWER}
        assert [record.thread_id async for record in bob.threads()] == [thread_id]
        with pytest.raises(PermissionDeniedError, match="403 read_only_thread"):
            await bob.execute(thread_id, "mine now")

        await ann.share(thread_id, "auth0|bob", ShareRole.EDITOR)
        assert (await bob.execute(thread_id, "together")).run_id
        with pytest.raises(PermissionDeniedError, match="403 read_only_thread"):
            await bob.share(thread_id, "carl")

        assert (await ann.unshare(thread_id, "auth0|bob")).shares == {}
        with pytest.raises(ApiError, match="404 thread_not_found"):
            await bob.thread(thread_id)


def has_all(logged: list[str], reader: StreamReader) -> bool:
    return reader.ids == logged


@both
async def test_a_stream_goes_on_with_new_tokens_and_misses_nothing(
    gateway: ServedGateway, verifier: FakeVerifier, redis_url: str, read: Read
) -> None:
    keys = [verifier.give_key("ann")]
    asked = []

    def newest_key() -> str:
        asked.append(keys[-1])
        return keys[-1]

    async with AsyncBaud(gateway.url, api_key=keys[0]) as baud, open_worker(redis_url) as worker:
        thread_id = (await baud.initiate()).thread_id
        run = await worker.claim(thread_id, (await baud.execute(thread_id, "a task")).run_id)
        async with reading(read, gateway.url, thread_id, run.run_id, api_key=newest_key) as reader:
            for _ in range(3):
                await worker.write(run, "before the key", "is revoked")
                await reader.until(partial(has_all, await worker.logged_ids(thread_id)))
                keys.append(verifier.give_key("ann"))
                verifier.revoke(keys[-2])
                await gateway.end_revoked_streams()
                await worker.write(run, "while it connects again")
            await worker.finish(run)
            await reader.until_end()
        assert reader.ids == await worker.logged_ids(thread_id)
    assert [event.data["error_type"] for event in reader.events if event.event == "error"] == ["unauthenticated"] * 3
    assert asked == keys
    assert reader.counts.duplicates == 0
    assert reader.counts.connections == len(keys)


@both
async def test_a_stream_whose_key_is_revoked_ends_with_its_last_event(
    gateway: ServedGateway, verifier: FakeVerifier, redis_url: str, read: Read
) -> None:
    key = verifier.give_key("ann")
    async with AsyncBaud(gateway.url, api_key=key) as baud, open_worker(redis_url) as worker:
        thread_id = (await baud.initiate()).thread_id
        run = await worker.claim(thread_id, (await baud.execute(thread_id, "a task")).run_id)
        async with reading(read, gateway.url, thread_id, run.run_id, api_key=key) as reader:
            await worker.write(run, "the last")
            logged = await worker.logged_ids(thread_id)
            await reader.until(partial(has_all, logged))
            verifier.revoke(key)
            await gateway.end_revoked_streams()
            with pytest.raises(AuthenticationError, match=r"401 unauthenticated: .*not valid any more"):
                await reader.until_end()
        assert reader.ids == logged


async def test_the_key_is_in_no_log_line_and_no_error(
    gateway: ServedGateway, verifier: FakeVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = verifier.give_key("ann")
    errors: list[Exception] = []
    async with AsyncBaud(gateway.url, api_key=key) as baud:
        thread_id = (await baud.initiate()).thread_id
        assert [event async for event in baud.stream(thread_id, until_completion=True)] == []
        verifier.revoke(key)
        for request in (baud.initiate(), anext(baud.stream(thread_id))):
            with pytest.raises(AuthenticationError) as caught:
                await request
            errors.append(caught.value)
    assert "send_request_headers" in caplog.text  # httpcore's own lines are among them
    assert key not in caplog.text + "".join("".join(traceback.format_exception(error)) for error in errors)
