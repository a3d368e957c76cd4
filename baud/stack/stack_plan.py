"""What a local stack consists of: the processes that its options ask for, with their commands and environments."""

import os
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from baud.stack.embedded_redis import EmbeddedRedis, find_binary
from baud.stack.supervise import ServiceSpec
from baud.stack_options import StackOptions

_GATEWAY_STOP_SECONDS = 20.0  # a gateway exits by itself after 16 at the latest
_MODEM_STOP_SECONDS = 35.0  # a modem exits by itself ten seconds after modem.drain_timeout (20) at the latest
_REDIS_STOP_SECONDS = 10.0
_CLIENT_VARIABLES = (
    "BAUD_URL",
    "BAUD_API_KEY",
    "BAUD_TOKEN",
)  # the client's own; services refuse variables they do not know
_CODE_ROOT = Path(__file__).absolute().parent.parent


def without_password(url: str) -> str:
    """Return a Redis URL that may be printed."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@dataclass(frozen=True, slots=True)
class StackPlan:
    """Makes the process descriptions of one stack; `port` is the gateway's, never 0, and `env` the user's."""

    options: StackOptions
    env: Mapping[str, str]
    data_dir: Path
    port: int

    def redis(self, redis: EmbeddedRedis, *, lock_fd: int) -> ServiceSpec:
        """Describe the embedded Redis."""
        return ServiceSpec(
            name="redis",
            argv=self.options.commands.redis or (find_binary(), "/dev/stdin"),
            env={"PATH": self.env.get("PATH", os.defpath)},
            stdin=redis.config(),
            pass_fds=(lock_fd,),
            stop_seconds=_REDIS_STOP_SECONDS,
            log=redis.log,
        )

    def gateway(self, redis_url: str) -> ServiceSpec:
        """Describe the gateway."""
        flags = ("--host", self.options.host, "--port", str(self.port))
        return ServiceSpec(
            name="gateway",
            argv=self.options.commands.gateway + flags,
            env=self._service_env(redis_url),
            stop_seconds=_GATEWAY_STOP_SECONDS,
        )

    def modems(self, redis_url: str) -> tuple[ServiceSpec, ...]:
        """Describe every modem."""
        names = ["modem"] if self.options.workers == 1 else [f"modem-{n}" for n in range(1, self.options.workers + 1)]
        return tuple(
            ServiceSpec(
                name=name,
                argv=self.options.commands.modem,
                env=self._service_env(redis_url),
                stop_seconds=_MODEM_STOP_SECONDS,
            )
            for name in names
        )

    def _service_env(self, redis_url: str) -> dict[str, str]:
        env = {name: value for name, value in self.env.items() if name not in _CLIENT_VARIABLES}
        env["REDIS_URL"] = env["BAUD_REDIS__URL"] = redis_url
        env["BAUD_DATA_DIR"] = str(self.data_dir)
        env["BAUD_GATEWAY__HOST"] = self.options.host
        env["BAUD_GATEWAY__PORT"] = str(self.port)
        env["BAUD_GATEWAY__SHUTDOWN_DELAY"] = "0"  # there is no load balancer to wait for
        env["PYTHONUNBUFFERED"] = "1"
        if self.options.model:
            env["BAUD_LLM__MODEL"] = self.options.model
        if str(_CODE_ROOT) != sysconfig.get_path("purelib"):  # a checkout: the children run the same code
            former = env.get("PYTHONPATH")
            env["PYTHONPATH"] = f"{_CODE_ROOT}{os.pathsep}{former}" if former else str(_CODE_ROOT)
        return env
