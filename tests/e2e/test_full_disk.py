"""A disk that is full stops the store, not the stack: it goes on by itself when there is room, with every run."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest

from baud import Baud, StopReason
from baud.sdk.errors import BaudClientError
from baud.terminal.render import completion_of
from tests.e2e.test_local_stack import READY, SETTLED_SECONDS, SHORT_LEASES, until, user_env

_ROOM_BYTES = 200_000  # for the store's log: a few runs


class FillingStack:
    """The real stack on a disk that is full as long as there is a file `full`; nor can it log anything."""

    def __init__(self, folder: Path) -> None:
        self.full = folder / "data" / "full"
        self.full.parent.mkdir()
        self.full.write_text(str(_ROOM_BYTES))
        self.store_log = self.full.parent / "redis" / "redis.log"
        with Path("/dev/full").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.fakes.fake_stack", str(self.full.parent), "--real-services"],
                cwd=folder,
                env=user_env() | SHORT_LEASES | {"BAUD_LLM__MODEL": "offline/demo"},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        ready = READY.fullmatch(self.process.stdout.readline())
        assert ready
        self.url = ready[1]

    def store_ends(self) -> int:
        """How often the store ended because it could not write."""
        return self.store_log.read_text().count("Can't recover from AOF write error")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(SETTLED_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[FillingStack]:
    running = FillingStack(tmp_path)
    yield running
    running.close()


def fill(stack: FillingStack, baud: Baud) -> list[tuple[str, str]]:
    """Give tasks until the store ends; return the runs that were accepted."""
    accepted: list[tuple[str, str]] = []
    for number in count():
        try:
            thread_id = baud.initiate().thread_id
            accepted.append((thread_id, baud.execute(thread_id, f"Build a page about bees {number}").run_id))
        except BaudClientError:
            break
        if stack.store_ends():
            break
    return accepted


def test_a_full_disk_loses_and_repeats_no_run(stack: FillingStack) -> None:
    with Baud(stack.url) as baud:
        accepted = fill(stack, baud)
        until(lambda: stack.store_ends() > 1)
        until(lambda: httpx.get(f"{stack.url}/health").status_code == 503)
        stack.full.unlink()
        until(lambda: httpx.get(f"{stack.url}/health").json()["status"] == "healthy")
        for thread_id, run_id in accepted:
            events = list(baud.run_stream(thread_id, run_id))
            kinds = Counter(event.execute_type for event in events)
            assert completion_of(events[-1])[0] is StopReason.COMPLETED
            assert (kinds["user_message"], kinds["flow_completion"]) == (1, 1)
    assert len(accepted) > 1
