"""A package index on 127.0.0.1 with wheels made by hand; a newer release can appear while it is asked."""

import hashlib
import io
import re
import threading
import zipfile
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


def make_wheel(name: str, version: str, metadata: Sequence[str] = ()) -> bytes:
    """Return a wheel with one module; `metadata` are further lines such as "Requires-Dist: other>=1"."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": "\n".join(("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *metadata, "")),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in (*files, f"{info}/RECORD"))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return written.getvalue()


class FakePackageIndex:
    """A context manager; `url` is what pip calls the index's URL."""

    def __init__(self) -> None:
        self._wheels: dict[str, dict[str, bytes]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_port}/simple/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def publish(self, name: str, version: str, *metadata: str) -> str:
        """Offer a release from now on; return the line that a lock has for it."""
        wheel = make_wheel(name, version, metadata)
        self._wheels.setdefault(name, {})[f"{name}-{version}-py3-none-any.whl"] = wheel
        return f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel).hexdigest()}\n"

    def answer(self, path: str) -> bytes | None:
        """Return the page of a package or one of its files."""
        wanted = re.fullmatch(r"/simple/([\w-]+)/(\S*)", path)
        files = self._wheels.get(wanted[1].replace("-", "_"), {}) if wanted else {}
        if wanted and wanted[2]:
            return files.get(wanted[2])
        return "".join(f'<a href="{file}">{file}</a>\n' for file in files).encode() if files else None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = index.answer(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header(
                    "Content-Type", "application/octet-stream" if self.path.endswith(".whl") else "text/html"
                )
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:
                """Keep the output of the tests clean."""

        return Handler
