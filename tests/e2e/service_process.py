"""One process of the stack under test: started as a user starts it, its output kept, stopped by its id."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.02


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    """Return once the condition holds; fail with `what` when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(_POLL_SECONDS)


def service_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return a bare environment that holds nothing of the developer's own but where programs are found."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": str(_ROOT),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        **settings,
    }


class ServiceProcess:
    """`python -m MODULE` in a folder of its own; `log` holds all that it printed."""

    def __init__(self, name: str, arguments: tuple[str, ...], *, settings: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", *arguments],
                cwd=folder,
                env=service_environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def output(self) -> str:
        """Return what was printed so far."""
        return self.log.read_text(errors="replace")

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def wait_for(self, pattern: str, seconds: float = 60.0) -> str:
        """Return what the pattern matches in the output, once it does."""
        found: list[str] = []

        def printed() -> bool:
            match = re.search(pattern, self.output())
            if match:
                found.append(match[0])
            return bool(match) or self.has_ended()

        wait_until(printed, f"{self.name} prints {pattern}", seconds)
        assert found, f"{self.name} ended with {self._process.returncode}:\n{self.output()}"
        return found[0]

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal and do not wait."""
        self._process.send_signal(number)

    def terminate(self) -> None:
        """Send SIGTERM and do not wait."""
        self.send(signal.SIGTERM)

    def wait(self, seconds: float = _STOP_SECONDS) -> int:
        """Return the exit code once the process has ended."""
        return self._process.wait(seconds)

    def stop(self) -> None:
        """End the process: politely, and if that takes too long, at once."""
        if self.has_ended():
            return
        self.terminate()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
