"""A RabbitMQ of the tests' own: own node, ports and folder, no service of the machine is touched."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.integration.redis_process import free_port

_START_SECONDS: Final = 90.0
_CALL_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1
# Debian's scripts in the path change to another user; these, which they call, do not.
_FOLDERS: Final = ("/usr/lib/rabbitmq/bin", "/usr/sbin", "/usr/local/sbin", "/opt/rabbitmq/sbin")


def find_rabbitmq() -> Path | None:
    """Return the folder of rabbitmq-server and rabbitmqctl, or None where there is none."""
    path = os.pathsep.join((*_FOLDERS, os.environ.get("PATH", os.defpath)))
    found = shutil.which("rabbitmq-server", path=path)
    return Path(found).resolve().parent if found and shutil.which("epmd") else None


class RabbitProcess:
    """One RabbitMQ node; `settings` go into its rabbitmq.conf, `channel_tick_ms` is how often it checks channels."""

    def __init__(
        self, folder: Path, *, settings: Mapping[str, str] | None = None, channel_tick_ms: int = 60_000
    ) -> None:
        programs = find_rabbitmq()
        assert programs is not None, "rabbitmq-server is not installed"
        self._programs = programs
        self.port, self._epmd_port = free_port(), free_port()
        self._node = f"baud-{self.port}@localhost"
        self._folder = folder
        lines = {"loopback_users.guest": "true", "log.console": "false", **(settings or {})}
        (folder / "rabbitmq.conf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
        (folder / "advanced.config").write_text(f"[{{rabbit, [{{channel_tick_interval, {channel_tick_ms}}}]}}].\n")
        (folder / "plugins").write_text("[].\n")
        self._processes: list[subprocess.Popen[bytes]] = []

    def url(self, vhost: str = "") -> str:
        """Return the URL of a virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{vhost or '%2F'}"

    def start(self) -> None:
        """Start the port mapper, which Erlang would leave running if it started one itself, then the node."""
        if not self._processes:
            self._run(["epmd", "-port", str(self._epmd_port)])
            self._wait_for_answer(self._epmd_port, b"\x00\x01n")
        self._run([str(self._programs / "rabbitmq-server")])
        self._wait_for_answer(self.port, b"AMQP\x00\x00\x09\x01")

    def kill(self) -> None:
        """End the node at once; what it confirmed is on its disk."""
        node = self._processes.pop()
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def pause(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        os.killpg(self._processes[-1].pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Resume it."""
        os.killpg(self._processes[-1].pid, signal.SIGCONT)

    def stop(self) -> None:
        """End everything."""
        while self._processes:
            self.kill()

    def add_vhost(self, name: str, *, queue_type: str = "classic") -> str:
        """Make an empty virtual host, whose queues are of this type, and return its URL."""
        self.call("add_vhost", name, "--default-queue-type", queue_type)
        self.call("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        return self.url(name)

    def call(self, *arguments: str) -> str:
        """Return what rabbitmqctl prints."""
        argv = [str(self._programs / "rabbitmqctl"), "--quiet", "--node", self._node, *arguments]
        answer = subprocess.run(
            argv, env=self._environment(), capture_output=True, text=True, timeout=_CALL_SECONDS, check=False
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def _wait_for_answer(self, port: int, question: bytes) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(port, question):
            assert time.monotonic() < deadline, f"nothing answers: {self._processes[-1].args!r}"
            assert self._processes[-1].poll() is None, f"ended at once: {self._processes[-1].args!r}"
            time.sleep(_POLL_SECONDS)

    def _run(self, argv: list[str]) -> None:
        with (self._folder / "output.log").open("ab") as output:
            process = subprocess.Popen(
                argv,
                cwd=self._folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(self._folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self._folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
        }


def _answers(port: int, question: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(question)
            return bool(connection.recv(1))
    except OSError:
        return False
