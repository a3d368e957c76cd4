"""Threads that a process does not wait for."""

import subprocess
import sys
import threading

import pytest

from shared.daemon_threads import DaemonThreads


def _fail() -> None:
    raise ValueError("no")


def test_calls_return_their_results_and_errors() -> None:
    threads = DaemonThreads(2, "test")
    assert threads.submit(max, 3, 5).result(5.0) == 5
    with pytest.raises(ValueError, match="no"):
        threads.submit(_fail).result(5.0)
    threads.shutdown()


def test_a_call_that_was_cancelled_before_its_turn_is_left_out() -> None:
    threads, gate = DaemonThreads(1, "test"), threading.Event()
    done: list[str] = []
    first = threads.submit(gate.wait)
    cancelled = threads.submit(done.append, "cancelled")
    last = threads.submit(done.append, "last")
    assert cancelled.cancel()
    gate.set()
    last.result(5.0)
    assert first.result(5.0)
    assert done == ["last"]
    threads.shutdown()
    with pytest.raises(RuntimeError):
        threads.submit(done.append, "late")


def test_a_process_ends_although_a_call_is_stuck() -> None:
    program = (
        "import threading\n"
        "from shared.daemon_threads import DaemonThreads\n"
        "begun = threading.Event()\n"
        "DaemonThreads(1, 'test').submit(lambda: (begun.set(), threading.Event().wait()))\n"
        "assert begun.wait(20)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0
