"""The commands at a gateway that asks who a user is: where the key comes from, and what a refusal says to do."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from baud import AsyncBaud
from tests.fakes.fake_verifier import FakeVerifier
from tests.integration.fake_worker import FakeWorker, open_worker
from tests.integration.in_process_gateway import ServedGateway, serve_in_process

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("BAUD_")}


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[ServedGateway]:
    async with serve_in_process(redis_url, tmp_path) as served:
        yield served


@pytest.fixture
def verifier(gateway: ServedGateway) -> FakeVerifier:
    return gateway.require_keys()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int | None
    out: str
    err: str


async def start(gateway: ServedGateway, *arguments: str, **environ: str) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "baud", *arguments, "--url", gateway.url)
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env={**ENVIRON, **environ})


async def ended(process: asyncio.subprocess.Process) -> Ended:
    out, err = await process.communicate()
    return Ended(process.returncode, out.decode(), err.decode())


async def baud(gateway: ServedGateway, *arguments: str, **environ: str) -> Ended:
    return await ended(await start(gateway, *arguments, **environ))


async def new_thread(gateway: ServedGateway, key: str) -> str:
    async with AsyncBaud(gateway.url, api_key=key) as client:
        return (await client.initiate()).thread_id


@pytest.mark.usefixtures("verifier")
@pytest.mark.parametrize("command", [("threads",), ("run", "a task"), ("answer", "t", "yes"), ("tail", "t")])
async def test_without_a_key_a_command_says_how_to_get_one(gateway: ServedGateway, command: tuple[str, ...]) -> None:
    done = await baud(gateway, *command)
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    advice = "set BAUD_API_KEY or --api-key-file; an admin makes one with: baud keys create"
    assert line.startswith(f"baud: error: the gateway wants an API key: {advice} (401 unauthenticated: ")


@pytest.mark.usefixtures("verifier")
async def test_a_key_that_is_not_valid_is_said_to_be_so_and_not_shown(gateway: ServedGateway) -> None:
    done = await baud(gateway, "threads", BAUD_API_KEY="baud_guessed")
    assert (done.code, done.out) == (1, "")
    assert "401 invalid_credential" in done.err
    assert "the gateway does not accept this API key; an admin makes another with: baud keys create" in done.err
    assert "baud_guessed" not in done.err


async def test_the_key_comes_from_the_variable_or_a_file(
    gateway: ServedGateway, verifier: FakeVerifier, tmp_path: Path
) -> None:
    key = verifier.give_key("ann")
    thread_id = await new_thread(gateway, key)
    file = tmp_path / "key"
    file.write_text(f"{key}\n")
    by_variable = await baud(gateway, "threads", "--json", BAUD_API_KEY=key)
    by_file = await baud(gateway, "threads", "--json", "--api-key-file", str(file), BAUD_API_KEY="baud_other")
    assert by_variable == by_file
    assert (by_file.code, by_file.err) == (0, "")
    assert thread_id in by_file.out
    assert key not in by_file.out


async def test_threads_are_shared_and_no_longer_shared_by_a_command(
    gateway: ServedGateway, verifier: FakeVerifier
) -> None:
    ann, bob = verifier.give_key("ann"), verifier.give_key("bob")
    thread_id = await new_thread(gateway, ann)
    shared = await baud(gateway, "threads", "share", thread_id, "bob", "--role", "editor", BAUD_API_KEY=ann)
    assert shared == Ended(0, "shared with bob as editor\n", "")
    assert thread_id in (await baud(gateway, "threads", BAUD_API_KEY=bob)).out
    denied = await baud(gateway, "threads", "unshare", thread_id, "ann", BAUD_API_KEY=bob)
    assert denied.code == 1
    assert "403 read_only_thread" in denied.err
    unshared = await baud(gateway, "threads", "unshare", thread_id, "bob", BAUD_API_KEY=ann)
    assert unshared == Ended(0, "not shared with bob\n", "")
    assert thread_id not in (await baud(gateway, "threads", BAUD_API_KEY=bob)).out


async def test_a_tail_whose_key_is_revoked_shows_what_came_before_and_fails(
    gateway: ServedGateway, verifier: FakeVerifier, redis_url: str
) -> None:
    key = verifier.give_key("ann")
    thread_id = await new_thread(gateway, key)
    async with open_worker(redis_url) as worker, AsyncBaud(gateway.url, api_key=key) as client:
        await work(worker, client, thread_id)
        process = await start(gateway, "tail", thread_id, "--json", BAUD_API_KEY=key)
        assert process.stdout is not None
        while b"flow_completion" not in await process.stdout.readline():
            pass
        verifier.revoke(key)
        await gateway.end_revoked_streams()
        done = await ended(process)
    assert done.code == 1
    assert "401 unauthenticated" in done.err
    assert "baud keys create" in done.err


async def work(worker: FakeWorker, client: AsyncBaud, thread_id: str) -> None:
    run_id = (await client.execute(thread_id, "a task")).run_id
    await worker.do(thread_id, run_id, "done")


async def test_a_key_of_another_server_is_no_hindrance_where_nobody_is_asked(gateway: ServedGateway) -> None:
    done = await baud(gateway, "threads", BAUD_API_KEY="baud_of-another-server")
    assert done == Ended(0, "no threads yet\n", "")
